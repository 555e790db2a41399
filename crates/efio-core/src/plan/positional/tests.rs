//! Tests by hand, and by proptest against a model file that runs one op after the other.

use super::*;
use proptest::prelude::*;

const BUFFERED: IoCaps = IoCaps {
    dio_align: 0,
    buffered: CacheMode::Uncached,
    written: CacheMode::Uncached,
};
const DIRECT: IoCaps = IoCaps {
    dio_align: 4096,
    ..BUFFERED
};
const EIO: Errno = Errno(libc::EIO);

fn asked(kind: Kind, seq: u64, offset: u64, len: usize, token: u64) -> Asked<u64> {
    let memory = (kind != Kind::Truncate).then_some(token);
    Asked {
        kind,
        seq,
        offset,
        len,
        token,
        memory,
    }
}

fn submitted(next: Option<Next<u64>>) -> Transfer<u64> {
    match next {
        Some(Next::Submit(transfer)) => transfer,
        other => panic!("nothing to submit: {other:?}"),
    }
}

fn finished(end: Option<Finished<u64>>) -> Finished<u64> {
    end.expect("not complete")
}

/// The first write fails while the second waits for it, and the read waits for the second.
#[test]
fn a_read_waits_for_a_cancelled_write() {
    let mut plan = Positional::new();
    let io_caps = BUFFERED;
    plan.push(asked(Kind::Write, 0, 0, 100, 1));
    plan.push(asked(Kind::Write, 100, 50, 100, 2));
    plan.push(asked(Kind::Read, 200, 120, 10, 3));
    let first = submitted(plan.poll_op(0, None, io_caps));
    assert_eq!(plan.poll_op(0, None, io_caps), None);
    let failed = finished(plan.handle_completed(first.key, Some(1), Err(EIO)));
    assert_eq!((failed.token, failed.result), (1, Err(EIO)));
    for token in [2, 3] {
        match plan.poll_op(0, Some(EIO), io_caps) {
            Some(Next::Finish(end)) => assert_eq!((end.token, end.result), (token, Err(EIO))),
            other => panic!("{token} is not complete: {other:?}"),
        }
    }
}

#[test]
fn short_transfers_continue_and_change_their_cache_mode() {
    let mut plan = Positional::new();
    let mut io_caps = DIRECT;
    plan.push(asked(Kind::Read, 0, 8192, 8192, 7));
    let first = submitted(plan.poll_op(0, None, io_caps));
    assert_eq!(
        (first.cache_mode, first.start, first.len),
        (CacheMode::Direct, 0, 8192)
    );
    assert_eq!(plan.handle_completed(first.key, Some(7), Ok(512)), None);
    let rest = submitted(plan.poll_op(0, None, io_caps));
    assert_eq!(
        (rest.cache_mode, rest.offset),
        (CacheMode::Uncached, 8704),
        "not aligned any more"
    );
    assert_eq!((rest.start, rest.len, rest.memory), (512, 7680, Some(7)));
    // F24.
    for errno in [libc::EINTR, libc::EAGAIN] {
        let again = plan.handle_completed(rest.key, Some(7), Err(Errno(errno)));
        assert_eq!(again, None);
        assert_eq!(submitted(plan.poll_op(0, None, io_caps)).start, 512);
    }
    // F28: the driver passes a refused mode on as a transient error.
    io_caps = IoCaps::CACHED;
    let refused = Err(Errno(libc::EAGAIN));
    assert_eq!(plan.handle_completed(rest.key, Some(7), refused), None);
    let rest = submitted(plan.poll_op(0, None, io_caps));
    assert_eq!(rest.cache_mode, CacheMode::Cached);
    assert_eq!(plan.handle_completed(rest.key, Some(7), Ok(100)), None);
    let rest = submitted(plan.poll_op(0, None, io_caps));
    let end = finished(plan.handle_completed(rest.key, Some(7), Ok(0)));
    assert_eq!(
        (end.len_done, end.result, end.token),
        (612, Ok(()), 7),
        "the end of file"
    );
    assert!(plan.is_idle());
}

/// F15, F23: an error after a partial transfer is an error, with the number of bytes before it.
#[test]
fn an_error_ends_the_op_and_the_file() {
    let mut plan = Positional::new();
    let io_caps = BUFFERED;
    plan.push(asked(Kind::Write, 0, 1000, 100, 1));
    plan.push(asked(Kind::Write, 100, 500, 100, 2));
    plan.push(asked(Kind::Write, 200, 550, 100, 3));
    plan.push(asked(Kind::Read, 300, 0, 100, 4));
    let first = submitted(plan.poll_op(0, None, io_caps));
    let second = submitted(plan.poll_op(0, None, io_caps));
    let read = submitted(plan.poll_op(0, None, io_caps));
    assert_eq!((first.offset, second.offset, read.offset), (1000, 500, 0));
    assert_eq!(
        plan.poll_op(0, None, io_caps),
        None,
        "the third overlaps the second"
    );
    plan.handle_completed(first.key, Some(1), Ok(30));
    let first = submitted(plan.poll_op(0, None, io_caps));
    let end = finished(plan.handle_completed(first.key, Some(1), Err(EIO)));
    assert_eq!((end.offset, end.len_done, end.result), (1000, 30, Err(EIO)));
    assert_eq!(plan.lowest_pending(), Some(500), "in flight or waiting");
    let Some(Next::Finish(third)) = plan.poll_op(0, Some(EIO), io_caps) else {
        panic!("not started any more")
    };
    assert_eq!(
        (third.token, third.result, third.memory),
        (3, Err(EIO), Some(3))
    );
    let end = finished(plan.handle_completed(second.key, Some(2), Ok(100)));
    assert_eq!(end.result, Ok(()));
    assert_eq!(plan.settle(0), 0, "nothing after the failed one is written");
    finished(plan.handle_completed(read.key, Some(4), Ok(100)));
    assert!(plan.is_idle());
}

/// A write of 0 bytes is an error; lost memory completes its op (F54).
#[test]
fn an_op_that_cannot_continue_fails() {
    let mut plan = Positional::new();
    let io_caps = BUFFERED;
    plan.push(asked(Kind::Write, 0, 0, 10, 1));
    plan.push(asked(Kind::Read, 10, 50, 10, 2));
    let write = submitted(plan.poll_op(0, None, io_caps));
    let read = submitted(plan.poll_op(0, None, io_caps));
    let end = finished(plan.handle_completed(write.key, Some(1), Ok(0)));
    assert_eq!(end.result, Err(EIO));
    let end = finished(plan.handle_completed(read.key, None, Err(Errno(libc::EINTR))));
    assert_eq!((end.result, end.memory), (Err(Errno(libc::EINTR)), None));
}

/// F19: the stream's bytes come first, and those after a sequenced op wait for it.
#[test]
fn ops_and_stream_bytes_keep_their_order() {
    let mut plan = Positional::new();
    let io_caps = BUFFERED;
    plan.push(asked(Kind::Read, 100, 0, 10, 1));
    plan.push(asked(Kind::Write, 100, 0, 10, 2));
    plan.push(asked(Kind::Write, 110, 90, 10, 3));
    plan.push(asked(Kind::Write, 200, 50, 10, 4));
    assert_eq!(plan.poll_op(99, None, io_caps), None);
    assert_eq!(plan.limit(), 100);
    let read = submitted(plan.poll_op(100, None, io_caps));
    let third = submitted(plan.poll_op(100, None, io_caps));
    assert_eq!((read.memory, third.memory), (Some(1), Some(3)));
    assert_eq!(
        plan.poll_op(100, None, io_caps),
        None,
        "2 overlaps the read, 4 waits for the stream"
    );
    finished(plan.handle_completed(third.key, Some(3), Ok(10)));
    assert_eq!(plan.settle(100), 100, "2 is not done");
    finished(plan.handle_completed(read.key, Some(1), Ok(10)));
    let second = submitted(plan.poll_op(100, None, io_caps));
    finished(plan.handle_completed(second.key, Some(2), Ok(10)));
    assert_eq!(plan.settle(100), 120);
    assert_eq!(plan.limit(), 200);
    assert_eq!(plan.poll_op(120, None, io_caps), None);
    assert_eq!(submitted(plan.poll_op(200, None, io_caps)).memory, Some(4));
}

#[test]
fn a_truncation_runs_alone() {
    let mut plan = Positional::new();
    let io_caps = BUFFERED;
    plan.push(asked(Kind::Read, 0, 0, 10, 1));
    plan.push(asked(Kind::Truncate, 0, 5, 0, 0));
    plan.push(asked(Kind::Read, 1, 0, 10, 2));
    let read = submitted(plan.poll_op(0, None, io_caps));
    assert_eq!(plan.poll_op(0, None, io_caps), None);
    finished(plan.handle_completed(read.key, Some(1), Ok(10)));
    let truncate = submitted(plan.poll_op(0, None, io_caps));
    assert_eq!((truncate.kind, truncate.offset), (Kind::Truncate, 5));
    assert_eq!(
        plan.poll_op(0, None, io_caps),
        None,
        "the second read has to see it"
    );
    let transient = Err(Errno(libc::EINTR));
    assert_eq!(plan.handle_completed(truncate.key, None, transient), None);
    let truncate = submitted(plan.poll_op(0, None, io_caps));
    finished(plan.handle_completed(truncate.key, None, Ok(0)));
    assert_eq!(plan.settle(0), 1);
    assert_eq!(submitted(plan.poll_op(1, None, io_caps)).memory, Some(2));
}

/// F2.
#[test]
fn an_op_without_bytes_needs_no_kernel() {
    let mut plan = Positional::new();
    plan.push(asked(Kind::Write, 0, 5, 0, 1));
    let Some(Next::Finish(end)) = plan.poll_op(0, None, BUFFERED) else {
        panic!("submitted")
    };
    assert_eq!((end.result, end.len_done), (Ok(()), 0));
    assert_eq!((plan.settle(0), plan.limit()), (0, u64::MAX));
}

#[derive(Clone, Debug)]
enum Step {
    Op(bool, u64, usize),
    Stream(u64),
    Truncate(u64),
    /// Completes one of the ops in flight, or writes stream bytes, with a result by number.
    Complete(usize, u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (any::<bool>(), 0..200u64, 0..60usize).prop_map(|(w, o, l)| Step::Op(w, o, l)),
        1 => (1..50u64).prop_map(Step::Stream),
        1 => (0..200u64).prop_map(Step::Truncate),
        5 => (any::<usize>(), any::<u8>()).prop_map(|(i, r)| Step::Complete(i, r)),
    ];
    proptest::collection::vec(step, 1..120)
}

/// The file as each call has to find it, and as the kernel has it.
#[derive(Default)]
struct Model {
    plan: Option<Positional<u64>>,
    /// Its contents after every call so far.
    expected: Vec<u8>,
    kernel: Vec<u8>,
    accepted: u64,
    written: u64,
    /// The seq and length of stream bytes.
    stream: VecDeque<(u64, u64)>,
    in_flight: Vec<Transfer<u64>>,
    /// By token: what each read has to return and what it returned; what each write writes.
    reads: Vec<(Vec<u8>, Vec<u8>)>,
    completed: Vec<bool>,
}

fn put(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if !bytes.is_empty() {
        file.resize(file.len().max(offset + bytes.len()), 0);
        file[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
}

fn get(file: &[u8], offset: usize, len: usize) -> Vec<u8> {
    let start = offset.min(file.len());
    file[start..(start + len).min(file.len())].to_vec()
}

impl Model {
    fn call(&mut self, kind: Kind, offset: u64, len: usize) {
        let token = self.completed.len() as u64;
        let asked = asked(kind, self.accepted, offset, len, token);
        self.accepted += asked.seq_len();
        let expected = match kind {
            Kind::Read => get(&self.expected, offset as usize, len),
            Kind::Write => {
                let bytes = vec![token as u8; len];
                put(&mut self.expected, offset as usize, &bytes);
                bytes
            }
            Kind::Truncate => {
                self.expected.resize(offset as usize, 0);
                Vec::new()
            }
        };
        self.reads.push((expected, Vec::new()));
        self.completed.push(false);
        self.plan.as_mut().unwrap().push(asked);
    }

    fn drive(&mut self) {
        let plan = self.plan.as_mut().unwrap();
        while let Some(next) = plan.poll_op(self.written, None, BUFFERED) {
            match next {
                Next::Submit(transfer) => self.in_flight.push(transfer),
                Next::Finish(end) => {
                    assert!(!std::mem::replace(
                        &mut self.completed[end.token as usize],
                        true
                    ));
                }
            }
        }
    }

    fn complete(&mut self, pick: usize, result: u8) {
        if self.in_flight.is_empty() {
            // The stream writes, as far as it may.
            let limit = self.plan.as_ref().unwrap().limit();
            if let Some(&(seq, len)) = self.stream.front() {
                if seq < limit && seq == self.written {
                    self.stream.pop_front();
                    self.written += len;
                    self.written = self.plan.as_mut().unwrap().settle(self.written);
                }
            }
            return;
        }
        let transfer = self.in_flight.swap_remove(pick % self.in_flight.len());
        let most = transfer.len;
        let offset = transfer.offset as usize;
        let result = match (result % 4, transfer.kind) {
            (0, _) => Err(Errno(libc::EINTR)),
            (_, Kind::Truncate) => {
                self.kernel.resize(offset, 0);
                Ok(0)
            }
            (some, Kind::Read) => {
                let n = if some == 1 { most.div_ceil(2) } else { most };
                let bytes = get(&self.kernel, offset, n);
                let token = transfer.memory.unwrap() as usize;
                self.reads[token].1.extend(&bytes);
                Ok(bytes.len())
            }
            (some, Kind::Write) => {
                let n = if some == 1 { most.div_ceil(2) } else { most };
                put(
                    &mut self.kernel,
                    offset,
                    &vec![transfer.memory.unwrap() as u8; n],
                );
                Ok(n)
            }
        };
        let plan = self.plan.as_mut().unwrap();
        if let Some(end) = plan.handle_completed(transfer.key, transfer.memory, result) {
            assert_eq!(end.result, Ok(()));
            if end.kind != Kind::Truncate {
                assert!(
                    !std::mem::replace(&mut self.completed[end.token as usize], true),
                    "twice"
                );
            }
            if end.kind == Kind::Read {
                let (expected, seen) = &self.reads[end.token as usize];
                assert_eq!(end.len_done, seen.len());
                // A write far beyond the end fills the gap with zeros; if it does not overlap the
                // read, it may do so before it or after it.
                let common = expected.len().min(seen.len());
                let mut rest = expected[common..].iter().chain(&seen[common..]);
                assert!(
                    expected[..common] == seen[..common] && rest.all(|&byte| byte == 0),
                    "as if in order: {expected:?}, {seen:?}"
                );
            }
            self.written = plan.settle(self.written);
        }
    }
}

proptest! {
    /// In any order of completions: each op completes once, each read sees the calls before it and
    /// none after it, and in the end the file is as if the calls had run one after the other.
    #[test]
    fn ops_take_effect_in_the_order_of_the_calls(steps in steps()) {
        let mut model = Model { plan: Some(Positional::new()), ..Model::default() };
        for step in steps {
            match step {
                Step::Op(true, offset, len) => model.call(Kind::Write, offset, len),
                Step::Op(false, offset, len) => model.call(Kind::Read, offset, len),
                Step::Truncate(len) => model.call(Kind::Truncate, len, 0),
                // The stream's own bytes do not matter here, only when they are written.
                Step::Stream(len) => {
                    model.stream.push_back((model.accepted, len));
                    model.accepted += len;
                }
                Step::Complete(pick, result) => model.complete(pick, result),
            }
            model.drive();
        }
        for round in 0..10_000 {
            model.complete(round, 2);
            model.drive();
        }
        prop_assert_eq!(model.written, model.accepted, "everything drains");
        prop_assert!(model.plan.as_ref().unwrap().is_idle());
        prop_assert_eq!(&model.kernel, &model.expected);
    }
}

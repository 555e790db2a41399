//! A task per file beside the calls of the client. Its futures are polled now and then, and most
//! are dropped before they are ready, as in a `select!`: a dropped one has no effect later (F86).
//!
//! ```text
//!  begin ── poll ── pending ── poll again ── ready: its effect is checked as that of the call
//!                      └─ another one begins, or the file is closed: dropped, without an effect
//! ```

use super::client::{Client, Open};
use super::harness::Harness;
use super::steps::Polled;
use super::task::{Output, Pending, Task};
use efio_core::{AsyncFile, File};
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use tokio::io::AsyncWrite;

/// A future that is polled whenever its task is woken is ready within this many turns, once the
/// faults have stopped.
const TURNS: u32 = 1_000;

impl Client {
    /// Drops the pending future of a file, and begins another one.
    pub fn begin(&mut self, file: u8, what: Polled) {
        let Some(index) = self.pick(file) else { return };
        let Open {
            oracle, task, file, ..
        } = &mut self.files[index];
        if let Some(dropped) = task.pending.take() {
            task.dropped_invalid |= dropped.is_backwards();
        }
        let mut mark = oracle.accepted();
        if let Polled::Sync = what {
            // The first poll of `AsyncFile::sync` requests it.
            let file = file.as_ref().map(AsyncFile::get_ref);
            let Some(Ok(synced)) = file.map(File::sync) else {
                return;
            };
            assert_eq!(synced, mark);
            oracle.syncs();
            mark = synced;
        }
        oracle.asks_len();
        task.woken.0.store(true, Ordering::SeqCst);
        task.pending = Some(Pending {
            what,
            mark,
            is_started: false,
        });
        self.poll_on(index);
    }

    /// Polls the pending future of a file once more.
    pub fn poll_again(&mut self, file: u8) {
        if let Some(index) = self.pick(file) {
            self.poll_on(index);
        }
    }

    fn poll_on(&mut self, index: usize) {
        let before = self.before(index);
        let Open {
            file: Some(file),
            oracle,
            task,
            waits_for_close,
            ..
        } = &mut self.files[index]
        else {
            return;
        };
        if *waits_for_close && !oracle.opened && oracle.failed.is_none() {
            // Its content is not known yet.
            return;
        }
        let Some(mut pending) = task.pending.take() else {
            return;
        };
        task.woken.0.store(false, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&task.woken));
        let mut cx = Context::from_waker(&waker);
        match pending.poll(file, &mut self.buffer, &mut cx) {
            Poll::Pending => {
                match pending.what {
                    Polled::Sync => oracle.others_may_sync(),
                    Polled::Read { .. } | Polled::Readable { .. } | Polled::Show { .. } => {
                        oracle.read_pends();
                    }
                    _ => {}
                }
                task.pending = Some(pending);
            }
            Poll::Ready(output) => self.is_ready(index, &pending, output),
        }
        self.assert_fair(&before);
    }

    /// Checks what a future returned.
    fn is_ready(&mut self, index: usize, pending: &Pending, output: Output) {
        match output {
            Output::Read {
                result: Err(error), ..
            } if error.kind() == ErrorKind::WouldBlock && self.faults.cached > 0 => {
                // The kernel dropped the cached bytes between the wait and the read.
                self.files[index].oracle.read_blocked();
            }
            Output::Read { wants_some, result } => self.was_read(index, wants_some, result),
            Output::Written { bytes, result } => {
                if result.as_ref().is_ok_and(|&n| n > 0) {
                    self.files[index].oracle.fetched_len();
                }
                self.was_written(index, bytes, result);
            }
            Output::Unwritten(result) => self.was_unwritten(index, result),
            Output::Nothing(result) => {
                let taken = self.taken(index);
                let open = &self.files[index];
                let marks = open.handle().progress().unwrap();
                match (pending.what, result) {
                    (_, Err(error)) => open.assert_failure(&error),
                    (Polled::Flush, _) => assert!(taken >= pending.mark, "flushed (F86, F88)"),
                    (Polled::Sync, _) => assert!(marks.durable >= pending.mark, "synced"),
                    _ => {}
                }
            }
            Output::Len(result) => {
                let open = &mut self.files[index];
                match result {
                    Ok(len) => open.oracle.had_len(len),
                    Err(error) => open.assert_query_failure(&error),
                }
            }
            Output::Position(result) => self.has_sought(index, pending, result),
        }
    }

    fn has_sought(&mut self, index: usize, pending: &Pending, result: io::Result<u64>) {
        let Polled::Seek { to, .. } = pending.what else {
            unreachable!()
        };
        let open = &mut self.files[index];
        let right = open.oracle.may_seek(to);
        match result {
            Ok(position) => {
                let is_right = i64::try_from(position).is_ok_and(|at| right.contains(&at));
                assert!(is_right, "{to:?} went to {position}, not {right:?} (F86)");
                open.oracle.seek(position as usize);
            }
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                let is_dropped = std::mem::take(&mut open.task.dropped_invalid);
                assert!(
                    *right.start() < 0 || is_dropped,
                    "{to:?} within {right:?}: {error}"
                );
                open.oracle.found_end();
            }
            Err(error) => open.assert_query_failure(&error),
        }
        open.task.dropped_invalid = false;
    }
}

impl Open {
    /// The file, which is open.
    pub fn handle(&self) -> &File {
        self.file.as_ref().expect("it is open").get_ref()
    }

    /// Asserts that a question to the kernel failed as a question can.
    fn assert_query_failure(&self, error: &io::Error) {
        if error.raw_os_error() != Some(libc::EIO) {
            self.assert_failure(error);
        }
    }
}

impl Harness<'_> {
    /// Polls the futures that are pending whenever their tasks are woken, until all are ready
    /// (F47).
    pub fn finish_futures(&mut self) {
        for _ in 0..TURNS {
            let mut client = self.client();
            let mut is_pending = false;
            for index in 0..client.files.len() {
                let Task { woken, pending, .. } = &client.files[index].task;
                let is_open = client.files[index].file.is_some();
                if pending.is_none() || !is_open {
                    continue;
                }
                is_pending = true;
                if woken.0.load(Ordering::SeqCst) {
                    client.poll_on(index);
                }
            }
            drop(client);
            if !is_pending {
                return;
            }
            self.turn(10);
            self.handle_events();
        }
        panic!("a future that is never ready, or whose task is not woken (F47)");
    }
}

/// Drops the future of a close after its first poll: the close goes on.
pub fn drop_close(mut file: AsyncFile) {
    let mut cx = Context::from_waker(Waker::noop());
    let _ = AsyncWrite::poll_shutdown(Pin::new(&mut file), &mut cx);
}

//! Positional reads and writes: those in flight, and what each may return.

use super::client::{Client, Open};
use super::history::{Change, Kind};
use super::in_flight::{Expects, InFlightOp};
use super::oracle::Oracle;
use super::payload::payload;
use efio_core::{Buffer, Completed, Errno, Unwritten};
use std::io;

impl Oracle {
    /// A positional read was accepted.
    fn reads_at(&mut self, token: u64, offset: usize, len: usize) {
        let end = (offset + len).min(self.content.len());
        let file = self.content[offset.min(end)..end].to_vec();
        let accepted = self.accepted();
        self.in_flight.push(InFlightOp {
            token,
            offset,
            len,
            expects: Expects::Bytes { file, accepted },
        });
    }

    /// A positional write was accepted.
    fn writes_at(&mut self, token: u64, offset: usize, bytes: &'static [u8]) {
        if !bytes.is_empty() {
            self.changed(Kind::Positional, offset, bytes);
        }
        self.in_flight.push(InFlightOp {
            token,
            offset,
            len: bytes.len(),
            expects: Expects::Back(bytes),
        });
    }

    /// Others change the file: reads in flight may return anything.
    pub fn expect_anything(&mut self) {
        for op in &mut self.in_flight {
            op.expects = Expects::Anything;
        }
    }

    pub fn completed(&mut self, completed: &Completed) {
        let Completed {
            token,
            result,
            buffer,
            ..
        } = completed;
        let at = self.in_flight.iter().position(|op| op.token == *token);
        let at = at.expect("it completes once, and was submitted");
        let op = self.in_flight.remove(at);
        if *result == Err(Errno(libc::ETIMEDOUT)) {
            // The engine ended before the op.
            return assert!(buffer.is_empty(), "the disk has its memory");
        }
        assert_eq!(buffer.len(), op.len, "the buffer that was passed");
        match (&op.expects, result) {
            (Expects::Back(bytes), _) => {
                assert!(
                    buffer[..] == **bytes,
                    "a write changes nothing in the buffer"
                );
                if let Ok(n) = result {
                    assert_eq!(*n, op.len, "a write is not short");
                }
            }
            (Expects::Bytes { file, accepted }, Ok(n)) => {
                self.is_what_was_read(&op, file, *accepted, &buffer[..*n]);
            }
            (Expects::Bytes { .. }, Err(_)) | (Expects::Anything, _) => {}
        }
    }

    /// Asserts that each byte is as all calls before the read left it, or as a later call did; and
    /// that the read is not shorter than the file had to be.
    fn is_what_was_read(&self, op: &InFlightOp, file: &[u8], accepted: u64, bytes: &[u8]) {
        let range = op.offset..op.offset + op.len;
        let later = self.history.changes(accepted..self.accepted());
        let may_be = |at: usize, byte: u8| {
            later.iter().any(|change| match change {
                Change::Put((start, bytes)) => {
                    at.checked_sub(*start).and_then(|at| bytes.get(at)) == Some(&byte)
                }
                Change::Cut(_) => byte == 0,
            })
        };
        for (index, &byte) in bytes.iter().enumerate() {
            let at = range.start + index;
            // After its end at that time the file may have a hole by now.
            let right = file.get(index) == Some(&byte) || (index >= file.len() && byte == 0);
            assert!(
                right || may_be(at, byte),
                "wrong byte at {at} of a read of {range:?}"
            );
        }
        if bytes.len() == op.len {
            return;
        }
        let mut size = self.history.base().len();
        for change in self.history.changes(0..accepted) {
            match change {
                Change::Put((at, bytes)) if at < range.end && range.start < at + bytes.len() => {
                    size = size.max(at + bytes.len());
                }
                Change::Put(_) => {}
                Change::Cut(len) => size = len,
            }
        }
        for change in later {
            if let Change::Cut(len) = change {
                size = size.min(len);
            }
        }
        let least = size.min(range.end).saturating_sub(range.start);
        assert!(
            bytes.len() >= least,
            "a false end of file: {} of {least} bytes from {}",
            bytes.len(),
            range.start
        );
    }
}

impl Client {
    /// Returns memory for a positional op, if some is available.
    fn buffer(&self, len: usize) -> Option<Buffer> {
        match self.engine.buffer(len) {
            Ok(buffer) => Some(buffer),
            Err(error) => {
                self.refused_memory(error.raw_os_error());
                None
            }
        }
    }

    pub fn read_at(&mut self, file: u8, offset: usize, len: usize) {
        let (Some(index), Some(buffer)) = (self.pick(file), self.buffer(len)) else {
            return;
        };
        self.tokens += 1;
        let token = self.tokens;
        let Some((file, oracle, readable, _)) = self.files[index].parts() else {
            return;
        };
        match file.read_at(offset as u64, buffer, token) {
            Ok(()) => {
                assert!(readable);
                oracle.reads_at(token, offset, len);
            }
            Err(refused) => {
                assert_eq!(refused.buffer.len(), len, "the buffer is returned");
                let errno = refused.error.raw_os_error();
                let failure = file.failure().unwrap().map(|failure| failure.errno.0);
                let allowed = if readable { failure } else { Some(libc::EBADF) };
                assert!(errno == allowed, "{}", refused.error);
            }
        }
    }

    pub fn write_at(&mut self, file: u8, offset: usize, len: usize, start: u32) {
        let (Some(index), Some(mut buffer)) = (self.pick(file), self.buffer(len)) else {
            return;
        };
        self.tokens += 1;
        let token = self.tokens;
        let bytes = payload(start, len);
        buffer.copy_from_slice(bytes);
        let Some((file, oracle, _, writable)) = self.files[index].parts() else {
            return;
        };
        match file.write_at(offset as u64, buffer, token) {
            Ok(()) => {
                assert!(writable && !oracle.history.append);
                oracle.flushes = None;
                oracle.writes_at(token, offset, bytes);
            }
            Err(refused) => {
                assert!(refused.buffer[..] == *bytes, "the buffer is returned");
                let errno = refused.error.raw_os_error();
                let failure = file.failure().unwrap().map(|failure| failure.errno.0);
                let allowed = match failure {
                    _ if !writable => libc::EBADF,
                    Some(failure) => failure,
                    None => libc::EINVAL,
                };
                assert_eq!(errno, Some(allowed));
                assert!(allowed != libc::EINVAL || oracle.history.append);
            }
        }
    }

    pub fn truncate(&mut self, file: u8, len: usize) {
        let Some(index) = self.pick(file) else { return };
        let Open { oracle, .. } = &self.files[index];
        if !oracle.history.foreign.is_empty() {
            return;
        }
        let Some((file, oracle, _, writable)) = self.files[index].parts() else {
            return;
        };
        match file.set_len(len as u64) {
            Ok(()) => {
                assert!(writable);
                oracle.flushes = None;
                oracle.changed(Kind::Truncate, len, &[]);
                oracle.truncations.push(len as u64);
            }
            Err(error) if !writable => assert_eq!(error.raw_os_error(), Some(libc::EBADF)),
            Err(error) => self.files[index].assert_failure(&error),
        }
    }

    pub fn take_unwritten(&mut self, file: u8) {
        let Some(index) = self.pick(file) else { return };
        if let Some((file, ..)) = self.files[index].parts() {
            let result = file.take_unwritten();
            self.was_unwritten(index, result);
        }
    }

    /// Checks what came back as unwritten.
    pub fn was_unwritten(&mut self, index: usize, result: io::Result<Vec<Unwritten>>) {
        let taken = self.taken(index);
        let Some((file, oracle, _, writable)) = self.files[index].parts() else {
            return;
        };
        let failed = file.failure().unwrap().is_some();
        oracle.wants_unwritten = false;
        match result {
            Ok(ranges) => {
                assert!(failed && writable);
                let got = ranges.into_iter().map(|range| (range.offset, range.bytes));
                let got: Vec<_> = got.collect();
                let all = oracle.history.unwritten(taken);
                if std::mem::replace(&mut oracle.returned_unwritten, true) {
                    assert!(got.is_empty(), "returned once");
                } else if oracle.history.append || !oracle.history.is_positional(0) {
                    assert!(
                        got == all,
                        "{} bytes were not written",
                        oracle.accepted() - taken
                    );
                }
            }
            Err(error) => {
                let expected = match (writable, failed) {
                    (false, _) => libc::EBADF,
                    (true, false) => libc::EINVAL,
                    (true, true) => libc::EAGAIN,
                };
                assert_eq!(error.raw_os_error(), Some(expected));
                if expected == libc::EAGAIN {
                    oracle.writable.would_block();
                    oracle.wants_unwritten = true;
                }
            }
        }
    }
}

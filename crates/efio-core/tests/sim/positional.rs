//! Reads and writes that name their place in the file: what is under way, and what it may bring.

use super::client::{Client, Open};
use super::history::{Change, Kind};
use super::oracle::Oracle;
use super::payload::payload;
use efio_core::{Buffer, Completed, Errno};

/// A positional op under way.
#[derive(Debug)]
pub struct Asked {
    token: u64,
    offset: usize,
    len: usize,
    expects: Expects,
}

#[derive(Debug)]
enum Expects {
    /// The buffer as it was given.
    Back(&'static [u8]),
    /// The file as it will be once all that was accepted before is written, this many bytes.
    Bytes { file: Vec<u8>, accepted: u64 },
    /// Others have changed the file since.
    Anything,
}

impl Oracle {
    /// A positional read was asked for.
    fn reads_at(&mut self, token: u64, offset: usize, len: usize) {
        let end = (offset + len).min(self.content.len());
        let file = self.content[offset.min(end)..end].to_vec();
        let accepted = self.accepted();
        self.under_way.push(Asked {
            token,
            offset,
            len,
            expects: Expects::Bytes { file, accepted },
        });
    }

    /// A positional write was accepted.
    fn writes_at(&mut self, token: u64, offset: usize, bytes: &'static [u8]) {
        if !bytes.is_empty() {
            self.changed(Kind::At, offset, bytes);
        }
        self.under_way.push(Asked {
            token,
            offset,
            len: bytes.len(),
            expects: Expects::Back(bytes),
        });
    }

    /// Others change the file.
    pub fn reads_anything(&mut self) {
        for asked in &mut self.under_way {
            asked.expects = Expects::Anything;
        }
    }

    pub fn completed(&mut self, completed: &Completed) {
        let Completed {
            token,
            result,
            buffer,
            ..
        } = completed;
        let at = self
            .under_way
            .iter()
            .position(|asked| asked.token == *token);
        let at = at.expect("it completes once, and was asked for");
        let asked = self.under_way.remove(at);
        if *result == Err(Errno(libc::ETIMEDOUT)) {
            // At the end of an engine.
            return assert!(buffer.is_empty(), "the disk has its memory");
        }
        assert_eq!(buffer.len(), asked.len, "the buffer that was given");
        match (&asked.expects, result) {
            (Expects::Back(bytes), _) => {
                assert!(
                    buffer[..] == **bytes,
                    "a write changes nothing in the buffer"
                );
                if let Ok(n) = result {
                    assert_eq!(*n, asked.len, "a write is not short");
                }
            }
            (Expects::Bytes { file, accepted }, Ok(n)) => {
                self.is_what_was_read(&asked, file, *accepted, &buffer[..*n]);
            }
            (Expects::Bytes { .. }, Err(_)) | (Expects::Anything, _) => {}
        }
    }

    /// Each byte is as it was to be when the read was asked for, or as a later call made it; and the
    /// read is not shorter than what had to be there.
    fn is_what_was_read(&self, asked: &Asked, file: &[u8], accepted: u64, bytes: &[u8]) {
        let range = asked.offset..asked.offset + asked.len;
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
            // Behind its end then the file may have a hole by now.
            let right = file.get(index) == Some(&byte) || (index >= file.len() && byte == 0);
            assert!(
                right || may_be(at, byte),
                "wrong byte at {at} of a read of {range:?}"
            );
        }
        if bytes.len() == asked.len {
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
    /// Memory for a positional op, if there is some left.
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
                assert_eq!(refused.buffer.len(), len, "the buffer comes back");
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
                oracle.writes_at(token, offset, bytes);
            }
            Err(refused) => {
                assert!(refused.buffer[..] == *bytes, "the buffer comes back");
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
                oracle.changed(Kind::Truncate, len, &[]);
                oracle.truncations.push(len as u64);
            }
            Err(error) if !writable => assert_eq!(error.raw_os_error(), Some(libc::EBADF)),
            Err(error) => self.files[index].is_poisoned_by(&error),
        }
    }

    pub fn take_unwritten(&mut self, file: u8) {
        let Some(index) = self.pick(file) else { return };
        let taken = self.taken(index);
        let Some((file, oracle, _, writable)) = self.files[index].parts() else {
            return;
        };
        let failed = file.failure().unwrap().is_some();
        match file.take_unwritten() {
            Ok(ranges) => {
                assert!(failed && writable);
                let got = ranges.into_iter().map(|range| (range.offset, range.bytes));
                let got: Vec<_> = got.collect();
                let all = oracle.history.unwritten(taken);
                if std::mem::replace(&mut oracle.gave_back, true) {
                    assert!(got.is_empty(), "given back once");
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
                }
            }
        }
    }
}

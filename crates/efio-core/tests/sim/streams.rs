//! Calls on the stream of a file.

use super::client::{Client, Open};
use super::payload::payload;
use std::io::{ErrorKind, IoSlice, IoSliceMut, Seek, Write};

impl Client {
    pub fn write(&mut self, file: u8, len: usize, start: u32) {
        let Some(index) = self.pick(file) else { return };
        let bytes = payload(start, len);
        let before = self.before(index);
        // F26: the caller may overwrite its buffer afterwards.
        let overwrites = start % 4 == 0 && len <= self.buffer.len();
        let Open {
            file: Some(file),
            oracle,
            writable,
            ..
        } = &mut self.files[index]
        else {
            return;
        };
        let ready = self.engine.file(file.fd()).readiness().unwrap().writable;
        let result = if start % 4 == 1 {
            let (head, tail) = bytes.split_at(len / 3);
            file.write_vectored(&[IoSlice::new(head), IoSlice::new(&[]), IoSlice::new(tail)])
        } else if overwrites {
            self.buffer[..len].copy_from_slice(bytes);
            let result = file.write(&self.buffer[..len]);
            self.buffer[..len].fill(0x55);
            result
        } else {
            file.write(bytes)
        };
        match result {
            Ok(n) => {
                assert!(n <= len && *writable && (n > 0 || len == 0));
                oracle.wrote(&bytes[..n]);
                oracle.waits_from = None;
                self.count_accepted(n as u64);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                assert!(!ready, "`readiness` returned writable");
                oracle.writable.would_block();
                oracle.waits_from.get_or_insert(self.accepted);
            }
            Err(error) => {
                let errno = error.raw_os_error();
                let failure = file.failure().unwrap();
                let is_failure = failure.is_some_and(|failure| errno == Some(failure.errno.0));
                assert!(
                    is_failure || (!*writable && errno == Some(libc::EBADF)),
                    "{error}"
                );
            }
        }
        self.assert_fair(&before);
    }

    /// Reads once; returns whether more bytes may be available at once.
    pub fn read(&mut self, index: usize, len: usize) -> bool {
        if self.files[index].waits_for_close && !self.files[index].oracle.opened {
            // Its content is not known yet.
            return false;
        }
        let Open {
            file: Some(file),
            oracle,
            readable,
            ..
        } = &mut self.files[index]
        else {
            return false;
        };
        let ready = self.engine.file(file.fd()).readiness().unwrap().readable;
        let buffer = &mut self.buffer[..len];
        let result = if len % 4 == 1 {
            let (head, tail) = buffer.split_at_mut(len / 3);
            file.read_vectored(&mut [IoSliceMut::new(head), IoSliceMut::new(tail)])
        } else {
            file.read(buffer)
        };
        match result {
            Ok(0) if len > 0 => oracle.read_end(),
            Ok(n) => {
                oracle.read(&buffer[..n]);
                return true;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                // The kernel may have dropped the cached bytes since.
                let evicted = self.faults.cached > 0;
                assert!(!ready || evicted, "`readiness` returned readable");
                oracle.read_blocked();
            }
            Err(error) => {
                let errno = error.raw_os_error().unwrap();
                let allowed = if *readable {
                    // An error of the disk, or the failure of the file.
                    errno == libc::EIO || file.failure().unwrap().is_some()
                } else {
                    errno == libc::EBADF
                };
                assert!(allowed, "{error}");
                oracle.begin_anew();
            }
        }
        false
    }

    pub fn seek(&mut self, file: u8, to: usize) {
        let Some(index) = self.pick(file) else { return };
        if to % 8 == 7 {
            return self.check_position(index);
        }
        let open = &mut self.files[index];
        open.file.as_ref().unwrap().set_position(to as u64).unwrap();
        open.oracle.seek(to);
    }

    /// Asks for the position, and checks it.
    fn check_position(&mut self, index: usize) {
        let open = &mut self.files[index];
        let mut file = open.file.as_ref().unwrap();
        match file.stream_position() {
            Ok(position) => open.oracle.is_at(position),
            Err(error) => {
                assert!(
                    open.oracle.is_at_end(),
                    "only an end has to be requested: {error}"
                );
                if error.kind() == ErrorKind::WouldBlock {
                    open.oracle.readable.would_block();
                } else {
                    open.assert_failure(&error);
                }
            }
        }
    }

    pub fn sync(&mut self, file: u8) {
        let Some(index) = self.pick(file) else { return };
        let open = &mut self.files[index];
        match open.file.as_ref().unwrap().sync() {
            Ok(mark) => {
                assert_eq!(mark, open.oracle.accepted());
                open.oracle.syncs();
            }
            Err(error) => open.assert_failure(&error),
        }
    }

    pub fn flush(&mut self, file: u8) {
        let Some(index) = self.pick(file) else { return };
        let open = &mut self.files[index];
        match open.file.as_ref().unwrap().flush() {
            Ok(()) => {
                let accepted = open.oracle.accepted();
                assert_eq!(self.taken(index), accepted, "flushed");
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                open.oracle.writable.would_block();
            }
            Err(error) => open.assert_failure(&error),
        }
    }
}

//! Calls on the stream of a file.

use super::client::{Client, Open};
use super::payload::payload;
use std::io::{ErrorKind, IoSlice, IoSliceMut, Seek, Write};

impl Client {
    pub fn write(&mut self, file: u8, len: usize, start: u32) {
        let Some(index) = self.pick(file) else { return };
        let bytes = payload(start, len);
        let before = self.before(index);
        // F26: what happens to the caller's buffer afterwards is the caller's business.
        let scribbles = start % 4 == 0 && len <= self.buffer.len();
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
        } else if scribbles {
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
                assert!(!ready, "a poll said that it is writable");
                oracle.writable.would_block();
                oracle.waits_from.get_or_insert(self.accepted);
            }
            Err(error) => {
                let errno = error.raw_os_error();
                let failure = file.failure().unwrap();
                let poisoned = failure.is_some_and(|failure| errno == Some(failure.errno.0));
                assert!(
                    poisoned || (!*writable && errno == Some(libc::EBADF)),
                    "{error}"
                );
            }
        }
        self.is_fair(&before);
    }

    /// Reads once; whether there may be more to read at once.
    pub fn read(&mut self, index: usize, len: usize) -> bool {
        if self.files[index].is_behind && !self.files[index].oracle.opened {
            // What it will find is not known for sure.
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
                // What the kernel held in memory then it may have dropped since.
                let evicted = self.trouble.cached > 0;
                assert!(!ready || evicted, "a poll said that it is readable");
                oracle.read_blocked();
            }
            Err(error) => {
                let errno = error.raw_os_error().unwrap();
                let allowed = if *readable {
                    // An error of the disk, or the file is poisoned.
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
            return self.tell(index);
        }
        let open = &mut self.files[index];
        open.file.as_ref().unwrap().set_position(to as u64).unwrap();
        open.oracle.seek(to);
    }

    /// Asks for the position.
    fn tell(&mut self, index: usize) {
        let open = &mut self.files[index];
        let mut file = open.file.as_ref().unwrap();
        match file.stream_position() {
            Ok(position) => open.oracle.is_at(position),
            Err(error) => {
                assert!(open.oracle.is_at_end(), "only an end is asked for: {error}");
                if error.kind() == ErrorKind::WouldBlock {
                    open.oracle.readable.would_block();
                } else {
                    open.is_poisoned_by(&error);
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
            Err(error) => open.is_poisoned_by(&error),
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
            Err(error) => open.is_poisoned_by(&error),
        }
    }
}

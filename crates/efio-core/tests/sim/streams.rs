//! Calls on the stream of a file.

use super::client::Client;
use super::payload::payload;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Seek, Write};

impl Client {
    pub fn write(&mut self, file: u8, len: usize, start: u32) {
        let Some(index) = self.pick(file) else { return };
        let bytes = payload(start, len);
        let before = self.before(index);
        // F26: the caller may overwrite its buffer afterwards.
        let overwrites = start % 4 == 0 && len <= self.buffer.len();
        let open = &self.files[index];
        let file = open.handle();
        let ready = self.engine.file(open.fd).readiness().unwrap().writable;
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
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                assert!(!ready, "`readiness` returned writable");
                let oracle = &mut self.files[index].oracle;
                oracle.writable.would_block();
                oracle.waits_from.get_or_insert(self.accepted);
            }
            result => {
                // Bytes void the pending flush; a write of none accepts nothing.
                if result.as_ref().is_ok_and(|&n| n > 0) {
                    self.files[index].oracle.flushes = None;
                }
                self.was_written(index, bytes, result);
            }
        }
        self.assert_fair(&before);
    }

    /// Checks the result of a write that did not block.
    pub fn was_written(&mut self, index: usize, bytes: &'static [u8], result: io::Result<usize>) {
        let open = &mut self.files[index];
        match result {
            Ok(n) => {
                assert!(n <= bytes.len() && open.writable && (n > 0 || bytes.is_empty()));
                open.oracle.wrote(&bytes[..n]);
                open.oracle.waits_from = None;
                self.count_accepted(n as u64);
            }
            Err(error) if open.writable => open.assert_failure(&error),
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EBADF)),
        }
    }

    /// Reads once; returns whether more bytes may be available at once.
    pub fn read(&mut self, index: usize, len: usize) -> bool {
        if self.files[index].waits_for_close && !self.files[index].oracle.opened {
            // Its content is not known yet.
            return false;
        }
        let open = &self.files[index];
        if open.file.is_none() {
            return false;
        }
        let file = open.handle();
        let ready = self.engine.file(open.fd).readiness().unwrap().readable;
        let buffer = &mut self.buffer[..len];
        let result = if len % 4 == 1 {
            let (head, tail) = buffer.split_at_mut(len / 3);
            file.read_vectored(&mut [IoSliceMut::new(head), IoSliceMut::new(tail)])
        } else {
            file.read(buffer)
        };
        if matches!(&result, Err(error) if error.kind() == ErrorKind::WouldBlock) {
            // The kernel may have dropped the cached bytes since.
            let evicted = self.faults.cached > 0;
            assert!(!ready || evicted, "`readiness` returned readable");
            self.files[index].oracle.read_blocked();
            return false;
        }
        let has_more = matches!(result, Ok(n) if n > 0 || len == 0);
        let result = result.map(|n| self.buffer[..n].to_vec());
        self.was_read(index, len > 0, result);
        has_more
    }

    /// Checks the result of a read that did not block; without bytes that is the end if it wanted
    /// some.
    pub fn was_read(&mut self, index: usize, wants_some: bool, result: io::Result<Vec<u8>>) {
        let open = &mut self.files[index];
        match result {
            Ok(bytes) if bytes.is_empty() && wants_some => open.oracle.read_end(),
            Ok(bytes) => open.oracle.read(&bytes),
            Err(error) => {
                let errno = error.raw_os_error().unwrap();
                let allowed = if open.readable {
                    // An error of the disk, or the failure of the file.
                    errno == libc::EIO || open.handle().failure().unwrap().is_some()
                } else {
                    errno == libc::EBADF
                };
                assert!(allowed, "{error}");
                open.oracle.begin_anew();
            }
        }
    }

    pub fn seek(&mut self, file: u8, to: usize) {
        let Some(index) = self.pick(file) else { return };
        if to % 8 == 7 {
            return self.check_position(index);
        }
        let open = &mut self.files[index];
        if to % 2 == 0 {
            open.handle().set_position(to as u64).unwrap();
        } else {
            let by_number = self.engine.file(open.fd);
            by_number.set_position(to as u64).unwrap();
        }
        open.oracle.seek(to);
    }

    /// Asks for the position, and checks it.
    fn check_position(&mut self, index: usize) {
        let open = &mut self.files[index];
        let mut file = open.handle();
        match file.stream_position() {
            Ok(position) => open.oracle.is_at(position),
            Err(error) => {
                open.oracle.is_asked_for_end();
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
        match open.handle().sync() {
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
        match open.handle().flush() {
            Ok(()) => {
                let accepted = open.oracle.accepted();
                let mark = open.oracle.flushes.take().unwrap_or(accepted);
                assert!(self.taken(index) >= mark, "flushed");
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let accepted = open.oracle.accepted();
                open.oracle.flushes.get_or_insert(accepted);
                open.oracle.writable.would_block();
            }
            Err(error) => open.assert_failure(&error),
        }
    }
}

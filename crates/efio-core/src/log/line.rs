//! Whole lines into a file that takes as many bytes as it has room for.

use super::WhenBehind;
use crate::error::Errno;
use crate::event::{Event, EventKind};
use crate::file::File;
use crate::sys::fork::Birthplace;
use std::io::{self, ErrorKind, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What the writers, the guard and the engine's thread share.
pub struct Log {
    state: Mutex<State>,
    /// Something changed: room, an error, the end.
    news: Condvar,
    when_behind: WhenBehind,
    birthplace: Birthplace,
}

/// The log, and what is counted.
#[derive(Default)]
pub struct State {
    /// `None` before the open and after the close.
    file: Option<File>,
    /// The rest of a line that was accepted in part: nothing goes before it.
    rest: Vec<u8>,
    pub lines: u64,
    pub bytes: u64,
    pub dropped_lines: u64,
    pub dropped_bytes: u64,
    /// Dropped lines that the log does not tell of yet, and their bytes.
    untold: (u64, u64),
    /// How the close ended.
    closed: Option<Result<(), Errno>>,
}

impl Log {
    pub fn new(when_behind: WhenBehind) -> io::Result<Self> {
        Ok(Self {
            state: Mutex::default(),
            news: Condvar::new(),
            when_behind,
            birthplace: Birthplace::here()?,
        })
    }

    /// Fails in a forked child (F68): the log is the parent's, and a thread that is not here may
    /// have had the lock.
    pub fn check_process(&self) -> Result<(), Errno> {
        if self.birthplace.is_elsewhere() {
            return Err(Errno(libc::ESHUTDOWN));
        }
        Ok(())
    }

    pub fn begin(&self, file: File) {
        self.lock().file = Some(file);
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        // Whoever panicked did so between two changes: every one of them is complete.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// News from the engine, on its thread.
    pub fn hear(&self, event: &Event) {
        let mut state = self.lock();
        match event.kind {
            EventKind::Writable => {
                // An error comes back at the next line.
                let _ = state.go_on();
            }
            EventKind::Closed { error } => state.closed = Some(error.map_or(Ok(()), Err)),
            _ => {}
        }
        drop(state);
        self.news.notify_all();
    }

    /// Takes a line, whole or not at all.
    pub fn write(&self, line: &[u8]) -> io::Result<usize> {
        self.check_process()?;
        let mut state = self.lock();
        let mut deadline = None;
        loop {
            match state.put(line) {
                Ok(()) => return Ok(line.len()),
                Err(error) if error.kind() != ErrorKind::WouldBlock => {
                    state.drop_line(line);
                    return Err(error);
                }
                Err(full) => match self.when_behind {
                    WhenBehind::Refuse => return Err(full),
                    WhenBehind::Drop => {
                        state.drop_line(line);
                        return Ok(line.len());
                    }
                    WhenBehind::Block(patience) => {
                        let deadline = *deadline.get_or_insert_with(|| Instant::now() + patience);
                        let Some(again) = self.wait(state, deadline) else {
                            self.lock().drop_line(line);
                            return Err(ErrorKind::TimedOut.into());
                        };
                        state = again;
                    }
                },
            }
        }
    }

    /// Waits for news; `None` when the deadline is over.
    fn wait<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        deadline: Instant,
    ) -> Option<MutexGuard<'a, State>> {
        let rest = deadline.checked_duration_since(Instant::now())?;
        let (state, _) = self
            .news
            .wait_timeout(state, rest)
            .unwrap_or_else(PoisonError::into_inner);
        Some(state)
    }

    /// Waits until the kernel has everything that was logged.
    pub fn flush(&self, patience: Duration) -> io::Result<()> {
        self.check_process()?;
        let deadline = Instant::now() + patience;
        let mut state = self.lock();
        loop {
            match state.flush() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    state = self.wait(state, deadline).ok_or(ErrorKind::TimedOut)?;
                }
                result => return result,
            }
        }
    }

    /// Ends the log: writes what is held back, closes the file and waits until it is durable.
    pub fn close(&self, patience: Duration) -> io::Result<()> {
        self.check_process()?;
        let deadline = Instant::now() + patience;
        let flushed = self.flush(patience);
        let mut state = self.lock();
        let Some(file) = state.file.take() else {
            return Ok(());
        };
        if flushed.is_err() {
            state.give_up_rest();
        }
        let closed = file.close_sync();
        while state.closed.is_none() {
            state = self.wait(state, deadline).ok_or(ErrorKind::TimedOut)?;
        }
        match state.closed {
            Some(Err(errno)) => Err(errno.into()),
            _ => flushed.and(closed),
        }
    }
}

impl State {
    /// Writes the line behind what waits; `WouldBlock` if nothing of it was taken.
    fn put(&mut self, line: &[u8]) -> io::Result<()> {
        self.go_on()?;
        let file = self.file.as_ref().ok_or(ErrorKind::BrokenPipe)?;
        let n = file.write(line)?;
        self.lines += 1;
        self.bytes += line.len() as u64;
        if n < line.len() {
            self.rest.extend_from_slice(&line[n..]);
            // As far as it goes; and if it does not go, an event is owed from now on.
            let _ = self.go_on();
        }
        Ok(())
    }

    /// Writes what has to go before the next line: the rest of the last one, and how many are
    /// missing.
    fn go_on(&mut self) -> io::Result<()> {
        loop {
            while !self.rest.is_empty() {
                let file = self.file.as_ref().ok_or(ErrorKind::BrokenPipe)?;
                let n = file.write(&self.rest)?;
                self.rest.drain(..n);
            }
            let (lines, bytes) = std::mem::take(&mut self.untold);
            if lines == 0 {
                return Ok(());
            }
            let told = format!("{lines} lines of {bytes} bytes are missing: the disk was behind\n");
            self.rest.extend_from_slice(told.as_bytes());
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.go_on()?;
        match &mut self.file {
            Some(file) => file.flush(),
            None => Ok(()),
        }
    }

    fn drop_line(&mut self, line: &[u8]) {
        self.dropped_lines += 1;
        self.dropped_bytes += line.len() as u64;
        self.untold.0 += 1;
        self.untold.1 += line.len() as u64;
    }

    /// The end of a line that the file does not take any more.
    fn give_up_rest(&mut self) {
        self.dropped_bytes += self.rest.len() as u64;
        self.rest.clear();
    }
}

//! The closes that C can ask for: those that are pending, and the results of the last ones.
//!
//! A close makes the number of its file stale at once, and the engine has the result for its event
//! only. `ef_close_status` wants it later, by the number.

use crate::ffi::error;
use efio_core::{Errno, Fd, ShutdownReport};
use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::c_int;
use std::io;
use std::sync::mpsc::Sender;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Who closes a file.
pub enum Closer {
    /// `ef_close`.
    Program,
    /// `ef_close_immediate`, which waits for the result.
    Waiting(Sender<Result<(), Errno>>),
    /// `ef_open_status` after a failed open: the callback is not called.
    Library,
}

/// See the module.
pub struct Closes {
    state: Mutex<State>,
    /// How many results are kept.
    capacity: usize,
}

#[derive(Default)]
struct State {
    /// By the number of the file.
    closes: HashMap<c_int, Close>,
    /// The closes that are done, oldest first.
    done: VecDeque<(c_int, Fd)>,
    /// Files whose failure was reported to the program.
    reported: HashSet<Fd>,
}

enum Close {
    Pending(Closer),
    Done(Fd, Result<(), Errno>),
}

impl Closes {
    /// Keeps the results of the last `capacity` closes.
    pub fn new(capacity: usize) -> Self {
        Self {
            state: Mutex::default(),
            capacity,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes a file with `close`, which fails only when there is nothing to close. The lock is
    /// held meanwhile: of several closers one wins, and `finish` finds the close.
    pub fn begin<R>(
        &self,
        number: c_int,
        closer: Closer,
        close: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        let mut state = self.lock();
        let result = close()?;
        state.closes.insert(number, Close::Pending(closer));
        Ok(result)
    }

    /// Handles the end of a close. `emit` is called before anyone gets the result, with whether
    /// the callback is to be called.
    pub fn finish(
        &self,
        number: c_int,
        fd: Fd,
        result: Result<(), Errno>,
        emit: impl FnOnce(bool),
    ) {
        let mut state = self.lock();
        let close = state.closes.insert(number, Close::Done(fd, result));
        emit(!matches!(close, Some(Close::Pending(Closer::Library))));
        if let Some(Close::Pending(Closer::Waiting(sender))) = close {
            state.report(fd, result);
            // `ef_close_immediate` waits, and holds the receiver.
            let _ = sender.send(result);
        }
        state.done.push_back((number, fd));
        if state.done.len() > self.capacity {
            state.forget_oldest();
        }
    }

    /// Returns the result of a close.
    ///
    /// # Errors
    ///
    /// The first error of the file; `EAGAIN` while the close is pending, `EBADF` for a number
    /// without one.
    pub fn status(&self, number: c_int) -> io::Result<()> {
        let mut state = self.lock();
        match state.closes.get(&number) {
            Some(&Close::Done(fd, result)) => {
                state.report(fd, result);
                result.map_err(io::Error::from)
            }
            Some(Close::Pending(_)) => Err(error(libc::EAGAIN)),
            None => Err(error(libc::EBADF)),
        }
    }

    /// Removes from the report of a shutdown what was reported to the program before.
    pub fn remove_reported(&self, report: &mut ShutdownReport) {
        let reported = &self.lock().reported;
        report.unfinished.retain(|(fd, _)| !reported.contains(fd));
        report.failed.retain(|(fd, _)| !reported.contains(fd));
    }
}

impl State {
    fn report(&mut self, fd: Fd, result: Result<(), Errno>) {
        if result.is_err() {
            self.reported.insert(fd);
        }
    }

    fn forget_oldest(&mut self) {
        let Some((number, fd)) = self.done.pop_front() else {
            return;
        };
        // Another file may have had the number since.
        let is_oldest = |close: &Close| matches!(close, Close::Done(of, _) if *of == fd);
        if self.closes.get(&number).is_some_and(is_oldest) {
            self.closes.remove(&number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    const OK: Result<(), Errno> = Ok(());
    const EIO: Result<(), Errno> = Err(Errno(libc::EIO));

    fn fd(bits: u64) -> Fd {
        Fd::from_bits(bits)
    }

    /// Closes `number` for `closer`, and returns whether the callback is called.
    fn close(closes: &Closes, number: c_int, bits: u64, closer: Closer) -> bool {
        let mut is_called = None;
        closes.begin(number, closer, || Ok(())).unwrap();
        let errno = closes.status(number).unwrap_err().raw_os_error();
        assert_eq!(errno, Some(libc::EAGAIN), "pending");
        closes.finish(number, fd(bits), EIO, |calls| is_called = Some(calls));
        is_called.expect("it is always called")
    }

    fn errno(closes: &Closes, number: c_int) -> i32 {
        let status = closes.status(number).unwrap_err();
        status.raw_os_error().unwrap()
    }

    #[test]
    fn the_results_of_the_last_closes_are_kept() {
        let closes = Closes::new(2);
        assert_eq!(errno(&closes, 7), libc::EBADF);
        let refused = closes.begin(7, Closer::Program, || Err::<(), _>(error(libc::EBADF)));
        assert!(refused.is_err());
        assert_eq!(errno(&closes, 7), libc::EBADF, "nothing was closed");

        assert!(close(&closes, 7, 1, Closer::Program));
        assert!(!close(&closes, 8, 2, Closer::Library));
        assert_eq!(
            (errno(&closes, 7), errno(&closes, 8)),
            (libc::EIO, libc::EIO)
        );
        // Another file has the number 7: its result outlives that of the first.
        assert!(close(&closes, 7, 3, Closer::Program));
        assert_eq!(
            (errno(&closes, 7), errno(&closes, 8)),
            (libc::EIO, libc::EIO)
        );
        closes.finish(9, fd(4), OK, |_| ());
        assert_eq!(
            (errno(&closes, 7), errno(&closes, 8)),
            (libc::EIO, libc::EBADF)
        );
        assert!(closes.status(9).is_ok());
    }

    #[test]
    fn a_failure_is_reported_by_the_status_and_to_who_waits() {
        let closes = Closes::new(8);
        let (sender, receiver) = channel();
        for (number, closer) in [
            (1, Closer::Program),
            (2, Closer::Program),
            (3, Closer::Waiting(sender)),
        ] {
            close(&closes, number, number as u64, closer);
        }
        assert_eq!(receiver.recv().unwrap(), EIO);
        let mut report = ShutdownReport::default();
        report.unfinished = (1..=4).map(|bits| (fd(bits), 10)).collect();
        assert_eq!(errno(&closes, 2), libc::EIO);
        closes.remove_reported(&mut report);
        assert_eq!(report.unfinished, [1, 4].map(|bits| (fd(bits), 10)));
    }
}

//! The bytes of a log: a file accepts as many as it has room for, and the backlog has the rest.
//!
//! ```text
//!  line ─► backlog ─► file ─► disk         backlog: what the file had no room for, in order
//!             ▲         │ failed (disk full)
//!             │         ▼
//!             └─ what it did not write ─► a file that is opened anew, after a pause
//! ```
//!
//! A file that has failed stays failed. So the log
//!
//! 1. takes back the accepted bytes that the kernel did not get,
//! 2. opens its path again, after a pause, and
//! 3. goes on in the new file where the old one stopped.
//!
//! It accepts no line meanwhile, so that memory stays bounded. After a failed sync it is unknown
//! what is lost: the log goes on, and its end reports the error.

use super::missing::Missing;
use crate::error::Errno;
use crate::event::{Event, EventKind};
use crate::fd::{Fd, Unwritten};
use crate::file::File;
use crate::options::OpenOptions;
use crate::shared::Shared;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The pause before the log opens its path again after a failure. It doubles with each failure
/// within [`CALM`] after another: 100, 200, 400, 800 ms, then 1 s each time.
const MIN_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// Without a failure for this time, the next pause is [`MIN_PAUSE`] again.
const CALM: Duration = Duration::from_secs(10);

/// How the path is opened.
struct Opener {
    shared: Arc<Shared>,
    path: PathBuf,
    options: OpenOptions,
}

impl Opener {
    fn open(&self) -> io::Result<File> {
        let fd = self.shared.open(&self.path, &self.options, None)?;
        Ok(File::new(Arc::clone(&self.shared), fd))
    }
}

/// The file that lines go to has failed.
struct Broken {
    errno: Errno,
    /// What it did not write is in the backlog.
    is_taken_back: bool,
    retry: Instant,
}

/// A file that accepts no more lines, and becomes durable.
struct Retired {
    file: File,
    /// The mark that a sync has to cover.
    mark: u64,
    synced: bool,
}

/// The files and the backlog of a log; see the module.
#[derive(Default)]
pub struct State {
    opener: Option<Opener>,
    /// `None` before the open and after the close.
    file: Option<File>,
    /// Bytes that all files before it accepted and wrote.
    before: u64,
    broken: Option<Broken>,
    /// When a file failed last, and how long the pause was.
    last_failure: Option<(Instant, Duration)>,
    /// The next file, and whether it is open; then it waits for the backlog.
    next: Option<(File, bool)>,
    open_error: Option<Errno>,
    retired: Vec<Retired>,
    /// What the file had no room for: it is written before all else.
    backlog: VecDeque<u8>,
    pub missing: Missing,
    /// The mark of the sync at the end.
    last_sync: Option<u64>,
    /// The mark up to which the file was synced.
    synced: Option<u64>,
    /// The error of a failed sync: what was written may be lost.
    sync_error: Option<Errno>,
    /// No line is accepted any more.
    is_ending: bool,
    /// A failed file was replaced once more at the end.
    tried_at_end: bool,
}

/// Lines, and their progress.
impl State {
    /// Writes the line after the backlog; `WouldBlock` if nothing of it was accepted.
    pub fn put(&mut self, line: &[u8]) -> io::Result<()> {
        if self.is_ending {
            return Err(ErrorKind::BrokenPipe.into());
        }
        self.write_backlog()?;
        let file = self.file.as_ref().ok_or(ErrorKind::BrokenPipe)?;
        let n = file
            .write(line)
            .map_err(|error| self.failed_or_full(error))?;
        self.missing.took(line);
        if n < line.len() {
            self.backlog.extend(&line[n..]);
            // As much as there is room for. If there is none, an event follows when there is.
            let _ = self.write_backlog();
        }
        Ok(())
    }

    /// Drops a line, because the disk is behind or has this error.
    pub fn drop_line(&mut self, line: &[u8], errno: Option<i32>) {
        self.missing.dropped(line);
        if !self.is_ending {
            self.missing.record(line, errno.map(Errno));
        }
    }

    /// Returns how many bytes were accepted so far, those of the backlog included.
    pub fn taken(&self) -> u64 {
        self.accepted() + self.backlog.len() as u64
    }

    fn accepted(&self) -> u64 {
        let marks = self.file.as_ref().and_then(|file| file.progress().ok());
        self.before + marks.map_or(0, |marks| marks.accepted)
    }

    /// Whether the kernel has the first `mark` accepted bytes. If not, an event follows.
    pub fn is_written(&mut self, mark: u64) -> io::Result<bool> {
        match self.write_backlog() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
        if self.accepted() < mark || self.has_unwritten_retired() {
            return Ok(false);
        }
        let Some(file) = &self.file else {
            return Ok(true);
        };
        let in_file = mark.saturating_sub(self.before);
        match file.written(in_file) {
            Ok(()) => Ok(true),
            Err(error) => match self.failed_or_full(error) {
                error if error.kind() == ErrorKind::WouldBlock => Ok(false),
                error => Err(error),
            },
        }
    }

    /// Whether all accepted bytes are durable. If not, an event follows. A file that fails is
    /// replaced once.
    pub fn is_durable(&mut self) -> io::Result<bool> {
        let retried = self.tried_at_end;
        if let Some(broken) = &mut self.broken {
            let errno = broken.errno;
            if retried && self.next.is_none() && broken.is_taken_back {
                return Err(errno.into());
            }
            if self.next.is_none() && broken.is_taken_back {
                self.tried_at_end = true;
                broken.retry = Instant::now();
            }
        }
        match self.write_backlog() {
            Ok(()) if self.next.is_none() => {}
            Ok(()) => return Ok(false),
            Err(error) if error.kind() == ErrorKind::WouldBlock || self.broken.is_some() => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        let Some(file) = &self.file else {
            return Ok(true);
        };
        if self.last_sync.is_none() {
            match file.sync() {
                Ok(mark) => self.last_sync = Some(mark),
                Err(error) => {
                    let error = self.failed_or_full(error);
                    return if self.broken.is_some() {
                        Ok(false)
                    } else {
                        Err(error)
                    };
                }
            }
        }
        Ok(self.synced >= self.last_sync && self.retired.is_empty())
    }

    /// Refuses all later lines.
    pub fn stop_taking(&mut self) {
        self.is_ending = true;
    }

    /// Closes the file, when all is durable.
    pub fn end(&mut self) -> io::Result<()> {
        self.file = None;
        self.sync_error.map_or(Ok(()), |errno| Err(errno.into()))
    }

    /// Drops the backlog; the files go on writing what they have accepted.
    pub fn give_up(&mut self) {
        self.missing.lost(&self.backlog);
        self.backlog.clear();
        self.file = None;
        self.next = None;
        self.retired.clear();
    }

    /// Returns the time until the path has to be opened again, if it has to be.
    pub fn next_retry(&self) -> Option<Duration> {
        let broken = self.broken.as_ref().filter(|_| self.next.is_none())?;
        Some(broken.retry.saturating_duration_since(Instant::now()))
    }
}

/// The backlog.
impl State {
    /// Writes the backlog, which goes before the next line: the rest of the last one, and the
    /// notice of missing lines.
    fn write_backlog(&mut self) -> io::Result<()> {
        self.recover()?;
        loop {
            while !self.backlog.is_empty() {
                let file = self.file.as_ref().ok_or(ErrorKind::BrokenPipe)?;
                match file.write(self.backlog.as_slices().0) {
                    Ok(n) => drop(self.backlog.drain(..n)),
                    Err(error) => return Err(self.failed_or_full(error)),
                }
            }
            self.switch();
            match self.missing.take_notice() {
                Some(notice) => self.backlog.extend(notice.as_bytes()),
                None => return Ok(()),
            }
        }
    }

    /// Returns the error of a call on the file: `WouldBlock`, or the file's failure, which is
    /// handled.
    fn failed_or_full(&mut self, error: io::Error) -> io::Error {
        let failure = self.file.as_ref().and_then(|file| file.failure().ok());
        let Some(failure) = failure.flatten() else {
            return error;
        };
        self.fail(failure.errno);
        if failure.errno.is_transient() {
            // Not an error that asks for a retry of the call.
            return Errno(libc::EIO).into();
        }
        failure.errno.into()
    }
}

/// The files.
impl State {
    pub fn begin(
        &mut self,
        shared: &Arc<Shared>,
        path: PathBuf,
        options: OpenOptions,
    ) -> io::Result<()> {
        self.opener = Some(Opener {
            shared: Arc::clone(shared),
            path,
            options,
        });
        self.open_anew()
    }

    /// Opens the path again. Lines go to the new file once it is open.
    pub fn open_anew(&mut self) -> io::Result<()> {
        if self.is_ending {
            return Err(ErrorKind::BrokenPipe.into());
        }
        self.open_error = None;
        if self.next.is_none() {
            self.open_next()?;
        }
        Ok(())
    }

    fn open_next(&mut self) -> io::Result<()> {
        let opener = self.opener.as_ref().ok_or(ErrorKind::BrokenPipe)?;
        self.next = Some((opener.open()?, false));
        Ok(())
    }

    /// Whether a file is being opened, or waits for the backlog.
    pub fn is_opening(&self) -> bool {
        self.next.is_some()
    }

    /// Takes the error of the last open.
    pub fn take_open_error(&mut self) -> Option<Errno> {
        self.open_error.take()
    }

    /// Handles an event of the engine.
    pub fn handle_event(&mut self, event: &Event) {
        let fd = event.fd;
        let is = |file: &File| file.fd() == fd;
        if self.file.as_ref().is_some_and(is) {
            match event.kind {
                EventKind::Failed(failure) => self.fail(failure.errno),
                EventKind::Synced { upto } => self.synced = self.synced.max(Some(upto)),
                _ => {}
            }
        } else if self.next.as_ref().is_some_and(|(file, _)| is(file)) {
            match (&mut self.next, &event.kind) {
                (Some((_, is_open)), EventKind::Opened) => *is_open = true,
                (next, EventKind::Failed(failure)) => {
                    *next = None;
                    self.open_error = Some(failure.errno);
                    self.pause(Instant::now());
                }
                _ => {}
            }
        }
        self.settle_retired(fd, &event.kind);
        // The next line gets the error.
        let _ = self.write_backlog();
    }

    /// Replaces the file by the next one, if that is open and the file has failed, or has accepted
    /// the whole backlog.
    fn switch(&mut self) {
        let is_due = match &self.broken {
            Some(broken) => broken.is_taken_back,
            None => self.backlog.is_empty(),
        };
        let Some((next, _)) = self.next.take_if(|(_, is_open)| *is_open && is_due) else {
            return;
        };
        self.before = self.accepted();
        self.last_sync = None;
        self.synced = None;
        let old = self.file.replace(next);
        if self.broken.take().is_some() {
            return;
        }
        if let Some(file) = old {
            // A file that has failed by now is handled with its event.
            let mark = file.sync().unwrap_or(u64::MAX);
            self.retired.push(Retired {
                file,
                mark,
                synced: false,
            });
        }
    }

    fn has_unwritten_retired(&self) -> bool {
        let marks = self.retired.iter().map(|old| old.file.progress());
        marks.flatten().any(|marks| marks.written < marks.accepted)
    }

    /// Handles an event of a retired file: drops the file when it is durable, and takes back what
    /// it did not write when it has failed.
    fn settle_retired(&mut self, fd: Fd, kind: &EventKind) {
        for old in self.retired.iter_mut().filter(|old| old.file.fd() == fd) {
            if let EventKind::Synced { upto } = *kind {
                old.synced |= upto >= old.mark;
            }
        }
        for old in std::mem::take(&mut self.retired) {
            let failure = old.file.failure().ok().flatten();
            match failure {
                None if old.synced => {}
                None => self.retired.push(old),
                Some(failure) => match old.file.take_unwritten() {
                    Ok(unwritten) => {
                        let bytes = self.count_taken_back(&unwritten, failure.errno);
                        self.before -= bytes;
                        let unwritten = unwritten.iter().flat_map(|range| &range.bytes);
                        self.backlog.extend(unwritten);
                    }
                    Err(_) => self.retired.push(old),
                },
            }
        }
    }

    fn fail(&mut self, errno: Errno) {
        if self.broken.is_none() {
            self.broken = Some(Broken {
                errno,
                is_taken_back: false,
                retry: Instant::now(),
            });
            self.pause(Instant::now());
        }
        self.take_back_unwritten();
    }

    /// Sets the time when the path is opened again.
    fn pause(&mut self, now: Instant) {
        let pause = match self.last_failure {
            Some((last, pause)) if now.duration_since(last) < CALM => pause * 2,
            _ => MIN_PAUSE,
        };
        let pause = pause.min(MAX_PAUSE);
        self.last_failure = Some((now, pause));
        if let Some(broken) = &mut self.broken {
            broken.retry = now + pause;
        }
    }

    /// Takes back what the failed file did not write, and puts it before the backlog.
    fn take_back_unwritten(&mut self) {
        let (Some(broken), Some(file)) = (&mut self.broken, &self.file) else {
            return;
        };
        if broken.is_taken_back {
            return;
        }
        let errno = broken.errno;
        // Still in flight, or no memory: retried with the next event or line.
        let Ok(unwritten) = file.take_unwritten() else {
            return;
        };
        broken.is_taken_back = true;
        let before = self.accepted();
        let bytes = self.count_taken_back(&unwritten, errno);
        self.file = None;
        self.before = before - bytes;
        let mut backlog = VecDeque::with_capacity(bytes as usize + self.backlog.len());
        backlog.extend(unwritten.iter().flat_map(|range| &range.bytes));
        backlog.append(&mut self.backlog);
        self.backlog = backlog;
    }

    fn count_taken_back(&mut self, unwritten: &[Unwritten], errno: Errno) -> u64 {
        if unwritten.is_empty() {
            // The failure is that of a sync.
            self.sync_error.get_or_insert(errno);
        }
        unwritten.iter().map(|range| range.bytes.len() as u64).sum()
    }

    /// Recovers from a failure: opens the path again when the pause is over, and replaces the
    /// failed file by the new one. Returns the failure until that is done.
    fn recover(&mut self) -> io::Result<()> {
        if self.broken.is_none() {
            return Ok(());
        }
        self.take_back_unwritten();
        self.switch();
        let Some(broken) = &self.broken else {
            return Ok(());
        };
        let errno = broken.errno;
        let is_due = broken.is_taken_back && broken.retry <= Instant::now();
        if self.next.is_none() && is_due && self.open_next().is_err() {
            self.pause(Instant::now());
        }
        Err(errno.into())
    }
}

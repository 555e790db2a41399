//! Where the bytes of a log are: in files that take as many as they have room for, and the rest
//! here.
//!
//! ```text
//!  line ─► rest ─► file ─► disk            rest: what the file had no room for; nothing passes it
//!           ▲        │ failed (disk full)
//!           │        ▼
//!           └─ what it did not write ─► a file that is opened anew, after a pause
//! ```
//!
//! A file that has failed stays so. So the log takes back what the kernel did not get, opens its
//! path again, and goes on there where it had stopped; no line is taken meanwhile, so that memory
//! stays bounded. A sync that failed has lost what nobody knows: the log goes on, and its end says so.

use super::missing::Missing;
use crate::caller::Unwritten;
use crate::error::Errno;
use crate::event::{Event, EventKind};
use crate::fd::{Fd, Notify};
use crate::file::File;
use crate::options::OpenOptions;
use crate::shared::Shared;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the log pauses before it opens its path again after a failure: twice as long after
/// each that follows another within ten seconds.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const CALM: Duration = Duration::from_secs(10);

/// How the path is opened.
struct Opener {
    shared: Arc<Shared>,
    path: PathBuf,
    options: OpenOptions,
}

impl Opener {
    fn open(&self) -> io::Result<File> {
        let fd = self.shared.open(&self.path, &self.options)?;
        Ok(File::new(Arc::clone(&self.shared), fd))
    }
}

/// The file that lines go to has failed.
struct Broken {
    errno: Errno,
    /// What it did not write is in `rest`.
    is_rescued: bool,
    retry: Instant,
}

/// A file that takes no more lines, and becomes durable.
struct Retired {
    file: File,
    /// What a sync has to cover.
    mark: u64,
    synced: bool,
}

/// See the module.
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
    /// The next file, whose open is in progress, or done and it waits for `rest`.
    next: Option<(File, bool)>,
    open_error: Option<Errno>,
    retired: Vec<Retired>,
    /// What the file had no room for: nothing goes before it.
    rest: VecDeque<u8>,
    pub missing: Missing,
    /// The mark of the sync at the end, and up to where the file was synced.
    last_sync: Option<u64>,
    synced: Option<u64>,
    /// A sync failed: what was written may be lost.
    sync_error: Option<Errno>,
    /// No line is taken any more.
    is_ending: bool,
    /// The file that failed last, at the end, was tried once more.
    tried_at_end: bool,
}

/// Lines, and waiting for them.
impl State {
    /// Writes the line after what waits; `WouldBlock` if nothing of it was taken.
    pub fn put(&mut self, line: &[u8]) -> io::Result<()> {
        if self.is_ending {
            return Err(ErrorKind::BrokenPipe.into());
        }
        self.go_on()?;
        let file = self.file.as_ref().ok_or(ErrorKind::BrokenPipe)?;
        let n = file
            .write(line)
            .map_err(|error| self.failed_or_full(error))?;
        self.missing.took(line);
        if n < line.len() {
            self.rest.extend(&line[n..]);
            // As far as it goes; and if it does not go, an event is owed from now on.
            let _ = self.go_on();
        }
        Ok(())
    }

    /// A line that nobody keeps: the disk is behind, or has this error.
    pub fn drop_line(&mut self, line: &[u8], errno: Option<i32>) {
        self.missing.dropped(line);
        if !self.is_ending {
            self.missing.record(line, errno.map(Errno));
        }
    }

    /// Bytes taken so far.
    pub fn taken(&self) -> u64 {
        self.accepted() + self.rest.len() as u64
    }

    fn accepted(&self) -> u64 {
        let marks = self.file.as_ref().and_then(|file| file.progress().ok());
        self.before + marks.map_or(0, |marks| marks.accepted)
    }

    /// Whether the kernel has the first `mark` bytes that were taken; if not, news will follow.
    pub fn is_written(&mut self, mark: u64) -> io::Result<bool> {
        match self.go_on() {
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
        match file.shared.written_for(file.fd, in_file, Notify::Event) {
            Ok(()) => Ok(true),
            Err(error) => match self.failed_or_full(error) {
                error if error.kind() == ErrorKind::WouldBlock => Ok(false),
                error => Err(error),
            },
        }
    }

    /// Whether all that was taken is durable; if not, news will follow. A file that fails is
    /// replaced once.
    pub fn is_durable(&mut self) -> io::Result<bool> {
        let retried = self.tried_at_end;
        if let Some(broken) = &mut self.broken {
            let errno = broken.errno;
            if retried && self.next.is_none() && broken.is_rescued {
                return Err(errno.into());
            }
            if self.next.is_none() && broken.is_rescued {
                self.tried_at_end = true;
                broken.retry = Instant::now();
            }
        }
        match self.go_on() {
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

    /// No line is taken any more.
    pub fn stop_taking(&mut self) {
        self.is_ending = true;
    }

    /// All is durable: closes the file.
    pub fn end(&mut self) -> io::Result<()> {
        self.file = None;
        self.sync_error.map_or(Ok(()), |errno| Err(errno.into()))
    }

    /// What the files do not have is lost; what they have they go on writing.
    pub fn give_up(&mut self) {
        self.missing.lost(&self.rest);
        self.rest.clear();
        self.file = None;
        self.next = None;
        self.retired.clear();
    }

    /// How long until the path is to be opened again, if that is to be.
    pub fn next_retry(&self) -> Option<Duration> {
        let broken = self.broken.as_ref().filter(|_| self.next.is_none())?;
        Some(broken.retry.saturating_duration_since(Instant::now()))
    }
}

/// Bytes on their way into a file.
impl State {
    /// Writes what has to go before the next line: the rest of the last one, and how many are
    /// missing.
    fn go_on(&mut self) -> io::Result<()> {
        self.go_on_after_failure()?;
        loop {
            while !self.rest.is_empty() {
                let file = self.file.as_ref().ok_or(ErrorKind::BrokenPipe)?;
                match file.write(self.rest.as_slices().0) {
                    Ok(n) => drop(self.rest.drain(..n)),
                    Err(error) => return Err(self.failed_or_full(error)),
                }
            }
            self.switch();
            match self.missing.take_notice() {
                Some(notice) => self.rest.extend(notice.as_bytes()),
                None => return Ok(()),
            }
        }
    }

    /// What a call on the file said: `WouldBlock`, or its failure, which is seen to.
    fn failed_or_full(&mut self, error: io::Error) -> io::Error {
        let failure = self.file.as_ref().and_then(|file| file.failure().ok());
        let Some(failure) = failure.flatten() else {
            return error;
        };
        self.fail(failure.errno);
        if failure.errno.is_transient() {
            // Not one of those that only have to be repeated.
            return Errno(libc::EIO).into();
        }
        failure.errno.into()
    }
}

/// Files that come and go.
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

    /// Opens the path again; lines go there once it is open.
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

    /// Whether a file is being opened, or waits for its turn.
    pub fn is_opening(&self) -> bool {
        self.next.is_some()
    }

    /// Why the last open failed, once.
    pub fn take_open_error(&mut self) -> Option<Errno> {
        self.open_error.take()
    }

    /// News from the engine.
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
        // An error comes back at the next line.
        let _ = self.go_on();
    }

    /// The next file takes the place of one that failed, or of one that has all that was taken.
    fn switch(&mut self) {
        let is_due = match &self.broken {
            Some(broken) => broken.is_rescued,
            None => self.rest.is_empty(),
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
            // A failure that comes first is found when its event is heard.
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

    /// A file of before is durable, or has failed: then what it did not write goes on here.
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
                        self.rest.extend(unwritten);
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
                is_rescued: false,
                retry: Instant::now(),
            });
            self.pause(Instant::now());
        }
        self.take_back_unwritten();
    }

    /// Lets some time pass before the path is opened again.
    fn pause(&mut self, now: Instant) {
        let pause = match self.last_failure {
            Some((last, pause)) if now.duration_since(last) < CALM => pause * 2,
            _ => FIRST_PAUSE,
        };
        let pause = pause.min(LONGEST_PAUSE);
        self.last_failure = Some((now, pause));
        if let Some(broken) = &mut self.broken {
            broken.retry = now + pause;
        }
    }

    /// Takes back what the file that failed did not write, before all that it did not accept.
    fn take_back_unwritten(&mut self) {
        let (Some(broken), Some(file)) = (&mut self.broken, &self.file) else {
            return;
        };
        if broken.is_rescued {
            return;
        }
        let errno = broken.errno;
        // In flight still, or no memory: tried again with the next news, or the next line.
        let Ok(unwritten) = file.take_unwritten() else {
            return;
        };
        broken.is_rescued = true;
        let before = self.accepted();
        let bytes = self.count_taken_back(&unwritten, errno);
        self.file = None;
        self.before = before - bytes;
        let mut rest = VecDeque::with_capacity(bytes as usize + self.rest.len());
        rest.extend(unwritten.iter().flat_map(|range| &range.bytes));
        rest.append(&mut self.rest);
        self.rest = rest;
    }

    fn count_taken_back(&mut self, unwritten: &[Unwritten], errno: Errno) -> u64 {
        if unwritten.is_empty() {
            // It was a sync that failed.
            self.sync_error.get_or_insert(errno);
        }
        unwritten.iter().map(|range| range.bytes.len() as u64).sum()
    }

    /// After a failure: opens the path again when the pause is over, and puts the new file in the
    /// place of the one that failed. The error while that is not done.
    fn go_on_after_failure(&mut self) -> io::Result<()> {
        if self.broken.is_none() {
            return Ok(());
        }
        self.take_back_unwritten();
        self.switch();
        let Some(broken) = &self.broken else {
            return Ok(());
        };
        let errno = broken.errno;
        let is_due = broken.is_rescued && broken.retry <= Instant::now();
        if self.next.is_none() && is_due && self.open_next().is_err() {
            self.pause(Instant::now());
        }
        Err(errno.into())
    }
}

//! Copies a file to a file: the page that was read becomes the page that is written.

use super::{Left, Step};
use crate::file::File;
use crate::page::PageSlice;
use std::io::{self, ErrorKind};

/// Copies a file, or a part of it, into another one, from and to their positions.
///
/// # Examples
///
/// ```
/// use efio_core::transfer::{CopyFile, Step};
/// # use efio_core::{Engine, OpenOptions};
/// # fn main() -> std::io::Result<()> {
/// # let name = |what| std::env::temp_dir().join(format!("efio-{what}-{}", std::process::id()));
/// # let (source, target) = (name("source"), name("target"));
/// # std::fs::write(&source, b"hello, world")?;
/// # let engine = Engine::new()?;
/// let from = engine.open(&source, &OpenOptions::new().read(true).prefetch(true))?;
/// let to = engine.open(&target, &OpenOptions::new().write(true).create(true))?;
/// let mut copy = CopyFile::new(None);
/// loop {
///     match copy.step(&from, &to)? {
///         Step::Done => break,
///         Step::Moved(_) => {} // an event loop serves others before the next step
///         // This program has nothing else to do. An event loop goes on with the next event.
///         Step::WaitSource => from.blocking(None).wait_readable()?,
///         Step::WaitTarget => to.blocking(None).wait_writable()?,
///     }
/// }
/// assert_eq!(copy.transferred(), 12);
/// # drop((from, to));
/// # engine.shutdown(std::time::Duration::from_secs(10))?;
/// # assert_eq!(std::fs::read(&target)?, b"hello, world");
/// # std::fs::remove_file(source)?;
/// # std::fs::remove_file(target)?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "a transfer moves nothing until it is stepped"]
pub struct CopyFile {
    left: Left,
    /// Bytes that were read, and that the target has not accepted yet.
    held: Option<PageSlice>,
}

impl CopyFile {
    /// Creates a copy of `len` bytes, or of all up to the end of the source.
    pub fn new(len: Option<u64>) -> Self {
        Self {
            left: Left::new(len),
            held: None,
        }
    }

    /// Returns the number of bytes that the target has accepted.
    pub fn transferred(&self) -> u64 {
        self.left.transferred
    }

    /// Copies at most one page, without waiting. A page that the target had no room for is kept for
    /// the next step; the position of the source is after it already.
    ///
    /// # Errors
    ///
    /// - `UnexpectedEof` when the source ends before `len` bytes.
    /// - Those of [`File::read`] and [`File::write`], except `WouldBlock`.
    pub fn step(&mut self, from: &File, to: &File) -> io::Result<Step> {
        self.try_step(from, to).map_err(|failed| match failed {
            Failed::Source(error) | Failed::Target(error) => error,
        })
    }

    pub(super) fn try_step(&mut self, from: &File, to: &File) -> Result<Step, Failed> {
        if self.held.is_none() {
            let most = self.left.at_most(usize::MAX);
            if most == 0 {
                return Ok(Step::Done);
            }
            self.held = match from.take_page(most) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(Step::WaitSource);
                }
                result => result.map_err(Failed::Source)?,
            };
            if self.held.is_none() {
                return self.left.source_ended().map_err(Failed::Source);
            }
        }
        match to.give_page(&mut self.held) {
            Ok(n) => Ok(self.left.transferred(n)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Step::WaitTarget),
            Err(error) => Err(Failed::Target(error)),
        }
    }
}

/// Which of the two files ended a step.
#[derive(Debug)]
pub(super) enum Failed {
    /// The one that is read.
    Source(io::Error),
    /// The one that is written.
    Target(io::Error),
}

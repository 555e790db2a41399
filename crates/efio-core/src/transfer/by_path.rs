//! Copies a whole file on the calling thread, which waits.

use super::copy::Failed;
use super::{CopyFile, Step};
use crate::engine::Engine;
use crate::file::File;
use crate::options::OpenOptions;
use crate::sys;
use std::error::Error;
use std::fmt;
use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The error of a copy, and which of the two files failed.
#[derive(Debug)]
pub struct CopyError {
    path: PathBuf,
    source: io::Error,
}

impl CopyError {
    fn of(path: &Path) -> impl Fn(io::Error) -> Self + '_ {
        move |source| Self {
            path: path.to_owned(),
            source,
        }
    }

    /// Returns the path of the file that failed, as it was passed to [`copy`].
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the error of the kernel.
    pub fn io_error(&self) -> &io::Error {
        &self.source
    }
}

impl fmt::Display for CopyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.source)
    }
}

impl Error for CopyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// Converts to an error of the same kind, with the path in its text.
impl From<CopyError> for io::Error {
    fn from(error: CopyError) -> Self {
        Self::new(error.source.kind(), error)
    }
}

/// Copies the file `from` to `to` and waits until the copy is durable. Returns its length in bytes.
/// The old content of `to` is lost. A new file gets the permissions of `from`, under the umask, as
/// with cp(1).
///
/// Holes of `from` are holes in `to`. A file whose size is 0 is read all the same, because those in
/// `/proc` have content.
///
/// `progress` is called before the first byte, after each page, and at the end, with the number of
/// bytes copied so far and the size of `from` at the beginning. The whole file is copied even if
/// its size changes meanwhile. The io mode and the memory are the engine's; no events are emitted.
///
/// A loop that must not wait uses [`CopyFile`] instead.
///
/// # Errors
///
/// - Those of the kernel for either file, with its path. `from` is opened first, and `to` is not
///   changed if that fails.
/// - `InvalidInput` when both are one file.
/// - `EDEADLK` in a callback of the engine.
///
/// After an error, what was copied before stays in `to`.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # let dir = std::env::temp_dir();
/// # let name = |what| dir.join(format!("efio-copy-{what}-{}", std::process::id()));
/// # let (from, to) = (name("from"), name("to"));
/// # std::fs::write(&from, vec![7; 3_000_000])?;
/// let engine = efio_core::Engine::new()?;
/// let bytes = efio_core::copy(&engine, &from, &to, |done, all| {
///     eprint!("\r{done} of {all} bytes");
/// })?;
/// assert_eq!(bytes, 3_000_000);
/// # assert!(std::fs::read(&to)? == vec![7; 3_000_000]);
/// # std::fs::remove_file(from)?;
/// # std::fs::remove_file(to)?;
/// # Ok(()) }
/// ```
pub fn copy(
    engine: &Engine,
    from: impl AsRef<Path>,
    to: impl AsRef<Path>,
    mut progress: impl FnMut(u64, u64),
) -> Result<u64, CopyError> {
    let (from, to) = (from.as_ref(), to.as_ref());
    let (of_source, of_target) = (CopyError::of(from), CopyError::of(to));
    // The first bytes are read while the target is opened.
    let reading = OpenOptions::new().read(true).prefetch(true);
    let source = open(engine, from, reading).map_err(&of_source)?;
    let metadata = std::fs::metadata(from).map_err(&of_source)?;
    if std::fs::metadata(to).is_ok_and(|target| is_same(&metadata, &target)) {
        let what = "source and target are one file";
        return Err(of_target(io::Error::new(ErrorKind::InvalidInput, what)));
    }
    let writing = OpenOptions::new().write(true).create(true).truncate(true);
    let writing = writing.mode(metadata.mode() & 0o777);
    let target = open(engine, to, writing).map_err(&of_target)?;

    let mut copying = Copying {
        source,
        target,
        done: 0,
        progress: |done| progress(done, metadata.len()),
    };
    (copying.progress)(0);
    let copied = copying.all(from, &metadata);
    let Copying { target, done, .. } = copying;
    copied.map_err(|failed| match failed {
        Failed::Source(error) => of_source(error),
        Failed::Target(error) => of_target(error),
    })?;
    let mark = target.sync().map_err(&of_target)?;
    target
        .blocking(None)
        .wait_synced(mark)
        .map_err(&of_target)?;
    target.wait_closed(None).map_err(&of_target)?;
    Ok(done)
}

/// Both files, and the bytes copied so far.
struct Copying<P> {
    source: File,
    target: File,
    done: u64,
    progress: P,
}

impl<P: FnMut(u64)> Copying<P> {
    /// Copies the ranges with data, and then what the file has grown by.
    fn all(&mut self, from: &Path, metadata: &Metadata) -> Result<(), Failed> {
        // Units of 512 bytes on every file system.
        if metadata.blocks() * 512 < metadata.len() {
            self.around_holes(from)?;
        }
        self.part(None)
    }

    /// Copies the ranges with data, as far as the file system reports them.
    fn around_holes(&mut self, from: &Path) -> Result<(), Failed> {
        let map = std::fs::File::open(from).map_err(Failed::Source)?;
        loop {
            let Ok(data) = sys::data_from(map.as_fd(), self.done) else {
                return Ok(());
            };
            let Some(data) = data else { break };
            self.go_to(data.start)?;
            self.part(Some(data.end - data.start))?;
            if self.done < data.end {
                // The file has become shorter.
                return Ok(());
            }
        }
        let len = map.metadata().map_err(Failed::Source)?.len();
        if len > self.done {
            // The last hole.
            self.target.set_len(len).map_err(Failed::Target)?;
            self.go_to(len)?;
            (self.progress)(len);
        }
        Ok(())
    }

    /// Moves both files to `position`.
    fn go_to(&mut self, position: u64) -> Result<(), Failed> {
        self.source.set_position(position).map_err(Failed::Source)?;
        self.target.set_position(position).map_err(Failed::Target)?;
        self.done = position;
        Ok(())
    }

    /// Copies `len` bytes, or all that follow; fewer when the source ends.
    fn part(&mut self, len: Option<u64>) -> Result<(), Failed> {
        let begin = self.done;
        let mut copy = CopyFile::new(len);
        loop {
            match copy.try_step(&self.source, &self.target) {
                Ok(Step::Moved(_)) => {
                    self.done = begin + copy.transferred();
                    (self.progress)(self.done);
                }
                Ok(Step::WaitSource) => self
                    .source
                    .blocking(None)
                    .wait_readable()
                    .map_err(Failed::Source)?,
                Ok(Step::WaitTarget) => self
                    .target
                    .blocking(None)
                    .wait_writable()
                    .map_err(Failed::Target)?,
                Ok(Step::Done) => return Ok(()),
                Err(Failed::Source(error)) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Ok(());
                }
                Err(failed) => return Err(failed),
            }
        }
    }
}

/// Opens a file without events, and waits for the open.
fn open(engine: &Engine, path: &Path, options: OpenOptions) -> io::Result<File> {
    let file = engine.open(path, &options.events(false))?;
    file.blocking(None).wait_open()?;
    Ok(file)
}

fn is_same(a: &Metadata, b: &Metadata) -> bool {
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

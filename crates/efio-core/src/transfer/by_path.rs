//! A whole file copied by the calling thread, which waits.

use super::{Copy, Step};
use crate::engine::Engine;
use crate::file::File;
use crate::options::OpenOptions;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Copies the file `from` to `to` and waits until the copy is durable. Returns how many bytes that
/// were. What `to` held is lost; if it is new it gets the permissions of `from`.
///
/// `progress` is called before the first byte, after each page, and at the end, with the bytes that
/// were copied and the size of `from` when the copy began. The whole file is copied even if its
/// size changes meanwhile. The io mode is the engine's; no events are sent.
///
/// A loop that must not wait drives [`struct@Copy`] instead.
///
/// # Errors
///
/// What the kernel says to either file: `from` is opened first, and `to` is not touched if that
/// fails. `InvalidInput` when both are one file. `EDEADLK` in a callback of the engine. What was
/// copied before an error is left in `to`.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # let name = |what| std::env::temp_dir().join(format!("efio-copy-{what}-{}", std::process::id()));
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
) -> io::Result<u64> {
    let (from, to) = (from.as_ref(), to.as_ref());
    // The first bytes are read while the target is opened.
    let reading = OpenOptions::new().read(true).prefetch(true);
    let source = open(engine, from, reading)?;
    let metadata = std::fs::metadata(from)?;
    if std::fs::metadata(to).is_ok_and(|target| is_same(&metadata, &target)) {
        let what = "source and target are one file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    let writing = OpenOptions::new().write(true).create(true).truncate(true);
    let target = open(engine, to, writing.mode(metadata.mode() & 0o777))?;

    let mut copy = Copy::new(None);
    progress(0, metadata.len());
    loop {
        match copy.step(&source, &target)? {
            Step::Moved(_) => progress(copy.moved(), metadata.len()),
            Step::WaitSource => source.wait_readable(None)?,
            Step::WaitTarget => target.wait_writable(None)?,
            Step::Done => break,
        }
    }
    target.wait_synced(target.sync()?, None)?;
    target.close_wait(None)?;
    Ok(copy.moved())
}

/// A file that is open, and whose events nobody has to take.
fn open(engine: &Engine, path: &Path, options: OpenOptions) -> io::Result<File> {
    let file = engine.open(path, &options.wakers(true))?;
    file.wait_open(None)?;
    Ok(file)
}

fn is_same(a: &Metadata, b: &Metadata) -> bool {
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

//! A peer reads and writes streams, or reads at places. What a scenario does is written once
//! against [`Peer`].

use std::io;
use std::path::Path;

/// What a peer is going to be used for: it may size its buffers by it.
#[derive(Clone, Copy, Debug)]
pub struct Demand {
    /// Bytes of each file, about.
    pub len: u64,
    /// Files open at once.
    pub files: usize,
    /// What is done with them.
    pub work: Work,
}

/// Which way bytes go, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Files are read; the bytes of each are wanted as soon as they are there.
    Reads,
    /// Files are written; all bytes are there.
    Writes,
    /// Some are read, some are written.
    Both,
    /// Files are written piece by piece, all of them in turn.
    InTurn,
    /// The same with lines, by one task.
    Lines,
}

/// One way to read and write files from one thread.
pub trait Peer: Sized {
    /// A file that is read from its begin to its end.
    type Reader: Reader;
    /// A file that is written from its begin to its end.
    type Writer: Writer;
    /// A file that is read here and there.
    type Places: Places;

    /// Runs a body on this thread, with all that the peer needs beside it.
    fn run<T>(demand: Demand, body: impl AsyncFnOnce(&Self) -> io::Result<T>) -> io::Result<T>;

    /// Opens a file to read.
    async fn reader(&self, path: &Path) -> io::Result<Self::Reader>;
    /// Creates a file.
    async fn writer(&self, path: &Path) -> io::Result<Self::Writer>;
    /// Opens a file to read at places.
    async fn places(&self, path: &Path) -> io::Result<Self::Places>;

    /// What there is to say of itself.
    fn note(&self) -> String {
        String::new()
    }
}

/// Reads one file.
pub trait Reader {
    /// The next bytes, at most 64 KiB; none at the end of file.
    async fn next(&mut self) -> io::Result<&[u8]>;
    /// The caller has looked at the last bytes: what holds them is free.
    fn spent(&mut self) {}
    /// Closes it.
    async fn close(self) -> io::Result<()>;
}

/// Writes one file.
pub trait Writer {
    /// Waits until the kernel has opened the file, if that goes on in the background.
    async fn opened(&mut self) -> io::Result<()> {
        Ok(())
    }
    /// Appends `len` bytes, at most 64 KiB, that `fill` makes where the peer wants them.
    async fn put(&mut self, len: usize, fill: impl FnOnce(&mut [u8])) -> io::Result<()>;
    /// Appends a line that the caller has made already, at most 64 KiB. A peer that has room for it
    /// copies it and is done. A future inside this one, awaited beside the copy, stores its
    /// arguments one by one and loads two at once, and that load waits until the stores before it
    /// are in the cache: those of a line into cold memory too, 100 ns of a line in many files.
    async fn put_line(&mut self, line: &[u8]) -> io::Result<()> {
        self.put(line.len(), |to| to.copy_from_slice(line)).await
    }
    /// Makes what was put so far durable.
    async fn sync(&mut self) -> io::Result<()>;
    /// Gives all of it to the kernel, or makes it durable, and closes it.
    async fn finish(self, durable: bool) -> io::Result<()>;
}

/// Reads one file at places.
pub trait Places {
    /// Passes `len` bytes at `offset` to `look`; several reads may be in flight at once.
    async fn read_at(&self, offset: u64, len: usize, look: impl FnOnce(&[u8])) -> io::Result<()>;
}

/// The bytes that a caller gets or gives at once in a stream.
pub const CALL: usize = 64 << 10;

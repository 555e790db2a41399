//! std's `BufWriter`: it can only write.

use crate::peer::{CALL, Demand, Peer, Places, Reader, Writer};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

pub struct Buffered {
    /// Bytes of a file's buffer: no more than its length.
    buffer: usize,
}

impl Peer for Buffered {
    type Reader = Never;
    type Writer = BufferedWriter;
    type Places = Never;

    fn run<T>(demand: Demand, body: impl AsyncFnOnce(&Self) -> io::Result<T>) -> io::Result<T> {
        let buffer = CALL.min(demand.len as usize);
        futures::executor::block_on(body(&Self { buffer }))
    }

    async fn reader(&self, _: &Path) -> io::Result<Never> {
        Err(Never::error())
    }

    async fn writer(&self, path: &Path) -> io::Result<BufferedWriter> {
        let file = BufWriter::with_capacity(self.buffer, File::create(path)?);
        Ok(BufferedWriter {
            file,
            scratch: Vec::new(),
        })
    }

    async fn places(&self, _: &Path) -> io::Result<Never> {
        Err(Never::error())
    }
}

pub struct BufferedWriter {
    file: BufWriter<File>,
    scratch: Vec<u8>,
}

impl Writer for BufferedWriter {
    async fn put(&mut self, len: usize, fill: impl FnOnce(&mut [u8])) -> io::Result<()> {
        if self.scratch.len() < len {
            self.scratch.resize(len, 0);
        }
        fill(&mut self.scratch[..len]);
        self.file.write_all(&self.scratch[..len])
    }

    async fn put_line(&mut self, line: &[u8]) -> io::Result<()> {
        self.file.write_all(line)
    }

    async fn sync(&mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_data()
    }

    async fn finish(self, durable: bool) -> io::Result<()> {
        let file = self.file.into_inner()?;
        if durable { file.sync_data() } else { Ok(()) }
    }
}

/// What a peer that only writes would read with.
pub enum Never {}

impl Never {
    pub fn error() -> io::Error {
        io::Error::new(io::ErrorKind::Unsupported, "it only writes")
    }
}

impl Reader for Never {
    async fn next(&mut self) -> io::Result<&[u8]> {
        match *self {}
    }

    async fn close(self) -> io::Result<()> {
        match self {}
    }
}

impl Places for Never {
    async fn read_at(&self, _: u64, _: usize, _: impl FnOnce(&[u8])) -> io::Result<()> {
        match *self {}
    }
}

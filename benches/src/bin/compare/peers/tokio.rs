//! `tokio::fs` on a runtime of one thread, with its pool of blocking threads.

use crate::peer::{CALL, Demand, Peer, Places, Reader, Work, Writer};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter};
use tokio::runtime::Builder;
use tokio::task::spawn_blocking;

/// So many files may have buffers of 256 KiB.
const FEW: usize = 256;

pub struct Tokio {
    /// Bytes of a file's buffer: no more than its length.
    buffer: usize,
}

impl Peer for Tokio {
    type Reader = TokioReader;
    type Writer = TokioWriter;
    type Places = TokioPlaces;

    fn run<T>(demand: Demand, body: impl AsyncFnOnce(&Self) -> io::Result<T>) -> io::Result<T> {
        // Larger ones make lines dearer for their caller.
        let most = match demand.work {
            Work::Lines | Work::InTurn => CALL,
            _ if demand.files > FEW => CALL,
            _ => 4 * CALL,
        };
        let buffer = most.min(demand.len as usize);
        let runtime = Builder::new_current_thread().build()?;
        runtime.block_on(body(&Self { buffer }))
    }

    async fn reader(&self, path: &Path) -> io::Result<TokioReader> {
        let file = File::open(path).await?;
        Ok(TokioReader {
            file,
            buffer: vec![0; self.buffer],
            taken: 0,
            len: 0,
        })
    }

    async fn writer(&self, path: &Path) -> io::Result<TokioWriter> {
        // Without it each line is a task for another thread, 10 µs.
        let file = BufWriter::with_capacity(self.buffer, File::create(path).await?);
        Ok(TokioWriter {
            file,
            scratch: Vec::new(),
        })
    }

    async fn places(&self, path: &Path) -> io::Result<TokioPlaces> {
        let file = File::open(path).await?.into_std().await;
        Ok(TokioPlaces {
            file: Arc::new(file),
        })
    }
}

pub struct TokioReader {
    file: File,
    buffer: Vec<u8>,
    taken: usize,
    len: usize,
}

impl Reader for TokioReader {
    async fn next(&mut self) -> io::Result<&[u8]> {
        if self.taken == self.len {
            (self.len, self.taken) = (self.file.read(&mut self.buffer).await?, 0);
        }
        let from = self.taken;
        self.taken = (from + CALL).min(self.len);
        Ok(&self.buffer[from..self.taken])
    }

    async fn close(self) -> io::Result<()> {
        Ok(())
    }
}

pub struct TokioWriter {
    file: BufWriter<File>,
    scratch: Vec<u8>,
}

impl Writer for TokioWriter {
    async fn put(&mut self, len: usize, fill: impl FnOnce(&mut [u8])) -> io::Result<()> {
        if self.scratch.len() < len {
            self.scratch.resize(len, 0);
        }
        fill(&mut self.scratch[..len]);
        self.file.write_all(&self.scratch[..len]).await
    }

    async fn put_line(&mut self, line: &[u8]) -> io::Result<()> {
        self.file.write_all(line).await
    }

    async fn sync(&mut self) -> io::Result<()> {
        self.file.flush().await?;
        self.file.get_ref().sync_data().await
    }

    async fn finish(mut self, durable: bool) -> io::Result<()> {
        if durable {
            self.sync().await
        } else {
            self.file.flush().await
        }
    }
}

/// tokio has no positional reads: a blocking call on its pool, as `tokio::fs` itself does it.
pub struct TokioPlaces {
    file: Arc<std::fs::File>,
}

impl Places for TokioPlaces {
    async fn read_at(&self, offset: u64, len: usize, look: impl FnOnce(&[u8])) -> io::Result<()> {
        let file = Arc::clone(&self.file);
        let read = move || {
            let mut buffer = vec![0; len];
            file.read_exact_at(&mut buffer, offset).map(|()| buffer)
        };
        let bytes = spawn_blocking(read).await.map_err(io::Error::other)??;
        look(&bytes);
        Ok(())
    }
}

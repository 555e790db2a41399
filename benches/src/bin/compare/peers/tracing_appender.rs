//! tracing-appender's `non_blocking`, set to lose no line: it can only write.

use super::std_buffered::Never;
use crate::peer::{Demand, Peer, Work, Writer};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};

pub struct Appender;

impl Peer for Appender {
    type Reader = Never;
    type Writer = AppenderWriter;
    type Places = Never;

    fn run<T>(demand: Demand, body: impl AsyncFnOnce(&Self) -> io::Result<T>) -> io::Result<T> {
        let many = (demand.files > 100).then_some("it has a thread for each file");
        let other = (demand.work != Work::Lines).then_some("it only writes lines");
        if let Some(message) = other.or(many) {
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
        futures::executor::block_on(body(&Self))
    }

    async fn reader(&self, _: &Path) -> io::Result<Never> {
        Err(Never::error())
    }

    async fn writer(&self, path: &Path) -> io::Result<AppenderWriter> {
        let file = File::create(path)?;
        let synced = file.try_clone()?;
        let (appender, guard) = NonBlockingBuilder::default().lossy(false).finish(file);
        Ok(AppenderWriter {
            appender,
            guard,
            synced,
            scratch: Vec::new(),
        })
    }

    async fn places(&self, _: &Path) -> io::Result<Never> {
        Err(Never::error())
    }
}

pub struct AppenderWriter {
    appender: NonBlocking,
    guard: WorkerGuard,
    synced: File,
    scratch: Vec<u8>,
}

impl Writer for AppenderWriter {
    async fn put(&mut self, len: usize, fill: impl FnOnce(&mut [u8])) -> io::Result<()> {
        if self.scratch.len() < len {
            self.scratch.resize(len, 0);
        }
        fill(&mut self.scratch[..len]);
        self.appender.write_all(&self.scratch[..len])
    }

    async fn put_line(&mut self, line: &[u8]) -> io::Result<()> {
        self.appender.write_all(line)
    }

    async fn sync(&mut self) -> io::Result<()> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "it does not say what it has written",
        ))
    }

    async fn finish(self, durable: bool) -> io::Result<()> {
        drop(self.guard);
        if durable {
            self.synced.sync_data()
        } else {
            Ok(())
        }
    }
}

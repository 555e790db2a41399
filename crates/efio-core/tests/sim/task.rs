//! The task of a file: what it waits for, and how that is polled.

use super::payload::payload;
use super::steps::Polled;
use efio_core::{AsyncFile, Unwritten};
use std::future::Future;
use std::io::{self, SeekFrom};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, ready};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite, ReadBuf};

/// The task of a file, with its future that is not ready.
#[derive(Default)]
pub struct Task {
    pub woken: Arc<Woken>,
    pub pending: Option<Pending>,
    /// A seek was dropped whose position may be negative: the next one of tokio may return that.
    pub dropped_invalid: bool,
}

#[derive(Default)]
pub struct Woken(pub AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A future that was polled and is not ready.
pub struct Pending {
    pub what: Polled,
    /// What was accepted when it began, or the mark of its sync.
    pub mark: u64,
    /// A seek of tokio has started.
    pub is_started: bool,
}

/// What a future returned.
pub enum Output {
    Nothing(io::Result<()>),
    Read {
        wants_some: bool,
        result: io::Result<Vec<u8>>,
    },
    Written {
        bytes: &'static [u8],
        result: io::Result<usize>,
    },
    Len(io::Result<u64>),
    Position(io::Result<u64>),
    Unwritten(io::Result<Vec<Unwritten>>),
}

impl Pending {
    /// Polls the future as tokio and futures do.
    pub fn poll(
        &mut self,
        file: &mut AsyncFile,
        buffer: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Poll<Output> {
        let mark = self.mark;
        let file_of = AsyncFile::get_ref;
        match self.what {
            Polled::Opened => file_of(file).poll_open(cx).map(Output::Nothing),
            Polled::Read { len } => {
                let mut buf = ReadBuf::new(&mut buffer[..len as usize]);
                let polled = AsyncRead::poll_read(Pin::new(file), cx, &mut buf);
                polled.map(|result| Output::Read {
                    wants_some: len > 0,
                    result: result.map(|()| buf.filled().to_vec()),
                })
            }
            Polled::Readable { len } => {
                let file = file_of(file);
                let ready = ready!(file.poll_readable(cx));
                let buf = &mut buffer[..len as usize];
                let result = ready.and_then(|()| file.read(buf));
                Poll::Ready(Output::Read {
                    wants_some: len > 0,
                    result: result.map(|n| buffer[..n].to_vec()),
                })
            }
            Polled::Show { len } => {
                let shown = ready!(AsyncBufRead::poll_fill_buf(Pin::new(file), cx));
                let wants_some = shown.as_ref().is_ok_and(|bytes| bytes.is_empty());
                let count = shown
                    .as_ref()
                    .map_or(0, |bytes| bytes.len().min(len as usize));
                let result = shown.map(|bytes| bytes[..count].to_vec());
                AsyncBufRead::consume(Pin::new(file), count);
                Poll::Ready(Output::Read { wants_some, result })
            }
            Polled::Write {
                len,
                payload: start,
            } => {
                let bytes = payload(start, len as usize);
                let polled = AsyncWrite::poll_write(Pin::new(file), cx, bytes);
                polled.map(|result| Output::Written { bytes, result })
            }
            Polled::Flush => AsyncWrite::poll_flush(Pin::new(file), cx).map(Output::Nothing),
            Polled::Sync => file_of(file).poll_sync(cx, mark).map(Output::Nothing),
            Polled::Len => file_of(file).poll_len(cx).map(Output::Len),
            Polled::TakeUnwritten => pin!(file.take_unwritten()).poll(cx).map(Output::Unwritten),
            Polled::Seek { to, of_tokio: true } => self.seek(file, to, cx).map(Output::Position),
            Polled::Seek { to, .. } => {
                futures_io::AsyncSeek::poll_seek(Pin::new(file), cx, to).map(Output::Position)
            }
        }
    }

    /// Does what the future of `AsyncSeekExt::seek` does.
    fn seek(
        &mut self,
        file: &mut AsyncFile,
        to: SeekFrom,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<u64>> {
        if !self.is_started {
            ready!(AsyncSeek::poll_complete(Pin::new(file), cx))?;
            AsyncSeek::start_seek(Pin::new(file), to)?;
            self.is_started = true;
        }
        AsyncSeek::poll_complete(Pin::new(file), cx)
    }

    /// Whether it seeks backwards from somewhere.
    pub fn is_backwards(&self) -> bool {
        matches!(self.what, Polled::Seek { to: SeekFrom::End(by) | SeekFrom::Current(by), .. } if by < 0)
    }
}

//! The io traits of tokio.

use super::AsyncFile;
use std::io::{self, IoSlice, Seek, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite, ReadBuf};

impl AsyncRead for AsyncFile {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() != 0 {
            let count = ready!(self.get_mut().poll_copy(cx, buf.initialize_unfilled()))?;
            buf.advance(count);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncBufRead for AsyncFile {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        self.get_mut().poll_bytes(cx)
    }

    fn consume(self: Pin<&mut Self>, amt: usize) {
        self.get_mut().consume_bytes(amt);
    }
}

impl AsyncWrite for AsyncFile {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().other().poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().other().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().other().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_end(cx)
    }
}

/// Only a seek to the end takes time, and moves the position when it completes.
///
/// tokio's seek completes whatever was started before it, and then starts: a seek that was dropped is
/// completed by the next one. One that was not is completed by its own last poll, and once more by the
/// next one. So a start right behind the first completion of a seek that had to wait finds one that was
/// dropped, and takes it back. Who calls these functions by hand does as tokio's seek.
impl AsyncSeek for AsyncFile {
    fn start_seek(self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()> {
        let this = self.get_mut();
        if let (None, Some(before)) = (this.to_end, this.before_end) {
            this.file.shared.seek(this.file.fd, before)?;
        }
        this.other();
        this.asks_anew = true;
        match position {
            SeekFrom::End(by) => this.to_end = Some(by),
            near => {
                Seek::seek(&mut this.file, near)?;
            }
        }
        Ok(())
    }

    /// The position, once the seek is over.
    fn poll_complete(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        let this = self.get_mut();
        let Some(by) = this.to_end else {
            this.before_end = None;
            return this.poll_seek_to(cx, SeekFrom::Current(0));
        };
        let before = Seek::stream_position(&mut this.file)?;
        let polled = this.poll_seek_to(cx, SeekFrom::End(by));
        match &polled {
            Poll::Pending => this.before_end = Some(before),
            Poll::Ready(result) => {
                this.to_end = None;
                this.before_end = this.before_end.filter(|_| result.is_ok());
            }
        }
        polled
    }
}

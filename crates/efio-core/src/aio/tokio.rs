//! The io traits of tokio.

use super::AsyncFile;
use std::io::{self, IoSlice, Seek, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite, ReadBuf};

/// A read in mid-file may return fewer bytes than asked for, although the file goes on, as that of
/// [`File::read`](crate::File::read).
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
        self.get_mut().poll_written(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_end(cx)
    }
}

/// Only a seek from the end takes time, and one from the position behind an append, which is the
/// end. It moves the position when it completes.
///
/// tokio's seek completes whatever was started before it, and then starts: a seek that was dropped
/// is completed by the next one. One that was not is completed by its own last poll, and once more
/// by the next one. So a start right behind the first completion of a seek that had to wait finds
/// one that was dropped, and takes it back. Who calls these functions by hand does as tokio's seek.
impl AsyncSeek for AsyncFile {
    fn start_seek(self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()> {
        let this = self.get_mut();
        if let (None, Some(before)) = (this.seeks, this.before) {
            this.file.lock()?.put_back(before)?;
        }
        let takes_time = match position {
            SeekFrom::Start(_) => false,
            SeekFrom::Current(_) => this.file.lock()?.place().known().is_none(),
            SeekFrom::End(_) => true,
        };
        this.other();
        this.asks_anew = true;
        if takes_time {
            this.seeks = Some(position);
        } else {
            Seek::seek(&mut this.file, position)?;
        }
        Ok(())
    }

    /// The position, once the seek is over. Without a seek it is the position if that is known,
    /// else 0: after an append only the kernel knows it, and tokio calls this before each seek, so
    /// that asking the kernel here would cost each of them a wait.
    fn poll_complete(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        let this = self.get_mut();
        let before = this.file.lock()?.place();
        let Some(position) = this.seeks else {
            this.before = None;
            return Poll::Ready(Ok(before.known().unwrap_or(0)));
        };
        let polled = this.poll_seek_to(cx, position);
        match &polled {
            Poll::Pending => this.before = Some(before),
            Poll::Ready(result) => {
                this.seeks = None;
                // Only a seek that had to wait may have been dropped. The position may have been
                // moved since, by the number of the file.
                this.before = this.before.filter(|_| result.is_ok()).map(|_| before);
            }
        }
        polled
    }
}

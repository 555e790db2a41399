//! One client interface for every way to use a file: by events of a loop or a callback, as a task,
//! or by waiting on a thread. Each call returns its result, and meanwhile the watchdog sees what it
//! waits for.

use crate::session::Session;
use crate::tracker::{Call, CallTracker};
use efio_core::{Completed, EventKind, File, OpenOptions};
use fastrand::Rng;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

/// How an actor is notified that it can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitMode {
    /// Waits on its own thread.
    Thread,
    /// Gets events in a loop.
    Loop,
    /// Gets events in a callback, on the engine's own thread.
    Callback,
    /// Has a waker.
    Task,
}

impl WaitMode {
    pub fn has_events(self) -> bool {
        matches!(self, Self::Loop | Self::Callback)
    }
}

/// Makes the calls of one actor.
pub struct Client {
    pub session: Arc<Session>,
    pub tracker: Arc<CallTracker>,
    pub wait_mode: WaitMode,
    chance: Mutex<Rng>,
}

/// Whether the result is "would block".
fn would_block<R>(result: &io::Result<R>) -> bool {
    matches!(result, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

fn gone() -> io::Error {
    io::Error::from_raw_os_error(libc::ESHUTDOWN)
}

impl Client {
    pub fn new(session: &Arc<Session>, wait_mode: WaitMode, name: &str, seed: u64) -> Self {
        Self {
            session: Arc::clone(session),
            tracker: session.trackers.add(format!("{name} ({wait_mode:?})")),
            wait_mode,
            chance: Mutex::new(Rng::with_seed(seed)),
        }
    }

    /// An error at the end of the engine ends an actor; any other is a fault.
    pub fn end(&self, result: io::Result<()>) {
        let Err(error) = result else { return };
        let ends = [
            libc::ESHUTDOWN,
            libc::EBADF,
            libc::ECANCELED,
            libc::ETIMEDOUT,
        ];
        let errno = error.raw_os_error().unwrap_or(0);
        if !(self.session.is_ending() && ends.contains(&errno)) {
            panic!("{}: {error}", self.tracker.name);
        }
    }

    /// A call that must return at once.
    pub fn now<R>(&self, what: &'static str, file: &File, call: impl FnOnce() -> R) -> R {
        let _guard = self.tracker.begin(Call::Now(what), Some(file.fd()));
        call()
    }

    /// A timeout for a wait on a thread: mostly none.
    fn timeout(&self) -> Option<Duration> {
        let mut chance = self.chance.lock().unwrap();
        (chance.u8(..8) == 0).then(|| Duration::from_micros(chance.u64(..2000)))
    }

    /// Waits on this thread, and again without a timeout if the first one expired.
    fn wait<R>(
        &self,
        call: Call,
        file: &File,
        mut wait: impl FnMut(Option<Duration>) -> io::Result<R>,
    ) -> io::Result<R> {
        let _guard = self.tracker.begin(call, Some(file.fd()));
        let mut timeout = self.timeout();
        loop {
            match wait(timeout) {
                Err(error) if error.kind() == ErrorKind::TimedOut && timeout.is_some() => {
                    timeout = None;
                }
                result => return result,
            }
        }
    }

    /// Polls as a task.
    async fn poll<R>(
        &self,
        call: Call,
        file: &File,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<io::Result<R>>,
    ) -> io::Result<R> {
        let _guard = self.tracker.begin(call, Some(file.fd()));
        poll_fn(|cx| {
            let polled = poll(cx);
            if polled.is_pending() {
                self.tracker.woken();
            }
            polled
        })
        .await
    }

    /// Repeats a call at each event that `wanted` accepts until it is not blocked.
    async fn repeat<R>(
        &self,
        call: Call,
        file: &File,
        wanted: impl Fn(&EventKind) -> bool,
        mut attempt: impl FnMut() -> io::Result<R>,
    ) -> io::Result<R> {
        let result = attempt();
        if !would_block(&result) {
            return result;
        }
        let _guard = self.tracker.begin(call, Some(file.fd()));
        loop {
            let kind = self.session.dispatcher.event(file.fd()).await;
            if wanted(&kind) || matches!(kind, EventKind::Failed(_)) {
                let result = attempt();
                if !would_block(&result) {
                    return result;
                }
                self.tracker.woken();
            }
        }
    }

    /// Opens a file; the open may be pending when this returns.
    pub fn open(&self, path: &Path, options: &OpenOptions) -> io::Result<File> {
        let _guard = self.tracker.begin(Call::Now("open"), None);
        let open = || self.session.with(|engine| engine.open(path, options));
        if self.wait_mode.has_events() {
            return self
                .session
                .dispatcher
                .open(|| open().unwrap_or_else(|| Err(gone())));
        }
        open().unwrap_or_else(|| Err(gone()))
    }

    pub async fn opened(&self, file: &File) -> io::Result<()> {
        match self.wait_mode {
            WaitMode::Thread => self.wait(Call::Open, file, |timeout| {
                file.blocking(timeout).wait_open()
            }),
            WaitMode::Task => self.poll(Call::Open, file, |cx| file.poll_open(cx)).await,
            WaitMode::Loop | WaitMode::Callback => {
                let attempt = || match file.open_status() {
                    Ok(false) => Err(ErrorKind::WouldBlock.into()),
                    other => other.map(drop),
                };
                let wanted = |kind: &EventKind| *kind == EventKind::Opened;
                self.repeat(Call::Open, file, wanted, attempt).await
            }
        }
    }

    pub async fn read(&self, file: &File, buf: &mut [u8]) -> io::Result<usize> {
        let wait = |timeout| file.blocking(timeout).wait_readable();
        match self.wait_mode {
            WaitMode::Task => {
                self.poll(Call::Read, file, |cx| file.poll_read(cx, buf))
                    .await
            }
            WaitMode::Thread => loop {
                let result = self.now("read", file, || file.read(buf));
                if !would_block(&result) {
                    return result;
                }
                self.wait(Call::Read, file, wait)?;
            },
            WaitMode::Loop | WaitMode::Callback => {
                let wanted = |kind: &EventKind| *kind == EventKind::Readable;
                let attempt = || self.now("read", file, || file.read(buf));
                self.repeat(Call::Read, file, wanted, attempt).await
            }
        }
    }

    pub async fn write(&self, file: &File, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let write = || match bufs {
            [one] => file.write(one),
            many => file.write_vectored(many),
        };
        match self.wait_mode {
            WaitMode::Task => {
                let poll = |cx: &mut Context<'_>| file.poll_write_vectored(cx, bufs);
                self.poll(Call::Write, file, poll).await
            }
            WaitMode::Thread => loop {
                let result = self.now("write", file, write);
                if !would_block(&result) {
                    return result;
                }
                self.wait(Call::Write, file, |timeout| {
                    file.blocking(timeout).wait_writable()
                })?;
            },
            WaitMode::Loop | WaitMode::Callback => {
                let wanted = |kind: &EventKind| *kind == EventKind::Writable;
                let attempt = || self.now("write", file, write);
                self.repeat(Call::Write, file, wanted, attempt).await
            }
        }
    }

    /// Until the kernel has everything that was accepted before.
    pub async fn flush(&self, file: &File) -> io::Result<()> {
        match self.wait_mode {
            WaitMode::Thread => {
                self.wait(Call::Flush, file, |timeout| file.blocking(timeout).flush())
            }
            WaitMode::Task => self.poll(Call::Flush, file, |cx| file.poll_flush(cx)).await,
            WaitMode::Loop | WaitMode::Callback => {
                let wanted = |kind: &EventKind| *kind == EventKind::Writable;
                let mut end: &File = file;
                let attempt = || self.now("flush", file, || end.flush());
                self.repeat(Call::Flush, file, wanted, attempt).await
            }
        }
    }

    pub async fn size(&self, file: &File) -> io::Result<u64> {
        match self.wait_mode {
            WaitMode::Thread => self.wait(Call::Size, file, |timeout| file.blocking(timeout).len()),
            WaitMode::Task => self.poll(Call::Size, file, |cx| file.poll_len(cx)).await,
            WaitMode::Loop | WaitMode::Callback => {
                let attempt = || self.now("size", file, || file.len());
                self.repeat(Call::Size, file, is_for_size, attempt).await
            }
        }
    }

    /// Moves the position to the end; where that is.
    pub async fn seek_to_end(&self, file: &File) -> io::Result<u64> {
        if self.wait_mode.has_events() {
            let mut end: &File = file;
            let attempt = || io::Seek::seek(&mut end, SeekFrom::End(0));
            return self.repeat(Call::Size, file, is_for_size, attempt).await;
        }
        let end = self.size(file).await?;
        file.set_position(end)?;
        Ok(end)
    }

    /// Until everything that was accepted before is durable.
    pub async fn sync(&self, file: &File) -> io::Result<u64> {
        let mark = self.now("sync", file, || file.sync())?;
        let call = Call::Sync(mark);
        match self.wait_mode {
            WaitMode::Thread => self.wait(call, file, |timeout| {
                file.blocking(timeout).wait_synced(mark)
            })?,
            WaitMode::Task => self.poll(call, file, |cx| file.poll_sync(cx, mark)).await?,
            WaitMode::Loop | WaitMode::Callback => {
                let _guard = self.tracker.begin(call, Some(file.fd()));
                loop {
                    match self.session.dispatcher.event(file.fd()).await {
                        EventKind::Synced { upto } if upto >= mark => break,
                        EventKind::Failed(failure) => return Err(failure.into()),
                        _ => {}
                    }
                }
            }
        }
        Ok(mark)
    }

    /// Closes the file; its first error.
    pub async fn close(&self, mut file: File, durable: bool) -> io::Result<()> {
        let fd = file.fd();
        match self.wait_mode {
            WaitMode::Thread => {
                let _guard = self.tracker.begin(Call::Close, Some(fd));
                file.wait_closed(None)
            }
            WaitMode::Task => {
                let _guard = self.tracker.begin(Call::Close, Some(fd));
                poll_fn(|cx| file.poll_close(cx)).await
            }
            WaitMode::Loop | WaitMode::Callback => {
                let _guard = self.tracker.begin(Call::Close, Some(fd));
                let begun = if durable {
                    file.close_sync()
                } else {
                    file.close()
                };
                // The error of a failed file comes with the event as well.
                let is_stale = |error: &io::Error| error.raw_os_error() == Some(libc::EBADF);
                if let Some(error) = begun.err().filter(is_stale) {
                    return Err(error);
                }
                let result = loop {
                    if let EventKind::Closed { result } = self.session.dispatcher.event(fd).await {
                        break result;
                    }
                };
                self.session.dispatcher.forget(fd);
                result.map_err(io::Error::from)
            }
        }
    }

    /// Drops the file without waiting for anything.
    pub fn let_go(&self, file: File) {
        if self.wait_mode.has_events() {
            self.session.dispatcher.forget(file.fd());
        }
        let _guard = self.tracker.begin(Call::Now("drop"), Some(file.fd()));
        drop(file);
    }

    /// How a positional call ended; `None` when the engine ended before.
    pub async fn completion(&self, file: &File, token: u64) -> Option<Completed> {
        let _guard = self.tracker.begin(Call::Completion(token), Some(file.fd()));
        let mut completion = std::pin::pin!(self.session.dispatcher.completion(token));
        poll_fn(|cx| match completion.as_mut().poll(cx) {
            Poll::Ready(completed) => Poll::Ready(Some(completed)),
            Poll::Pending if self.session.is_over() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Polls a future as many times as `polls`, and drops it unless it is ready.
    pub async fn poll_some<R>(&self, polls: u32, future: impl Future<Output = R>) -> Option<R> {
        let mut future = std::pin::pin!(future);
        for _ in 0..polls {
            let polled = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
            if let Poll::Ready(result) = polled {
                return Some(result);
            }
            self.yield_now().await;
        }
        None
    }

    /// Lets the other tasks of the thread go on.
    pub async fn yield_now(&self) {
        let mut again = matches!(self.wait_mode, WaitMode::Loop | WaitMode::Task);
        poll_fn(|cx| {
            if std::mem::take(&mut again) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }
}

/// The events after which a size can be asked for again.
fn is_for_size(kind: &EventKind) -> bool {
    use EventKind::{Opened, Readable, Writable};
    matches!(kind, Opened | Readable | Writable)
}

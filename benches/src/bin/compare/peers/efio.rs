//! efio itself: one engine, its event queue polled by the loop beside everything else.

use crate::peer::{CALL, Demand, Peer, Places, Reader, Writer};
use crate::wakeup::{self, Wakeup};
use efio_core::{BackendKind, Buffer, Completed, Engine, Errno, EventKind, Fd, File, OpenOptions};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::io;
use std::marker::PhantomData;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Which backend is asked for.
pub trait Choice: 'static {
    const BACKEND: BackendKind;
}

pub struct Auto;
pub struct Uring;
pub struct Pool;

impl Choice for Auto {
    const BACKEND: BackendKind = BackendKind::Auto;
}

impl Choice for Uring {
    const BACKEND: BackendKind = BackendKind::Uring;
}

impl Choice for Pool {
    const BACKEND: BackendKind = BackendKind::Pool;
}

pub struct Efio<C> {
    shared: Rc<Shared>,
    choice: PhantomData<C>,
}

struct Shared {
    engine: Engine,
    waiting: RefCell<HashMap<Fd, Waiting>>,
    /// Positional reads in flight, by token.
    reads: RefCell<HashMap<u64, (Waker, Option<Completed>)>>,
    next_token: Cell<u64>,
    /// Buffers of calls: a file has one only while it needs it.
    spare: RefCell<Vec<Vec<u8>>>,
}

/// A file's task, and what happened since it looked last.
#[derive(Default)]
struct Waiting {
    waker: Option<Waker>,
    notified: bool,
    closed: Option<Result<(), Errno>>,
}

impl Shared {
    fn dispatch(&self) {
        let mut waiting = self.waiting.borrow_mut();
        for event in self.engine.events().drain() {
            if let EventKind::Completed(completed) = event.kind {
                let mut reads = self.reads.borrow_mut();
                if let Some((waker, done)) = reads.get_mut(&completed.token) {
                    *done = Some(completed);
                    waker.wake_by_ref();
                }
                continue;
            }
            let file = waiting.entry(event.fd).or_default();
            file.notified = true;
            if let EventKind::Closed { result } = event.kind {
                file.closed = Some(result);
            }
            if let Some(waker) = file.waker.take() {
                waker.wake();
            }
        }
    }

    async fn completed(&self, token: u64) -> Completed {
        poll_fn(|cx| {
            let mut reads = self.reads.borrow_mut();
            let none = || (cx.waker().clone(), None);
            let (_, done) = reads.entry(token).or_insert_with(none);
            match done.take() {
                Some(completed) => {
                    reads.remove(&token);
                    Poll::Ready(completed)
                }
                None => Poll::Pending,
            }
        })
        .await
    }

    fn buffer(&self) -> Vec<u8> {
        let spare = self.spare.borrow_mut().pop();
        spare.unwrap_or_else(|| vec![0; CALL])
    }

    /// Waits for an event of this file.
    async fn next_event(&self, fd: Fd) {
        poll_fn(|cx| {
            let mut waiting = self.waiting.borrow_mut();
            let file = waiting.entry(fd).or_default();
            if std::mem::take(&mut file.notified) {
                return Poll::Ready(());
            }
            file.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Repeats a call that would block after each event of the file.
    async fn until_done<T>(
        &self,
        fd: Fd,
        mut call: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            match call() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.next_event(fd).await
                }
                result => return result,
            }
        }
    }

    async fn closed(&self, fd: Fd) -> io::Result<()> {
        loop {
            let closed = self.waiting.borrow().get(&fd).and_then(|file| file.closed);
            if let Some(result) = closed {
                self.waiting.borrow_mut().remove(&fd);
                return result.map_err(io::Error::from);
            }
            self.next_event(fd).await;
        }
    }
}

impl<C: Choice> Peer for Efio<C> {
    type Reader = EfioReader;
    type Writer = EfioWriter;
    type Places = EfioPlaces;

    fn run<T>(_: Demand, body: impl AsyncFnOnce(&Self) -> io::Result<T>) -> io::Result<T> {
        let bell = Wakeup::new()?;
        let engine = Engine::builder().backend(C::BACKEND).start()?;
        let shared = Rc::new(Shared {
            engine,
            waiting: RefCell::default(),
            reads: RefCell::default(),
            next_token: Cell::new(0),
            spare: RefCell::default(),
        });
        let peer = Self {
            shared: Rc::clone(&shared),
            choice: PhantomData,
        };
        let mut task = pin!(body(&peer));
        let waker = bell.waker();
        let fds = [shared.engine.events().as_raw_fd(), bell.fd()];
        loop {
            if bell.take()
                && let Poll::Ready(value) = task.as_mut().poll(&mut Context::from_waker(&waker))
            {
                return value;
            }
            if !bell.is_notified() {
                wakeup::wait(&fds);
                bell.silence();
            }
            shared.dispatch();
        }
    }

    async fn reader(&self, path: &Path) -> io::Result<EfioReader> {
        let options = OpenOptions::new().read(true).prefetch(true);
        let file = self.shared.engine.open(path, &options)?;
        Ok(EfioReader {
            shared: Rc::clone(&self.shared),
            file,
            buffer: None,
        })
    }

    async fn writer(&self, path: &Path) -> io::Result<EfioWriter> {
        let options = OpenOptions::new().write(true).create(true).truncate(true);
        let file = self.shared.engine.open(path, &options)?;
        Ok(EfioWriter {
            shared: Rc::clone(&self.shared),
            file,
        })
    }

    async fn places(&self, path: &Path) -> io::Result<EfioPlaces> {
        let file = self
            .shared
            .engine
            .open(path, &OpenOptions::new().read(true))?;
        Ok(EfioPlaces {
            shared: Rc::clone(&self.shared),
            file,
            spare: RefCell::default(),
        })
    }

    fn note(&self) -> String {
        let backend = self.shared.engine.backend();
        format!(
            "{:?}, {}; {:?}",
            backend.kind,
            backend.reason,
            self.shared.engine.stats()
        )
    }
}

pub struct EfioReader {
    shared: Rc<Shared>,
    file: File,
    buffer: Option<Vec<u8>>,
}

impl Reader for EfioReader {
    async fn next(&mut self) -> io::Result<&[u8]> {
        loop {
            let buffer = self.buffer.get_or_insert_with(|| self.shared.buffer());
            match self.file.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.spent();
                    self.shared.next_event(self.file.fd()).await;
                }
                result => {
                    let len = result?;
                    return Ok(self.buffer.as_ref().map_or(&[], |buffer| &buffer[..len]));
                }
            }
        }
    }

    fn spent(&mut self) {
        self.shared.spare.borrow_mut().extend(self.buffer.take());
    }

    async fn close(mut self) -> io::Result<()> {
        self.spent();
        let fd = self.file.fd();
        self.file.close()?;
        self.shared.closed(fd).await
    }
}

pub struct EfioWriter {
    shared: Rc<Shared>,
    file: File,
}

async fn write_all(shared: &Shared, file: &File, mut rest: &[u8]) -> io::Result<()> {
    while !rest.is_empty() {
        let wrote = shared.until_done(file.fd(), || file.write(rest)).await?;
        rest = &rest[wrote..];
    }
    Ok(())
}

impl Writer for EfioWriter {
    async fn put(&mut self, len: usize, fill: impl FnOnce(&mut [u8])) -> io::Result<()> {
        let mut buffer = self.shared.buffer();
        fill(&mut buffer[..len]);
        write_all(&self.shared, &self.file, &buffer[..len]).await?;
        self.shared.spare.borrow_mut().push(buffer);
        Ok(())
    }

    async fn opened(&mut self) -> io::Result<()> {
        while !self.file.open_status()? {
            self.shared.next_event(self.file.fd()).await;
        }
        Ok(())
    }

    async fn put_line(&mut self, line: &[u8]) -> io::Result<()> {
        let wrote = match self.file.write(line) {
            Ok(wrote) if wrote == line.len() => return Ok(()),
            Ok(wrote) => wrote,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        write_all(&self.shared, &self.file, &line[wrote..]).await
    }

    async fn sync(&mut self) -> io::Result<()> {
        let mark = self.file.sync()?;
        while self.file.progress()?.durable < mark {
            if let Some(failure) = self.file.failure()? {
                return Err(failure.errno.into());
            }
            self.shared.next_event(self.file.fd()).await;
        }
        Ok(())
    }

    async fn finish(self, durable: bool) -> io::Result<()> {
        let fd = self.file.fd();
        if durable {
            self.file.close_sync()?;
        } else {
            self.file.close()?;
        }
        self.shared.closed(fd).await
    }
}

pub struct EfioPlaces {
    shared: Rc<Shared>,
    file: File,
    spare: RefCell<Vec<Buffer>>,
}

impl Places for EfioPlaces {
    async fn read_at(&self, offset: u64, len: usize, look: impl FnOnce(&[u8])) -> io::Result<()> {
        let spare = self.spare.borrow_mut().pop();
        let buffer = spare.map_or_else(|| self.shared.engine.buffer(len), Ok)?;
        let token = self.shared.next_token.get();
        self.shared.next_token.set(token + 1);
        let refused = |refused: efio_core::SubmitError| refused.error;
        self.file.read_at(offset, buffer, token).map_err(refused)?;
        let Completed { result, buffer, .. } = self.shared.completed(token).await;
        look(&buffer[..result?]);
        self.spare.borrow_mut().push(buffer);
        Ok(())
    }
}

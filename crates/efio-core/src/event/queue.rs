//! The queue of events, for any event loop that can watch a descriptor.

use super::Event;
use crate::signalled::SignalledQueue;
use crate::sys::fork::ForkGuard;
use efio_sync::EventFd;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

/// The events of an engine, for any poll, epoll or event loop that can watch a descriptor. That of
/// [`Engine::events`](crate::Engine::events) stays empty in an engine with a
/// [callback](crate::Builder::on_event), which may [push](Self::push) its events into queues of the
/// program, one for each of its loops.
///
/// The descriptor serves both kinds of waiting:
///
/// - **Level** (poll, epoll, libev): it is readable while events are available, and until a
///   [`try_next`](Self::try_next) has returned `None`.
/// - **Edges** (EPOLLET, EPOLLONESHOT, mio, tokio's `AsyncFd`): whenever an event follows a `next`
///   that returned `None`, a new edge follows. So a loop that takes events until `None` after each
///   wake-up misses none. One that stops earlier has to come back for the rest by itself.
///
/// Do not read or write the descriptor. A wake-up may find no event, when another thread took it
/// or this one took it while it was being signalled.
///
/// Several threads may take events; each event is given out once. Readable and Writable are
/// edge-triggered per file: one event after a call said "would block". An event may turn out to
/// be stale, when somebody else used the file in between; the call then says "would block" again.
///
/// The directory `examples` has loops that run, each a page long: `loop_mio` and `loop_polling`
/// register the queue, `loop_epoll` is notified by the callback, `serve` is a whole server.
///
/// ```
/// use efio_core::{Engine, EventKind, OpenOptions};
/// use mio::{Events, Interest, Poll, Token, unix::SourceFd};
/// use std::os::fd::AsRawFd;
///
/// # fn main() -> std::io::Result<()> {
/// # let path = std::env::temp_dir().join(format!("efio-loop-{}", std::process::id()));
/// # std::fs::write(&path, b"hello")?;
/// let engine = Engine::new()?;
/// let mut poll = Poll::new()?;
/// let queue = engine.events().as_raw_fd();
/// poll.registry().register(&mut SourceFd(&queue), Token(0), Interest::READABLE)?;
///
/// let file = engine.open(&path, &OpenOptions::new().read(true))?;
/// let mut events = Events::with_capacity(16);
/// 'opened: loop {
///     poll.poll(&mut events, None)?; // with all the sockets there are
///     for event in engine.events().drain() {
///         if event.fd == file.fd() && event.kind == EventKind::Opened {
///             break 'opened;
///         }
///     }
/// }
/// # std::fs::remove_file(path)?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct EventQueue {
    queue: SignalledQueue<Event, EventFd>,
    /// A forked child must not take what is the parent's.
    fork_guard: ForkGuard,
}

impl EventQueue {
    /// Creates an empty queue for events that a callback pushes.
    ///
    /// # Errors
    ///
    /// Those of eventfd(2), and `ENOMEM`.
    ///
    /// ```
    /// use efio_core::{Engine, EventQueue, OpenOptions};
    /// use std::sync::Arc;
    ///
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-queues-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// let queues = Arc::new([EventQueue::new()?, EventQueue::new()?]); // one for each loop
    /// let of_callback = Arc::clone(&queues);
    /// let engine = Engine::builder()
    ///     .on_event(move |event| of_callback[event.user_data as usize].push(event))
    ///     .start()?;
    /// let file = engine.open(&path, &OpenOptions::new().read(true).user_data(1))?;
    /// let fd = file.fd();
    /// file.wait_closed(Duration::from_secs(10))?;
    /// # engine.shutdown(Duration::from_secs(10))?; // the callback has run
    /// let event = queues[1].try_next().expect("it was opened");
    /// assert_eq!((event.fd, event.user_data), (fd, 1));
    /// assert_eq!(queues[0].try_next(), None);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            queue: SignalledQueue::new(EventFd::new()?),
            fork_guard: ForkGuard::here()?,
        })
    }

    /// Adds an event; see [`new`](Self::new). Without memory it waits for some: no event is lost.
    /// In a forked child it does nothing.
    pub fn push(&self, event: Event) {
        if !self.fork_guard.is_child() {
            self.put(event);
        }
    }

    /// [`push`](Self::push) for the driver, which no child has.
    pub(crate) fn put(&self, event: Event) {
        self.queue.push(event);
    }

    /// Returns how many events are available.
    pub(crate) fn count(&self) -> usize {
        self.queue.count()
    }

    /// Takes the oldest event; `None` when none is available. Take events until then before waiting
    /// again: the descriptor is cleared by the call that returns `None`.
    /// In a forked child there are no events.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-try-next-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// # let mut poll = mio::Poll::new()?;
    /// # let queue = std::os::fd::AsRawFd::as_raw_fd(engine.events());
    /// # let mut source = mio::unix::SourceFd(&queue);
    /// # poll.registry().register(&mut source, mio::Token(0), mio::Interest::READABLE)?;
    /// # let mut ready = mio::Events::with_capacity(16);
    /// let file = engine.open(&path, &OpenOptions::new().read(true))?;
    /// poll.poll(&mut ready, None)?; // the queue is registered with it
    /// while let Some(event) = engine.events().try_next() {
    ///     assert_eq!(event.fd, file.fd());
    /// }
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn try_next(&self) -> Option<Event> {
        if self.fork_guard.is_child() {
            return None;
        }
        self.queue.next()
    }

    /// Takes the available events, oldest first, until [`try_next`](Self::try_next) returns `None`.
    ///
    /// ```
    /// use efio_core::EventKind;
    ///
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-drain-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// # let mut poll = mio::Poll::new()?;
    /// # let queue = std::os::fd::AsRawFd::as_raw_fd(engine.events());
    /// # let mut source = mio::unix::SourceFd(&queue);
    /// # poll.registry().register(&mut source, mio::Token(0), mio::Interest::READABLE)?;
    /// # let mut ready = mio::Events::with_capacity(16);
    /// let file = engine.open(&path, &OpenOptions::new().read(true))?;
    /// poll.poll(&mut ready, None)?; // the queue is registered with it
    /// let kinds: Vec<EventKind> = engine.events().drain().map(|event| event.kind).collect();
    /// println!("{kinds:?}"); // [Opened]
    /// assert!(engine.events().try_next().is_none());
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn drain(&self) -> impl Iterator<Item = Event> + '_ {
        std::iter::from_fn(|| self.try_next())
    }
}

impl AsFd for EventQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.signal().as_fd()
    }
}

impl AsRawFd for EventQueue {
    fn as_raw_fd(&self) -> RawFd {
        self.queue.signal().as_raw_fd()
    }
}

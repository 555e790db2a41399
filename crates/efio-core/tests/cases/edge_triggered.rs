//! Event loops that take all events after each wake-up, over every way to wait for the event
//! descriptor: edges (mio, tokio's `AsyncFd`, EPOLLET, EPOLLONESHOT, the crate polling) and levels.
//! None misses an event (F82): a wait that runs into its timeout while events are available failed.
//!
//! `EFIO_EVENTS=10000000` takes that many in all; CI takes fewer.

use crate::common::fixtures::backends;
use crate::common::{Dir, TIMEOUT};
use efio_core::{BackendKind, Buffer, Engine, Event, EventKind, EventQueue, Fd, File, OpenOptions};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Runtime;

/// Events in all, unless `EFIO_EVENTS` says otherwise.
const EVENTS: u64 = 100_000;
/// Files that are opened, read and closed at the same time.
const FILES: usize = 2;
/// Positional reads in flight.
const READS: u64 = 2;

/// A way to wait for the event descriptor.
trait Loop {
    /// Waits, takes all events, and prepares the next wait. Returns whether the wait ended by a
    /// wake-up.
    fn turn(&mut self, take: &mut dyn FnMut()) -> bool;
}

/// mio, which is edge-triggered.
struct Mio(mio::Poll, mio::Events);

impl Mio {
    fn new(queue: &EventQueue) -> Self {
        let poll = mio::Poll::new().unwrap();
        let fd = queue.as_raw_fd();
        let mut source = mio::unix::SourceFd(&fd);
        poll.registry()
            .register(&mut source, mio::Token(0), mio::Interest::READABLE)
            .unwrap();
        Self(poll, mio::Events::with_capacity(16))
    }
}

impl Loop for Mio {
    fn turn(&mut self, take: &mut dyn FnMut()) -> bool {
        self.0.poll(&mut self.1, Some(TIMEOUT)).unwrap();
        take();
        !self.1.is_empty()
    }
}

/// The event queue as `AsyncFd` needs it.
struct Queue<'a>(&'a EventQueue);

impl AsRawFd for Queue<'_> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// tokio's `AsyncFd`, used as its documentation shows.
struct Tokio<'a> {
    runtime: Runtime,
    queue: Option<AsyncFd<Queue<'a>>>,
}

impl<'a> Tokio<'a> {
    fn new(queue: &'a EventQueue) -> Self {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build().unwrap();
        let entered = runtime.enter();
        // SAFETY: the queue is borrowed, so its descriptor stays open.
        let queue = unsafe { AsyncFd::register_with_interest(Queue(queue), Interest::READABLE) };
        let queue = queue.unwrap();
        drop(entered);
        Self {
            runtime,
            queue: Some(queue),
        }
    }
}

impl Loop for Tokio<'_> {
    fn turn(&mut self, take: &mut dyn FnMut()) -> bool {
        let queue = self.queue.as_ref().unwrap();
        self.runtime.block_on(async {
            let woken = tokio::time::timeout(TIMEOUT, queue.readable()).await;
            take();
            let Ok(guard) = woken else { return false };
            guard.unwrap().clear_ready();
            true
        })
    }
}

impl Drop for Tokio<'_> {
    fn drop(&mut self) {
        let _entered = self.runtime.enter();
        self.queue = None;
    }
}

/// epoll(7) with `flags`.
struct Epoll<'a> {
    set: OwnedFd,
    queue: BorrowedFd<'a>,
    flags: i32,
}

impl<'a> Epoll<'a> {
    fn new(queue: &'a EventQueue, flags: i32) -> Self {
        // SAFETY: no pointers; the result is checked.
        let set = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        assert!(set >= 0);
        // SAFETY: it was just made, and has no other owner.
        let set = unsafe { OwnedFd::from_raw_fd(set) };
        let queue = queue.as_fd();
        let epoll = Self { set, queue, flags };
        epoll.control(libc::EPOLL_CTL_ADD);
        epoll
    }

    fn control(&self, operation: i32) {
        let mut event = libc::epoll_event {
            events: (libc::EPOLLIN | self.flags) as u32,
            u64: 0,
        };
        let (set, queue) = (self.set.as_raw_fd(), self.queue.as_raw_fd());
        // SAFETY: one event that lives through the call.
        let result = unsafe { libc::epoll_ctl(set, operation, queue, &raw mut event) };
        assert_eq!(result, 0);
    }
}

impl Loop for Epoll<'_> {
    fn turn(&mut self, take: &mut dyn FnMut()) -> bool {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        let (set, timeout) = (self.set.as_raw_fd(), TIMEOUT.as_millis() as i32);
        // SAFETY: room for one event that lives through the call.
        let count = unsafe { libc::epoll_wait(set, &raw mut event, 1, timeout) };
        take();
        if self.flags & libc::EPOLLONESHOT != 0 {
            self.control(libc::EPOLL_CTL_MOD);
        }
        count == 1
    }
}

/// poll(2).
struct Poll<'a>(BorrowedFd<'a>);

impl Loop for Poll<'_> {
    fn turn(&mut self, take: &mut dyn FnMut()) -> bool {
        let mut poll = libc::pollfd {
            fd: self.0.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one pollfd that lives through the call.
        let count = unsafe { libc::poll(&raw mut poll, 1, TIMEOUT.as_millis() as i32) };
        take();
        count == 1
    }
}

/// The crate polling, the base of async-io and smol.
struct Polling<'a> {
    poller: polling::Poller,
    events: polling::Events,
    queue: &'a EventQueue,
    mode: polling::PollMode,
}

impl<'a> Polling<'a> {
    fn new(queue: &'a EventQueue, mode: polling::PollMode) -> Self {
        let poller = polling::Poller::new().unwrap();
        // SAFETY: the drop deletes it, while the queue is borrowed.
        unsafe { poller.add_with_mode(queue, polling::Event::readable(0), mode) }.unwrap();
        Self {
            poller,
            events: polling::Events::new(),
            queue,
            mode,
        }
    }
}

impl Loop for Polling<'_> {
    fn turn(&mut self, take: &mut dyn FnMut()) -> bool {
        self.events.clear();
        let count = self.poller.wait(&mut self.events, Some(TIMEOUT)).unwrap();
        take();
        if self.mode == polling::PollMode::Oneshot {
            let interest = polling::Event::readable(0);
            self.poller
                .modify_with_mode(self.queue, interest, self.mode)
                .unwrap();
        }
        count == 1
    }
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        self.poller.delete(self.queue).unwrap();
    }
}

/// A program whose events come one at a time as a rule, so that nearly each empties the queue.
struct Program<'a> {
    engine: &'a Engine,
    path: PathBuf,
    opened: HashMap<Fd, File>,
    /// The file of the positional reads.
    at: File,
    events: u64,
}

impl<'a> Program<'a> {
    fn new(engine: &'a Engine, dir: &Dir) -> Self {
        let path = dir.join("file");
        std::fs::write(&path, [7; 4096]).unwrap();
        let at = engine.open(&path, &OpenOptions::new().read(true)).unwrap();
        let opened = HashMap::new();
        let mut program = Self {
            engine,
            path,
            opened,
            at,
            events: 0,
        };
        for token in 0..READS {
            program.read_at(engine.buffer(512).unwrap(), token);
        }
        (0..FILES).for_each(|_| program.open());
        program
    }

    fn open(&mut self) {
        let options = OpenOptions::new().read(true).prefetch(true);
        let file = self.engine.open(&self.path, &options).unwrap();
        self.opened.insert(file.fd(), file);
    }

    fn read_at(&mut self, buffer: Buffer, token: u64) {
        self.at.read_at(0, buffer, token).unwrap();
    }

    fn take(&mut self) {
        while let Some(event) = self.engine.events().try_next() {
            self.events += 1;
            self.handle(event);
        }
    }

    fn handle(&mut self, event: Event) {
        match event.kind {
            EventKind::Completed(completed) => {
                assert_eq!(completed.result, Ok(512));
                self.read_at(completed.buffer, completed.token);
            }
            EventKind::Failed(failure) => panic!("{failure:?}"),
            _ => {
                let is_over = self.opened.get(&event.fd).is_some_and(read_to_end);
                if is_over {
                    self.opened.remove(&event.fd);
                    self.open();
                }
            }
        }
    }
}

/// Reads what is there; whether that was the end.
fn read_to_end(file: &File) -> bool {
    let mut buffer = [0; 8192];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return true,
            Ok(n) => assert!(buffer[..n].iter().all(|&byte| byte == 7)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) => panic!("{error}"),
        }
    }
}

type Make = for<'a> fn(&'a EventQueue) -> Box<dyn Loop + 'a>;

const LOOPS: [(&str, Make); 10] = [
    ("mio", |queue| Box::new(Mio::new(queue))),
    ("AsyncFd", |queue| Box::new(Tokio::new(queue))),
    ("EPOLLET", |queue| {
        Box::new(Epoll::new(queue, libc::EPOLLET))
    }),
    ("EPOLLONESHOT", |queue| {
        Box::new(Epoll::new(queue, libc::EPOLLONESHOT))
    }),
    ("EPOLLET and EPOLLONESHOT", |queue| {
        Box::new(Epoll::new(queue, libc::EPOLLET | libc::EPOLLONESHOT))
    }),
    ("epoll", |queue| Box::new(Epoll::new(queue, 0))),
    ("poll", |queue| Box::new(Poll(queue.as_fd()))),
    ("polling, one shot", |queue| {
        Box::new(Polling::new(queue, polling::PollMode::Oneshot))
    }),
    ("polling, edges", |queue| {
        Box::new(Polling::new(queue, polling::PollMode::Edge))
    }),
    ("polling, level", |queue| {
        Box::new(Polling::new(queue, polling::PollMode::Level))
    }),
];

fn run(name: &str, make: Make, backend: BackendKind, events: u64) {
    let dir = Dir::new();
    let engine = Engine::builder().backend(backend).start().unwrap();
    let mut looping = make(engine.events());
    let mut program = Program::new(&engine, &dir);
    let begin = Instant::now();
    let mut turns = 0_u64;
    while program.events < events {
        let before = program.events;
        let woken = looping.turn(&mut || program.take());
        let taken = program.events - before;
        assert!(
            woken,
            "{name}, {backend:?}: no wake-up after {turns} turns and {before} events, and {taken} \
             were available"
        );
        turns += 1;
    }
    let (events, time) = (program.events, begin.elapsed());
    println!("{name}, {backend:?}: {events} events in {turns} turns, {time:.1?}");
    drop(program);
    drop(looping);
    let report = engine.shutdown(Duration::from_secs(30)).unwrap();
    assert!(report.is_clean());
}

#[test]
fn no_loop_misses_an_event() {
    let events = std::env::var("EFIO_EVENTS").map_or(EVENTS, |value| value.parse().unwrap());
    let runs = LOOPS.len() * backends().len();
    for &backend in backends() {
        for (name, make) in LOOPS {
            run(name, make, backend, events.div_ceil(runs as u64));
        }
    }
}

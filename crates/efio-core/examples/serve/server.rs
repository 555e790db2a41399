//! The loop: the one thread that does everything except wait for a disk.

use crate::blocking::{Answer, Job};
use crate::connection::{Connection, Fate};
use crate::context::Context;
use crate::metrics;
use crate::page;
use crate::signals::Signals;
use crate::timing::{Call, Stopwatch};
use efio_core::EventKind;
use mio::event::Event;
use mio::net::TcpListener;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

pub const LISTENER: Token = Token(0);
pub const FILES: Token = Token(1);
pub const POOL: Token = Token(2);
pub const SIGNALS: Token = Token(3);
/// Connections have the tokens from here on, each its own.
const FIRST_CONNECTION: usize = 16;

/// How often clocks are looked at.
const TICK: Duration = Duration::from_millis(250);
/// Connections taken in one turn.
const ACCEPTS: usize = 64;

pub struct Server {
    poll: Poll,
    listener: Option<TcpListener>,
    signals: Signals,
    pub cx: Context,
    connections: HashMap<usize, Connection>,
    /// Those that have something to do, each once.
    runnable: VecDeque<usize>,
    next_id: usize,
    max_connections: usize,
    acceptable: bool,
    ticked: Instant,
    ticks: u64,
    /// When those that are left are cut off.
    drain_until: Option<Instant>,
    drain_time: Duration,
}

impl Server {
    pub fn new(
        poll: Poll,
        mut listener: TcpListener,
        signals: Signals,
        cx: Context,
        max_connections: usize,
        drain_time: Duration,
    ) -> io::Result<Self> {
        let registry = poll.registry();
        registry.register(&mut listener, LISTENER, Interest::READABLE)?;
        let files = cx.engine.events().as_raw_fd();
        registry.register(&mut SourceFd(&files), FILES, Interest::READABLE)?;
        let signal = signals.as_raw_fd();
        registry.register(&mut SourceFd(&signal), SIGNALS, Interest::READABLE)?;
        Ok(Self {
            poll,
            listener: Some(listener),
            signals,
            cx,
            connections: HashMap::new(),
            runnable: VecDeque::new(),
            next_id: FIRST_CONNECTION,
            max_connections,
            acceptable: true,
            ticked: Instant::now(),
            ticks: 0,
            drain_until: None,
            drain_time,
        })
    }

    /// Serves until it is asked to end and every connection is finished or cut off.
    pub fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        while !self.is_over() {
            let rest = TICK.saturating_sub(self.ticked.elapsed());
            let wait = if self.runnable.is_empty() {
                rest
            } else {
                Duration::ZERO
            };
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result?,
            }
            let start = Stopwatch::start();
            self.turn(&events);
            self.cx.timings.note(Call::Turn, start);
        }
        for (_, connection) in self.connections.drain() {
            connection.end(&mut self.cx);
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.drain_until
            .is_some_and(|until| self.connections.is_empty() || Instant::now() >= until)
    }

    fn turn(&mut self, events: &Events) {
        self.cx.now = Instant::now();
        for event in events {
            match event.token() {
                LISTENER => self.acceptable = true,
                FILES | POOL => {}
                SIGNALS => self.signalled(),
                Token(id) => self.ready(id, event),
            }
        }
        // Both checks are cheap, and come after the wait that reported them.
        self.take_events();
        self.take_answers();
        self.accept();
        for _ in 0..self.runnable.len() {
            if let Some(id) = self.runnable.pop_front() {
                self.drive(id);
            }
        }
        if self.ticked.elapsed() >= TICK {
            self.tick();
        }
    }

    fn ready(&mut self, id: usize, event: &Event) {
        if let Some(connection) = self.connections.get_mut(&id) {
            // A closed end shows as the result of a read or write.
            let readable = event.is_readable() || event.is_read_closed() || event.is_error();
            let writable = event.is_writable() || event.is_write_closed() || event.is_error();
            connection.ready(readable, writable);
            self.make_runnable(id);
        }
    }

    fn make_runnable(&mut self, id: usize) {
        if !self.runnable.contains(&id) {
            self.runnable.push_back(id);
        }
    }

    /// Dispatches events of files to their connections.
    fn take_events(&mut self) {
        loop {
            let queue = self.cx.engine.events();
            let Some(event) = self.cx.timings.time(Call::Drain, || queue.try_next()) else {
                return;
            };
            if let EventKind::Closed { .. } = event.kind {
                if let Some(upload) = self.cx.given_up.remove(&event.fd) {
                    self.cx.pool.ask(0, Job::Discard(upload));
                }
            }
            // A file that its connection gave up has no entry.
            let Some(&id) = self.cx.connections_by_fd.get(&event.fd) else {
                continue;
            };
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.event(&event.kind, &mut self.cx);
                self.make_runnable(id);
            }
        }
    }

    fn take_answers(&mut self) {
        let answers: Vec<_> = self.cx.pool.answers().collect();
        for (id, answer) in answers {
            if let Answer::Surveyed(resident, total) = answer {
                self.cx.counters.pages = (resident, total);
            } else if let Some(connection) = self.connections.get_mut(&id) {
                connection.answered(answer, &mut self.cx);
                self.make_runnable(id);
            }
        }
    }

    fn accept(&mut self) {
        let Some(listener) = self.listener.as_ref().filter(|_| self.acceptable) else {
            return;
        };
        for _ in 0..ACCEPTS {
            let mut socket = match listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.acceptable = false;
                    return;
                }
                // The peer has gone already, or there are no descriptors: the next turn tries on.
                Err(_) => return,
            };
            if self.connections.len() >= self.max_connections {
                // What its buffer does not take is lost with it.
                let _ = socket.write(&page::busy());
                continue;
            }
            let id = self.next_id;
            self.next_id += 1;
            let both = Interest::READABLE | Interest::WRITABLE;
            // A response leaves at once; without that it only leaves later.
            let _ = socket.set_nodelay(true);
            if self
                .poll
                .registry()
                .register(&mut socket, Token(id), both)
                .is_ok()
            {
                self.connections
                    .insert(id, Connection::new(id, socket, self.cx.now));
                self.runnable.push_back(id);
            }
        }
    }

    fn drive(&mut self, id: usize) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        match connection.drive(&mut self.cx) {
            Fate::Wait => {}
            Fate::Again => self.runnable.push_back(id),
            Fate::Close => self.close(id),
        }
    }

    fn close(&mut self, id: usize) {
        if let Some(mut connection) = self.connections.remove(&id) {
            // The socket leaves the poll with its descriptor in any case.
            let _ = self.poll.registry().deregister(&mut connection.socket);
            connection.end(&mut self.cx);
        }
    }

    /// Checks the clocks, and sends the metrics to the clients that watch.
    fn tick(&mut self) {
        self.ticked = Instant::now();
        self.ticks += 1;
        let mut close = Vec::new();
        let mut again = Vec::new();
        for (&id, connection) in &mut self.connections {
            match connection.check_time(&mut self.cx) {
                Fate::Wait => {}
                Fate::Again => again.push(id),
                Fate::Close => close.push(id),
            }
        }
        again.into_iter().for_each(|id| self.make_runnable(id));
        close.into_iter().for_each(|id| self.close(id));
        if self.ticks % 2 == 0 {
            self.send_metrics();
        }
    }

    fn send_metrics(&mut self) {
        let watches =
            |(&id, connection): (&usize, &Connection)| connection.wants_metrics().then_some(id);
        let watchers: Vec<usize> = self.connections.iter().filter_map(watches).collect();
        if watchers.is_empty() {
            return;
        }
        if self.ticks % 4 == 0 {
            self.cx.pool.ask(0, Job::Survey);
        }
        let mut marks = (0, 0, 0);
        for connection in self.connections.values() {
            let (accepted, written, durable) = connection.marks(&mut self.cx);
            marks = (marks.0 + accepted, marks.1 + written, marks.2 + durable);
        }
        let event = metrics::event(&self.cx, self.connections.len(), marks);
        for id in watchers {
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.show(event.as_bytes());
                self.make_runnable(id);
            }
        }
    }

    /// The first signal ends the service gracefully, the second at once.
    fn signalled(&mut self) {
        let mut count = self.signals.take();
        if count > 0 && self.drain_until.is_none() {
            count -= 1;
            let busy = self
                .connections
                .values()
                .filter(|connection| !connection.is_idle());
            println!("serve: ending, {} requests to finish", busy.count());
            self.listener = None;
            self.cx.draining = true;
            self.drain_until = Some(Instant::now() + self.drain_time);
            let idle =
                |(&id, connection): (&usize, &Connection)| connection.is_idle().then_some(id);
            let idle: Vec<usize> = self.connections.iter().filter_map(idle).collect();
            idle.into_iter().for_each(|id| self.close(id));
        }
        if count > 0 {
            self.drain_until = Some(Instant::now());
        }
    }
}

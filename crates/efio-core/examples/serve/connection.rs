//! One connection: requests in order, one at a time, each answered before the next is looked at.
//!
//! ```text
//!  Head ─► Blocking ─► Upload ─► Flush ─► Head, or Linger
//!     │       └───► Download ──┘
//!     └────────► (answered at once)
//! ```

mod answers;

use crate::context::{Context, LEAST_SPEED};
use crate::download::Download;
use crate::flow::Flow;
use crate::input::Input;
use crate::request::{self, Request};
use crate::response::Status;
use crate::upload::{Stage, Upload};
use efio_core::EventKind;
use mio::net::TcpStream;
use std::io::{self, ErrorKind, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

/// Bytes that a connection may move per turn.
const TURN: usize = 256 << 10;
/// How long, and for how many bytes, a refused client may go on sending.
const LINGER: (Duration, u64) = (Duration::from_secs(5), 64 << 20);

/// Whether a connection goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Wait,
    /// It has more to do in the next turn.
    Again,
    Close,
}

enum State {
    /// Waits for a head, or for the rest of it.
    Head,
    /// Waits for a blocking pool.
    Blocking(Box<Request>),
    Upload(Box<Upload>),
    Download(Box<Download>),
    /// The response is complete in `output`.
    Flush,
    /// Gets the live metrics.
    Events,
    /// Refused: its further bytes are discarded until it has read the response.
    Linger(u64),
}

pub struct Connection {
    id: usize,
    pub socket: TcpStream,
    input: Input,
    output: Vec<u8>,
    sent: usize,
    state: State,
    keep_alive: bool,
    with_body: bool,
    readable: bool,
    writable: bool,
    waits_for_disk: bool,
    /// Bytes of the client, both ways.
    moved: u64,
    /// Since when, and from which count on, its speed is measured.
    measured: (Instant, u64),
}

impl Connection {
    pub fn new(id: usize, socket: TcpStream, now: Instant) -> Self {
        Self {
            id,
            socket,
            input: Input::new(),
            output: Vec::new(),
            sent: 0,
            state: State::Head,
            keep_alive: true,
            with_body: true,
            readable: true,
            writable: true,
            waits_for_disk: false,
            moved: 0,
            measured: (now, 0),
        }
    }

    /// The socket is ready.
    pub fn ready(&mut self, readable: bool, writable: bool) {
        self.readable |= readable;
        self.writable |= writable;
    }

    pub fn wants_metrics(&self) -> bool {
        matches!(self.state, State::Events)
    }

    /// Nothing was begun that should be finished.
    pub fn is_idle(&self) -> bool {
        match self.state {
            State::Head => self.input.is_empty(),
            State::Events | State::Linger(_) => true,
            _ => false,
        }
    }

    /// Sends an event to a client that watches; a slow one misses some.
    pub fn show(&mut self, event: &[u8]) {
        if self.output.is_empty() {
            self.output.extend_from_slice(event);
        }
    }

    pub fn marks(&self, cx: &mut Context) -> (u64, u64, u64) {
        match &self.state {
            State::Upload(upload) => upload.marks(cx),
            _ => (0, 0, 0),
        }
    }

    /// Runs until it has to wait or other connections have their turn.
    pub fn drive(&mut self, cx: &mut Context) -> Fate {
        let mut left = TURN;
        loop {
            let flow = match self.flush() {
                Ok(true) => self.step(cx),
                Ok(false) => Flow::WaitWritable,
                Err(_) => Flow::Close,
            };
            self.waits_for_disk = flow == Flow::WaitDisk;
            match flow {
                Flow::Moved(n) => {
                    self.moved += n as u64;
                    match left.checked_sub(n) {
                        Some(rest) => left = rest,
                        None => return Fate::Again,
                    }
                }
                Flow::WaitReadable => {
                    self.readable = false;
                    return Fate::Wait;
                }
                Flow::WaitWritable => {
                    self.writable = false;
                    return Fate::Wait;
                }
                Flow::WaitDisk => return Fate::Wait,
                Flow::Done => {}
                Flow::Close => return Fate::Close,
            }
        }
    }

    /// Writes the output; whether all of it is out.
    fn flush(&mut self) -> io::Result<bool> {
        while self.sent < self.output.len() {
            if !self.writable {
                return Ok(false);
            }
            match self.socket.write(&self.output[self.sent..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.sent += n;
                    self.moved += n as u64;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.output.clear();
        self.sent = 0;
        Ok(true)
    }

    fn step(&mut self, cx: &mut Context) -> Flow {
        match &mut self.state {
            State::Head => self.head(cx),
            State::Blocking(_) => Flow::WaitDisk,
            State::Upload(upload) => {
                if !self.readable && self.input.is_empty() && !upload.has_body() {
                    return Flow::WaitReadable;
                }
                match upload.step(&mut self.socket, &mut self.input, cx) {
                    Stage::Goes(flow) => flow,
                    Stage::Failed(status) => self.refuse(status, cx),
                }
            }
            State::Download(download) => match download.step(&mut self.socket, cx) {
                Flow::Done => self.turn_to(State::Flush, cx),
                flow => flow,
            },
            State::Flush => {
                if self.keep_alive && !cx.draining {
                    return self.turn_to(State::Head, cx);
                }
                // The client sees the end of the response, whatever it still sends.
                let _ = self.socket.shutdown(Shutdown::Write);
                self.turn_to(State::Linger(0), cx)
            }
            State::Events | State::Linger(_) => self.discard_input(),
        }
    }

    /// Changes the state; a download or upload that is left is over.
    fn turn_to(&mut self, state: State, cx: &mut Context) -> Flow {
        self.measured = (cx.now, self.moved);
        match std::mem::replace(&mut self.state, state) {
            State::Download(download) => download.close(cx),
            State::Upload(mut upload) => upload.abandon(cx),
            _ => {}
        }
        Flow::Done
    }

    /// Reads until the client ends, and discards it.
    fn discard_input(&mut self) -> Flow {
        if let Some(reader) = self.input.reader() {
            reader.consume(usize::MAX);
        } else {
            // A chunked body that was given up took the reader along.
            self.input = Input::new();
        }
        if !self.readable {
            return Flow::WaitReadable;
        }
        match self.input.fill(&mut self.socket) {
            Ok(0) => Flow::Close,
            Ok(n) => {
                if let State::Linger(thrown) = &mut self.state {
                    *thrown += n as u64;
                    if *thrown > LINGER.1 {
                        return Flow::Close;
                    }
                }
                Flow::Moved(n)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Flow::WaitReadable,
            Err(_) => Flow::Close,
        }
    }

    /// Looks for a complete head in the input.
    fn head(&mut self, cx: &mut Context) -> Flow {
        let Some(reader) = self.input.reader() else {
            return Flow::Close;
        };
        let was_empty = reader.is_empty();
        let mut bytes = vec![0; reader.len().min(cx.limits.head + 1)];
        reader.peek(0, &mut bytes);
        // Old clients send empty lines before a request.
        let blank = bytes
            .iter()
            .take_while(|byte| b"\r\n".contains(byte))
            .count();
        match request::parse(&bytes[blank..]) {
            Ok(Some((request, len))) if blank + len <= cx.limits.head => {
                reader.consume(blank + len);
                self.measured = (cx.now, self.moved);
                return self.begin(request, cx);
            }
            Ok(None) if bytes.len() <= cx.limits.head => {}
            Ok(_) => return self.refuse(Status::HeadTooLarge, cx),
            Err(status) => return self.refuse(status, cx),
        }
        if !self.readable {
            return Flow::WaitReadable;
        }
        match self.input.fill(&mut self.socket) {
            Ok(0) => Flow::Close,
            Ok(n) => {
                if was_empty {
                    self.measured = (cx.now, self.moved);
                }
                Flow::Moved(n)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Flow::WaitReadable,
            Err(_) => Flow::Close,
        }
    }

    /// Handles an event of this connection's file.
    pub fn event(&mut self, kind: &EventKind, cx: &mut Context) {
        let State::Upload(upload) = &mut self.state else {
            return;
        };
        if let Some(status) = upload.event(kind, cx, self.id) {
            self.keep_alive &= upload.has_body();
            self.answer(status, cx);
        }
    }

    /// Checks the clock; returns what becomes of a client that is too slow.
    pub fn check_time(&mut self, cx: &mut Context) -> Fate {
        let (since, from) = self.measured;
        let limits = cx.limits;
        let stall_bytes = limits.stall_time.as_secs() * LEAST_SPEED;
        let timeout = match &self.state {
            State::Head if self.input.is_empty() => limits.idle_time,
            State::Head => limits.head_time,
            State::Linger(_) => LINGER.0,
            State::Events if self.output.is_empty() => return self.start_clock(cx),
            _ if self.waits_for_disk => return self.start_clock(cx),
            _ if self.moved - from >= stall_bytes.max(1) => return self.start_clock(cx),
            _ => limits.stall_time,
        };
        if cx.now.duration_since(since) < timeout {
            return Fate::Wait;
        }
        let late = match &self.state {
            State::Head => !self.input.is_empty(),
            State::Upload(_) => true,
            _ => false,
        };
        if !late {
            return Fate::Close;
        }
        self.refuse(Status::RequestTimeout, cx);
        Fate::Again
    }

    fn start_clock(&mut self, cx: &Context) -> Fate {
        self.measured = (cx.now, self.moved);
        Fate::Wait
    }

    /// Ends the connection, and cancels what it had begun.
    pub fn end(mut self, cx: &mut Context) {
        self.turn_to(State::Flush, cx);
    }
}

//! An upload: into a file under a hidden name, made durable, then renamed.
//!
//! ```text
//!  body ─► file in the directory of uploads ─ sync ─► Synced ─ close ─► rename (a blocking pool) ─► 201, 204
//!    with a length: recv(2) into the page that is written; what came with the head is copied
//!    in chunks: through the decoder, one copy
//! ```

use crate::blocking::Job;
use crate::context::Context;
use crate::flow::Flow;
use crate::input::{Frames, Input};
use crate::request::Body;
use crate::response::Status;
use crate::timing::{Call, Stopwatch};
use efio_core::transfer::{ReceiveFile, Step};
use efio_core::{EventKind, File};
use mio::net::TcpStream;
use std::ffi::CString;
use std::io::{self, BufRead, ErrorKind};
use std::path::PathBuf;

/// An upload in progress.
pub struct Upload {
    /// `None` once it is durable and closed.
    file: Option<File>,
    name: CString,
    path: PathBuf,
    body: Incoming,
    phase: Phase,
    accepted: u64,
}

enum Incoming {
    /// That many bytes are still to come, first from the input, then straight from the socket.
    Length {
        left: u64,
        receive: Option<ReceiveFile>,
    },
    /// `None` when it ended and the input was given back.
    Chunked(Option<Box<Frames>>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Body,
    /// Until everything below the mark is durable.
    Syncing(u64),
    /// The blocking pool has it.
    Publishing,
}

/// What became of an upload.
pub enum Stage {
    Goes(Flow),
    Failed(Status),
}

impl Upload {
    pub fn begin(
        path: PathBuf,
        body: Body,
        input: &mut Input,
        cx: &mut Context,
        id: usize,
    ) -> io::Result<Self> {
        let name = cx.next_upload();
        let (engine, options) = (&cx.engine, &cx.upload_options);
        let file = cx
            .timings
            .time(Call::Open, || engine.open(&name, options))?;
        cx.connections_by_fd.insert(file.fd(), id);
        cx.counters.uploads += 1;
        let body = match body {
            Body::Length(left) => Incoming::Length {
                left,
                receive: None,
            },
            Body::Chunked => Incoming::Chunked(input.lend(cx.limits.head).map(Box::new)),
        };
        Ok(Self {
            file: Some(file),
            name: CString::new(name)?,
            path,
            body,
            phase: Phase::Body,
            accepted: 0,
        })
    }

    /// Whether the whole body was taken from the client.
    pub fn has_body(&self) -> bool {
        self.phase != Phase::Body
    }

    pub fn step(&mut self, socket: &mut TcpStream, input: &mut Input, cx: &mut Context) -> Stage {
        if self.phase != Phase::Body {
            return Stage::Goes(Flow::WaitDisk);
        }
        let result = match self.body {
            Incoming::Length { left, .. } if left > 0 && !input.is_empty() => {
                self.take_early(input, cx, left)
            }
            Incoming::Length { .. } => self.receive(socket, cx),
            Incoming::Chunked(_) => self.decode(socket, input, cx),
        };
        match result {
            Ok(Flow::Done) => self.sync(cx),
            Ok(flow) => Stage::Goes(flow),
            Err(error) => self.failed(&error),
        }
    }

    /// Bytes that came with the head.
    fn take_early(&mut self, input: &mut Input, cx: &mut Context, left: u64) -> io::Result<Flow> {
        let Some(reader) = input.reader() else {
            return Ok(Flow::Close);
        };
        let front = reader.chunk();
        let most = usize::try_from(left).map_or(front.len(), |left| left.min(front.len()));
        let n = match self.write(&front[..most], cx) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Flow::WaitDisk),
            result => result?,
        };
        reader.consume(n);
        if let Incoming::Length { left, .. } = &mut self.body {
            *left -= n as u64;
        }
        Ok(Flow::Moved(n))
    }

    fn receive(&mut self, socket: &TcpStream, cx: &mut Context) -> io::Result<Flow> {
        let (Incoming::Length { left, receive }, Some(file)) = (&mut self.body, &self.file) else {
            return Ok(Flow::Close);
        };
        let receive = receive.get_or_insert_with(|| ReceiveFile::new(Some(*left)));
        let (before, start) = (receive.in_socket(), Stopwatch::start());
        let step = receive.step(file, socket);
        let in_socket = receive.in_socket() - before;
        cx.timings
            .note_step(Call::Receive, Call::SocketRead, start, in_socket);
        Ok(match step? {
            Step::Moved(n) => {
                self.accepted += n as u64;
                cx.counters.accepted += n as u64;
                Flow::Moved(n)
            }
            Step::WaitSource => Flow::WaitReadable,
            Step::WaitTarget => Flow::WaitDisk,
            Step::Done => Flow::Done,
        })
    }

    fn decode(
        &mut self,
        socket: &mut TcpStream,
        input: &mut Input,
        cx: &mut Context,
    ) -> io::Result<Flow> {
        let Incoming::Chunked(slot) = &mut self.body else {
            return Ok(Flow::Close);
        };
        let Some(mut frames) = slot.take() else {
            return Ok(Flow::Done);
        };
        let result = match frames.fill_buf() {
            Ok([]) => {
                input.give_back(*frames);
                return Ok(Flow::Done);
            }
            Ok(bytes) if self.accepted + bytes.len() as u64 > cx.limits.body => {
                Err(io::Error::from_raw_os_error(libc::EFBIG))
            }
            Ok(bytes) => match self.write(bytes, cx) {
                Ok(n) => {
                    frames.consume(n);
                    Ok(Flow::Moved(n))
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Flow::WaitDisk),
                Err(error) => Err(error),
            },
            Err(error) if error.kind() == ErrorKind::WouldBlock => match input.fill(socket) {
                Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => Ok(Flow::Moved(n)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Flow::WaitReadable),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        if let Incoming::Chunked(slot) = &mut self.body {
            *slot = Some(frames);
        }
        result
    }

    fn write(&mut self, bytes: &[u8], cx: &mut Context) -> io::Result<usize> {
        let Some(file) = &self.file else {
            return Err(ErrorKind::BrokenPipe.into());
        };
        let n = cx.timings.time(Call::Write, || file.write(bytes))?;
        self.accepted += n as u64;
        cx.counters.accepted += n as u64;
        Ok(n)
    }

    fn sync(&mut self, cx: &mut Context) -> Stage {
        let Some(file) = &self.file else {
            return Stage::Goes(Flow::Close);
        };
        match cx.timings.time(Call::Sync, || file.sync()) {
            Ok(mark) => {
                self.phase = Phase::Syncing(mark);
                Stage::Goes(Flow::WaitDisk)
            }
            Err(error) => self.failed(&error),
        }
    }

    /// An error of the file, of the socket, or of what the client sent.
    fn failed(&self, error: &io::Error) -> Stage {
        let failure = self
            .file
            .as_ref()
            .and_then(|file| file.failure().ok().flatten());
        if let Some(failure) = failure {
            return Stage::Failed(Status::of_errno(Some(failure.errno.0)));
        }
        match error.kind() {
            ErrorKind::InvalidData => Stage::Failed(Status::BadRequest),
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                Stage::Goes(Flow::Close)
            }
            _ => Stage::Failed(Status::of_errno(error.raw_os_error())),
        }
    }

    /// Handles an event of the file.
    pub fn event(&mut self, kind: &EventKind, cx: &mut Context, id: usize) -> Option<Status> {
        match (kind, self.phase) {
            (EventKind::Failed(failure), _) => Some(Status::of_errno(Some(failure.errno.0))),
            (EventKind::Synced { upto }, Phase::Syncing(mark)) if *upto >= mark => {
                self.close(cx);
                cx.counters.durable += self.accepted;
                self.phase = Phase::Publishing;
                let (upload, path) = (self.name.clone(), self.path.clone());
                cx.pool.ask(id, Job::Publish { upload, path });
                None
            }
            _ => None,
        }
    }

    /// The marks of what is not durable yet: accepted, written, durable.
    pub fn marks(&self, cx: &mut Context) -> (u64, u64, u64) {
        let Some(file) = &self.file else {
            return (0, 0, 0);
        };
        let marks = cx.timings.time(Call::Progress, || file.progress());
        marks.map_or((0, 0, 0), |marks| {
            (marks.accepted, marks.written, marks.durable)
        })
    }

    fn close(&mut self, cx: &mut Context) {
        if let Some(file) = self.file.take() {
            cx.connections_by_fd.remove(&file.fd());
            // Everything is durable, or given up: no error is left to report.
            let _ = cx.timings.time(Call::Close, || file.close());
        }
    }

    /// Gives it up, unless the blocking pool has it already. The file is removed once it is closed:
    /// it may not exist before. A chunked body takes the input along: the connection ends.
    pub fn abandon(&mut self, cx: &mut Context) {
        if let Some(file) = &self.file {
            cx.given_up.insert(file.fd(), self.name.clone());
            cx.counters.given_up += 1;
        }
        self.close(cx);
    }
}

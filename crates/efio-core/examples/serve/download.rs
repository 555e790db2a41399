//! A download: the pages that were read, written to the socket.

use crate::conditions::{self, Part};
use crate::context::Context;
use crate::flow::Flow;
use crate::request::{Method, Request};
use crate::response::{Head, Status};
use crate::root::Version;
use crate::timing::{Call, Stopwatch};
use efio_core::transfer::{SendFile, Step};
use efio_core::{File, OpenOptions};
use mio::net::TcpStream;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// A download in progress.
pub struct Download {
    file: File,
    send: SendFile,
    /// The file as the blocking pool opened it: efio opens the very same one through it.
    kernel: Option<OwnedFd>,
}

/// Puts the head of the response into `output`; the download if there is a body to send.
pub fn begin(
    request: &Request,
    kernel: OwnedFd,
    version: &Version,
    keep_alive: bool,
    output: &mut Vec<u8>,
    (cx, id): (&mut Context, usize),
) -> io::Result<Option<Download>> {
    let part = conditions::choose(request, version);
    let with_body = request.method == Method::Get
        && part.len > 0
        && matches!(part.status, Status::Ok | Status::PartialContent);
    let download = if with_body {
        Some(Download::open(kernel, part, (cx, id))?)
    } else {
        None
    };
    head(request, version, part, keep_alive).end(output);
    Ok(download)
}

fn head(request: &Request, version: &Version, part: Part, keep_alive: bool) -> Head {
    let Part { status, from, len } = part;
    let head = Head::new(status, keep_alive)
        .field("ETag", &version.etag)
        .field("Last-Modified", version.last_modified())
        .field("Accept-Ranges", "bytes");
    let head = match status {
        Status::PartialContent => {
            let last = from + len - 1;
            head.field(
                "Content-Range",
                format!("bytes {from}-{last}/{}", version.size),
            )
        }
        Status::RangeNotSatisfiable => {
            head.field("Content-Range", format!("bytes */{}", version.size))
        }
        _ => head,
    };
    if status == Status::NotModified {
        return head;
    }
    // An uploaded file must not act as a page of this server.
    head.field("Content-Type", content_type(request))
        .field("Content-Security-Policy", "sandbox")
        .field("X-Content-Type-Options", "nosniff")
        .field("Content-Length", len)
}

fn content_type(request: &Request) -> &'static str {
    let extension = request
        .path
        .extension()
        .and_then(|extension| extension.to_str());
    match extension.unwrap_or_default().to_ascii_lowercase().as_str() {
        "txt" | "log" | "md" | "csv" => "text/plain; charset=utf-8",
        "html" | "htm" => "text/html; charset=utf-8",
        "json" => "application/json",
        "pdf" => "application/pdf",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "svg" => "image/svg+xml",
        "webp" => "image/webp",
        "mp4" => "video/mp4",
        "mp3" => "audio/mpeg",
        _ => "application/octet-stream",
    }
}

impl Download {
    /// Opens what the blocking pool has open, by its descriptor: a name may lead to another file by
    /// now, and its bytes would not be those of the length and the tag in the head.
    fn open(kernel: OwnedFd, part: Part, (cx, id): (&mut Context, usize)) -> io::Result<Self> {
        let path = format!("/proc/self/fd/{}", kernel.as_raw_fd());
        let options = OpenOptions::new().read(true).prefetch(part.from == 0);
        let engine = &cx.engine;
        let file = cx
            .timings
            .time(Call::Open, || engine.open(path, &options))?;
        if part.from > 0 {
            file.set_position(part.from)?;
        }
        cx.connections_by_fd.insert(file.fd(), id);
        cx.counters.downloads += 1;
        Ok(Self {
            file,
            send: SendFile::new(Some(part.len)),
            kernel: Some(kernel),
        })
    }

    pub fn step(&mut self, socket: &mut TcpStream, cx: &mut Context) -> Flow {
        let (before, start) = (self.send.in_target(), Stopwatch::start());
        let step = self.send.step(&self.file, socket);
        let in_socket = self.send.in_target() - before;
        cx.timings
            .note_step(Call::Send, Call::SocketWrite, start, in_socket);
        match step {
            Ok(Step::Moved(n)) => {
                // Bytes have come: it is open.
                self.kernel = None;
                cx.counters.sent += n as u64;
                Flow::Moved(n)
            }
            Ok(Step::WaitSource) => Flow::WaitDisk,
            Ok(Step::WaitTarget) => Flow::WaitWritable,
            Ok(Step::Done) => Flow::Done,
            // The head is out: all that is left is to end the connection before its length.
            Err(_) => Flow::Close,
        }
    }

    pub fn close(self, cx: &mut Context) {
        cx.connections_by_fd.remove(&self.file.fd());
        let file = self.file;
        // It was only read.
        let _ = cx.timings.time(Call::Close, || file.close());
    }
}

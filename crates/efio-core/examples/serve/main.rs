//! An HTTP/1.1 file server on one event-loop thread that never waits for a disk.
//!
//! ```text
//! cargo run --release --example serve            # http://127.0.0.1:8080/, files in ./efio-data
//! curl -T big.bin http://127.0.0.1:8080/         # PUT; GET with ranges, HEAD, DELETE, ?list
//!
//!  sockets ─ mio ─►  loop  ─ efio ─► files          the loop: server.rs, connection.rs
//!                     │ ▲
//!                     ▼ │ jobs and answers
//!                    pool: look up, rename, unlink, list
//! ```
//!
//! An upload goes into a file of its own, is made durable, and then gets its name: a partial one is
//! never seen. At the end, on SIGINT or SIGTERM, the server finishes what it has begun and prints
//! how long each kind of call took.

mod blocking;
mod conditions;
mod connection;
mod context;
mod counters;
mod download;
mod flow;
mod histogram;
mod input;
mod json;
mod metrics;
mod page;
#[path = "../copy/page_cache.rs"]
#[allow(dead_code, reason = "dropping pages is the copy's")]
mod page_cache;
mod request;
mod response;
mod root;
mod server;
mod signals;
mod timing;
mod upload;

use blocking::{BlockingPool, Job};
use clap::{Parser, ValueEnum};
use context::{Context, Limits};
use counters::Counters;
use efio_core::{BackendKind, Engine, IoMode, OpenOptions};
use mio::net::TcpListener;
use mio::{Poll, Waker};
use root::Root;
use server::Server;
use signals::Signals;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use timing::Timings;

/// Serves the files beneath a directory over HTTP.
#[derive(Parser)]
struct Options {
    /// The directory; made if it is not there
    #[arg(long, default_value = "efio-data")]
    root: PathBuf,
    /// Where to listen; port 0 is any that is free
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Bytes of a request's body
    #[arg(long, default_value_t = 1 << 40)]
    max_body: u64,
    /// Bytes of a request's head
    #[arg(long, default_value_t = 16 << 10)]
    max_head: usize,
    /// Connections at the same time
    #[arg(long, default_value_t = 1024)]
    max_connections: usize,
    /// Seconds that a head may take
    #[arg(long, default_value_t = 10)]
    head_time: u64,
    /// Seconds between two requests of a connection
    #[arg(long, default_value_t = 60)]
    idle_time: u64,
    /// Seconds for which a client may be slower than 1 KiB/s
    #[arg(long, default_value_t = 20)]
    stall_time: u64,
    /// Seconds for requests in progress when the server is asked to end
    #[arg(long, default_value_t = 10)]
    drain_time: u64,
    /// MiB of page memory for all files together
    #[arg(long, default_value_t = 64)]
    memory: usize,
    /// The backend that makes the system calls
    #[arg(long, value_enum, default_value_t = Backend::Auto)]
    backend: Backend,
    /// The io mode
    #[arg(long, value_enum, default_value_t = Mode::Auto)]
    io_mode: Mode,
}

#[derive(Clone, Copy, ValueEnum)]
enum Backend {
    Uring,
    Pool,
    Auto,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    Direct,
    Uncached,
    Cached,
    Auto,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match serve(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("serve: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until a signal; whether everything that was accepted is on disk.
fn serve(options: &Options) -> io::Result<bool> {
    // Before any thread is started: they are not to get the signals.
    let signals = Signals::new()?;
    let (root, leftovers) =
        Root::open(&options.root).map_err(|error| about(&options.root, error))?;
    if leftovers > 0 {
        println!("serve: removed {leftovers} half-sent uploads of a crash");
    }
    let uploads = root.uploads()?;
    let listen = |error| about(options.listen, error);
    let listener = TcpListener::bind(options.listen).map_err(listen)?;
    let address = listener.local_addr()?;
    let engine = engine(options)?;
    let poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), server::POOL)?;
    let info = engine.backend();
    println!(
        "serve: http://{address}/ serves {}, {:?} ({})",
        options.root.display(),
        info.kind,
        info.reason
    );
    let context = Context {
        pool: BlockingPool::start(root, &options.root, waker)?,
        engine,
        timings: Timings::new(),
        counters: Counters::new(),
        limits: limits(options),
        connections_by_fd: HashMap::new(),
        given_up: HashMap::new(),
        upload_options: OpenOptions::new()
            .write(true)
            .create_new(true)
            .beneath(uploads),
        draining: false,
        now: Instant::now(),
        uploads: 0,
    };
    let drain_time = Duration::from_secs(options.drain_time);
    let most = options.max_connections;
    let mut server = Server::new(poll, listener, signals, context, most, drain_time)?;
    server.run()?;
    end(server.cx, drain_time)
}

fn about(what: impl std::fmt::Debug, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what:?}: {error}"))
}

fn engine(options: &Options) -> io::Result<Engine> {
    let backend = match options.backend {
        Backend::Uring => BackendKind::Uring,
        Backend::Pool => BackendKind::Pool,
        Backend::Auto => BackendKind::Auto,
    };
    let io_mode = match options.io_mode {
        Mode::Direct => IoMode::Direct,
        Mode::Uncached => IoMode::Uncached,
        Mode::Cached => IoMode::Cached,
        Mode::Auto => IoMode::Auto,
    };
    Engine::builder()
        .backend(backend)
        .io_mode(io_mode)
        .memory_budget(options.memory << 20)
        .start()
}

fn limits(options: &Options) -> Limits {
    Limits {
        // What a connection may have in its input.
        head: options.max_head.clamp(1 << 10, 64 << 10),
        body: options.max_body,
        head_time: Duration::from_secs(options.head_time),
        idle_time: Duration::from_secs(options.idle_time),
        stall_time: Duration::from_secs(options.stall_time.max(1)),
    }
}

/// Says what was left and how long everything took.
fn end(context: Context, timeout: Duration) -> io::Result<bool> {
    let Context {
        engine,
        pool,
        timings,
        counters,
        given_up,
        ..
    } = context;
    let stats = engine.stats();
    let report = engine.shutdown(timeout)?;
    // Now their files are closed.
    for upload in given_up.into_values() {
        pool.ask(0, Job::Discard(upload));
    }
    drop(pool);
    println!(
        "serve: {} requests, {} uploads finished and {} given up, {} downloads; \
         {} bytes received, {} sent",
        counters.requests,
        counters.published,
        counters.given_up,
        counters.downloads,
        counters.accepted,
        counters.sent
    );
    println!(
        "direct: {} read, {} written; buffered: {} read, {} written; {} fallbacks",
        stats.read.direct,
        stats.written.direct,
        stats.read.buffered(),
        stats.written.buffered(),
        stats.fallbacks
    );
    println!("{timings}");
    if report.is_clean() {
        println!("serve: nothing was left");
    } else {
        println!("serve: not written in time: {report:?}");
    }
    Ok(report.is_clean())
}

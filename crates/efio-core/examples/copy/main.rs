//! Copies a file through one engine, on one thread that never waits for a disk.
//!
//! ```text
//! cargo run --release --example copy -- SRC DST [--io-mode direct] [--backend pool]
//! ```
//!
//! The thread waits in one place, poll(2) on the engine's eventfd, and goes on when a read or a
//! write that returned "would block" can be repeated. At the end it prints what was copied, how long
//! the calls took, and what was left in the page cache.

mod holes;
mod metrics;
mod page_cache;

use clap::{Parser, ValueEnum};
use efio_core::{BackendKind, Engine, EventKind, Fd, File, IoMode, OpenOptions};
use holes::{Holes, Next};
use indicatif::{ProgressBar, ProgressStyle};
use metrics::Metrics;
use std::fmt::Display;
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Copies SRC to DST without blocking and without filling the page cache.
#[derive(Parser)]
struct Options {
    /// The file to read
    src: PathBuf,
    /// The file to write; what it held is lost
    dst: PathBuf,
    /// The backend that makes the system calls
    #[arg(long, value_enum, default_value_t = Backend::Auto)]
    backend: Backend,
    /// The io mode
    #[arg(long, value_enum, default_value_t = Mode::Auto)]
    io_mode: Mode,
    /// Bytes per call
    #[arg(long, default_value_t = 64 << 10, value_parser = clap::value_parser!(u64).range(1..=64 << 20))]
    block: u64,
    /// MiB of page memory, 4 or more
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(4..=1 << 20))]
    memory: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Backend {
    Uring,
    Pool,
    Auto,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Mode {
    Direct,
    Uncached,
    Cached,
    Auto,
}

impl From<Mode> for IoMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Direct => Self::Direct,
            Mode::Uncached => Self::Uncached,
            Mode::Cached => Self::Cached,
            Mode::Auto => Self::Auto,
        }
    }
}

impl From<Backend> for BackendKind {
    fn from(backend: Backend) -> Self {
        match backend {
            Backend::Uring => Self::Uring,
            Backend::Pool => Self::Pool,
            Backend::Auto => Self::Auto,
        }
    }
}

/// Why the copy failed: the message and the exit code.
struct Stop(String, u8);

/// An error of a file, named.
fn about(path: &Path) -> impl Fn(io::Error) -> Stop + '_ {
    move |error| {
        let hint = match error.raw_os_error() {
            Some(libc::ESPIPE) => ": not a regular file",
            _ => "",
        };
        Stop(format!("{}: {error}{hint}", path.display()), 1)
    }
}

/// An error of the engine.
fn engine_error(error: impl Display) -> Stop {
    Stop(format!("engine: {error}"), 1)
}

fn main() -> ExitCode {
    match copy(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop(message, code)) => {
            eprintln!("copy: {message}");
            ExitCode::from(code)
        }
    }
}

fn copy(options: &Options) -> Result<(), Stop> {
    let engine = Engine::builder()
        .backend(options.backend.into())
        .io_mode(options.io_mode.into())
        .memory_budget((options.memory as usize) << 20)
        .start()
        .map_err(|error| match error.kind() {
            ErrorKind::Unsupported => Stop(error.to_string(), 2),
            _ => engine_error(error),
        })?;

    // No prefetch: a read in flight may hold a page that is dropped below.
    let src = open(&engine, &options.src, &OpenOptions::new().read(true))?;
    if same_file(&options.src, &options.dst) {
        return Err(Stop(
            format!("{}: is the source as well", options.dst.display()),
            1,
        ));
    }
    if options.io_mode != Mode::Cached {
        // Pages left at the end shall be of this copy, not of the program that wrote SRC.
        page_cache::drop_pages(&options.src).map_err(about(&options.src))?;
    }
    let facts = std::fs::metadata(&options.src).map_err(about(&options.src))?;
    // As cp does it: a new file gets the permissions of SRC, under the umask.
    let to = OpenOptions::new().write(true).create(true).truncate(true);
    let dst = open(&engine, &options.dst, &to.mode(facts.mode() & 0o777))?;

    let holes = Holes::of(&options.src, &facts).map_err(about(&options.src))?;
    let bar = progress_bar(facts.len());
    let mut copying = Copying {
        engine: &engine,
        src,
        dst,
        holes,
        bar,
        metrics: Metrics::start(),
        options,
    };
    copying.stream()?;
    let Copying {
        src,
        dst,
        bar,
        metrics,
        ..
    } = copying;
    let (src_fd, dst_fd) = (src.fd(), dst.fd());
    src.close().map_err(about(&options.src))?;
    dst.close_sync().map_err(about(&options.dst))?;
    closed(&engine, dst_fd, src_fd).map_err(about(&options.dst))?;
    bar.finish_and_clear();

    let backend = engine.backend();
    metrics.print(&engine.stats());
    println!("backend {:?}: {}", backend.kind, backend.reason);
    println!("pages left in the page cache");
    for (name, path) in [("SRC", &options.src), ("DST", &options.dst)] {
        let pages = page_cache::resident_pages(path).map_err(about(path))?;
        println!("  {name} {:>10} of {}", pages.resident, pages.total);
    }
    engine
        .shutdown(Duration::from_secs(10))
        .map(drop)
        .map_err(engine_error)
}

/// Opens a file and waits until the kernel has, so that an error is reported before anything is
/// done to the other file.
fn open(engine: &Engine, path: &Path, options: &OpenOptions) -> Result<File, Stop> {
    let file = engine.open(path, options).map_err(about(path))?;
    while !file.open_status().map_err(about(path))? {
        wait(engine);
        engine.events().drain().for_each(drop);
    }
    Ok(file)
}

/// Both names lead to one file: copying it over itself would destroy it.
fn same_file(a: &Path, b: &Path) -> bool {
    let id = |path: &Path| {
        std::fs::metadata(path)
            .map(|meta| (meta.dev(), meta.ino()))
            .ok()
    };
    id(a).is_some() && id(a) == id(b)
}

/// The copy in progress.
struct Copying<'a> {
    engine: &'a Engine,
    src: File,
    dst: File,
    holes: Holes,
    bar: ProgressBar,
    metrics: Metrics,
    options: &'a Options,
}

impl Copying<'_> {
    /// Moves every byte from SRC into DST's stream and syncs it.
    fn stream(&mut self) -> Result<(), Stop> {
        let mut buffer = vec![0; self.options.block as usize];
        let mut position = 0;
        loop {
            match self
                .holes
                .next(position)
                .map_err(about(&self.options.src))?
            {
                Next::Data => {}
                Next::Hole(end) => position = self.skip_to(end)?,
                Next::LastHole(end) => {
                    self.dst.set_len(end).map_err(about(&self.options.dst))?;
                    position = self.skip_to(end)?;
                }
            }
            let most = self.holes.most(position, buffer.len());
            let n = self.read(&mut buffer[..most])?;
            if n == 0 {
                break;
            }
            position += n as u64;
            let mut rest = &buffer[..n];
            while !rest.is_empty() {
                let written = self.write(rest)?;
                rest = &rest[written..];
            }
            self.bar.inc(n as u64);
        }
        self.sync()
    }

    /// Moves both positions past a hole.
    fn skip_to(&mut self, position: u64) -> Result<u64, Stop> {
        self.src
            .set_position(position)
            .map_err(about(&self.options.src))?;
        self.dst
            .set_position(position)
            .map_err(about(&self.options.dst))?;
        self.bar.set_position(position);
        Ok(position)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Stop> {
        loop {
            match self.metrics.reads.time(|| self.src.read(buffer)) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.listen()?,
                result => return result.map_err(about(&self.options.src)),
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, Stop> {
        loop {
            match self.metrics.writes.time(|| self.dst.write(bytes)) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.listen()?,
                result => return result.map_err(about(&self.options.dst)),
            }
        }
    }

    fn sync(&mut self) -> Result<(), Stop> {
        let here = about(&self.options.dst);
        let mark = self.dst.sync().map_err(&here)?;
        loop {
            if let Some(failure) = self.dst.failure().map_err(&here)? {
                return Err(here(failure.into()));
            }
            if self.dst.progress().map_err(&here)?.durable >= mark && self.metrics.synced {
                return Ok(());
            }
            self.listen()?;
        }
    }

    /// Waits for events and takes them; an error of DST ends the copy at once.
    fn listen(&mut self) -> Result<(), Stop> {
        wait(self.engine);
        for event in self.engine.events().drain() {
            match event.kind {
                EventKind::Failed(failure) if event.fd == self.dst.fd() => {
                    return Err(about(&self.options.dst)(failure.into()));
                }
                EventKind::Synced { .. } => self.metrics.synced = true,
                _ => {}
            }
        }
        Ok(())
    }
}

/// Waits until both files are closed; the first error of DST.
fn closed(engine: &Engine, dst: Fd, src: Fd) -> io::Result<()> {
    let mut result = Ok(());
    let mut open = 2;
    while open > 0 {
        wait(engine);
        for event in engine.events().drain() {
            if let EventKind::Closed { result: closed } = event.kind {
                open -= i32::from(event.fd == dst || event.fd == src);
                if let (true, Err(errno)) = (event.fd == dst, closed) {
                    result = Err(errno.into());
                }
            }
        }
    }
    result
}

/// The one place where this program waits.
fn wait(engine: &Engine) {
    let fd = engine.events().as_raw_fd();
    let mut poll = libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one pollfd that lives through the call. A signal ends it early, which is harmless:
    // the caller checks again.
    unsafe { libc::poll(&raw mut poll, 1, -1) };
}

/// A bar on a terminal; hidden elsewhere.
fn progress_bar(len: u64) -> ProgressBar {
    let template = "{bar:40.cyan/blue} {bytes:>10} of {total_bytes}  {bytes_per_sec}  {eta} left";
    let style = ProgressStyle::with_template(template).expect("a valid template");
    ProgressBar::new(len).with_style(style)
}

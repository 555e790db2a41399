//! The real callers' side and the real driver, over a disk that completes each op at once.
//!
//! loom does not watch the bytes of a page, which are plain memory. So each byte of a file has a
//! loom cell beside it, which is written before the byte and read by the disk: loom reports a byte
//! without its happens-before edge there.
#![allow(dead_code, reason = "no model uses all of it")]

use efio_core::model::{
    Backend, Block, Completion, Config, Driver, FileFacts, FileId, Memory, Notify, Op, Outcome,
    Request, Shared, Transfer,
};
use efio_core::{Event, EventKind, Fd, IoMode, OpenOptions, Progress};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Explores all interleavings with at most `preemptions` preemptions.
pub fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 20_000;
    builder.check(model);
}

/// One cell per byte of a file.
#[derive(Clone)]
pub struct Trail(Arc<[UnsafeCell<u8>; 4]>);

// SAFETY: that this is sound is what the models show; loom reports a race.
unsafe impl Send for Trail {}
// SAFETY: as above.
unsafe impl Sync for Trail {}

impl Trail {
    pub fn new() -> Self {
        Self(Arc::new(std::array::from_fn(|_| UnsafeCell::new(0))))
    }

    pub fn write(&self, position: usize, byte: u8) {
        // SAFETY: loom checks the access.
        self.0[position].with_mut(|cell| unsafe { *cell = byte });
    }

    pub fn check(&self, position: usize, byte: u8) {
        // SAFETY: loom checks the access.
        assert_eq!(self.0[position].with(|cell| unsafe { *cell }), byte);
    }
}

/// A disk with one file, which completes each op as it is submitted.
pub struct Disk {
    pub bytes: Vec<u8>,
    /// Checked for each byte that arrives.
    pub trail: Option<Trail>,
    done: Vec<Completion<()>>,
    /// The number of closes.
    pub closed: u32,
}

impl Disk {
    fn transfer(&mut self, transfer: Transfer<()>) -> (Outcome<()>, Option<Block>) {
        let offset = transfer.offset as usize;
        let mut memory = transfer.memory;
        let len = match &mut memory {
            Memory::Fill(range) => {
                let tail = &self.bytes[self.bytes.len().min(offset)..];
                let n = tail.len().min(range.len());
                range.as_mut_slice()[..n].copy_from_slice(&tail[..n]);
                n
            }
            Memory::Slices(slices) => {
                let incoming: Vec<u8> = slices
                    .iter()
                    .flat_map(|slice| slice.as_slice().to_vec())
                    .collect();
                self.bytes.truncate(offset);
                assert_eq!(self.bytes.len(), offset, "a hole in what was accepted");
                for (position, byte) in incoming.iter().enumerate() {
                    if let Some(trail) = &self.trail {
                        trail.check(offset + position, *byte);
                    }
                }
                self.bytes.extend(&incoming);
                incoming.len()
            }
            Memory::Block(range) => {
                let end = offset + range.len();
                self.bytes.resize(self.bytes.len().max(end), 0);
                self.bytes[offset..end].copy_from_slice(range.as_slice());
                range.len()
            }
        };
        (Outcome::Done(len), memory.into_block())
    }
}

impl Backend for Disk {
    type File = ();

    fn submit(&mut self, request: Request<()>) -> Result<(), Request<()>> {
        let Request { id, op } = request;
        let (outcome, block) = match op {
            Op::Open(_) => (Outcome::Opened((), self.facts()), None),
            Op::Transfer(transfer) => self.transfer(transfer),
            Op::Truncate { len, .. } => {
                self.bytes.resize(len as usize, 0);
                (Outcome::Done(0), None)
            }
            Op::Empty { .. } => unreachable!("no file is opened twice"),
            Op::Size { .. } => (Outcome::Done(self.bytes.len()), None),
            Op::Sync { .. } => (Outcome::Done(0), None),
            Op::Close(()) => {
                assert!(self.done.is_empty(), "closed before its last completion");
                self.closed += 1;
                (Outcome::Done(0), None)
            }
        };
        self.done.push(Completion { id, outcome, block });
        Ok(())
    }

    fn id((): &()) -> FileId {
        FileId {
            device: 0,
            inode: 0,
        }
    }

    fn reap(&mut self, out: &mut Vec<Completion<()>>) {
        out.append(&mut self.done);
    }

    fn wait(&mut self, _timeout: Option<Duration>) {
        unreachable!("the models drive the turns")
    }
}

impl Disk {
    fn facts(&self) -> FileFacts {
        FileFacts {
            size: self.bytes.len() as u64,
            ..FileFacts::default()
        }
    }
}

/// The flush interval of the models.
pub const INTERVAL: Duration = Duration::from_secs(1);

/// The callers' side and the driver, with room for `files`.
pub fn engine(files: u32, bytes: &[u8]) -> (std::sync::Arc<Shared>, Driver<Disk>) {
    let config = Config {
        io_mode: IoMode::Cached,
        memory_budget: 4 << 20,
        write_behind: Some(4096),
        flush_interval: INTERVAL,
        max_files: files,
        ..Config::default()
    };
    let shared = Shared::new(config).unwrap();
    let disk = Disk {
        bytes: bytes.to_vec(),
        trail: None,
        done: vec![],
        closed: 0,
    };
    let driver = Driver::new(std::sync::Arc::clone(&shared), disk);
    (shared, driver)
}

/// Opens the file for reading and writing, and lets the driver complete the open.
pub fn open(shared: &Shared, driver: &mut Driver<Disk>) -> Fd {
    let options = OpenOptions::new().read(true).write(true).clone();
    let fd = shared.open(Path::new("/file"), &options, None).unwrap();
    settle(driver, Duration::ZERO);
    assert_eq!(
        shared.events.try_next().map(|event| event.kind),
        Some(EventKind::Opened)
    );
    fd
}

/// Writes for an event loop.
pub fn write(shared: &Shared, fd: Fd, bytes: &[u8]) -> io::Result<usize> {
    shared.lock(fd)?.write(bytes, Notify::Event)
}

/// Reads for an event loop.
pub fn read(shared: &Shared, fd: Fd, buf: &mut [u8]) -> io::Result<usize> {
    shared.lock(fd)?.read(buf, Notify::Event)
}

/// Closes the file.
pub fn close(shared: &Shared, fd: Fd) -> io::Result<()> {
    shared.lock(fd)?.close(false)
}

/// Returns the file's marks.
pub fn progress(shared: &Shared, fd: Fd) -> Progress {
    shared.inspect(fd, |slot| slot.marks.progress()).unwrap()
}

/// Turns the driver at `now` until nothing is left to do.
pub fn settle(driver: &mut Driver<Disk>, now: Duration) {
    while driver.turn(now) {}
}

/// The kinds of all pending events.
pub fn events(shared: &Shared) -> Vec<EventKind> {
    shared
        .events
        .drain()
        .map(|event: Event| event.kind)
        .collect()
}

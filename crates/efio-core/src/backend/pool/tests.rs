//! A worker that panics in the middle of an op (F54).

use super::{Backend, PoolBackend, Task, perform};
use crate::command::Command;
use crate::config::Config;
use crate::driver::Driver;
use crate::engine::Engine;
use crate::error::Errno;
use crate::event::EventKind;
use crate::file::File;
use crate::io_mode::IoMode;
use crate::op::{
    BlockRange, CacheMode, Completion, FileId, Memory, Op, OpId, OpenSpec, Outcome, Request,
    Transfer, Truncation,
};
use crate::options::OpenOptions;
use crate::page::{KernelMemory, PagePool, SLAB_BYTES};
use crate::shared::Shared;
use crate::sys::file::KernelFile;
use std::ffi::CString;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A pool of one worker, which panics in each read while `panics` is set: the range that the read
/// is to fill begins after the end of its block.
struct Sabotaged {
    pool: PoolBackend,
    panics: Arc<AtomicBool>,
}

impl Backend for Sabotaged {
    type File = KernelFile;

    fn submit(&mut self, mut request: Request<KernelFile>) -> Result<(), Request<KernelFile>> {
        if let Op::Transfer(transfer) = request.op {
            request.op = Op::Transfer(if self.panics.load(Ordering::Relaxed) {
                out_of_range(transfer)
            } else {
                transfer
            });
        }
        self.pool.submit(request)
    }

    fn id(file: &KernelFile) -> FileId {
        file.id()
    }

    fn reap(&mut self, out: &mut Vec<Completion<KernelFile>>) {
        self.pool.reap(out);
    }

    fn wait(&mut self, timeout: Option<Duration>) {
        self.pool.wait(timeout);
    }
}

/// Moves a read to a range that begins after the end of its block.
fn out_of_range(read: Transfer<KernelFile>) -> Transfer<KernelFile> {
    let block = read.memory.into_block().unwrap();
    let (start, len) = (block.len() + 1, block.len());
    let memory = Memory::Fill(BlockRange::new(block, start, len));
    Transfer { memory, ..read }
}

/// An engine that the test drives itself.
struct Bench {
    engine: Engine,
    shared: Arc<Shared>,
    driver: Driver<Sabotaged>,
    panics: Arc<AtomicBool>,
    start: Instant,
}

impl Bench {
    fn new() -> Self {
        let config = Config {
            workers: 1,
            ..Config::default()
        };
        let shared = Shared::new(config).unwrap();
        let doorbell = Arc::clone(shared.inbox.doorbell());
        let panics = Arc::new(AtomicBool::new(false));
        let backend = Sabotaged {
            pool: PoolBackend::start(&shared.config, doorbell).unwrap(),
            panics: Arc::clone(&panics),
        };
        Self {
            engine: Engine::without_driver(Arc::clone(&shared)),
            driver: Driver::new(Arc::clone(&shared), backend),
            shared,
            panics,
            start: Instant::now(),
        }
    }

    /// Drives until `done` returns a value.
    fn until<T>(&mut self, mut done: impl FnMut(&mut Driver<Sabotaged>) -> Option<T>) -> T {
        loop {
            self.driver.turn(self.start.elapsed());
            if let Some(result) = done(&mut self.driver) {
                return result;
            }
            assert!(self.start.elapsed() < Duration::from_secs(120), "timeout");
            std::thread::yield_now();
        }
    }

    /// Drives until a read does not block, and returns its result.
    fn read(&mut self, file: &File, buf: &mut [u8]) -> io::Result<usize> {
        self.until(|_| match file.read(buf) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            result => Some(result),
        })
    }

    /// Drives until there is an event that `wanted` accepts.
    fn event<T>(&mut self, wanted: impl Fn(EventKind) -> Option<T>) -> T {
        let shared = Arc::clone(&self.shared);
        self.until(|_| {
            shared
                .events
                .try_next()
                .and_then(|event| wanted(event.kind))
        })
    }

    fn open(&mut self, path: &Path) -> File {
        let options = OpenOptions::new().read(true).io_mode(IoMode::Cached);
        let file = self.engine.open(path, &options).unwrap();
        self.event(|kind| (kind == EventKind::Opened).then_some(()));
        file
    }

    /// Closes `file`, and returns the result of its close.
    fn close(&mut self, file: File) -> Result<(), Errno> {
        drop(file);
        self.event(|kind| match kind {
            EventKind::Closed { result } => Some(result),
            _ => None,
        })
    }
}

/// F54: the op fails with `EIO`, which its caller gets; the only worker goes on with the next file,
/// and nothing leaks.
#[test]
fn a_worker_that_panics_fails_only_its_op() {
    let bytes: Vec<u8> = (0..300_000u32).map(|n| n as u8).collect();
    let path = std::env::temp_dir().join(format!("efio-panic-{}", std::process::id()));
    std::fs::write(&path, &bytes).unwrap();
    let mut bench = Bench::new();
    let mut buf = [0; 7001];

    let hurt = bench.open(&path);
    bench.panics.store(true, Ordering::Relaxed);
    let error = bench.read(&hurt, &mut buf).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EIO));
    bench.panics.store(false, Ordering::Relaxed);
    assert_eq!(bench.close(hurt), Ok(()), "a read lost nothing");

    let whole = bench.open(&path);
    let mut all = Vec::new();
    while let n @ 1.. = bench.read(&whole, &mut buf).unwrap() {
        all.extend_from_slice(&buf[..n]);
    }
    assert!(all == bytes);
    drop(whole);
    bench.shared.stop();
    bench
        .shared
        .command(Command::Shutdown(Duration::from_secs(10)))
        .unwrap();
    let report = bench.until(Driver::finished);
    assert!(report.is_clean(), "{report:?}");
    std::fs::remove_file(&path).unwrap();
}

/// F54: an op that panics releases its lease, so that the file needs no second descriptor for an op
/// in the other cache mode.
#[test]
fn an_op_that_panics_releases_its_lease() {
    let path = std::env::temp_dir().join(format!("efio-panic-lease-{}", std::process::id()));
    std::fs::write(&path, [7; 8192]).unwrap();
    let spec = OpenSpec {
        path: CString::new(path.as_os_str().as_bytes()).unwrap(),
        flags: libc::O_RDONLY,
        mode: 0,
        at: None,
        beneath: None,
        io_mode: IoMode::Auto,
        truncation: Truncation::AtOnce,
        token: None,
        directories: Arc::default(),
    };
    let (file, _) = KernelFile::open(&spec).unwrap();
    std::fs::remove_file(&path).unwrap();
    let file = Arc::new(file);
    let pool = PagePool::new(SLAB_BYTES, Arc::new(KernelMemory)).unwrap();
    let block = pool.take_or_map(0).unwrap();
    let (lease, len) = (file.acquire(CacheMode::Cached).unwrap(), block.len());
    let read = Transfer {
        file: Arc::clone(&file),
        cache_mode: CacheMode::Cached,
        offset: 0,
        memory: Memory::Fill(BlockRange::new(block, len + 1, len)),
    };
    let id = OpId::from_bits(1);
    let completion = perform(Task {
        request: Request {
            id,
            op: Op::Transfer(read),
        },
        lease: Ok(Some(lease)),
    });
    assert!(matches!(
        completion.outcome,
        Outcome::Failed(Errno(libc::EIO))
    ));
    // Without direct IO there is no other cache mode.
    if let Ok(direct) = file.acquire(CacheMode::Direct) {
        assert_eq!(direct.fd, lease.fd);
    }
}

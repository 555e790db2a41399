//! What an open, idle file costs: all of efio's heap memory, without the kernel's own. Measured
//! over the simulated disk, where the numbers are always the same, and on the kernel.

mod common;

use common::{Dir, TIMEOUT};
use efio_core::sim::{Config, SimOptions, Simulation};
use efio_core::{Engine, File, OpenOptions};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The heap, counted.
struct Counting;

static HEAP: AtomicUsize = AtomicUsize::new(0);

// SAFETY: passes every call on to `System`.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HEAP.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HEAP.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is the same.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One measurement at a time.
static ALONE: Mutex<()> = Mutex::new(());

const FILES: usize = 10_000;
/// On the kernel, each with a descriptor.
const KERNEL_FILES: usize = 600;

/// Bytes of heap for each of `FILES` files that were opened with `options` and then `used`.
fn per_file(name: &str, options: &OpenOptions, used: impl Fn(&mut Simulation, &File)) -> usize {
    let mut simulation = Simulation::new(Config::default(), 1, SimOptions::default()).unwrap();
    for number in 0..FILES {
        // Short: the simulated kernel keeps copies, and they count.
        simulation.store().put(&format!("/{number}"), &[7]);
    }
    let before = HEAP.load(Ordering::Relaxed);
    let files: Vec<File> = (0..FILES)
        .map(|number| {
            let file = simulation
                .engine()
                .open(format!("/{number}"), options)
                .unwrap();
            for _ in 0..20 {
                simulation.turn(Duration::from_millis(1));
            }
            used(&mut simulation, &file);
            while simulation.engine().events().try_next().is_some() {}
            file
        })
        .collect();
    for _ in 0..20 {
        simulation.turn(Duration::from_secs(1));
    }
    while simulation.engine().events().try_next().is_some() {}
    let bytes = (HEAP.load(Ordering::Relaxed) - before - size_of_val(&files[..])) / FILES;
    println!("{name}: {bytes} bytes");
    bytes
}

/// What an open file may cost while nothing is in flight.
const IDLE: usize = 512;

#[test]
fn a_file_that_is_open_costs_little_used_or_not() {
    let _alone = ALONE.lock().unwrap();
    let read = OpenOptions::new().read(true);
    assert!(per_file("read, never used", &read, |_, _| {}) <= IDLE);
    let both = OpenOptions::new().read(true).write(true);
    assert!(per_file("read and write, never used", &both, |_, _| {}) <= IDLE);
    let used = per_file("read and write, used", &both, |simulation, file| {
        file.write(b"x").unwrap();
        file.sync().unwrap();
        for _ in 0..40 {
            simulation.turn(Duration::from_millis(1));
        }
        file.set_position(0).unwrap();
        let mut buf = [0; 200];
        while file.read(&mut buf).ok() != Some(0) {
            simulation.turn(Duration::from_millis(1));
        }
    });
    assert!(used <= IDLE);
}

/// What the engine's own queues may grow by meanwhile: a burst of completions, which depends on the
/// scheduler, takes a segment or two, however many files there are.
const QUEUES: usize = 16 << 10;

/// Bytes that each of `KERNEL_FILES` files has beyond `before` once the driver has freed what it
/// can: at most `most`, or what is left long after.
fn at_rest(before: usize, most: usize) -> usize {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let held = HEAP.load(Ordering::Relaxed);
        let bytes = held.saturating_sub(before + QUEUES) / KERNEL_FILES;
        if bytes <= most || Instant::now() > deadline {
            return bytes;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The same with the engine's threads and files of the kernel.
#[test]
fn a_file_of_the_kernel_costs_as_little() {
    let _alone = ALONE.lock().unwrap();
    let dir = Dir::new();
    let path = dir.join("file");
    std::fs::write(&path, [7; 100]).unwrap();
    let both = OpenOptions::new().read(true).write(true);
    let mut wrong = false;
    for (name, options) in [
        ("of the kernel, to read", &OpenOptions::new().read(true)),
        ("of the kernel, to read and write", &both),
        ("of the kernel, to create", &both.clone().create(true)),
    ] {
        let engine = Engine::new().unwrap();
        let open = || {
            let file = engine.open(&path, options).unwrap();
            file.blocking(TIMEOUT).wait_open().unwrap();
            while engine.events().try_next().is_some() {}
            file
        };
        // What the engine itself needs, and the memory of its queues.
        let first: Vec<File> = (0..300).map(|_| open()).collect();
        let before = HEAP.load(Ordering::Relaxed);
        let files: Vec<File> = (0..KERNEL_FILES).map(|_| open()).collect();
        // A file that may be new keeps its path, for the sync of its name.
        let path = if name.ends_with("create") {
            path.as_os_str().len() + 32
        } else {
            0
        };
        let bytes = at_rest(before + size_of_val(&files[..]), IDLE + path);
        println!("{name}: {bytes} bytes");
        wrong |= bytes > IDLE + path;
        drop((files, first));
    }
    assert!(!wrong, "more than {IDLE} bytes");
}

/// Written, read and idle again.
#[test]
fn a_file_of_the_kernel_that_was_used_costs_as_little() {
    let _alone = ALONE.lock().unwrap();
    let dir = Dir::new();
    let path = dir.join("file");
    std::fs::write(&path, [7; 100]).unwrap();
    let interval = Duration::from_millis(50);
    let engine = Engine::builder().flush_interval(interval).start().unwrap();
    let used = || {
        let options = OpenOptions::new().read(true).write(true);
        let file = engine.open(&path, &options).unwrap();
        file.blocking(TIMEOUT).wait_open().unwrap();
        assert_eq!(file.write(b"some bytes").unwrap(), 10);
        file.blocking(TIMEOUT).flush().unwrap();
        assert_eq!(common::read_all(&engine, &file, 64).unwrap().len(), 90);
        while engine.events().try_next().is_some() {}
        file
    };
    let first: Vec<File> = (0..300).map(|_| used()).collect();
    let before = HEAP.load(Ordering::Relaxed);
    let files: Vec<File> = (0..KERNEL_FILES).map(|_| used()).collect();
    let bytes = at_rest(before + size_of_val(&files[..]), IDLE);
    println!("of the kernel, used: {bytes} bytes");
    drop(first);
    assert!(bytes <= IDLE, "{bytes} bytes");
}

//! What a file that is open and idle costs: everything of ours on the heap, the kernel's own left
//! out.

use efio_core::sim::{SimOptions, Simulation};
use efio_core::{Config, File, OpenOptions};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The heap, counted.
struct Counting;

static HEAP: AtomicUsize = AtomicUsize::new(0);

// SAFETY: hands everything on to `System`.
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

const FILES: usize = 10_000;

/// Bytes of heap for each of `FILES` files that were opened with `options` and then `used`.
fn per_file(name: &str, options: &OpenOptions, used: impl Fn(&mut Simulation, &File)) -> usize {
    let mut simulation = Simulation::new(Config::default(), 1, SimOptions::default()).unwrap();
    for number in 0..FILES {
        simulation.store().put(&format!("/{number}"), &[7; 100]);
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
            while simulation.engine().events().next().is_some() {}
            file
        })
        .collect();
    for _ in 0..20 {
        simulation.turn(Duration::from_secs(1));
    }
    while simulation.engine().events().next().is_some() {}
    let bytes = (HEAP.load(Ordering::Relaxed) - before - size_of_val(&files[..])) / FILES;
    println!("{name}: {bytes} bytes");
    bytes
}

/// What an open file that nobody has used may cost.
const IDLE: usize = 512;

#[test]
fn a_file_that_is_open_costs_little_and_one_that_was_used_little_more() {
    let read = OpenOptions::new().read(true);
    assert!(per_file("read, never used", &read, |_, _| {}) <= IDLE);
    let both = OpenOptions::new().read(true).write(true);
    assert!(per_file("read and write, never used", &both, |_, _| {}) <= IDLE);
    let used = per_file("read and write, used", &both, |simulation, file| {
        file.write(b"some bytes").unwrap();
        file.sync().unwrap();
        for _ in 0..40 {
            simulation.turn(Duration::from_millis(1));
        }
        file.seek(0).unwrap();
        let mut buf = [0; 200];
        while file.read(&mut buf).ok() != Some(0) {
            simulation.turn(Duration::from_millis(1));
        }
    });
    // The figures of the file stay.
    assert!(used <= IDLE + 64);
}

//! F36: the allocator refuses large allocations for a moment. Calls return `ENOMEM`, or do what they
//! can; nothing panics, and no accepted byte stays unwritten.

mod common;

use common::{Dir, TIMEOUT};
use efio_core::{BackendKind, Engine, File, OpenOptions};
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

/// An allocator that refuses, while enabled, whatever is larger than any allocation of a single
/// file.
struct Refusing;

const LARGE: usize = 1536;
static REFUSES: AtomicBool = AtomicBool::new(false);
static REFUSED: AtomicU64 = AtomicU64::new(0);

impl Refusing {
    fn refuses(size: usize) -> bool {
        let refuses = size >= LARGE && REFUSES.load(SeqCst);
        REFUSED.fetch_add(u64::from(refuses), SeqCst);
        refuses
    }
}

// SAFETY: what is not refused comes from the system's allocator and goes back to it.
unsafe impl GlobalAlloc for Refusing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if Self::refuses(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: as for our caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as for our caller.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if Self::refuses(size) {
            return std::ptr::null_mut();
        }
        // SAFETY: as for our caller.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static MEMORY: Refusing = Refusing;

/// A result, "would block", or no memory.
fn tolerated<T>(result: io::Result<T>) -> Option<T> {
    match result {
        Ok(answer) => Some(answer),
        Err(error) => {
            let known =
                error.kind() == ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::ENOMEM);
            assert!(known, "{error}");
            None
        }
    }
}

fn without_memory<T>(act: impl FnOnce() -> T) -> T {
    REFUSES.store(true, SeqCst);
    let result = act();
    REFUSES.store(false, SeqCst);
    result
}

/// One test: the allocator is global.
#[test]
fn a_refused_allocation_loses_nothing() {
    for backend in [BackendKind::Uring, BackendKind::Pool] {
        // The driver stays in a callback, so the callers' lists grow.
        let (held, hold) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicBool::new(false)),
        );
        let (inside, stay) = (Arc::clone(&held), Arc::clone(&hold));
        let builder = Engine::builder().backend(backend).on_event(move |_| {
            while stay.load(SeqCst) {
                inside.store(true, SeqCst);
                thread::yield_now();
            }
        });
        let Ok(engine) = builder.start() else {
            common::skip("no io_uring here");
            continue;
        };
        let dir = Dir::new();
        let options = OpenOptions::new().write(true).create(true);
        let open = |number: usize| engine.open(dir.join(&format!("{number}")), &options);
        let files: Vec<File> = (0..600).map(|number| open(number).unwrap()).collect();
        for file in &files {
            file.blocking(TIMEOUT).wait_open().unwrap();
        }
        let buffers: Vec<_> = files.iter().map(|_| engine.buffer(3).unwrap()).collect();
        hold.store(true, SeqCst);
        files[0].sync().unwrap();
        while !held.load(SeqCst) {
            thread::yield_now();
        }
        let (mut lens, mut opened) = (vec![0; files.len()], Vec::with_capacity(1000));
        without_memory(|| {
            for ((file, buffer), len) in files.iter().zip(buffers).zip(&mut lens) {
                *len = tolerated(file.write(b"hello")).unwrap_or(0) as u64;
                let mut file_too = file;
                tolerated(file_too.flush());
                tolerated(file.len());
                tolerated(file.sync());
                match file.write_at(10, buffer, 1) {
                    Ok(()) => *len = 13,
                    Err(refused) => {
                        assert_eq!(refused.buffer.len(), 3);
                        tolerated::<()>(Err(refused.error));
                    }
                }
                let accepted = file.progress().unwrap().accepted;
                let both = if *len == 13 { 8 } else { *len };
                assert_eq!(accepted, both, "what was refused counts for nothing");
                opened.extend(tolerated(open(1000)));
            }
        });
        assert!(REFUSED.swap(0, SeqCst) > 0, "it was never short of memory");
        // Short of memory at work, too.
        without_memory(|| {
            hold.store(false, SeqCst);
            thread::sleep(Duration::from_millis(50));
        });
        for (number, (file, &len)) in files.iter().zip(&lens).enumerate() {
            file.blocking(TIMEOUT).flush().unwrap();
            let there = std::fs::metadata(dir.join(&format!("{number}"))).unwrap();
            assert_eq!(there.len(), len);
        }
        drop((files, opened));
        assert!(engine.shutdown(TIMEOUT).unwrap().is_clean());
    }
}

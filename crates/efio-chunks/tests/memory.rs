//! What a stream allocates, counted.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use efio_chunks::unbounded;

struct Counting;

thread_local! {
    /// Allocations so far, and bytes that are allocated now, by this thread.
    static COUNT: Cell<(usize, isize)> = const { Cell::new((0, 0)) };
}

// SAFETY: the system's allocator, with counters.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| {
            let (calls, bytes) = count.get();
            count.set((calls + 1, bytes + layout.size() as isize));
        });
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        COUNT.with(|count| {
            let (calls, bytes) = count.get();
            count.set((calls, bytes - layout.size() as isize));
        });
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn little_when_idle_and_one_allocation_a_chunk() {
    let since = |start: (usize, isize)| {
        let (calls, bytes) = COUNT.get();
        (calls - start.0, bytes - start.1)
    };
    let start = COUNT.get();
    let (mut writer, mut reader) = unbounded::<&'static [u8]>();
    assert_eq!(since(start), (1, 128), "a fresh stream");

    let node = 24 + size_of::<&[u8]>() as isize;
    for turn in 0..100 {
        writer.push(b"chunk").unwrap();
        assert_eq!(reader.consume(5), 5);
        assert_eq!(since(start).0, 2 + turn, "one allocation a chunk");
    }
    assert!(reader.is_empty());
    assert_eq!(since(start).1, 128 + node, "an idle stream");
    drop((writer, reader));
    assert_eq!(since(start).1, 0);
}

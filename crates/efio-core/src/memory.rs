//! Handles an allocator that has no memory for efio's lists (F36).
//!
//! 1. A caller gets `ENOMEM`, or falls back to an operation without memory, as
//!    [`Inbox`](crate::inbox::Inbox) does.
//! 2. The driver and the workers have taken work that nobody else would finish. They wait until
//!    there is memory, as they wait for a disk: nothing is lost, and the callers go on meanwhile.
//!
//! Only allocations that may be large are handled like this. A few dozen bytes are allocated as
//! everywhere in Rust: without memory for them the program aborts.

use crate::slot_map::SlotMap;
use efio_queue::SegQueue;
use std::collections::VecDeque;
use std::thread;
use std::time::Duration;

/// The first pause between two attempts; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(1);
/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_millis(32);

/// Retries until there is memory.
pub fn until_allocated<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let mut pause = PAUSE;
    loop {
        if let Some(done) = attempt() {
            return done;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

/// Pushes into a queue that is never closed, as soon as there is memory.
pub fn push<T>(queue: &SegQueue<T>, item: T) {
    let Err(refused) = queue.push(item) else {
        return;
    };
    push_until_allocated(queue, refused.into_inner());
}

#[cold]
fn push_until_allocated<T>(queue: &SegQueue<T>, item: T) {
    let mut left = Some(item);
    until_allocated(|| {
        let refused = queue.push(left.take()?).err();
        left = refused.map(efio_queue::PushError::into_inner);
        left.is_none().then_some(())
    });
}

/// A list that may have to grow to take one more item.
pub trait Grow {
    /// Makes room for one more item, and returns whether there was memory for it.
    fn try_grow(&mut self) -> bool;
}

impl<T> Grow for Vec<T> {
    fn try_grow(&mut self) -> bool {
        self.try_reserve(1).is_ok()
    }
}

impl<T> Grow for VecDeque<T> {
    fn try_grow(&mut self) -> bool {
        self.try_reserve(1).is_ok()
    }
}

impl<T> Grow for SlotMap<T> {
    fn try_grow(&mut self) -> bool {
        SlotMap::try_grow(self)
    }
}

/// Makes room for one more item, as soon as there is memory.
pub fn grow<L: Grow>(list: &mut L) -> &mut L {
    if !list.try_grow() {
        until_allocated(|| list.try_grow().then_some(()));
    }
    list
}

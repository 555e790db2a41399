//! What becomes of efio when the allocator has no memory for its lists (F36).
//!
//! - A caller gets `ENOMEM`, or what it did without memory: see [`Inbox`](crate::inbox::Inbox).
//! - The driver and the workers have work in their hands that nobody else would do. They wait until
//!   there is memory, as they wait for a disk: nothing is lost, and the callers go on meanwhile.
//!
//! Only what may be large is asked for like this. For a few dozen bytes a program that has no memory
//! is at its end, as every Rust program is.

use efio_queue::SegQueue;
use std::collections::VecDeque;
use std::thread;
use std::time::Duration;

/// How long the first pause is, and the longest.
const PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(32);

/// Tries until there is memory.
pub fn until_allocated<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let mut pause = PAUSE;
    loop {
        if let Some(done) = attempt() {
            return done;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Pushes into a queue that is never closed.
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

/// Something that may have to grow to take one more item.
pub trait Grow {
    /// Makes room for one more; whether there was memory for it.
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

/// Makes room for one more item.
pub fn grow<L: Grow>(list: &mut L) -> &mut L {
    if !list.try_grow() {
        until_allocated(|| list.try_grow().then_some(()));
    }
    list
}

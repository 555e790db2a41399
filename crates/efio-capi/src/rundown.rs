//! Rundown protection of a value: any thread may use it at any time, and one thread may take it
//! away, which waits until no user is left.
//!
//! Every C call goes through it to the engine, so it must cost little: a thread counts itself in
//! and out on one of several counters. With up to 16 threads each has a counter of its own.
//!
//! ```text
//!   enter                                close
//!   count up my counter                  swap the pointer for null
//!   load the pointer: null? out again    wait for each counter to be zero once
//! ```
//!
//! All four are `SeqCst`: either `enter` sees null, or `close` sees the count.

use efio_sync::CachePadded;
use std::cell::Cell;
use std::ops::Deref;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const COUNTERS: usize = 16;

/// See the module.
pub struct Rundown<T> {
    inside: [CachePadded<AtomicUsize>; COUNTERS],
    value: AtomicPtr<T>,
}

/// Access to the value, which stays while the guard lives.
pub struct RundownGuard<'a, T> {
    value: &'a T,
    counter: &'a AtomicUsize,
}

impl<T> Rundown<T> {
    /// Without a value.
    pub const fn new() -> Self {
        Self {
            inside: [const { CachePadded::new(AtomicUsize::new(0)) }; COUNTERS],
            value: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Access to the value; `None` when there is none.
    #[inline]
    pub fn enter(&self) -> Option<RundownGuard<'_, T>> {
        let counter: &AtomicUsize = &self.inside[my_counter()];
        counter.fetch_add(1, Ordering::SeqCst);
        let value = self.value.load(Ordering::SeqCst);
        // SAFETY: it came from a `Box` in `open`, and `close` does not give it away before our
        // count, which came before the load, is down again. The guard's drop does that.
        match unsafe { value.as_ref() } {
            Some(value) => Some(RundownGuard { value, counter }),
            None => {
                counter.fetch_sub(1, Ordering::Release);
                None
            }
        }
    }

    /// Resets the counters, in a forked child: its only thread has no guard.
    pub fn reset_counters(&self) {
        for counter in &self.inside {
            counter.store(0, Ordering::Relaxed);
        }
    }

    /// Sets the value when there is none. Not to be called while another thread opens or closes.
    pub fn open(&self, value: T) {
        let value = Box::into_raw(Box::new(value));
        let before = self.value.swap(value, Ordering::SeqCst);
        debug_assert!(before.is_null(), "there was no value");
    }

    /// Takes the value away: waits until no guard is left and returns it. Not to be called while
    /// another thread opens or closes, nor with a guard.
    pub fn close(&self) -> Option<Box<T>> {
        let value = self.value.swap(ptr::null_mut(), Ordering::SeqCst);
        if value.is_null() {
            return None;
        }
        for counter in &self.inside {
            while counter.load(Ordering::SeqCst) != 0 {
                // A thread is inside a call, perhaps in one that waits for a disk.
                thread::sleep(Duration::from_micros(100));
            }
        }
        // SAFETY: it came from a `Box` in `open`. Each `enter` before the swap has ended,
        // and each one after it finds null.
        Some(unsafe { Box::from_raw(value) })
    }
}

impl<T> Deref for RundownGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.value
    }
}

impl<T> Drop for RundownGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // Release: pairs with the load in `close`: our uses of the value come before its end.
        self.counter.fetch_sub(1, Ordering::Release);
    }
}

/// The calling thread's counter: the counters are dealt out in turn.
#[inline]
fn my_counter() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    MINE.with(|mine| {
        if mine.get() == usize::MAX {
            // Relaxed: any number will do.
            mine.set(NEXT.fetch_add(1, Ordering::Relaxed) % COUNTERS);
        }
        mine.get()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    /// Sets its flag when it is dropped.
    struct Value<'a>(&'a AtomicBool);

    impl Drop for Value<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[test]
    fn no_guard_outlives_the_value() {
        let dropped = [const { AtomicBool::new(false) }; 200];
        let done = AtomicBool::new(false);
        let rundown: Rundown<Value> = Rundown::new();
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !done.load(Ordering::SeqCst) {
                        if let Some(guard) = rundown.enter() {
                            for _ in 0..50 {
                                assert!(!guard.0.load(Ordering::SeqCst), "used after its end");
                            }
                        }
                    }
                });
            }
            for dropped in &dropped {
                rundown.open(Value(dropped));
                thread::sleep(Duration::from_micros(50));
                drop(rundown.close());
                assert!(dropped.load(Ordering::SeqCst));
                assert!(rundown.enter().is_none());
            }
            done.store(true, Ordering::SeqCst);
        });
        assert!(rundown.close().is_none());
    }
}

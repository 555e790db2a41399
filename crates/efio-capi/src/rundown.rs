//! A value that any thread may use at any time, and one may take away when nobody is inside.
//!
//! Every C call goes through it to the engine, so it must cost little: a thread counts itself in
//! and out on one of several counters, its own unless there are many threads.
//!
//! ```text
//!   enter                                close
//!   count up my counter                  swap the pointer for null
//!   load the pointer: null? out again    wait for each counter to be zero once
//! ```
//!
//! All four are `SeqCst`: either the one who enters sees null, or the one who closes sees the count.

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

/// Somebody is inside and may use the value.
pub struct RundownGuard<'a, T> {
    value: &'a T,
    counter: &'a AtomicUsize,
}

impl<T> Rundown<T> {
    /// A closed gate.
    pub const fn new() -> Self {
        Self {
            inside: [const { CachePadded::new(AtomicUsize::new(0)) }; COUNTERS],
            value: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// The value, if the gate is open.
    #[inline]
    pub fn enter(&self) -> Option<RundownGuard<'_, T>> {
        let counter: &AtomicUsize = &self.inside[my_counter()];
        counter.fetch_add(1, Ordering::SeqCst);
        let value = self.value.load(Ordering::SeqCst);
        // SAFETY: it came from a `Box` in `open`, and `close` does not give it away before our
        // count, which came before the load, is down again. `Pass` sees to that.
        match unsafe { value.as_ref() } {
            Some(value) => Some(RundownGuard { value, counter }),
            None => {
                counter.fetch_sub(1, Ordering::Release);
                None
            }
        }
    }

    /// In a forked child, whose only thread is not inside: nobody is.
    pub fn forget_those_inside(&self) {
        for counter in &self.inside {
            counter.store(0, Ordering::Relaxed);
        }
    }

    /// Opens a closed gate. Not to be called while another thread opens or closes it.
    pub fn open(&self, value: T) {
        let value = Box::into_raw(Box::new(value));
        let before = self.value.swap(value, Ordering::SeqCst);
        debug_assert!(before.is_null(), "the gate was closed");
    }

    /// Closes the gate and gives the value back when nobody is inside any more. Not to be called
    /// while another thread opens or closes it, nor from inside.
    pub fn close(&self) -> Option<Box<T>> {
        let value = self.value.swap(ptr::null_mut(), Ordering::SeqCst);
        if value.is_null() {
            return None;
        }
        for counter in &self.inside {
            while counter.load(Ordering::SeqCst) != 0 {
                // Somebody is in a call, perhaps in one that waits for a disk.
                thread::sleep(Duration::from_micros(100));
            }
        }
        // SAFETY: it came from a `Box` in `open`. Whoever entered before the swap has left, and
        // whoever enters after it finds null.
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
        // Release: pairs with the load in `close`: what we did with the value comes before its end.
        self.counter.fetch_sub(1, Ordering::Release);
    }
}

/// The calling thread's counter: threads take turns.
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

    /// Says when it goes.
    struct Guest<'a>(&'a AtomicBool);

    impl Drop for Guest<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[test]
    fn nobody_is_inside_when_the_value_goes() {
        let gone = [const { AtomicBool::new(false) }; 200];
        let done = AtomicBool::new(false);
        let gate: Rundown<Guest> = Rundown::new();
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !done.load(Ordering::SeqCst) {
                        if let Some(pass) = gate.enter() {
                            for _ in 0..50 {
                                assert!(!pass.0.load(Ordering::SeqCst), "used after its end");
                            }
                        }
                    }
                });
            }
            for gone in &gone {
                gate.open(Guest(gone));
                thread::sleep(Duration::from_micros(50));
                drop(gate.close());
                assert!(gone.load(Ordering::SeqCst));
                assert!(gate.enter().is_none());
            }
            done.store(true, Ordering::SeqCst);
        });
        assert!(gate.close().is_none());
    }
}

//! A word that threads can sleep on: the futex of the platform, or a modelled mutex and condvar.

use core::ops::Deref;
use core::time::Duration;

use super::atomic::AtomicU32;

/// An [`AtomicU32`] on which threads sleep while it has the value that they expect.
///
/// The contract is that of futex(2): [`wait`](Self::wait) compares and falls asleep in one step as
/// seen by [`wake_one`](Self::wake_one). So a waker that changes the word first and wakes second is
/// never missed: either the sleeper sees the new value and stays awake, or it is woken.
#[derive(Debug)]
pub struct Futex {
    word: AtomicU32,
    #[cfg(any(loom, shuttle))]
    bucket: (super::Mutex<()>, super::Condvar),
}

impl Deref for Futex {
    type Target = AtomicU32;

    #[inline(always)]
    fn deref(&self) -> &AtomicU32 {
        &self.word
    }
}

cfg_if::cfg_if! {
    if #[cfg(any(loom, shuttle))] {
        impl Futex {
            const_unless_loom! {
                /// A word with value `value`.
                pub const fn new(value: u32) -> Self {
                    Self {
                        word: AtomicU32::new(value),
                        bucket: (super::Mutex::new(()), super::Condvar::new()),
                    }
                }
            }

            /// Sleeps while the word is `expected`. Models have no time: `timeout` never passes.
            pub fn wait(&self, expected: u32, _timeout: Option<Duration>) {
                let (lock, condvar) = &self.bucket;
                let awake = lock.lock().unwrap();
                if self.word.load(super::atomic::Ordering::Relaxed) == expected {
                    drop(condvar.wait(awake).unwrap());
                }
            }

            /// Wakes one sleeper, if there is one.
            pub fn wake_one(&self) {
                let (lock, condvar) = &self.bucket;
                drop(lock.lock().unwrap());
                condvar.notify_one();
            }
        }
    } else {
        impl Futex {
            /// A word with value `value`.
            #[inline]
            pub const fn new(value: u32) -> Self {
                Self { word: AtomicU32::new(value) }
            }

            /// Sleeps while the word is `expected`, at most `timeout`. May return early.
            pub fn wait(&self, expected: u32, timeout: Option<Duration>) {
                super::platform::futex_wait(&self.word, expected, timeout);
            }

            /// Wakes one sleeper, if there is one.
            pub fn wake_one(&self) {
                super::platform::futex_wake_one(&self.word);
            }
        }
    }
}

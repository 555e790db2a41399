//! A futex out of std's mutex and condvar, for targets whose own one std does not expose.

use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Sleepers on words whose addresses fall into the same bucket share a condvar, so every wake
/// wakes all of them: a wait may return early, as that of futex(2) may.
struct Bucket {
    lock: Mutex<()>,
    changed: Condvar,
}

static BUCKETS: [Bucket; 64] = [const {
    Bucket {
        lock: Mutex::new(()),
        changed: Condvar::new(),
    }
}; 64];

fn bucket(word: &AtomicU32) -> &'static Bucket {
    let address = word.as_ptr() as usize;
    // Neighbours are usually fields of one lock: spread by cache line.
    &BUCKETS[(address >> 6) % BUCKETS.len()]
}

pub fn futex_wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) {
    let bucket = bucket(word);
    let locked = bucket.lock.lock().unwrap_or_else(PoisonError::into_inner);
    // Ordered by the mutex against `futex_wake_one`, whose caller changed the word before.
    if word.load(Ordering::Relaxed) != expected {
        return;
    }
    match timeout {
        Some(timeout) => drop(bucket.changed.wait_timeout(locked, timeout)),
        None => drop(bucket.changed.wait(locked)),
    }
}

pub fn futex_wake_one(word: &AtomicU32) {
    let bucket = bucket(word);
    drop(bucket.lock.lock().unwrap_or_else(PoisonError::into_inner));
    bucket.changed.notify_all();
}

#[inline(always)]
pub fn light_barrier() {
    fence(Ordering::SeqCst);
}

pub fn heavy_barrier() -> bool {
    fence(Ordering::SeqCst);
    true
}

#[cfg(unix)]
pub mod pipe {
    //! What other Unix systems have in the place of an eventfd.

    use std::io;
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

    /// A non-blocking, close-on-exec pipe.
    #[derive(Debug)]
    pub struct WakeFd {
        reader: OwnedFd,
        writer: OwnedFd,
    }

    impl WakeFd {
        pub fn new() -> io::Result<Self> {
            let mut fds = [-1; 2];
            // SAFETY: room for the two descriptors; the result is checked.
            if unsafe { libc::pipe(fds.as_mut_ptr()) } < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: fresh descriptors, whose numbers no other code has.
            let [reader, writer] = fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
            for fd in [&reader, &writer] {
                set(fd, libc::F_GETFL, libc::F_SETFL, libc::O_NONBLOCK)?;
                set(fd, libc::F_GETFD, libc::F_SETFD, libc::FD_CLOEXEC)?;
            }
            Ok(Self { reader, writer })
        }

        /// Always `false`: the ends of a pipe have no mark to check.
        pub fn repair(&self) -> bool {
            false
        }

        /// Makes the descriptor readable.
        pub fn write(&self) {
            let one = 1u8;
            // SAFETY: one readable byte. EAGAIN means that the pipe is full, hence readable.
            while unsafe { libc::write(self.writer.as_raw_fd(), (&raw const one).cast(), 1) } < 0
                && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
            {}
        }

        /// Makes the descriptor unreadable. Returns whether it was readable.
        pub fn clear(&self) -> bool {
            let mut bytes = [0u8; 64];
            let mut readable = false;
            loop {
                // SAFETY: `bytes.len()` writable bytes. EAGAIN means that the pipe is empty.
                let read = unsafe {
                    libc::read(
                        self.reader.as_raw_fd(),
                        bytes.as_mut_ptr().cast(),
                        bytes.len(),
                    )
                };
                match read {
                    1.. => readable = true,
                    0 => return readable,
                    _ if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
                    _ => return readable,
                }
            }
        }
    }

    /// Adds `flag` to the flags that `get` reads and `set` writes.
    fn set(fd: &OwnedFd, get: libc::c_int, set: libc::c_int, flag: libc::c_int) -> io::Result<()> {
        // SAFETY: no pointers; the results are checked.
        let done = unsafe {
            let flags = libc::fcntl(fd.as_raw_fd(), get);
            flags >= 0 && libc::fcntl(fd.as_raw_fd(), set, flags | flag) >= 0
        };
        if done {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }

    impl AsFd for WakeFd {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.reader.as_fd()
        }
    }

    impl AsRawFd for WakeFd {
        fn as_raw_fd(&self) -> RawFd {
            self.reader.as_raw_fd()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Instant;

    use super::*;

    #[test]
    fn wait_returns_when_the_word_has_another_value() {
        futex_wait(&AtomicU32::new(1), 0, None);
    }

    #[test]
    fn wait_ends_at_its_timeout() {
        let begin = Instant::now();
        let time = Duration::from_millis(5);
        futex_wait(&AtomicU32::new(0), 0, Some(time));
        assert!(begin.elapsed() >= time);
    }

    #[test]
    fn no_wake_is_lost() {
        // Two threads pass a turn to and fro: 0, 1, 0, …
        const PASSES: u32 = if cfg!(miri) { 50 } else { 10_000 };
        let turn = AtomicU32::new(0);
        let play = |me: u32| {
            for _ in 0..PASSES {
                while turn.load(Ordering::Acquire) != me {
                    futex_wait(&turn, 1 - me, None);
                }
                turn.store(1 - me, Ordering::Release);
                futex_wake_one(&turn);
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| play(0));
            scope.spawn(|| play(1));
        });
        assert_eq!(turn.into_inner(), 0);
    }

    #[cfg(unix)]
    #[cfg_attr(miri, ignore = "its fcntl sets no flags")]
    #[test]
    fn pipe_is_readable_from_write_to_clear() {
        let fd = pipe::WakeFd::new().unwrap();
        assert!(!fd.clear());
        // More than a pipe holds: the writer must not block.
        (0..100_000).for_each(|_| fd.write());
        assert!(fd.clear());
        assert!(!fd.clear());
    }
}

//! The descriptors of a file: for ops past the page cache, and through it.
//!
//! One descriptor serves both kinds, with `O_DIRECT` switched on and off between ops. The kernel
//! reads the flag when an op begins, or begins again, so the flag stays while an op is in flight.
//! Only a file that has both kinds in flight at once gets a second descriptor, and keeps it.
//!
//! | second | in flight on the first | an op of the first's kind | an op of the other kind |
//! |---|---|---|---|
//! | none | none | uses the first | switches the first over, and uses it |
//! | none | some | uses the first | opens the second, of its own kind for good |
//! | open | any | uses the first | uses the second |

use super::refused::{self, Call};
use super::stat::FileId;
use super::{CacheMode, check, platform, retry};
use std::io;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Set while the first descriptor is direct.
const DIRECT: u32 = 1 << 31;
/// The number of ops in flight on the first descriptor.
const COUNT: u32 = DIRECT - 1;

/// The descriptors of a file.
pub struct Descriptors {
    first: OwnedFd,
    second: OnceLock<OwnedFd>,
    /// [`DIRECT`] and [`COUNT`]. One thread begins ops, any may end them.
    uses: AtomicU32,
    /// Access mode and `O_APPEND`.
    flags: i32,
    identity: FileId,
}

/// The descriptor and flags of one op, from [`Descriptors::acquire`] to [`Descriptors::release`].
#[derive(Clone, Copy, Debug)]
pub struct DescriptorLease {
    /// The descriptor.
    pub fd: RawFd,
    /// The flags of the read or write.
    pub flags: i32,
    is_counted: bool,
}

impl Descriptors {
    /// Takes over `first`, and sets its status flags; it is `direct` or not at first.
    ///
    /// # Errors
    ///
    /// Those of `fcntl(2)`.
    pub fn new(first: OwnedFd, flags: i32, direct: bool, identity: FileId) -> io::Result<Self> {
        let mut descriptors = Self {
            first,
            second: OnceLock::new(),
            uses: AtomicU32::new(if direct { DIRECT } else { 0 }),
            flags: flags & (libc::O_ACCMODE | libc::O_APPEND),
            identity,
        };
        descriptors.set_flags_at_first(direct)?;
        Ok(descriptors)
    }

    /// Returns the descriptor for all but reads and writes.
    pub fn first(&self) -> RawFd {
        self.first.as_raw_fd()
    }

    /// Returns the identity of the file.
    pub fn id(&self) -> FileId {
        self.identity
    }

    /// Whether writes append.
    pub fn append(&self) -> bool {
        self.flags & libc::O_APPEND != 0
    }

    /// Acquires a descriptor for an op that is about to begin. Only one thread calls this for a
    /// file. It does not wait for a disk: a file that is opened once more is in memory.
    ///
    /// # Errors
    ///
    /// - `EINVAL` or `EOPNOTSUPP` for a cache mode that this system does not support.
    /// - `EBADF` for a descriptor that does not belong to the file any more.
    /// - `EAGAIN` when the ops in flight have to complete first, because no second descriptor is
    ///   available.
    pub fn acquire(&self, cache_mode: CacheMode) -> io::Result<DescriptorLease> {
        let direct = cache_mode == CacheMode::Direct;
        // Acquire: pairs with the subtraction in `release`. The kernel is done with the ops before,
        // so the flag may change.
        let uses = self.uses.load(Ordering::Acquire);
        let flags = platform::flags_of(cache_mode)?;
        if (uses & DIRECT != 0) != direct {
            if let Some(fd) = self.second_for(direct, uses)? {
                return Ok(DescriptorLease {
                    fd,
                    flags,
                    is_counted: false,
                });
            }
            self.check(self.first())?;
            if let Err(error) = set_flags(self.first(), self.flags_for(direct)) {
                // Each kind gets its own descriptor.
                let fd = refused::or_else(Call::SetFlags, Err(error), || self.open_second(direct))?;
                return Ok(DescriptorLease {
                    fd,
                    flags,
                    is_counted: false,
                });
            }
            // Relaxed: only this thread changes the word while the count is 0.
            self.uses.fetch_xor(DIRECT, Ordering::Relaxed);
        }
        // Relaxed: the hand-over of the op orders its `release` after this.
        self.uses.fetch_add(1, Ordering::Relaxed);
        Ok(DescriptorLease {
            fd: self.first(),
            flags,
            is_counted: true,
        })
    }

    /// Releases the lease of an op that the kernel has completed.
    pub fn release(&self, lease: DescriptorLease) {
        if lease.is_counted {
            // Release: pairs with the load in `acquire`.
            self.uses.fetch_sub(1, Ordering::Release);
        }
    }

    /// Returns the second descriptor for an op that is not of the first's kind; `None` if the first
    /// one can switch over.
    fn second_for(&self, direct: bool, uses: u32) -> io::Result<Option<RawFd>> {
        if let Some(second) = self.second.get() {
            return Ok(Some(second.as_raw_fd()));
        }
        if uses & COUNT == 0 {
            return Ok(None);
        }
        self.check(self.first())?;
        let second = self.open_second(direct).map_err(|error| {
            let refused = error.raw_os_error() == Some(libc::EINVAL);
            io::Error::from_raw_os_error(if refused { libc::EINVAL } else { libc::EAGAIN })
        })?;
        Ok(Some(second))
    }

    fn open_second(&self, direct: bool) -> io::Result<RawFd> {
        let flags = self.flags | self.flags_for(direct);
        let second = platform::open_again(self.first(), flags)?;
        Ok(self.second.get_or_init(|| second).as_raw_fd())
    }

    /// Gives the first descriptor, which was opened with `O_NONBLOCK`, the flags of its first ops.
    fn set_flags_at_first(&mut self, direct: bool) -> io::Result<()> {
        let set = set_flags(self.first(), self.flags_for(direct));
        refused::or_else(Call::SetFlags, set, || {
            let flags = self.flags | self.flags_for(direct);
            self.first = platform::open_again(self.first(), flags)?;
            Ok(())
        })
    }

    /// Returns the status flags of a descriptor for ops of one kind.
    fn flags_for(&self, direct: bool) -> i32 {
        let direct = if direct { platform::DIRECT } else { 0 };
        self.flags & libc::O_APPEND | direct
    }

    /// Fails with `EBADF` if `fd` does not belong to the file any more (F14).
    pub fn check(&self, fd: RawFd) -> io::Result<()> {
        self.identity.check(fd)
    }

    /// Closes the descriptors.
    ///
    /// # Errors
    ///
    /// The first error of `close(2)`; the descriptors are closed in any case. `EBADF`, without
    /// closing it, for a descriptor that belongs to another file by now.
    pub fn close(self) -> io::Result<()> {
        let Self {
            first,
            second,
            identity,
            ..
        } = self;
        let close = |fd: OwnedFd| {
            if let Err(error) = identity.check(fd.as_raw_fd()) {
                let _ = fd.into_raw_fd();
                return Err(error);
            }
            // SAFETY: we own the descriptor, and give up the ownership here.
            check(unsafe { libc::close(fd.into_raw_fd()) })
        };
        let second = second.into_inner().map_or(Ok(()), close);
        close(first).and(second)
    }
}

/// Replaces the status flags that `fcntl(2)` can change.
fn set_flags(fd: RawFd, flags: i32) -> io::Result<()> {
    // SAFETY: the call changes flags of a descriptor, and no memory.
    retry(|| check(unsafe { libc::fcntl(fd, libc::F_SETFL, flags) }))
}

#[cfg(test)]
mod tests {
    use super::platform::{DIRECT as O_DIRECT, file_info};
    use super::*;
    use std::fs::File;

    /// Returns whether the first descriptor is direct for the kernel, and whether there is a
    /// second.
    fn seen(descriptors: &Descriptors) -> (bool, bool) {
        // SAFETY: the call reads the flags of an open descriptor.
        let flags = unsafe { libc::fcntl(descriptors.first(), libc::F_GETFL) };
        assert_eq!(flags & libc::O_NONBLOCK, 0);
        let direct = (flags & O_DIRECT).count_ones() == 1;
        (direct, descriptors.second.get().is_some())
    }

    /// Opens the descriptors of a file; `None` on a system without direct IO.
    fn descriptors() -> Option<Descriptors> {
        let path = std::env::current_exe().unwrap();
        let file = OwnedFd::from(File::open(path).unwrap());
        let identity = file_info(file.as_raw_fd()).unwrap().identity;
        let descriptors =
            Descriptors::new(file, libc::O_RDONLY | libc::O_NONBLOCK, false, identity);
        (O_DIRECT != 0).then(|| descriptors.unwrap())
    }

    #[test]
    fn one_descriptor_serves_both_kinds_one_after_the_other() {
        let Some(descriptors) = descriptors() else {
            return;
        };
        for _ in 0..3 {
            let lease = descriptors.acquire(CacheMode::Direct).unwrap();
            assert_eq!(
                (lease.fd, seen(&descriptors)),
                (descriptors.first(), (true, false))
            );
            let too = descriptors.acquire(CacheMode::Direct).unwrap();
            descriptors.release(lease);
            descriptors.release(too);
            let lease = descriptors.acquire(CacheMode::Uncached).unwrap();
            assert_eq!(
                (lease.fd, lease.flags),
                (
                    descriptors.first(),
                    platform::flags_of(CacheMode::Uncached).unwrap()
                )
            );
            assert_eq!(seen(&descriptors), (false, false));
            descriptors.release(lease);
        }
    }

    #[test]
    fn the_flag_stays_while_an_op_is_in_flight() {
        let Some(descriptors) = descriptors() else {
            return;
        };
        let direct = descriptors.acquire(CacheMode::Direct).unwrap();
        let buffered = descriptors.acquire(CacheMode::Cached).unwrap();
        assert_ne!(buffered.fd, direct.fd);
        assert_eq!(seen(&descriptors), (true, true));
        descriptors.release(direct);
        descriptors.release(buffered);
        // From now on each kind has its own descriptor.
        assert_eq!(
            descriptors.acquire(CacheMode::Uncached).unwrap().fd,
            buffered.fd
        );
        assert_eq!(
            descriptors.acquire(CacheMode::Direct).unwrap().fd,
            direct.fd
        );
        assert_eq!(seen(&descriptors), (true, true));
    }

    /// F37: when no second descriptor is available, an op waits for those in flight, and gets the
    /// first. The test runs in its own process, whose limit it lowers.
    #[test]
    fn without_a_second_descriptor_an_op_waits() {
        const MARK: &str = "EFIO_TEST_DESCRIPTORS";
        if std::env::var_os(MARK).is_none() {
            let name = "sys::descriptors::tests::without_a_second_descriptor_an_op_waits";
            let mut child = std::process::Command::new(std::env::current_exe().unwrap());
            let child = child.args(["--exact", name, "--test-threads=1"]);
            let output = child.env(MARK, "child").output().unwrap();
            let answer = String::from_utf8_lossy(&output.stdout);
            assert!(
                output.status.success() && answer.contains("1 passed"),
                "{answer}"
            );
            return;
        }
        let Some(descriptors) = descriptors() else {
            return;
        };
        let direct = descriptors.acquire(CacheMode::Direct).unwrap();
        let limit = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: a limit of this process, which exists only for this test.
        check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }).unwrap();
        let error = descriptors.acquire(CacheMode::Cached).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
        assert_eq!(
            seen(&descriptors),
            (true, false),
            "the flag of the op in flight stays"
        );
        descriptors.release(direct);
        let buffered = descriptors.acquire(CacheMode::Cached).unwrap();
        assert_eq!(
            (buffered.fd, seen(&descriptors)),
            (descriptors.first(), (false, false))
        );
    }
}

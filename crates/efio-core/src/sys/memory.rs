//! Memory mapped from the kernel.

use super::platform;
use std::io;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

/// Bytes of a page of the kernel, where they are not more.
pub const PAGE_BYTES: usize = 4096;
/// Bytes of a huge page.
pub const HUGE_PAGE_BYTES: usize = 2 << 20;

/// A private anonymous mapping.
pub struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping is plain memory that belongs to no particular thread.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps `len` bytes.
    ///
    /// # Errors
    ///
    /// Those of `mmap(2)`, `ENOMEM` as a rule.
    pub fn new(len: usize) -> io::Result<Self> {
        // SAFETY: a new private mapping at an address of the kernel's choice touches no memory
        // that exists already.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                platform::MAP_FLAGS,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).expect("mmap gave null");
        Ok(Self { base, len })
    }

    /// Maps `len` bytes, a power of two, aligned to `len`, in huge pages where the kernel has them,
    /// and touches each page, so that later uses do not fault.
    ///
    /// Example: for 2 MiB it maps 4 MiB at 0x50_0000, keeps 0x60_0000..0x80_0000, and unmaps
    /// 0x50_0000..0x60_0000 and 0x80_0000..0x90_0000.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn huge(len: usize) -> io::Result<Self> {
        debug_assert!(len.is_power_of_two());
        let whole = ManuallyDrop::new(Self::new(2 * len)?);
        let start = whole.base.as_ptr();
        let before = start.align_offset(len);
        // SAFETY: `before < len`, so the aligned part and both rests are inside the mapping made
        // above, which nobody drops as a whole; the rests are unmapped and never used.
        let base = unsafe {
            let base = start.add(before);
            if before > 0 {
                libc::munmap(start.cast(), before);
            }
            libc::munmap(base.add(len).cast(), len - before);
            whole.base.add(before)
        };
        let mapping = Self { base, len };
        mapping.touch();
        Ok(mapping)
    }

    /// Returns the address of the first byte.
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    fn touch(&self) {
        platform::prefer_huge_pages(self.base, self.len);
        for at in (0..self.len).step_by(PAGE_BYTES) {
            // SAFETY: inside the mapping, which no other code has yet.
            unsafe { self.base.as_ptr().add(at).write_volatile(0) };
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: we own the mapping, and all users of its parts held the pool that owns it.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

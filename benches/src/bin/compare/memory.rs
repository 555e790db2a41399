//! Memory for direct IO.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::ptr::NonNull;
use std::slice;

/// Bytes that begin a page.
pub struct Aligned {
    start: NonNull<u8>,
    len: usize,
}

impl Aligned {
    pub fn new(len: usize) -> Self {
        let layout = Self::layout(len);
        // SAFETY: the length is not zero, by `layout`.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) });
        let start = start.unwrap_or_else(|| handle_alloc_error(layout));
        Self { start, len }
    }

    fn layout(len: usize) -> Layout {
        Layout::from_size_align(len.max(1), 4096).expect("a length of memory")
    }

    pub fn len(&self) -> usize {
        self.len
    }
}

impl AsRef<[u8]> for Aligned {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: so many bytes were allocated, zeroed.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl AsMut<[u8]> for Aligned {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: so many bytes were allocated, zeroed, and are borrowed by nobody else.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Aligned {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.start.as_ptr(), Self::layout(self.len)) };
    }
}

/// A region of huge pages.
pub struct Huge {
    start: *mut u8,
    len: usize,
}

impl Huge {
    pub const PAGE: usize = 2 << 20;

    /// At least `len` bytes, present in memory.
    pub fn new(len: usize) -> io::Result<Self> {
        let len = len.next_multiple_of(Self::PAGE);
        let (access, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        );
        // SAFETY: a new mapping; its ends that are not aligned are unmapped again and known to
        // nobody.
        unsafe {
            let map = libc::mmap(std::ptr::null_mut(), len + Self::PAGE, access, flags, -1, 0);
            if map == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            let before = map.cast::<u8>().align_offset(Self::PAGE);
            let start = map.cast::<u8>().add(before);
            if before > 0 {
                libc::munmap(map, before);
            }
            if before < Self::PAGE {
                libc::munmap(start.add(len).cast(), Self::PAGE - before);
            }
            libc::madvise(start.cast(), len, libc::MADV_HUGEPAGE);
            for page in (0..len).step_by(4096) {
                start.add(page).write_volatile(1);
            }
            Ok(Self { start, len })
        }
    }

    pub fn start(&self) -> *mut u8 {
        self.start
    }

    pub fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Huge {
    fn drop(&mut self) {
        // SAFETY: our mapping; who uses parts of it keeps it alive.
        unsafe { libc::munmap(self.start.cast(), self.len) };
    }
}

/// Uses so much memory once, so that the host gives it to us now and not within a measurement.
pub fn touch(bytes: usize) -> io::Result<()> {
    Huge::new(bytes).map(drop)
}

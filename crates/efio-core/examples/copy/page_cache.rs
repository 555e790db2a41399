//! What of a file is in the page cache.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::ptr;

const PAGE: usize = 4096;

/// Pages of a file.
pub struct Pages {
    pub resident: usize,
    pub total: usize,
}

/// Counts the pages of `path` that are in the page cache (`mincore(2)`); none of a file that has
/// none, as those in /proc and /sys.
pub fn resident_pages(path: &Path) -> io::Result<Pages> {
    let file = File::open(path)?;
    let len = file.metadata()?.len() as usize;
    let total = len.div_ceil(PAGE);
    if total == 0 {
        return Ok(Pages { resident: 0, total });
    }
    let mut resident = vec![0u8; total];
    // SAFETY: a new private mapping that is only asked about, never read, and unmapped again; the
    // vector has one byte per page of it.
    let result = unsafe {
        let map = libc::mmap(
            ptr::null_mut(),
            len,
            libc::PROT_NONE,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        );
        if map == libc::MAP_FAILED {
            let error = io::Error::last_os_error();
            let has_none = matches!(error.raw_os_error(), Some(libc::ENODEV | libc::EACCES));
            return if has_none {
                Ok(Pages {
                    resident: 0,
                    total: 0,
                })
            } else {
                Err(error)
            };
        }
        let result = libc::mincore(map, len, resident.as_mut_ptr().cast());
        libc::munmap(map, len);
        result
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Pages {
        resident: resident.iter().filter(|&&page| page & 1 == 1).count(),
        total,
    })
}

/// Drops the clean pages of `path` from the page cache, writing back the dirty ones before. A file
/// of which nothing can be written back has none that is dirty.
pub fn drop_pages(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    match file.sync_data() {
        Err(error) if !matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EROFS)) => {
            return Err(error);
        }
        _ => {}
    }
    // SAFETY: advice about an open descriptor of ours.
    match unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) } {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

//! The page cache: what of a file is in it, and how to empty it.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

const PAGE: u64 = 4096;

/// Pages of a file in the page cache, and all of them.
pub fn resident(path: &Path) -> io::Result<(u64, u64)> {
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    let pages = len.div_ceil(PAGE);
    if pages == 0 {
        return Ok((0, 0));
    }
    let mut seen = vec![0u8; pages as usize];
    // SAFETY: a new mapping that is only asked about and unmapped again; one byte for each page.
    let result = unsafe {
        let (access, fd) = (libc::PROT_NONE, file.as_raw_fd());
        let map = libc::mmap(
            std::ptr::null_mut(),
            len as usize,
            access,
            libc::MAP_SHARED,
            fd,
            0,
        );
        if map == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let result = libc::mincore(map, len as usize, seen.as_mut_ptr());
        libc::munmap(map, len as usize);
        result
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((
        seen.iter().filter(|&&page| page & 1 == 1).count() as u64,
        pages,
    ))
}

/// Writes everything to the disk and forgets it: pages, and with the right to it names as well.
pub fn drop_all(files: &[std::path::PathBuf]) -> io::Result<()> {
    // SAFETY: no arguments.
    unsafe { libc::sync() };
    if fs::write("/proc/sys/vm/drop_caches", "3").is_ok() {
        return Ok(());
    }
    for path in files {
        let file = File::open(path)?;
        // SAFETY: advice about an open file.
        unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    }
    Ok(())
}

/// Makes everything on the directory's file system durable.
pub fn sync_file_system(dir: &Path) -> io::Result<()> {
    let dir = File::open(dir)?;
    // SAFETY: an open descriptor.
    match unsafe { libc::syncfs(dir.as_raw_fd()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

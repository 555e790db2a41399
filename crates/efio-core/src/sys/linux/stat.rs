//! The properties of an open file: statx(2), or fstat(2) where that is refused.

use crate::sys::memory::{HUGE_PAGE_BYTES, PAGE_BYTES};
use crate::sys::refused::{self, Call};
use crate::sys::stat::{FileId, FileInfo, FileSystem};
use crate::sys::{check, retry, stat};
use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;

/// Returns the identity of `fd` from memory, without asking a disk or a server on the network.
///
/// # Errors
///
/// Those of `statx(2)`.
pub fn file_id(fd: RawFd) -> io::Result<FileId> {
    let flags = libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC;
    let answer = statx(fd, c"", flags, libc::STATX_INO).map(|answer| to_file_id(&answer));
    refused::or_else(Call::Statx, answer, || stat::file_id(fd))
}

/// Returns the identity of the file `path` in the directory `at`: the target of a symbolic link
/// with `follow`, the link itself without.
///
/// # Errors
///
/// Those of `statx(2)`.
pub fn file_id_at(at: RawFd, path: &CStr, follow: bool) -> io::Result<FileId> {
    let nofollow = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
    let flags = nofollow | libc::AT_STATX_DONT_SYNC;
    let answer = statx(at, path, flags, libc::STATX_INO).map(|answer| to_file_id(&answer));
    refused::or_else(Call::Statx, answer, || stat::file_id_at(at, path, follow))
}

/// Returns the identity of this thread's working directory, and its mount.
///
/// # Errors
///
/// Those of `statx(2)`.
pub fn working_directory() -> io::Result<(FileId, u64)> {
    let flags = libc::AT_STATX_DONT_SYNC;
    let wanted = libc::STATX_INO | libc::STATX_MNT_ID;
    let answer = statx(libc::AT_FDCWD, c".", flags, wanted)?;
    if answer.stx_mask & libc::STATX_MNT_ID == 0 {
        return Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP));
    }
    Ok((to_file_id(&answer), answer.stx_mnt_id))
}

/// Returns the properties of `fd`.
///
/// # Errors
///
/// Those of `statx(2)`.
pub fn file_info(fd: RawFd) -> io::Result<FileInfo> {
    let wanted = libc::STATX_TYPE | libc::STATX_SIZE | libc::STATX_INO | libc::STATX_DIOALIGN;
    let answer = statx(fd, c"", libc::AT_EMPTY_PATH, wanted).map(|answer| FileInfo {
        kind: u32::from(answer.stx_mode) & libc::S_IFMT,
        size: answer.stx_size,
        dio_align: dio_align(&answer),
        identity: to_file_id(&answer),
    });
    refused::or_else(Call::Statx, answer, || stat::file_info(fd))
}

/// `FUSE_SUPER_MAGIC` of `<linux/magic.h>`.
const FUSE: u32 = 0x6573_5546;
/// ext2 to ext4, xfs, btrfs, tmpfs, f2fs, vfat, exfat: file systems of the kernel, where a read
/// ends at the file's size.
const LOCAL: [u32; 7] = [
    0xEF53,
    0x5846_5342,
    0x9123_683E,
    0x0102_1994,
    0xF2F5_2010,
    0x4D44,
    0x2011_BAB0,
];

/// Returns the kind of the file system of `fd`. `Fuse` if the call fails, because a program answers
/// it or a filter refuses it: reads and writes on workers are correct on any file system.
pub fn file_system(fd: RawFd) -> FileSystem {
    let mut answer = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: room for the answer; any number may be asked about.
    if retry(|| check(unsafe { libc::fstatfs(fd, answer.as_mut_ptr()) })).is_err() {
        return FileSystem::Fuse;
    }
    // SAFETY: fstatfs succeeded and filled it.
    let answer = unsafe { answer.assume_init() };
    // A number of 32 bits, in a type that differs between C libraries.
    match answer.f_type as u32 {
        FUSE => FileSystem::Fuse,
        system if LOCAL.contains(&system) => FileSystem::Local,
        _ => FileSystem::Other,
    }
}

fn statx(fd: RawFd, path: &CStr, flags: i32, wanted: u32) -> io::Result<libc::statx> {
    let mut answer = MaybeUninit::<libc::statx>::uninit();
    retry(|| {
        // SAFETY: a NUL-terminated path, and room for the answer; any number may be asked about.
        check(unsafe { libc::statx(fd, path.as_ptr(), flags, wanted, answer.as_mut_ptr()) })
    })?;
    // SAFETY: statx succeeded and filled it.
    Ok(unsafe { answer.assume_init() })
}

fn to_file_id(answer: &libc::statx) -> FileId {
    FileId {
        // As fstat(2) numbers it.
        device: libc::makedev(answer.stx_dev_major, answer.stx_dev_minor),
        inode: answer.stx_ino,
    }
}

/// Returns the alignment of direct IO: that of the file system, but at least the 4 KiB of a cache
/// page, so that a direct and a buffered write never share one; 0 when it does not fit our pages.
///
/// | of offsets | of memory | result |
/// |---|---|---|
/// | 512 | 512 | 4096 |
/// | 16384 | 512 | 16384 |
/// | 4096 | 8192 | 0: our pages are aligned to 4 KiB only |
/// | 0 | 0 | 0: no direct IO |
fn dio_align(answer: &libc::statx) -> u32 {
    let is_known = answer.stx_mask & libc::STATX_DIOALIGN != 0;
    let fits = (1..=HUGE_PAGE_BYTES as u32).contains(&answer.stx_dio_offset_align)
        && answer.stx_dio_mem_align as usize <= PAGE_BYTES;
    if is_known && fits {
        answer.stx_dio_offset_align.max(PAGE_BYTES as u32)
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F71: both kinds of calls return the same identity.
    #[test]
    fn the_older_calls_return_the_same_identity() {
        let file = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
        let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
        assert_eq!(file_id(fd).unwrap(), stat::file_id(fd).unwrap());
        let id_at = |by: fn(_, _, _) -> _| by(libc::AT_FDCWD, c"/", true);
        let root: FileId = id_at(file_id_at).unwrap();
        assert_eq!(root, id_at(stat::file_id_at).unwrap());
    }
}

//! What a descriptor is: statx(2).

use crate::page::{SLAB_BYTES, UNIT_BYTES};
use crate::sys::file::{Identity, Look};
use crate::sys::{check, retry};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;

/// Who `fd` is, from memory: a disk, or a server on the network, is not asked.
///
/// # Errors
///
/// What `statx(2)` says.
pub fn identify(fd: RawFd) -> io::Result<Identity> {
    let answer = statx(fd, libc::AT_STATX_DONT_SYNC, libc::STATX_INO)?;
    Ok(identity(&answer))
}

/// What `fd` is.
///
/// # Errors
///
/// What `statx(2)` says.
pub fn look_at(fd: RawFd) -> io::Result<Look> {
    let wanted = libc::STATX_TYPE | libc::STATX_SIZE | libc::STATX_INO | libc::STATX_DIOALIGN;
    let answer = statx(fd, 0, wanted)?;
    Ok(Look {
        kind: u32::from(answer.stx_mode) & libc::S_IFMT,
        size: answer.stx_size,
        block: direct_block(&answer),
        identity: identity(&answer),
    })
}

fn statx(fd: RawFd, flags: i32, wanted: u32) -> io::Result<libc::statx> {
    let mut answer = MaybeUninit::<libc::statx>::uninit();
    let flags = libc::AT_EMPTY_PATH | flags;
    // SAFETY: an empty path, and room for the answer; any number may be asked about.
    retry(|| check(unsafe { libc::statx(fd, c"".as_ptr(), flags, wanted, answer.as_mut_ptr()) }))?;
    // SAFETY: statx succeeded and filled it.
    Ok(unsafe { answer.assume_init() })
}

fn identity(answer: &libc::statx) -> Identity {
    Identity {
        device: u64::from(answer.stx_dev_major) << 32 | u64::from(answer.stx_dev_minor),
        inode: answer.stx_ino,
    }
}

/// The block for direct IO: what the file system wants, at least the 4 KiB of a cache page, so that
/// a direct and a buffered write never meet in one; 0 when it has none that fits our pages.
fn direct_block(answer: &libc::statx) -> u32 {
    let told = answer.stx_mask & libc::STATX_DIOALIGN != 0;
    let fits = (1..=SLAB_BYTES as u32).contains(&answer.stx_dio_offset_align)
        && answer.stx_dio_mem_align as usize <= UNIT_BYTES;
    if told && fits {
        answer.stx_dio_offset_align.max(UNIT_BYTES as u32)
    } else {
        0
    }
}

//! Sockets: the call that fills a page.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Receives into `room` without waiting. Returns the number of bytes, 0 when the peer sends no
/// more.
///
/// # Errors
///
/// Those of `recv(2)`; `EINTR` is retried.
pub fn receive(from: BorrowedFd<'_>, room: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    loop {
        // SAFETY: an open descriptor, and memory that is borrowed for the length of the call.
        let n = unsafe {
            libc::recv(
                from.as_raw_fd(),
                room.as_mut_ptr().cast(),
                room.len(),
                libc::MSG_DONTWAIT,
            )
        };
        if let Ok(n) = usize::try_from(n) {
            return Ok(n);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

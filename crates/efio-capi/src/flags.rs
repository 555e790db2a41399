//! The flags of open(2) as options of the engine.

use crate::ffi::error;
use efio_core::{IoMode, OpenOptions};
use std::ffi::c_int;
use std::io;

/// Flags that change nothing here: each descriptor is close-on-exec, no call waits, offsets have
/// 64 bits, and the open of a terminal fails.
const WITHOUT_EFFECT: c_int =
    libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_LARGEFILE | libc::O_NOCTTY;

/// Flags that are obeyed.
const OBEYED: c_int = libc::O_ACCMODE
    | libc::O_APPEND
    | libc::O_CREAT
    | libc::O_EXCL
    | libc::O_TRUNC
    | libc::O_DIRECT;

/// Returns what `flags` and `mode` ask for.
///
/// # Errors
///
/// `EINVAL` for an unknown access mode, for a flag that cannot be obeyed, and for `O_APPEND`
/// without write access.
pub fn options(flags: c_int, mode: u32) -> io::Result<OpenOptions> {
    let has = |flag| flags & flag != 0;
    // The C library's O_LARGEFILE is 0 on 64-bit platforms, but a program may have the kernel's.
    if flags & !(OBEYED | WITHOUT_EFFECT) != 0 {
        return Err(error(libc::EINVAL));
    }
    let (read, write) = match flags & libc::O_ACCMODE {
        libc::O_RDONLY => (true, false),
        libc::O_WRONLY => (false, true),
        libc::O_RDWR => (true, true),
        _ => return Err(error(libc::EINVAL)),
    };
    if has(libc::O_APPEND) && !write {
        return Err(error(libc::EINVAL));
    }
    let creates = has(libc::O_CREAT);
    let mut options = OpenOptions::new()
        .read(read)
        .write(write)
        .append(has(libc::O_APPEND))
        .create(creates)
        .create_new(creates && has(libc::O_EXCL))
        .truncate(has(libc::O_TRUNC));
    if creates {
        options = options.mode(mode);
    }
    if has(libc::O_DIRECT) {
        options = options.io_mode(IoMode::Direct);
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use libc::{
        O_APPEND, O_CREAT, O_DIRECT, O_EXCL, O_PATH, O_RDONLY, O_RDWR, O_SYNC, O_TRUNC, O_WRONLY,
    };

    #[test]
    fn flags_are_obeyed_or_refused() {
        for flags in [
            O_RDONLY,
            O_WRONLY,
            O_RDWR | O_APPEND | O_CREAT,
            O_WRONLY | O_CREAT | O_TRUNC | O_DIRECT,
            O_RDWR | O_CREAT | O_EXCL | libc::O_CLOEXEC | libc::O_NONBLOCK,
            O_RDONLY | libc::O_NOCTTY | libc::O_LARGEFILE,
        ] {
            assert!(options(flags, 0o600).is_ok(), "{flags:o}");
        }
        for flags in [
            libc::O_ACCMODE,
            O_RDONLY | O_APPEND,
            O_WRONLY | O_SYNC,
            O_RDONLY | O_PATH,
            O_RDONLY | libc::O_NOFOLLOW,
            O_RDONLY | libc::O_DIRECTORY,
            -1,
        ] {
            let error = options(flags, 0).expect_err("refused");
            assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "{flags:o}");
        }
    }
}

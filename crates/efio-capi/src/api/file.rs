//! Reading, writing, and the state of a file.

use crate::ffi::{bytes, bytes_mut, enter, error, put, set_errno};
use crate::library::library;
use efio_core::{NameState, Readiness};
use libc::ssize_t;
use std::ffi::{c_int, c_void};
use std::io::{self, ErrorKind, Write};

/// The progress of the bytes of a file. Counts, not offsets: accepted >= written >= durable.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Progress {
    /// Copied out of the caller's memory.
    pub accepted: u64,
    /// In the kernel: they survive the process.
    pub written: u64,
    /// On the disk: they survive the machine.
    pub durable: u64,
}

/// Whether the name of a file survives a power cut, as its durable bytes do; see ef_name_state.
#[derive(Clone, Copy)]
#[repr(C)]
pub enum Name {
    /// The open made no file, or is pending: the name is as durable as before.
    NotNew = 0,
    /// The file is new, and no sync has covered its name.
    Pending = 1,
    /// The name survives.
    Durable = 2,
    /// The sync of the directory failed. EACCES: the directory may not be read. ESTALE: it does not
    /// have the name any more. Other errors are those of fsync(2) of the directory.
    Unknown = 3,
}

/// Reads up to `nbyte` bytes from the position on into `buf`, and moves the position. Returns the
/// number of bytes; 0 at the current end of file: when the file grows, a later read gives the new
/// bytes. A read sees what was written through the same descriptor. -1: EAGAIN when nothing is in
/// memory: the callback or an event follows when the read can be repeated; EBADF when closed or not
/// open for reading; EINVAL for a null `buf` and for no bytes; the error of the open or of the
/// disk.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_read(fd: c_int, buf: *mut c_void, nbyte: usize) -> ssize_t {
    enter(|| {
        let library = library()?;
        let file = library.file(fd)?;
        // SAFETY: the promises of C, see the module above.
        let buf = unsafe { bytes_mut(buf, nbyte) }?;
        let count = file.read(buf)?;
        Ok(count as isize)
    })
}

/// Returns what ef_read would return now: 1 for bytes, 0 at the end of file, -1 with an error.
/// EAGAIN: the bytes were requested; the callback or an event follows when they are in memory.
#[unsafe(no_mangle)]
pub extern "C" fn ef_file_ready_for_read(fd: c_int) -> ssize_t {
    enter(|| {
        let library = library()?;
        let count = library.file(fd)?.available()?;
        Ok(isize::from(count > 0))
    })
}

/// Writes up to `nbyte` bytes at the position, which moves: copies them into memory, from where the
/// library writes them in the background. Returns the number of bytes; 0, with EAGAIN in errno,
/// when the memory budget or the file's share of it is used up: an event follows when there is
/// room. -1: EBADF when closed or not open for writing; EINVAL for a null `buf` and for no bytes;
/// the file's failure, if there was one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_write(fd: c_int, buf: *const c_void, nbyte: usize) -> ssize_t {
    enter(|| {
        let library = library()?;
        let file = library.file(fd)?;
        // SAFETY: the promises of C, see the module above.
        let buf = unsafe { bytes(buf, nbyte) }?;
        match file.write(buf) {
            Ok(count) => Ok(count as isize),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                set_errno(libc::EAGAIN);
                Ok(0)
            }
            Err(error) => Err(error),
        }
    })
}

/// Like ef_write, but accepts all of the bytes: it waits for the disk when there is no room.
/// Returns less than `nbyte` only when the file fails or is closed meanwhile. ef_io.h calls this
/// ef_write, for programs that do not check the number of bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_write_all(fd: c_int, buf: *const c_void, nbyte: usize) -> ssize_t {
    enter(|| {
        let library = library()?;
        let file = library.file(fd)?;
        // SAFETY: the promises of C, see the module above.
        let buf = unsafe { bytes(buf, nbyte) }?;
        let mut count = 0;
        while count < buf.len() {
            let rest = &buf[count..];
            let accepted = match file.write(rest) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    file.blocking(None).write(rest)
                }
                result => result,
            };
            match accepted {
                Ok(more) => count += more,
                // The next call gives the error.
                Err(_) if count > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(count as isize)
    })
}

/// Returns which calls would not block: the sum of 1 for a write and 2 for a read, be it with
/// bytes, the end of file or an error; 0 for neither. Of a file that is open for reading only,
/// bytes are requested. -1: EBADF when closed; the error of the open.
#[unsafe(no_mangle)]
pub extern "C" fn ef_poll(fd: c_int) -> c_int {
    enter(|| {
        let library = library()?;
        let file = library.file(fd)?;
        file.open_status()?;
        let mut ready = file.readiness()?;
        let fails_with = |result: io::Result<usize>, errno| {
            result.is_err_and(|error| error.raw_os_error() == Some(errno))
        };
        // A write of no bytes fails when the file is open for reading only.
        if ready == Readiness::default() && fails_with(file.write(&[]), libc::EBADF) {
            ready.readable = !fails_with(file.available(), libc::EAGAIN);
        }
        Ok(c_int::from(ready.writable) + 2 * c_int::from(ready.readable))
    })
}

/// Makes every byte accepted so far durable, in the background. Returns 0 at once; an event follows
/// when it is done, and ef_get_progress shows it. -1: the file's failure, if there was one; EBADF
/// when closed.
#[unsafe(no_mangle)]
pub extern "C" fn ef_sync(fd: c_int) -> c_int {
    // SAFETY: null is allowed.
    unsafe { ef_sync_mark(fd, std::ptr::null_mut()) }
}

/// Like ef_sync. `*mark`, unless it is null, becomes the mark that `durable` of ef_progress and
/// `value` of the event will reach.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_sync_mark(fd: c_int, mark: *mut u64) -> c_int {
    enter(|| {
        let library = library()?;
        let upto = library.file(fd)?.sync()?;
        // SAFETY: the promises of C, see the module above.
        unsafe { put(mark, upto) };
        Ok(0)
    })
}

/// Returns 0 and the progress of the file's bytes, or -1: EBADF when closed, EINVAL for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_get_progress(fd: c_int, progress: *mut Progress) -> c_int {
    enter(|| {
        let library = library()?;
        if progress.is_null() {
            return Err(error(libc::EINVAL));
        }
        let marks = library.file(fd)?.progress()?;
        let marks = Progress {
            accepted: marks.accepted,
            written: marks.written,
            durable: marks.durable,
        };
        // SAFETY: the promises of C, see the module above.
        unsafe { put(progress, marks) };
        Ok(0)
    })
}

/// Returns the errno of the failure after which the file accepts no more bytes, 0 when there was
/// none. `*lost_from`, unless it is null, becomes the lowest offset whose byte may be lost,
/// UINT64_MAX when none may. A failure stays for as long as the file is open. -1: EBADF when
/// closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_error(fd: c_int, lost_from: *mut u64) -> c_int {
    enter(|| {
        let library = library()?;
        let Some(failure) = library.file(fd)?.failure()? else {
            return Ok(0);
        };
        // SAFETY: the promises of C, see the module above.
        unsafe { put(lost_from, failure.offset) };
        Ok(failure.errno.0)
    })
}

/// Returns whether the name of the file survives a power cut, one of ef_name. `*error`, unless it
/// is null, becomes the errno for EF_NAME_UNKNOWN, else 0. -1: EBADF when closed.
///
/// The first sync of a file that its open made syncs the directory as well. A directory that cannot
/// be synced does not harm the file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_name_state(fd: c_int, error: *mut c_int) -> c_int {
    enter(|| {
        let library = library()?;
        let state = library.file(fd)?.stats()?.name;
        let (name, errno) = match state {
            NameState::NotNew => (Name::NotNew, 0),
            NameState::Pending => (Name::Pending, 0),
            NameState::Durable => (Name::Durable, 0),
            NameState::Unknown(errno) => (Name::Unknown, errno.0),
            // Of a later engine.
            _ => (Name::Unknown, 0),
        };
        // SAFETY: the promises of C, see the module above.
        unsafe { put(error, errno) };
        Ok(name as c_int)
    })
}

/// Moves the position of the next read or write to `position` bytes from the start. An append goes
/// to the end of the file all the same, and the position is the end of the file after it. Returns
/// 0, or -1: EINVAL beyond the range of offsets, EBADF when closed.
#[unsafe(no_mangle)]
pub extern "C" fn ef_seek(fd: c_int, position: u64) -> c_int {
    enter(|| -> io::Result<c_int> {
        let library = library()?;
        library.file(fd)?.set_position(position)?;
        Ok(0)
    })
}

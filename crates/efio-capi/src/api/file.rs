//! Reading, writing, and how far the bytes have come.

use crate::ffi::{bytes, bytes_mut, enter, error, put, set_errno};
use crate::library::descriptor;
use libc::ssize_t;
use std::ffi::{c_int, c_void};
use std::io::{self, ErrorKind};

/// How far the bytes of a file have come. Counts, not offsets: accepted >= written >= durable.
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

/// Reads up to `nbyte` bytes from the position on into `buf`, and moves the position. Returns how
/// many; 0 at the end of file, which is where it is now: a file that grows reads on. Bytes that
/// were written through the same descriptor are seen. -1: EAGAIN when nothing is in memory, and
/// the callback or event says when to come again; EBADF when closed or not open for reading;
/// EINVAL for a null `buf` and for no bytes; the error of the open or of the disk.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_read(fd: c_int, buf: *mut c_void, nbyte: usize) -> ssize_t {
    enter(|| {
        let (library, descriptor) = descriptor(fd)?;
        // SAFETY: what C promises, see the module above.
        let buf = unsafe { bytes_mut(buf, nbyte) }?;
        let count = library.engine.file(descriptor.fd()).read(buf)?;
        Ok(count as isize)
    })
}

/// What ef_read would give at once: 1 for bytes, 0 at the end of file, -1 with an error. EAGAIN:
/// the bytes were asked for, and the callback or event says when they are there.
#[unsafe(no_mangle)]
pub extern "C" fn ef_file_ready_for_read(fd: c_int) -> ssize_t {
    enter(|| {
        let (library, descriptor) = descriptor(fd)?;
        let count = library.engine.file(descriptor.fd()).available()?;
        Ok(isize::from(count > 0))
    })
}

/// Copies up to `nbyte` bytes into memory, from where they go to the file at the position, which
/// moves. Returns how many; 0, with EAGAIN in errno, when the memory budget or the file's share of
/// it is used up, and an event says when there is room. -1: EBADF when closed or not open for
/// writing; EINVAL for a null `buf` and for no bytes; after a failure its error, whatever is written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_write(fd: c_int, buf: *const c_void, nbyte: usize) -> ssize_t {
    enter(|| {
        let (library, descriptor) = descriptor(fd)?;
        // SAFETY: what C promises, see the module above.
        let buf = unsafe { bytes(buf, nbyte) }?;
        match library.engine.file(descriptor.fd()).write(buf) {
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
/// ef_write, for programs that do not look how much was accepted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_write_all(fd: c_int, buf: *const c_void, nbyte: usize) -> ssize_t {
    enter(|| {
        let (library, descriptor) = descriptor(fd)?;
        // SAFETY: what C promises, see the module above.
        let buf = unsafe { bytes(buf, nbyte) }?;
        let file = descriptor.fd();
        let mut count = 0;
        while count < buf.len() {
            let accepted =
                library
                    .desk
                    .wait_for(|| match library.engine.file(file).write(&buf[count..]) {
                        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
                        result => Some(result),
                    });
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

/// What could be done at once: the sum of 1 for a write and 2 for a read, where an end of file or
/// an error is an answer as well; 0 for neither. Of a file that is open for reading only, bytes
/// are asked for. -1: EBADF when closed; the error of the open.
#[unsafe(no_mangle)]
pub extern "C" fn ef_poll(fd: c_int) -> c_int {
    enter(|| {
        let (library, descriptor) = descriptor(fd)?;
        let file = descriptor.fd();
        library.engine.file(file).open_status()?;
        let mut ready = library.engine.file(file).readiness()?;
        if !ready.readable && !descriptor.is_writable() {
            let found = library.engine.file(file).available();
            ready.readable = !found.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        }
        Ok(c_int::from(ready.writable) + 2 * c_int::from(ready.readable))
    })
}

/// Asks that every byte accepted so far becomes durable. Returns 0 at once; an event and
/// ef_progress say when it is done. -1: the file's failure, if there was one; EBADF when closed.
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
        let (library, descriptor) = descriptor(fd)?;
        let upto = library.engine.file(descriptor.fd()).sync()?;
        // SAFETY: what C promises, see the module above.
        unsafe { put(mark, upto) };
        Ok(0)
    })
}

/// How far the bytes of the file have come. Returns 0, or -1: EBADF when closed, EINVAL for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_get_progress(fd: c_int, progress: *mut Progress) -> c_int {
    enter(|| {
        let (library, descriptor) = descriptor(fd)?;
        if progress.is_null() {
            return Err(error(libc::EINVAL));
        }
        let marks = library.engine.file(descriptor.fd()).progress()?;
        let marks = Progress {
            accepted: marks.accepted,
            written: marks.written,
            durable: marks.durable,
        };
        // SAFETY: what C promises, see the module above.
        unsafe { put(progress, marks) };
        Ok(0)
    })
}

/// What made the file unusable for writing: returns 0 when nothing did, else the errno, and
/// `*lost_from`, unless it is null, becomes the lowest offset whose byte may be lost, UINT64_MAX
/// when none may. It never goes away while the file is open. -1: EBADF when closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_error(fd: c_int, lost_from: *mut u64) -> c_int {
    enter(|| {
        let (library, descriptor) = descriptor(fd)?;
        let Some(failure) = library.engine.file(descriptor.fd()).failure()? else {
            return Ok(0);
        };
        // SAFETY: what C promises, see the module above.
        unsafe { put(lost_from, failure.offset) };
        Ok(failure.errno.0)
    })
}

/// Moves the position of the next read or write to `position` bytes from the start; appends go to
/// the end all the same, and behind one the position is the end of the file. Returns 0, or -1:
/// EINVAL beyond the range of offsets, EBADF when closed.
#[unsafe(no_mangle)]
pub extern "C" fn ef_seek(fd: c_int, position: u64) -> c_int {
    enter(|| -> io::Result<c_int> {
        let (library, descriptor) = descriptor(fd)?;
        library
            .engine
            .file(descriptor.fd())
            .set_position(position)?;
        Ok(0)
    })
}

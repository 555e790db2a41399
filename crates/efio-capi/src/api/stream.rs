//! The chunk stream for C.

use crate::ffi::{bytes, bytes_mut, enter, error, object, put};
use crate::forked::ForkedLock;
use bytes::Bytes;
use efio_chunks::{ByteReader, ByteWriter, byte_stream};
use libc::ssize_t;
use std::ffi::{c_int, c_void};
use std::ptr;

/// A stream of byte chunks: one thread adds chunks while another takes bytes, and neither waits for
/// the other. Each end has a lock, so that several threads may use one end.
pub struct Stream {
    writer: ForkedLock<ByteWriter>,
    reader: ForkedLock<ByteReader>,
}

/// Memory from malloc(3).
struct Allocation {
    start: *mut c_void,
    len: usize,
}

// SAFETY: it is owned, and malloc's memory may be read and freed on any thread.
unsafe impl Send for Allocation {}

impl AsRef<[u8]> for Allocation {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: C gave `ef_stream_push` that many readable bytes, for good.
        unsafe { std::slice::from_raw_parts(self.start.cast(), self.len) }
    }
}

impl Drop for Allocation {
    fn drop(&mut self) {
        // SAFETY: it came from malloc, and is freed once.
        unsafe { libc::free(self.start) };
    }
}

/// Creates an empty stream.
#[unsafe(no_mangle)]
pub extern "C" fn ef_stream_create() -> *mut Stream {
    enter(|| {
        let (writer, reader) = byte_stream();
        Ok(Box::into_raw(Box::new(Stream {
            writer: ForkedLock::new(writer),
            reader: ForkedLock::new(reader),
        })))
    })
}

/// Destroys a stream and the bytes in it. Null is allowed. ESHUTDOWN in errno: in a forked child, a
/// thread of the parent was inside a call; the memory is not freed.
///
/// Every function of a stream fails with ESHUTDOWN in a forked child when another thread of the
/// parent used the same end of it at the fork.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_stream_destroy(stream: *mut Stream) {
    enter(|| {
        // SAFETY: the promises of C, see the module above.
        if let Some(alive) = unsafe { stream.as_ref() } {
            if alive.writer.is_lost() || alive.reader.is_lost() {
                return Err(error(libc::ESHUTDOWN));
            }
            // SAFETY: it came from `ef_stream_create`, and is destroyed once.
            drop(unsafe { Box::from_raw(stream) });
        }
        Ok(())
    })
}

/// Adds `nbyte` bytes at the end without copying them: `buf`, which comes from malloc(3), belongs
/// to the stream from then on, which frees it with free(3). Returns `nbyte`, or 0: EINVAL for null
/// and for no bytes; `buf` is still the caller's then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_stream_push(
    stream: *mut Stream,
    buf: *mut c_void,
    nbyte: usize,
) -> usize {
    enter(|| {
        // SAFETY: the promises of C, see the module above.
        let stream = unsafe { object(stream) }?;
        // SAFETY: the promises of C, see the module above.
        unsafe { bytes(buf, nbyte) }?;
        let mut writer = stream.writer.lock()?;
        let allocation = Allocation {
            start: buf,
            len: nbyte,
        };
        let chunk = Bytes::from_owner(allocation);
        // The stream has no bound, and its reader lives as long as its writer.
        let pushed = writer.push(chunk);
        pushed.map(|()| nbyte).map_err(|_| error(libc::EPIPE))
    })
}

/// Copies `nbyte` bytes to the end. Returns the number of bytes: fewer, with ENOMEM in errno, for
/// lack of memory. 0: EINVAL for null and for no bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_stream_append(
    stream: *mut Stream,
    buf: *const c_void,
    nbyte: usize,
) -> usize {
    enter(|| {
        // SAFETY: the promises of C, see the module above.
        let stream = unsafe { object(stream) }?;
        // SAFETY: the promises of C, see the module above.
        let buf = unsafe { bytes(buf, nbyte) }?;
        let count = stream.writer.lock()?.append(buf);
        if count < buf.len() {
            crate::ffi::set_errno(libc::ENOMEM);
        }
        Ok(count)
    })
}

/// Copies up to `nbyte` bytes, from `start_pos` bytes after the front on, and leaves them in the
/// stream. Returns the number of bytes; -1: EINVAL for null, for no bytes, and when the stream has
/// none at `start_pos`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_stream_copy(
    stream: *mut Stream,
    start_pos: usize,
    buf: *mut c_void,
    nbyte: usize,
) -> ssize_t {
    enter(|| {
        // SAFETY: the promises of C, see the module above.
        let stream = unsafe { object(stream) }?;
        // SAFETY: the promises of C, see the module above.
        let buf = unsafe { bytes_mut(buf, nbyte) }?;
        match stream.reader.lock()?.peek(start_pos as u64, buf) {
            0 => Err(error(libc::EINVAL)),
            count => Ok(count as isize),
        }
    })
}

/// Takes up to `nbyte` bytes. Returns the number of bytes; 0 when the stream is empty. 0 and EINVAL
/// for null and for no bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_stream_read(
    stream: *mut Stream,
    buf: *mut c_void,
    nbyte: usize,
) -> usize {
    enter(|| {
        // SAFETY: the promises of C, see the module above.
        let stream = unsafe { object(stream) }?;
        // SAFETY: the promises of C, see the module above.
        let buf = unsafe { bytes_mut(buf, nbyte) }?;
        Ok(stream.reader.lock()?.read(buf))
    })
}

/// Discards up to `nbyte` bytes. Returns the number of bytes. Null: 0 and EINVAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_stream_erase(stream: *mut Stream, nbyte: usize) -> usize {
    enter(|| {
        // SAFETY: the promises of C, see the module above.
        let stream = unsafe { object(stream) }?;
        Ok(stream.reader.lock()?.consume(nbyte))
    })
}

/// Returns the bytes at the front, without a copy; null when the stream is empty. They stay valid
/// until they are taken. ef_stream_get_buffer_len has their number: call it after this function,
/// since bytes may be added in between.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_stream_get_buffer(stream: *mut Stream) -> *const c_void {
    enter(|| {
        // SAFETY: the promises of C, see the module above.
        let stream = unsafe { object(stream) }?;
        let reader = stream.reader.lock()?;
        let front = reader.chunk();
        Ok(if front.is_empty() {
            ptr::null()
        } else {
            front.as_ptr().cast()
        })
    })
}

/// Returns the number of bytes that ef_stream_get_buffer points to. Null: 0 and EINVAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_stream_get_buffer_len(stream: *mut Stream) -> usize {
    enter(|| {
        // SAFETY: the promises of C, see the module above.
        let stream = unsafe { object(stream) }?;
        Ok(stream.reader.lock()?.chunk().len())
    })
}

/// Moves all bytes of `from` to the end of `to`, without a copy. `*count`, unless it is null,
/// becomes the number of bytes. Returns 0, or -1: EINVAL for null and when both are the same
/// stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_stream_transfer(
    to: *mut Stream,
    from: *mut Stream,
    count: *mut usize,
) -> c_int {
    enter(|| {
        // SAFETY: the promises of C, see the module above.
        let (to, from) = unsafe { (object(to)?, object(from)?) };
        if ptr::eq(to, from) {
            return Err(error(libc::EINVAL));
        }
        let moved = {
            // Locks a writer before a reader; no call holds two of a kind, so there is no deadlock.
            let mut writer = to.writer.lock()?;
            let mut reader = from.reader.lock()?;
            writer.transfer_from(&mut reader)
        };
        // SAFETY: the promises of C, see the module above.
        unsafe { put(count, moved) };
        Ok(0)
    })
}

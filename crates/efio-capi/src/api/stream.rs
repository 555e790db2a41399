//! The chunk stream for C.

use crate::ffi::{bytes, bytes_mut, enter, error, object, put};
use crate::forked::ForkedLock;
use bytes::Bytes;
use efio_chunks::{ByteReader, ByteWriter, byte_stream};

use libc::ssize_t;
use std::ffi::{c_int, c_void};
use std::ptr;

/// A stream of byte chunks: one thread puts them in while another takes bytes out, and neither
/// waits for the other. Each end has a lock, so that several threads at one end do no harm.
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
        // SAFETY: `ef_stream_push` was given that many readable bytes, for good.
        unsafe { std::slice::from_raw_parts(self.start.cast(), self.len) }
    }
}

impl Drop for Allocation {
    fn drop(&mut self) {
        // SAFETY: it came from malloc, and goes here, once.
        unsafe { libc::free(self.start) };
    }
}

/// A new stream, empty.
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

/// Destroys a stream and what is in it. Null is allowed. ESHUTDOWN in errno: in a forked child whose
/// parent was in the middle of a call, the memory stays.
///
/// Every function of a stream fails with ESHUTDOWN in a forked child when another thread of the parent
/// was at the same end of it at the fork.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_stream_destroy(stream: *mut Stream) {
    enter(|| {
        // SAFETY: what C promises, see the module above.
        if let Some(alive) = unsafe { stream.as_ref() } {
            if alive.writer.is_lost() || alive.reader.is_lost() {
                return Err(error(libc::ESHUTDOWN));
            }
            // SAFETY: it came from `ef_stream_create`, and goes here, once.
            drop(unsafe { Box::from_raw(stream) });
        }
        Ok(())
    })
}

/// Puts `nbyte` bytes at the end without copying them: `buf`, which comes from malloc(3), belongs
/// to the stream, which gives it to free(3). Returns `nbyte`, or 0: EINVAL for null and for no
/// bytes; `buf` is still the caller's then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_stream_push(
    stream: *mut Stream,
    buf: *mut c_void,
    nbyte: usize,
) -> usize {
    enter(|| {
        // SAFETY: what C promises, see the module above.
        let stream = unsafe { object(stream) }?;
        // SAFETY: what C promises, see the module above.
        unsafe { bytes(buf, nbyte) }?;
        let mut writer = stream.writer.lock()?;
        let allocation = Allocation {
            start: buf,
            len: nbyte,
        };
        let chunk = Bytes::from_owner(allocation);
        // The stream has no bound, and its reader is there as long as the writer.
        let pushed = writer.push(chunk);
        pushed.map(|()| nbyte).map_err(|_| error(libc::EPIPE))
    })
}

/// Copies `nbyte` bytes to the end. Returns how many: fewer when memory lacks, with ENOMEM. 0:
/// EINVAL for null and for no bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_stream_append(
    stream: *mut Stream,
    buf: *const c_void,
    nbyte: usize,
) -> usize {
    enter(|| {
        // SAFETY: what C promises, see the module above.
        let stream = unsafe { object(stream) }?;
        // SAFETY: what C promises, see the module above.
        let buf = unsafe { bytes(buf, nbyte) }?;
        let count = stream.writer.lock()?.append(buf);
        if count < buf.len() {
            crate::ffi::set_errno(libc::ENOMEM);
        }
        Ok(count)
    })
}

/// Copies up to `nbyte` bytes out, from `start_pos` bytes behind the front on, and leaves them in
/// the stream. Returns how many; -1: EINVAL for null, for no bytes, and when the stream has none
/// at `start_pos`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_stream_copy(
    stream: *mut Stream,
    start_pos: usize,
    buf: *mut c_void,
    nbyte: usize,
) -> ssize_t {
    enter(|| {
        // SAFETY: what C promises, see the module above.
        let stream = unsafe { object(stream) }?;
        // SAFETY: what C promises, see the module above.
        let buf = unsafe { bytes_mut(buf, nbyte) }?;
        match stream.reader.lock()?.peek(start_pos as u64, buf) {
            0 => Err(error(libc::EINVAL)),
            count => Ok(count as isize),
        }
    })
}

/// Takes up to `nbyte` bytes out. Returns how many; 0 when there are none now. 0 and EINVAL for
/// null and for no bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_stream_read(
    stream: *mut Stream,
    buf: *mut c_void,
    nbyte: usize,
) -> usize {
    enter(|| {
        // SAFETY: what C promises, see the module above.
        let stream = unsafe { object(stream) }?;
        // SAFETY: what C promises, see the module above.
        let buf = unsafe { bytes_mut(buf, nbyte) }?;
        Ok(stream.reader.lock()?.read(buf))
    })
}

/// Takes up to `nbyte` bytes out and forgets them. Returns how many. Null: 0 and EINVAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_stream_erase(stream: *mut Stream, nbyte: usize) -> usize {
    enter(|| {
        // SAFETY: what C promises, see the module above.
        let stream = unsafe { object(stream) }?;
        Ok(stream.reader.lock()?.consume(nbyte))
    })
}

/// The bytes at the front, without a copy; null when there are none now. They stay where they are
/// until they are taken out. ef_stream_get_buffer_len says how many there are: ask for the buffer
/// first, since bytes may be added to it in between.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_stream_get_buffer(stream: *mut Stream) -> *const c_void {
    enter(|| {
        // SAFETY: what C promises, see the module above.
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

/// How many bytes ef_stream_get_buffer points to. Null: 0 and EINVAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_stream_get_buffer_len(stream: *mut Stream) -> usize {
    enter(|| {
        // SAFETY: what C promises, see the module above.
        let stream = unsafe { object(stream) }?;
        Ok(stream.reader.lock()?.chunk().len())
    })
}

/// Moves all that is in `from` to the end of `to`; chunks are not copied. `*count`, unless it is
/// null, becomes the number of bytes. Returns 0, or -1: EINVAL for null and for one and the same.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_stream_transfer(
    to: *mut Stream,
    from: *mut Stream,
    count: *mut usize,
) -> c_int {
    enter(|| {
        // SAFETY: what C promises, see the module above.
        let (to, from) = unsafe { (object(to)?, object(from)?) };
        if ptr::eq(to, from) {
            return Err(error(libc::EINVAL));
        }
        let moved = {
            // A writer before a reader, and no call holds two of a kind: nobody waits in a circle.
            let mut writer = to.writer.lock()?;
            let mut reader = from.reader.lock()?;
            writer.transfer_from(&mut reader)
        };
        // SAFETY: what C promises, see the module above.
        unsafe { put(count, moved) };
        Ok(0)
    })
}

//! The boundary to C: no panic leaves a call, no cancellation interrupts it, and errors become
//! `errno`.

use crate::cancel::CancelGuard;
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// A type that a C function returns, with the value that means failure.
pub trait Outcome {
    /// The value that sends the caller to `errno`.
    const FAILED: Self;
}

impl Outcome for c_int {
    const FAILED: Self = -1;
}

impl Outcome for isize {
    const FAILED: Self = -1;
}

/// A count: nothing was done.
impl Outcome for usize {
    const FAILED: Self = 0;
}

impl Outcome for () {
    const FAILED: Self = ();
}

impl<T> Outcome for *mut T {
    const FAILED: Self = std::ptr::null_mut();
}

impl<T> Outcome for *const T {
    const FAILED: Self = std::ptr::null();
}

/// Runs the body of a C function. Each C function is one call of this.
///
/// An error sets `errno`. A panic, which would be a bug of efio, sets it to `EIO`; locks that
/// survive a panic protect what the body left half done. A cancellation of the thread is deferred
/// to the end of the call.
pub fn enter<R: Outcome>(body: impl FnOnce() -> io::Result<R>) -> R {
    let _cancel_guard = CancelGuard::new();
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => value,
        Ok(Err(error)) => fail(error.raw_os_error().unwrap_or(libc::EIO)),
        Err(payload) => {
            // The drop of a payload may panic as well.
            std::mem::forget(payload);
            fail(libc::EIO)
        }
    }
}

fn fail<R: Outcome>(errno: c_int) -> R {
    set_errno(errno);
    R::FAILED
}

/// Sets the calling thread's `errno`.
pub fn set_errno(errno: c_int) {
    // SAFETY: the address of this thread's errno is always valid.
    unsafe { *libc::__errno_location() = errno };
}

/// Returns the error for `errno`.
pub fn error(errno: c_int) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

/// Borrows memory of C for reading.
///
/// # Errors
///
/// `EINVAL` for a null pointer, for no bytes (so that a return of 0 has one meaning), and for more
/// bytes than an object can have.
///
/// # Safety
///
/// If it is not null, `len` bytes at `ptr` can be read for as long as the result is used.
pub unsafe fn bytes<'a>(ptr: *const c_void, len: usize) -> io::Result<&'a [u8]> {
    check(ptr, len)?;
    // SAFETY: the caller's promise; not null and no longer than an object.
    Ok(unsafe { std::slice::from_raw_parts(ptr.cast(), len) })
}

/// Borrows memory of C for writing.
///
/// # Errors
///
/// As for [`bytes`].
///
/// # Safety
///
/// If it is not null, `len` bytes at `ptr` can be written, by this call only, for as long as the
/// result is used.
pub unsafe fn bytes_mut<'a>(ptr: *mut c_void, len: usize) -> io::Result<&'a mut [u8]> {
    check(ptr, len)?;
    // SAFETY: the caller's promise; not null and no longer than an object. Bytes that C has not
    // initialised are written only.
    Ok(unsafe { std::slice::from_raw_parts_mut(ptr.cast(), len) })
}

fn check(ptr: *const c_void, len: usize) -> io::Result<()> {
    if ptr.is_null() || len == 0 || isize::try_from(len).is_err() {
        return Err(error(libc::EINVAL));
    }
    Ok(())
}

/// Borrows a path of C.
///
/// # Errors
///
/// `EINVAL` for null and for the empty path.
///
/// # Safety
///
/// If it is not null, `path` is a string that ends with a zero and does not change meanwhile.
pub unsafe fn path<'a>(path: *const c_char) -> io::Result<&'a Path> {
    if path.is_null() {
        return Err(error(libc::EINVAL));
    }
    // SAFETY: the caller's promise.
    let bytes = unsafe { CStr::from_ptr(path) }.to_bytes();
    if bytes.is_empty() {
        return Err(error(libc::EINVAL));
    }
    Ok(Path::new(OsStr::from_bytes(bytes)))
}

/// Borrows an object that C got from this library.
///
/// # Errors
///
/// `EINVAL` for null.
///
/// # Safety
///
/// If it is not null it points to a live `T` for as long as the result is used.
pub unsafe fn object<'a, T>(ptr: *const T) -> io::Result<&'a T> {
    // SAFETY: the caller's promise.
    unsafe { ptr.as_ref() }.ok_or_else(|| error(libc::EINVAL))
}

/// Writes a result to memory of C, unless C gives null because it does not want it.
///
/// # Safety
///
/// If it is not null, a `T` can be written there.
pub unsafe fn put<T>(to: *mut T, value: T) {
    if !to.is_null() {
        // SAFETY: the caller's promise.
        unsafe { to.write(value) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errno() -> c_int {
        io::Error::last_os_error().raw_os_error().unwrap()
    }

    struct PanicOnDrop;

    impl Drop for PanicOnDrop {
        fn drop(&mut self) {
            panic!("again");
        }
    }

    #[test]
    fn a_panic_is_an_error_of_the_call() {
        set_errno(0);
        assert_eq!(enter(|| -> io::Result<c_int> { panic!("a bug") }), -1);
        assert_eq!(errno(), libc::EIO);
        let null = enter(|| -> io::Result<*mut u8> { std::panic::panic_any(PanicOnDrop) });
        assert!(null.is_null());
        assert_eq!(enter(|| -> io::Result<usize> { panic!("a bug") }), 0);
    }

    #[test]
    fn errors_are_errno() {
        assert_eq!(enter(|| Err::<isize, _>(error(libc::EBADF))), -1);
        assert_eq!(errno(), libc::EBADF);
        let other = io::Error::new(io::ErrorKind::InvalidInput, "no number");
        assert_eq!(enter(|| Err::<c_int, _>(other)), -1);
        assert_eq!(errno(), libc::EIO);
        assert_eq!(enter(|| Ok::<c_int, _>(7)), 7);
    }

    #[test]
    fn null_and_invalid_lengths_are_refused() {
        let byte = 0_u8;
        let pointer = (&raw const byte).cast();
        // SAFETY: each is refused and nothing is read, but for one readable byte and for paths that
        // end with a zero.
        unsafe {
            for (ptr, len) in [
                (std::ptr::null(), 1),
                (pointer, 0),
                (pointer, usize::MAX),
                (pointer, isize::MAX as usize + 1),
            ] {
                assert_eq!(
                    bytes(ptr, len).unwrap_err().raw_os_error(),
                    Some(libc::EINVAL)
                );
            }
            assert_eq!(bytes(pointer, 1).unwrap(), [0]);
            assert!(path(std::ptr::null()).is_err());
            assert!(path(c"".as_ptr()).is_err());
            assert_eq!(path(c"x".as_ptr()).unwrap(), Path::new("x"));
        }
    }
}

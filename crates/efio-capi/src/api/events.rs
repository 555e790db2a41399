//! Callback and event queue.

use crate::callback::{SUBSCRIPTION, Subscriber};
use crate::event::Event;
use crate::ffi::{enter, error};
use crate::library::library;
use std::ffi::{c_int, c_void};
use std::io;

/// The type of the callback: the descriptor, one of ef_operation, and the pointer of
/// ef_set_cb_func.
pub type Notification = Option<unsafe extern "C" fn(fd: c_int, oper: c_int, cb_data: *mut c_void)>;

/// Sets the callback: the library calls `cb_func` with `cb_data` when an open or a close has ended,
/// and when a read that gave EAGAIN can be repeated. Null: as ef_unset_cb_func. On return the
/// function that was set before is not running and will not be called again, unless it is the
/// caller itself. Returns 0, or -1 with the error of the kernel for a thread; ESHUTDOWN in a forked
/// child.
///
/// The callback runs on a thread of its own, one call after the other, and may call everything but
/// ef_shutdown. It has the signal mask of the thread that started its thread, and a stack as large
/// as pthread_create makes it. It has to return: an exception, longjmp, pthread_exit or
/// cancellation would unwind frames that are not C. A child that it forks ends by exec or _exit,
/// and when the callback returns there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_set_cb_func(cb_func: Notification, cb_data: *mut c_void) -> c_int {
    enter(|| -> io::Result<c_int> {
        let subscriber = cb_func.map(|function| Subscriber {
            function,
            data: cb_data,
        });
        SUBSCRIPTION.replace(subscriber)?;
        if subscriber.is_some() {
            // Without an engine `ef_init` starts the thread.
            if let Ok(library) = library() {
                library.dispatch.caller.start()?;
            }
        }
        Ok(0)
    })
}

/// Removes the callback; see ef_set_cb_func.
#[unsafe(no_mangle)]
pub extern "C" fn ef_unset_cb_func() {
    enter(|| SUBSCRIPTION.replace(None))
}

/// Returns a descriptor for poll, epoll, libev and the like. It is readable while events are
/// available, until ef_next_event returns 0. It serves EPOLLET and EPOLLONESHOT as well: an event
/// after an ef_next_event that returned 0 makes a new edge, so take events until then after each
/// wake-up. It belongs to the library: do not read or close it. -1: EBADF when the library is not
/// running, ESHUTDOWN in a forked child.
///
/// The library keeps events, beside the callback, from the first call on of ef_event_fd,
/// ef_next_event, ef_read_at or ef_write_at.
#[unsafe(no_mangle)]
pub extern "C" fn ef_event_fd() -> c_int {
    enter(|| Ok(library()?.dispatch.watch()))
}

/// Takes the oldest event. Returns 1, or 0 when none is available. Several threads may take events;
/// each event is given out once. -1: EBADF when the library is not running, EINVAL for null,
/// ESHUTDOWN in a forked child.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_next_event(event: *mut Event) -> c_int {
    enter(|| {
        let library = library()?;
        if event.is_null() {
            return Err(error(libc::EINVAL));
        }
        let Some(next) = library.dispatch.next() else {
            return Ok(0);
        };
        // SAFETY: not null, and the promises of C.
        unsafe { event.write(next) };
        Ok(1)
    })
}

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

/// Has `cb_func` called, with `cb_data`, when an open, a read that gave EAGAIN, or a close has
/// ended. It runs on a thread of the library that does nothing else, one call after the other, and
/// may call everything but ef_shutdown. Null: as ef_unset_cb_func. When this returns the function
/// that was set before is not running any more and will not be called again, unless it is the
/// caller itself. Returns 0, or -1 with what the kernel says to a thread; ESHUTDOWN in a forked
/// child.
///
/// The function has to return: no exception, longjmp, pthread_exit or cancellation leaves it, they
/// would pass through frames that are not C. It has the signal mask of the thread that started its
/// thread, and a stack as large as pthread_create makes it. A child that it forks ends by exec or
/// _exit: when the function returns there, the child ends.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_set_cb_func(cb_func: Notification, cb_data: *mut c_void) -> c_int {
    enter(|| -> io::Result<c_int> {
        let subscriber = cb_func.map(|function| Subscriber {
            function,
            data: cb_data,
        });
        SUBSCRIPTION.replace(subscriber)?;
        if subscriber.is_some() {
            // Without an engine: `ef_init` will start the thread.
            if let Ok(library) = library() {
                library.desk.caller.start()?;
            }
        }
        Ok(0)
    })
}

/// Has no function called any more; see ef_set_cb_func.
#[unsafe(no_mangle)]
pub extern "C" fn ef_unset_cb_func() {
    enter(|| SUBSCRIPTION.replace(None))
}

/// A descriptor for poll, epoll, libev and the like: it can be read while events are available,
/// until ef_next_event returns 0. With EPOLLET or EPOLLONESHOT too: a new edge follows whenever an
/// event follows a call that returned 0, so take events until then after each wake-up. It belongs
/// to the library: do not read or close it. Events are kept from the first call of this, of
/// ef_next_event or of ef_read_at or ef_write_at on, beside the callback. -1: EBADF when the
/// library is not running, ESHUTDOWN in a forked child.
#[unsafe(no_mangle)]
pub extern "C" fn ef_event_fd() -> c_int {
    enter(|| Ok(library()?.desk.watch()))
}

/// Takes the oldest event. Returns 1, or 0 when none waits. Several threads may take events, each
/// is given out once. -1: EBADF when the library is not running, EINVAL for null, ESHUTDOWN in a
/// forked child.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_next_event(event: *mut Event) -> c_int {
    enter(|| {
        let library = library()?;
        if event.is_null() {
            return Err(error(libc::EINVAL));
        }
        let Some(letter) = library.desk.next() else {
            return Ok(0);
        };
        if let Some(delivery) = letter.delivery {
            delivery.deliver();
        }
        // SAFETY: not null, and what C promises.
        unsafe { event.write(letter.event) };
        Ok(1)
    })
}

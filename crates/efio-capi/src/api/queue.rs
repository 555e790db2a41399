//! The queue for C.

use crate::ffi::{enter, error, object};
use crate::forked::Home;
use efio_queue::SegQueue;
use std::ffi::{c_int, c_void};
use std::ptr;

/// A pointer in a queue. The queue does not follow it.
struct Item(*mut c_void);

// SAFETY: a queue of pointers is there to give them to other threads; whoever puts one in knows
// what it points to.
unsafe impl Send for Item {}

/// A queue of pointers for any number of threads at both ends, first in first out.
pub struct Queue {
    items: SegQueue<Item>,
    home: Home,
}

/// What the functions take.
pub type QueueHandle = *mut Queue;

/// A new queue.
#[unsafe(no_mangle)]
pub extern "C" fn create_ev_queue() -> QueueHandle {
    enter(|| {
        let (items, home) = (SegQueue::new(), Home::here());
        Ok(Box::into_raw(Box::new(Queue { items, home })))
    })
}

/// Puts `data` at the end. Returns 0, or -1: ENOMEM, EINVAL for a null queue.
///
/// In a forked child of a process with several threads, one of which may have been in the middle of a
/// call, a queue of the parent fails with ESHUTDOWN; destroying it there frees nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ev_queue_enqueue(queue: QueueHandle, data: *mut c_void) -> c_int {
    enter(|| {
        // SAFETY: what C promises, see the module above.
        let queue = unsafe { object(queue) }?;
        queue.home.check()?;
        // It is never closed, so only memory can lack.
        let pushed = queue.items.push(Item(data));
        pushed.map(|()| 0).map_err(|_| error(libc::ENOMEM))
    })
}

/// Takes the item at the front; null when there is none, or when it is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ev_queue_dequeue(queue: QueueHandle) -> *mut c_void {
    enter(|| {
        // SAFETY: what C promises, see the module above.
        let queue = unsafe { object(queue) }?;
        queue.home.check()?;
        Ok(queue.items.pop().map_or(ptr::null_mut(), |item| item.0))
    })
}

/// Takes the item at the front into `*data`. Returns 1, or 0 and null in `*data` when there is
/// none. -1: EINVAL for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ev_queue_try_dequeue(queue: QueueHandle, data: *mut *mut c_void) -> c_int {
    enter(|| {
        // SAFETY: what C promises, see the module above.
        let queue = unsafe { object(queue) }?;
        if data.is_null() {
            return Err(error(libc::EINVAL));
        }
        queue.home.check()?;
        let item = queue.items.pop();
        let found = c_int::from(item.is_some());
        // SAFETY: not null, and what C promises.
        unsafe { data.write(item.map_or(ptr::null_mut(), |item| item.0)) };
        Ok(found)
    })
}

/// Whether an item was there at about this time: 1 or 0. -1: EINVAL for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ev_queue_peek(queue: QueueHandle) -> c_int {
    enter(|| {
        // SAFETY: what C promises, see the module above.
        let queue = unsafe { object(queue) }?;
        Ok(c_int::from(!queue.items.is_empty()))
    })
}

/// How many items there were at about this time. Null: 0 and EINVAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ev_queue_len(queue: QueueHandle) -> usize {
    enter(|| {
        // SAFETY: what C promises, see the module above.
        let queue = unsafe { object(queue) }?;
        Ok(queue.items.len())
    })
}

/// Destroys a queue that nobody uses any more. Items that are in it are given to free(3), as the
/// original does. Null is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn destroy_ev_queue(queue: QueueHandle) {
    enter(|| {
        // SAFETY: what C promises, see the module above.
        unsafe { destroy(queue, |item| libc::free(item.0)) };
        Ok(())
    })
}

/// Destroys a queue that nobody uses any more, and leaves the items that are in it alone. Null is
/// allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wf_destroy_ev_queue(queue: QueueHandle) {
    enter(|| {
        // SAFETY: what C promises, see the module above.
        unsafe { destroy(queue, |_| ()) };
        Ok(())
    })
}

/// # Safety
///
/// `queue` is null, or was created and is used by nobody any more.
unsafe fn destroy(queue: QueueHandle, each: impl FnMut(Item)) {
    if !queue.is_null() {
        // SAFETY: it came from `create_ev_queue`, and goes here, once.
        let queue = unsafe { Box::from_raw(queue) };
        if queue.home.is_child() {
            // In a forked child: a call of a thread that is not here may never end.
            std::mem::forget(queue);
            return;
        }
        queue.items.drain().for_each(each);
    }
}

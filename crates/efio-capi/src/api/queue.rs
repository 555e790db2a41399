//! The queue for C.

use crate::ffi::{enter, error, object};
use crate::forked::ForkGuard;
use efio_queue::SegQueue;
use std::ffi::{c_int, c_void};
use std::ptr;

/// A pointer in a queue. The queue does not follow it.
struct Item(*mut c_void);

// SAFETY: the queue only hands pointers to other threads; the program that enqueues one promises
// that another thread may use it.
unsafe impl Send for Item {}

/// A queue of pointers for any number of threads at both ends, first in first out.
pub struct Queue {
    items: SegQueue<Item>,
    fork: ForkGuard,
}

/// A handle of the queue.
pub type QueueHandle = *mut Queue;

/// Creates an empty queue.
#[unsafe(no_mangle)]
pub extern "C" fn create_ev_queue() -> QueueHandle {
    enter(|| {
        let (items, fork) = (SegQueue::new(), ForkGuard::new());
        Ok(Box::into_raw(Box::new(Queue { items, fork })))
    })
}

/// Adds `data` at the end. Returns 0, or -1: ENOMEM, EINVAL for a null queue.
///
/// In a forked child of a process with several threads, one of which may have been inside a call,
/// the functions of a queue of the parent fail with ESHUTDOWN; destroying it there frees nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ev_queue_enqueue(queue: QueueHandle, data: *mut c_void) -> c_int {
    enter(|| {
        // SAFETY: the promises of C, see the module above.
        let queue = unsafe { object(queue) }?;
        queue.fork.check()?;
        // It is never closed, so the only error is a lack of memory.
        let pushed = queue.items.push(Item(data));
        pushed.map(|()| 0).map_err(|_| error(libc::ENOMEM))
    })
}

/// Takes the item at the front; null when there is none, or when it is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ev_queue_dequeue(queue: QueueHandle) -> *mut c_void {
    enter(|| {
        // SAFETY: the promises of C, see the module above.
        let queue = unsafe { object(queue) }?;
        queue.fork.check()?;
        Ok(queue.items.pop().map_or(ptr::null_mut(), |item| item.0))
    })
}

/// Takes the item at the front into `*data`. Returns 1, or 0 and null in `*data` when there is
/// none. -1: EINVAL for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ev_queue_try_dequeue(queue: QueueHandle, data: *mut *mut c_void) -> c_int {
    enter(|| {
        // SAFETY: the promises of C, see the module above.
        let queue = unsafe { object(queue) }?;
        if data.is_null() {
            return Err(error(libc::EINVAL));
        }
        queue.fork.check()?;
        let item = queue.items.pop();
        let found = c_int::from(item.is_some());
        // SAFETY: not null, and the promises of C.
        unsafe { data.write(item.map_or(ptr::null_mut(), |item| item.0)) };
        Ok(found)
    })
}

/// Returns whether there was an item at about this time: 1 or 0. -1: EINVAL for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ev_queue_peek(queue: QueueHandle) -> c_int {
    enter(|| {
        // SAFETY: the promises of C, see the module above.
        let queue = unsafe { object(queue) }?;
        Ok(c_int::from(!queue.items.is_empty()))
    })
}

/// Returns the number of items at about this time. Null: 0 and EINVAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ev_queue_len(queue: QueueHandle) -> usize {
    enter(|| {
        // SAFETY: the promises of C, see the module above.
        let queue = unsafe { object(queue) }?;
        Ok(queue.items.len())
    })
}

/// Destroys a queue that no thread uses any more. Frees the items in it with free(3), as the
/// original does. Null is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn destroy_ev_queue(queue: QueueHandle) {
    enter(|| {
        // SAFETY: the promises of C, see the module above.
        unsafe { destroy(queue, |item| libc::free(item.0)) };
        Ok(())
    })
}

/// Destroys a queue that no thread uses any more, and leaves the items in it alone. Null is
/// allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wf_destroy_ev_queue(queue: QueueHandle) {
    enter(|| {
        // SAFETY: the promises of C, see the module above.
        unsafe { destroy(queue, |_| ()) };
        Ok(())
    })
}

/// # Safety
///
/// `queue` is null, or was created and no thread uses it any more.
unsafe fn destroy(queue: QueueHandle, each: impl FnMut(Item)) {
    if !queue.is_null() {
        // SAFETY: it came from `create_ev_queue`, and is destroyed once.
        let queue = unsafe { Box::from_raw(queue) };
        if queue.fork.is_child() {
            // A thread that the child does not have may have been inside a call, which never ends.
            std::mem::forget(queue);
            return;
        }
        queue.items.drain().for_each(each);
    }
}

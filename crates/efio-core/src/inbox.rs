//! The driver's inbox: a queue of commands with a doorbell.
//!
//! ```text
//!  caller ── request bits ── were 0? ──► queue ──► doorbell ── driver asleep? ──► alarm
//!  driver ◄──────── takes all bits of a file ◄──┘
//! ```
//!
//! A file is in the queue at most once, however many requests it has: the caller that sets the
//! first bit of its request word queues it, and the driver resets the word to zero when it takes
//! the bits.
//!
//! Notifying a driver that sleeps costs the caller a system call, and often the processor. While IO
//! is in flight the driver polls the inbox by itself within a moment, so deferrable requests skip
//! the notification; all others notify:
//!
//! | bits before | new bits | queue the file | notify the driver |
//! |---|---|---|---|
//! | none | deferrable | yes | unless it polls |
//! | some | deferrable | no: it is queued | no |
//! | none, or only deferrable | other | yes | yes |
//! | others | other | no: it is queued | no: it was notified |

use crate::command::Command;
use crate::fd::{Requests, Slot};
use crate::stats::Counter;
use efio_queue::{PushError, SegQueue};
use efio_sync::shim::atomic::{AtomicBool, Ordering, fence};
use efio_sync::{Alarm, Doorbell};
use std::sync::Arc;

/// Commands for a driver that sleeps at a doorbell with alarm `A`.
pub struct Inbox<A> {
    queue: SegQueue<Command>,
    doorbell: Arc<Doorbell<A>>,
    /// The driver checks the inbox again within a moment, notified or not.
    polling: AtomicBool,
    /// There was no memory to queue a file with requests: the driver checks all files.
    overflowed: AtomicBool,
    /// System calls that woke the driver.
    wake_ups: Counter,
}

impl<A: Alarm> Inbox<A> {
    /// Creates an empty inbox.
    pub fn new(alarm: A) -> Self {
        Self {
            queue: SegQueue::new(),
            doorbell: Arc::new(Doorbell::new(alarm)),
            polling: AtomicBool::new(false),
            overflowed: AtomicBool::new(false),
            wake_ups: Counter::default(),
        }
    }

    /// Returns the doorbell at which the driver sleeps.
    pub fn doorbell(&self) -> &Arc<Doorbell<A>> {
        &self.doorbell
    }

    /// Returns how many system calls woke the driver for a caller.
    pub fn wake_ups(&self) -> u64 {
        self.wake_ups.get()
    }

    fn notify(&self) {
        if self.doorbell.notify() {
            self.wake_ups.add(1);
        }
    }

    /// Sends the driver a command.
    ///
    /// # Errors
    ///
    /// The command, if there is no memory to queue it.
    pub fn send(&self, command: Command) -> Result<(), Command> {
        self.queue.push(command).map_err(PushError::into_inner)?;
        self.notify();
        Ok(())
    }

    /// Queues a file whose requests can wait until a polling driver checks the inbox.
    fn send_deferred(&self, index: u32) {
        self.push(index);
        // SeqCst: pairs with the fence in `leave_poll`. Of "push, read `polling`" here and "clear
        // `polling`, check the queue" there, one reads after the other wrote.
        fence(Ordering::SeqCst);
        if !self.polling.load(Ordering::Relaxed) {
            self.notify();
        }
    }

    fn push(&self, index: u32) {
        if self.queue.push(Command::Requests(index)).is_err() {
            // Release: pairs with the swap in `pop`, after which the driver finds the request bits.
            self.overflowed.store(true, Ordering::Release);
        }
    }

    /// Requests something of the driver for a file.
    #[inline]
    pub fn request(&self, index: u32, slot: &Slot, bits: Requests) {
        self.requested(index, slot.request(bits), bits);
    }

    /// Queues a file whose `bits` were set when the word was `before`.
    #[inline]
    pub fn requested(&self, index: u32, before: Requests, bits: Requests) {
        if bits.is_deferrable() {
            if before == Requests::NONE {
                self.send_deferred(index);
            }
        } else if before.is_deferrable() {
            // With only deferrable bits in the word the file is queued, but the driver may not have
            // been notified.
            self.push(index);
            self.notify();
        }
    }

    /// Begins to poll. The driver calls this before a sleep of a moment at most.
    pub fn enter_poll(&self) {
        // Relaxed: a caller that does not see it notifies the driver.
        self.polling.store(true, Ordering::Relaxed);
    }

    /// Ends polling. The driver calls this after such a sleep: it checks the inbox next, and may
    /// sleep for long then.
    pub fn leave_poll(&self) {
        self.polling.store(false, Ordering::Relaxed);
        // SeqCst: pairs with the fence in `send_deferred`.
        fence(Ordering::SeqCst);
    }

    /// Takes the oldest command. The driver calls this before it sleeps until there is none, so
    /// that it has seen every file with requests by then.
    pub fn pop(&self) -> Option<Command> {
        self.queue.pop().or_else(|| {
            // Relaxed load: it saves the swap when there is nothing. The caller that sets the flag
            // notifies the driver afterwards. Acquire: pairs with the store in `push`.
            let overflowed = self.overflowed.load(Ordering::Relaxed)
                && self.overflowed.swap(false, Ordering::Acquire);
            overflowed.then_some(Command::AllRequests)
        })
    }
}

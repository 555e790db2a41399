//! News for the driver: a queue with a doorbell.
//!
//! ```text
//!  caller ── attention bit ── was 0? ──► queue ──► doorbell ── asleep? ──► alarm
//!  driver ◄──────── takes all bits of a file ◄──┘
//! ```
//!
//! The doorbell of a driver that sleeps costs its ringer a system call, and often the processor.
//! While ops are under way the driver only dozes: it will be back soon, when one of them ends or
//! after a moment in any case. News that can wait for that leaves the bell alone.
//!
//! A file stands in the queue once, however often it wants attention: who turns its attention
//! word from zero queues it, and the driver takes the word back to zero when it looks.

use crate::command::Command;
use crate::fd::{Requests, Slot};
use efio_queue::{PushError, SegQueue};
use efio_sync::shim::atomic::{AtomicBool, Ordering, fence};
use efio_sync::{Alarm, Doorbell};
use std::sync::Arc;

/// Commands for a driver that sleeps at a doorbell with alarm `A`.
pub struct Inbox<A> {
    queue: SegQueue<Command>,
    bell: Arc<Doorbell<A>>,
    /// The driver looks here again within a moment, rung or not.
    polling: AtomicBool,
    /// There was no memory to queue a file that wants attention: the driver looks at all of them.
    overlooked: AtomicBool,
}

impl<A: Alarm> Inbox<A> {
    /// An empty inbox.
    pub fn new(alarm: A) -> Self {
        Self {
            queue: SegQueue::new(),
            bell: Arc::new(Doorbell::new(alarm)),
            polling: AtomicBool::new(false),
            overlooked: AtomicBool::new(false),
        }
    }

    /// Where the driver sleeps.
    pub fn bell(&self) -> &Arc<Doorbell<A>> {
        &self.bell
    }

    /// Gives the driver something to look at; whether that took a system call to wake it.
    ///
    /// # Errors
    ///
    /// The command comes back: there is no memory to queue it.
    pub fn send(&self, command: Command) -> Result<bool, Command> {
        self.queue.push(command).map_err(PushError::into_inner)?;
        Ok(self.bell.ring())
    }

    /// The same for what can wait until a driver that dozes looks again.
    fn send_deferred(&self, index: u32) -> bool {
        self.push(index);
        // SeqCst: with the fence in `rouse`. Of "push, look whether it dozes" here and "doze no
        // longer, look for news" there, one looks after the other wrote.
        fence(Ordering::SeqCst);
        !self.polling.load(Ordering::Relaxed) && self.bell.ring()
    }

    fn push(&self, index: u32) {
        if self.queue.push(Command::Requests(index)).is_err() {
            // Release: pairs with the swap in `pop`, whose driver then finds the attention bits.
            self.overlooked.store(true, Ordering::Release);
        }
    }

    /// Makes the driver look at a file, unless it is going to already; whether that took a system
    /// call.
    #[inline]
    pub fn request(&self, index: u32, slot: &Slot, bits: Requests) -> bool {
        let before = slot.request(bits);
        if bits.is_deferrable() {
            return before == Requests::NONE && self.send_deferred(index);
        }
        // Behind patient news in the word, the file is in the queue, but nobody may have rung.
        before.is_deferrable() && {
            self.push(index);
            self.bell.ring()
        }
    }

    /// The driver's, before a sleep of a moment at most.
    pub fn enter_poll(&self) {
        // Relaxed: who does not see it rings.
        self.polling.store(true, Ordering::Relaxed);
    }

    /// The driver's, after such a sleep: it is going to look, and to sleep for long perhaps.
    pub fn leave_poll(&self) {
        self.polling.store(false, Ordering::Relaxed);
        // SeqCst: with the fence in `send_patiently`.
        fence(Ordering::SeqCst);
    }

    /// The oldest command. The driver looks here until there is none before it sleeps.
    /// After the last one, so that it has heard of every file that wants attention.
    pub fn pop(&self) -> Option<Command> {
        self.queue.pop().or_else(|| {
            // Relaxed load: it spares a look that finds nothing the swap. Who sets it rings
            // afterwards. Acquire: pairs with the store in `push`.
            let overlooked = self.overlooked.load(Ordering::Relaxed)
                && self.overlooked.swap(false, Ordering::Acquire);
            overlooked.then_some(Command::AttendAll)
        })
    }
}

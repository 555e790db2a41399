//! News for the driver: a queue with a doorbell.
//!
//! ```text
//!  caller ── attention bit ── was 0? ──► queue ──► doorbell ── asleep? ──► alarm
//!  driver ◄──────── takes all bits of a file ◄──┘
//! ```
//!
//! A file stands in the queue once, however often it wants attention: who turns its attention
//! word from zero queues it, and the driver takes the word back to zero when it looks.

use crate::command::Command;
use crate::fd::{Attention, Slot};
use efio_queue::SegQueue;
use efio_sync::{Alarm, Doorbell};
use std::sync::Arc;

/// Commands for a driver that sleeps at a doorbell with alarm `A`.
pub struct Inbox<A> {
    queue: SegQueue<Command>,
    bell: Arc<Doorbell<A>>,
}

impl<A: Alarm> Inbox<A> {
    /// An empty inbox.
    pub fn new(alarm: A) -> Self {
        Self {
            queue: SegQueue::new(),
            bell: Arc::new(Doorbell::new(alarm)),
        }
    }

    /// Where the driver sleeps.
    pub fn bell(&self) -> &Arc<Doorbell<A>> {
        &self.bell
    }

    /// Gives the driver something to look at; whether that took a system call to wake it.
    pub fn send(&self, command: Command) -> bool {
        if self.queue.push(command).is_err() {
            unreachable!("the inbox is never closed");
        }
        self.bell.ring()
    }

    /// Makes the driver look at a file, unless it is going to already; whether that took a system
    /// call.
    #[inline]
    pub fn attend(&self, index: u32, slot: &Slot, bits: Attention) -> bool {
        slot.attend(bits) && self.send(Command::Attend(index))
    }

    /// The oldest command. The driver looks here until there is none before it sleeps.
    pub fn pop(&self) -> Option<Command> {
        self.queue.pop()
    }
}

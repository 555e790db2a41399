//! Notifications: events, and wake-ups of tasks, mostly for calls that returned "would block".

use super::Driven;
use crate::backend::Backend;
use crate::event::EventKind;
use crate::fd::Interest;

impl<B: Backend> Driven<'_, B> {
    /// Emits an event of the file.
    pub fn emit(&mut self, kind: EventKind) {
        if let Some(event) = self.file.event(kind) {
            self.io.outbox.put(event, &self.io.shared.events);
        }
    }

    /// Takes the waiters for any of `bits` and for at most `written` bytes. The tasks are woken when
    /// the turn is over; returns whether an event is due.
    pub fn take_waiters(&mut self, bits: Interest, written: u64) -> bool {
        let wakers = &mut self.io.outbox.wakers;
        self.slot.take_waiters(bits, written, wakers)
    }

    /// Notifies the callers that wait for any of `bits`: event loops by `event`, and tasks by their
    /// wakers. `None`: the driver emits an event in any case.
    pub fn notify(&mut self, bits: Interest, event: Option<EventKind>) {
        let is_due = self.take_waiters(bits, u64::MAX);
        if let (true, Some(event)) = (is_due, event) {
            self.emit(event);
        }
    }

    pub fn notify_reader(&mut self) {
        self.notify(Interest::DATA, Some(EventKind::Readable));
    }

    /// Notifies a writer once half of the file's share is free, so that it is not notified again
    /// for a few bytes each time.
    pub fn notify_writer(&mut self) {
        let share = self.io.shared.share() as u64;
        let has_room = self.file.backlog(self.slot) <= share / 2 && self.io.shared.pool.has_room();
        if has_room {
            self.notify(Interest::ROOM, Some(EventKind::Writable));
        }
    }

    /// Notifies callers that wait for a mark once it is written, whatever was accepted since.
    pub fn notify_flusher(&mut self) {
        let bit = Interest::FLUSHED;
        if self.slot.has_interest(bit) && self.take_waiters(bit, self.file.written()) {
            self.emit(EventKind::Writable);
        }
    }

    /// Notifies every caller that waits for the file: their calls return its error.
    pub fn notify_all(&mut self) {
        self.notify_reader();
        let writer = Interest::ROOM.union(Interest::FLUSHED);
        self.notify(writer, Some(EventKind::Writable));
        let others = Interest::OPENED.union(Interest::SYNCED);
        self.notify(others, None);
    }
}

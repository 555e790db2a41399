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

    /// Wakes the tasks that wait for any of `bits`.
    pub fn wake(&mut self, bits: Interest) {
        self.slot.waiters.take(bits, &mut self.io.outbox.wakers);
    }

    /// Notifies the callers that wait for any of `bits`: event loops by `event`, and tasks by their
    /// wakers. `None`: the driver emits an event in any case.
    pub fn notify(&mut self, bits: Interest, event: Option<EventKind>) {
        let due = self.slot.take_interest(bits);
        if let (true, Some(event)) = (due.event, event) {
            self.emit(event);
        }
        if due.wakers {
            self.wake(bits);
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
        if self.slot.take_awaited(self.file.written()) {
            self.notify(Interest::FLUSHED, Some(EventKind::Writable));
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

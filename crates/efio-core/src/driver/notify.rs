//! Notifications: events, and wake-ups of tasks, mostly for calls that returned "would block".

use super::Driver;
use super::file::OpenFile;
use crate::backend::Backend;
use crate::event::{Event, EventKind};
use crate::fd::{Interest, Slot};

impl<B: Backend> Driver<B> {
    /// Emits an event of a file.
    pub(super) fn emit(&mut self, file: &OpenFile<B::File>, kind: EventKind) {
        // A completion returns a buffer, which a waker cannot.
        if file.wakers && !matches!(kind, EventKind::Completed(_)) {
            return;
        }
        let event = Event {
            fd: file.fd,
            user_data: file.user_data,
            kind,
        };
        self.outbox.put(event, &self.shared.events);
    }

    /// Wakes the tasks that wait for any of `bits`.
    pub(super) fn wake(&mut self, slot: &Slot, bits: Interest) {
        slot.waiters.take(bits, &mut self.outbox.wakers);
    }

    /// Notifies the callers that wait for any of `bits`: event loops by `event`, and tasks by their
    /// wakers. `None`: the driver emits an event in any case.
    pub(super) fn notify(
        &mut self,
        slot: &Slot,
        file: &OpenFile<B::File>,
        bits: Interest,
        event: Option<EventKind>,
    ) {
        let due = slot.take_interest(bits);
        if let (true, Some(event)) = (due.event, event) {
            self.emit(file, event);
        }
        if due.wakers {
            self.wake(slot, bits);
        }
    }

    pub(super) fn notify_reader(&mut self, slot: &Slot, file: &OpenFile<B::File>) {
        self.notify(slot, file, Interest::DATA, Some(EventKind::Readable));
    }

    /// Notifies a writer once half of the file's share is free, so that it is not notified again
    /// for a few bytes each time.
    pub(super) fn notify_writer(&mut self, slot: &Slot, file: &OpenFile<B::File>) {
        let share = self.shared.share() as u64;
        let has_room = file.backlog(slot) <= share / 2 && self.shared.pool.has_room();
        if has_room {
            self.notify(slot, file, Interest::ROOM, Some(EventKind::Writable));
        }
    }

    /// Notifies callers that wait for a mark once it is written, whatever was accepted since.
    pub(super) fn notify_flusher(&mut self, slot: &Slot, file: &OpenFile<B::File>) {
        if slot.take_awaited(file.written()) {
            self.notify(slot, file, Interest::FLUSHED, Some(EventKind::Writable));
        }
    }

    /// Notifies every caller that waits for the file: their calls return its error.
    pub(super) fn notify_all(&mut self, slot: &Slot, file: &OpenFile<B::File>) {
        self.notify_reader(slot, file);
        let writer = Interest::ROOM.union(Interest::FLUSHED);
        self.notify(slot, file, writer, Some(EventKind::Writable));
        let others = Interest::OPENED.union(Interest::SYNCED);
        self.notify(slot, file, others, None);
    }
}

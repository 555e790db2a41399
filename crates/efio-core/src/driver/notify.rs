//! Whom to tell: events, above all for callers that were told "would block".

use super::Driver;
use super::file::OpenFile;
use crate::backend::Backend;
use crate::event::{Event, EventKind};
use crate::fd::{Interest, Slot};

impl<B: Backend> Driver<B> {
    /// News of a file.
    pub(super) fn emit(&mut self, file: &OpenFile<B::File>, kind: EventKind) {
        // A completion brings a buffer back, which a waker cannot.
        if file.wakers && !matches!(kind, EventKind::Completed(_)) {
            return;
        }
        let event = Event { fd: file.fd, kind };
        self.outbox.put(event, &self.shared.events);
    }

    /// Has the tasks woken that wait for any of `bits`.
    pub(super) fn wake(&mut self, slot: &Slot, bits: Interest) {
        slot.waiters.take(bits, &mut self.outbox.wakers);
    }

    /// Whoever waits for any of `bits` is told: event loops by `event`, if it is not told in any
    /// case, and tasks by their wakers.
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

    /// Room in the file's share was freed: half of it has to be free before a writer is told, so
    /// that it does not come back for a few bytes at a time.
    pub(super) fn notify_writer(&mut self, slot: &Slot, file: &OpenFile<B::File>) {
        let share = self.shared.share() as u64;
        let has_room = file.backlog(slot) <= share / 2 && self.shared.pool.has_room();
        if has_room {
            self.notify(slot, file, Interest::ROOM, Some(EventKind::Writable));
        }
    }

    /// Who waits for a mark to be written is told once it is, whatever was accepted since.
    pub(super) fn notify_flusher(&mut self, slot: &Slot, file: &OpenFile<B::File>) {
        if slot.take_awaited(file.written()) {
            self.notify(slot, file, Interest::FLUSHED, Some(EventKind::Writable));
        }
    }

    /// Whoever waits for the file gets its error now.
    pub(super) fn notify_all(&mut self, slot: &Slot, file: &OpenFile<B::File>) {
        self.notify_reader(slot, file);
        let writer = Interest::ROOM.union(Interest::FLUSHED);
        self.notify(slot, file, writer, Some(EventKind::Writable));
        let others = Interest::OPENED.union(Interest::SYNCED);
        self.notify(slot, file, others, None);
    }
}

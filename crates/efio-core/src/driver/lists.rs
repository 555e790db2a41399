//! The lists of the driver in which a file is at most once.

/// A list of files.
#[derive(Clone, Copy)]
pub enum List {
    /// The interval timers.
    Timers = 1,
    /// Readers that wait for memory.
    PageWaiters = 2,
    /// Writers that wait for memory.
    RoomWaiters = 4,
    /// Files with pages that were read ahead.
    Readers = 8,
    /// Files that later opens of the same file wait for.
    Due = 16,
}

/// The lists that a file is in.
#[derive(Default)]
pub struct Lists(u8);

impl Lists {
    /// Enters `list`. Returns whether the file was not there.
    pub fn enter(&mut self, list: List) -> bool {
        let was_in = self.is_in(list);
        self.0 |= list as u8;
        !was_in
    }

    /// Leaves `list`.
    pub fn leave(&mut self, list: List) {
        self.0 &= !(list as u8);
    }

    /// Returns whether the file is in `list`.
    pub fn is_in(&self, list: List) -> bool {
        self.0 & list as u8 != 0
    }
}

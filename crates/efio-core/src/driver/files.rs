//! The table of open files.

use super::file::OpenFile;
use crate::command::OpenCommand;
use crate::fd::{Fd, Slot};
use crate::plan::Ticket;
use crate::shared::Shared;
use std::sync::Arc;

/// The open files, by slot.
pub struct Files<F> {
    shared: Arc<Shared>,
    open: Vec<Option<Box<OpenFile<F>>>>,
    live: usize,
}

impl<F> Files<F> {
    /// Creates an empty table.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            open: Vec::new(),
            live: 0,
        }
    }

    /// Adds a file that is about to be opened.
    pub fn insert(&mut self, command: OpenCommand, ticket: Ticket) {
        let index = command.fd.index() as usize;
        if self.open.len() <= index {
            self.open.resize_with(index + 1, || None);
        }
        self.open[index] = Some(Box::new(OpenFile::new(command, ticket)));
        self.live += 1;
    }

    /// Removes a file that is closed.
    pub fn remove(&mut self, fd: Fd) {
        self.open[fd.index() as usize] = None;
        self.live -= 1;
    }

    /// Returns the file that is open at `index`, and its slot.
    pub fn at(&self, index: u32) -> Option<(Fd, &Slot)> {
        let file = self.open.get(index as usize)?.as_ref()?;
        Some((file.fd(), self.shared.table.get(index)?))
    }

    /// Returns the slot and the state of the file, if it is open.
    pub fn get_mut(&mut self, fd: Fd) -> Option<(&Slot, &mut OpenFile<F>)> {
        let file = self.open.get_mut(fd.index() as usize)?.as_mut()?;
        let slot = self.shared.table.get(fd.index())?;
        (file.fd() == fd).then_some((slot, file))
    }

    /// Returns the descriptors of all files.
    pub fn fds(&self) -> Vec<Fd> {
        self.open.iter().flatten().map(|file| file.fd()).collect()
    }

    /// Returns how many files there are.
    pub fn live(&self) -> usize {
        self.live
    }
}

//! The protocols between caller and driver, as they ship, for the loom models.

pub use crate::backend::{Backend, WorkQueue};
pub use crate::command::Command;
pub use crate::config::Config;
pub use crate::driver::Driver;
pub use crate::fd::{Interest, Notify, OpenState, Requests, Slot};
pub use crate::inbox::Inbox;
pub use crate::oneshot::channel;
pub use crate::op::{Completion, FileFacts, FileId, Memory, Op, Outcome, Request, Transfer};
pub use crate::page::Block;
pub use crate::shared::Shared;
pub use crate::signalled::{Signal, SignalledQueue};

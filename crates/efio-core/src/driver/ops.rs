//! What an op in flight is for.

use crate::slot_map::Key;

/// What an op does for its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Opens it.
    Open,
    /// Truncates it to 0 bytes for its open.
    Empty,
    /// Closes it, because the truncation for its open failed.
    Discard,
    /// Reads this request of its read-ahead.
    Read(u64),
    /// Writes the range of its write-behind.
    Write,
    /// Transfers the positional op of this key.
    Positional(Key),
    /// Asks for its size, for the command of this key.
    Size(Key),
    /// Syncs it.
    Sync,
    /// Closes it.
    Close,
}

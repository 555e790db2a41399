//! How a step of a connection, an upload or a download went.

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Moved(usize),
    /// Until the client sends more.
    WaitReadable,
    /// Until it takes more.
    WaitWritable,
    /// Until an event of efio or an answer of a blocking pool.
    WaitDisk,
    Done,
    Close,
}

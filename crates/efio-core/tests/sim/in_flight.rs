//! Positional reads and writes in flight.

/// A positional op in flight.
#[derive(Debug)]
pub struct InFlightOp {
    pub token: u64,
    pub offset: usize,
    pub len: usize,
    pub expects: Expects,
}

/// What its completion may have.
#[derive(Debug)]
pub enum Expects {
    /// A write: the buffer as it was passed.
    Back(&'static [u8]),
    /// A read: its range of the file once all bytes accepted before, this many, are written.
    Bytes { file: Vec<u8>, accepted: u64 },
    /// A read of a file that others have changed since.
    Anything,
}

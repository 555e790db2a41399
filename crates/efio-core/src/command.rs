//! What callers ask of the driver.

use crate::fd::Fd;
use crate::oneshot::Sender;
use crate::op::OpenSpec;
use crate::page::Block;
use crate::plan::Asked;
use std::time::Duration;

/// News for the driver.
pub enum Command {
    /// Look at the attention bits of the slot with this index.
    Requests(u32),
    /// Look at those of every file: there was no memory to say which.
    AttendAll,
    /// Open a file.
    Open(Box<OpenCommand>),
    /// Say how the close of this file went, which follows.
    NotifyClosed(Fd, Sender<()>),
    /// Say how long a file is.
    Size(SizeCommand),
    /// Close all files, and end when that is done or after this time.
    Shutdown(Duration),
}

/// Somebody wants to know how long a file is.
pub struct SizeCommand {
    /// The file.
    pub fd: Fd,
    /// The kernel is asked once it has so many of the accepted bytes.
    pub after: u64,
    /// Who hears of the answer.
    pub listener: SizeListener,
    /// The answer.
    pub sender: Sender<u64>,
}

/// Who hears that a size is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeListener {
    /// The task whose waker the answer has.
    Waker,
    /// An event loop, by an event.
    Event,
    /// Whoever waits for something to read.
    Reader,
}

/// A positional op, on its way to the driver.
pub struct AtCommand {
    /// The file.
    pub fd: Fd,
    /// What to do.
    pub asked: Asked<Block>,
}

/// The driver's half of a file that is being opened.
pub struct OpenCommand {
    /// Its descriptor.
    pub fd: Fd,
    /// What to open.
    pub spec: OpenSpec,
    /// Whether the file is open for reading.
    pub may_read: bool,
    /// Whether the first read is to be anticipated.
    pub prefetch: bool,
    /// Whether the file's events are for the tasks that poll it alone.
    pub wakers: bool,
}

//! The commands that callers send to the driver.

use crate::fd::Fd;
use crate::oneshot::Sender;
use crate::op::OpenSpec;
use std::time::Duration;

/// A command for the driver.
pub enum Command {
    /// Handle the request bits of the slot with this index.
    Requests(u32),
    /// Handle those of every file: there was no memory to queue which.
    AllRequests,
    /// Open a file.
    Open(Box<OpenCommand>),
    /// Send the result of the close of this file, which follows.
    NotifyClosed(Fd, Sender<()>),
    /// Send the size of a file.
    Size(SizeCommand),
    /// Close all files, and end when that is done or after this time.
    Shutdown(Duration),
}

/// A request for the size of a file.
pub struct SizeCommand {
    /// The file.
    pub fd: Fd,
    /// The driver asks the kernel once it has written this many of the accepted bytes.
    pub after: u64,
    /// Who is notified of the answer.
    pub listener: SizeListener,
    /// Where the answer goes.
    pub sender: Sender<u64>,
}

/// Who is notified that a size is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeListener {
    /// The task whose waker is registered with the answer's receiver.
    Waker,
    /// An event loop, by an event.
    Event,
    /// The callers that wait for something to read.
    Reader,
}

/// A file to be opened by the driver.
pub struct OpenCommand {
    /// Its descriptor.
    pub fd: Fd,
    /// What to open.
    pub spec: OpenSpec,
    /// Whether the file is open for reading.
    pub may_read: bool,
    /// Whether read-ahead begins before the first read.
    pub prefetch: bool,
    /// Whether only tasks that poll the file are notified, by their wakers, and no event is
    /// emitted.
    pub wakers: bool,
    /// The caller's number for the file.
    pub user_data: u64,
}

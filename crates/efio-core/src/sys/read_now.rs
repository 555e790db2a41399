//! Reads without waiting.

use std::io;

/// Reads of an open file from the kernel's memory, without waiting for a disk.
pub trait ReadNow: Send + Sync {
    /// Reads into the start of `buf`. Returns the number of bytes, 0 at the end of file.
    ///
    /// # Errors
    ///
    /// `EAGAIN` when the kernel would have to wait. After any other error, too, the caller submits
    /// the read to the driver.
    fn read_now(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// Whether 0 bytes of [`read_now`](Self::read_now) mean the end of file. Linux 5.9 and 5.10
    /// return 0 as well where they would have to wait (F64).
    fn reports_end(&self) -> bool;

    /// Returns where the file ends now; `None` when only a read can find out.
    fn end(&self) -> Option<u64>;
}

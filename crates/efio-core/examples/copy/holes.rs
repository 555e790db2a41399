//! Where SRC has holes, so that DST gets them as well.

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Asks the kernel from hole to hole, if there are any.
pub struct Holes {
    /// `None` when there are none, or no more.
    map: Option<File>,
    /// Up to here there is data.
    data_end: u64,
}

/// What comes next.
pub enum Next {
    /// Bytes to read, or the end.
    Data,
    /// A hole that ends there.
    Hole(u64),
    /// A hole that ends with the file.
    LastHole(u64),
}

impl Holes {
    /// Those of a file that has fewer blocks, of 512 bytes, than bytes.
    pub fn of(path: &Path, facts: &Metadata) -> io::Result<Self> {
        let is_sparse = facts.blocks() * 512 < facts.len();
        Ok(Self {
            map: is_sparse.then(|| File::open(path)).transpose()?,
            data_end: 0,
        })
    }

    /// What comes at `position`.
    pub fn next(&mut self, position: u64) -> io::Result<Next> {
        let Some(map) = &self.map else {
            return Ok(Next::Data);
        };
        if position < self.data_end {
            return Ok(Next::Data);
        }
        let next = match seek(map, position, libc::SEEK_DATA) {
            Ok(start) => {
                self.data_end = seek(map, start, libc::SEEK_HOLE)?;
                return Ok(if start > position {
                    Next::Hole(start)
                } else {
                    Next::Data
                });
            }
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => {
                let len = map.metadata()?.len();
                if len > position {
                    Next::LastHole(len)
                } else {
                    Next::Data
                }
            }
            // The file system does not report holes.
            Err(_) => Next::Data,
        };
        self.map = None;
        Ok(next)
    }

    /// How much of `len` bytes there is before the next hole.
    pub fn most(&self, position: u64, len: usize) -> usize {
        match self.map {
            Some(_) => len.min(usize::try_from(self.data_end - position).unwrap_or(len)),
            None => len,
        }
    }
}

fn seek(file: &File, from: u64, whence: libc::c_int) -> io::Result<u64> {
    // SAFETY: moves the position of an open descriptor of ours.
    let at = unsafe { libc::lseek(file.as_raw_fd(), from as libc::off_t, whence) };
    u64::try_from(at).map_err(|_| io::Error::last_os_error())
}

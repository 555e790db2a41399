//! Accepted bytes that the kernel did not take, once a file has failed.

use crate::error::Errno;
use crate::page::PageSlice;
use std::collections::VecDeque;
use std::fmt;

/// Accepted bytes that did not reach the kernel, adjacent in the file.
#[derive(Clone, PartialEq, Eq)]
pub struct Unwritten {
    /// File offset of the first one. For a file opened to append, whose offsets only the kernel
    /// knows, its place among the bytes accepted through the descriptor.
    pub offset: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Unwritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unwritten({} + {})", self.offset, self.bytes.len())
    }
}

/// What the driver hands over to the caller once the file has failed.
pub struct Lost {
    /// In the order in which they were accepted.
    pub slices: VecDeque<PageSlice>,
}

impl Lost {
    /// Returns a copy of the bytes, in ranges as long as possible.
    pub fn ranges(&self) -> Result<Vec<Unwritten>, Errno> {
        let mut ranges: Vec<Unwritten> = Vec::new();
        for slice in &self.slices {
            let offset = slice.offset();
            let bytes = slice.as_slice();
            match ranges.last_mut() {
                Some(last) if last.offset + last.bytes.len() as u64 == offset => {
                    reserve(&mut last.bytes, bytes.len())?;
                    last.bytes.extend_from_slice(bytes);
                }
                _ => {
                    let mut copy = Vec::new();
                    reserve(&mut copy, bytes.len())?;
                    copy.extend_from_slice(bytes);
                    reserve(&mut ranges, 1)?;
                    ranges.push(Unwritten {
                        offset,
                        bytes: copy,
                    });
                }
            }
        }
        Ok(ranges)
    }
}

/// Reserves room for `more` items, or fails with `ENOMEM` (F36).
fn reserve<T>(items: &mut Vec<T>, more: usize) -> Result<(), Errno> {
    items.try_reserve(more).map_err(|_| Errno(libc::ENOMEM))
}

//! The numbers that C has for files: an index of the engine's table, and how often it was used.
//!
//! ```text
//!  30         16 15         0
//!  ┌────────────┬───────────┐
//!  │ use        │ index     │      the third file (use 2) of index 5: 0x0002_0005
//!  └────────────┴───────────┘
//! ```
//!
//! So a stale number names no file until its index was used 32 768 times more. An engine of more
//! than 65 536 files has more bits for the index and fewer for the use. The uses of an engine begin
//! above those of the engine before, whose numbers name no file of it.

use efio_core::{Engine, Fd};
use std::ffi::c_int;
use std::sync::atomic::{AtomicU32, Ordering};

/// The fewest bits of an index: two engines in turn divide their numbers in the same way.
const MIN_INDEX_BITS: u32 = 16;

/// Is above each use of all numbers so far.
static NEXT_USE: AtomicU32 = AtomicU32::new(0);

/// The numbers of one engine.
#[derive(Clone, Copy)]
pub struct Numbers {
    index_bits: u32,
    first_use: u32,
}

impl Numbers {
    /// For an engine of at most `max_files` files.
    pub fn new(max_files: u32) -> Self {
        let needed = u32::BITS - max_files.saturating_sub(1).leading_zeros();
        Self {
            index_bits: needed.max(MIN_INDEX_BITS),
            // Relaxed, here and in `issue`: engines start one after the other, under a lock.
            first_use: NEXT_USE.load(Ordering::Relaxed),
        }
    }

    /// Returns the number of a file that was opened now.
    pub fn issue(&self, fd: Fd) -> c_int {
        NEXT_USE.fetch_max(self.use_of(fd).saturating_add(1), Ordering::Relaxed);
        self.number(fd)
    }

    /// Returns the number of a file.
    #[inline]
    pub fn number(&self, fd: Fd) -> c_int {
        (self.use_of(fd) << self.index_bits | fd.index()) as c_int & c_int::MAX
    }

    /// Returns the open file of a number.
    #[inline]
    pub fn find(&self, engine: &Engine, number: c_int) -> Option<Fd> {
        let index = number as u32 & ((1 << self.index_bits) - 1);
        engine.fd_at(index).filter(|&fd| self.number(fd) == number)
    }

    /// Returns how often the index was used before; the generations of open files are odd.
    #[inline]
    fn use_of(&self, fd: Fd) -> u32 {
        self.first_use.wrapping_add(fd.generation() / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use efio_core::OpenOptions;

    /// The file that uses `index` after `uses` others.
    fn fd(index: u32, uses: u32) -> Fd {
        Fd::from_bits(u64::from(uses * 2 + 1) << 32 | u64::from(index))
    }

    #[test]
    fn a_number_comes_again_after_all_uses_of_its_index() {
        for (max_files, index_bits) in [
            (1, 16),
            (65_536, 16),
            (65_537, 17),
            (1 << 20, 20),
            (1 << 24, 24),
        ] {
            let numbers = Numbers {
                first_use: 0,
                ..Numbers::new(max_files)
            };
            assert_eq!(numbers.index_bits, index_bits, "{max_files} files");
            let uses = 1 << (31 - index_bits);
            assert_eq!(numbers.number(fd(0, 0)), 0);
            let last = numbers.number(fd((1 << index_bits) - 1, uses - 1));
            assert_eq!(last, c_int::MAX);
            assert_eq!(numbers.number(fd(5, 2)), 2 << index_bits | 5);
            assert_eq!(numbers.number(fd(5, uses + 2)), 2 << index_bits | 5);
        }
    }

    #[test]
    fn a_number_names_its_file_while_that_is_open() {
        let engine = Engine::new().unwrap();
        let path = std::env::temp_dir().join(format!("efio-numbers-{}", std::process::id()));
        let options = OpenOptions::new().write(true).create(true);
        let numbers = Numbers::new(65_536);
        let mut stale = vec![-1, c_int::MIN, c_int::MAX, 1000];
        for _ in 0..3 {
            let file = engine.open(&path, &options).unwrap();
            let (fd, number) = (file.fd(), numbers.issue(file.fd()));
            assert_eq!(numbers.find(&engine, number), Some(fd));
            assert_eq!(numbers.find(&engine, number | c_int::MIN), None);
            let of_next_engine = Numbers::new(65_536);
            assert_eq!(
                of_next_engine.find(&engine, number),
                None,
                "number {number}"
            );
            file.wait_closed(None).unwrap();
            stale.push(number);
            for &number in &stale {
                assert_eq!(numbers.find(&engine, number), None, "number {number}");
            }
        }
        std::fs::remove_file(path).unwrap();
    }
}

//! The counters of a file that are not zero: most files have three or four of them, so an array of
//! all would be the largest part of an idle file. The state of the file's name is here too, where
//! it takes no memory.
//!
//! ```text
//!  which  0b1001      counters 0 and 3 are not zero
//!  values [7, 2]      counter 0 is 7, counter 3 is 2
//! ```

use crate::stats::{FileStats, NameState};

/// The counters that are not zero; see the module.
#[derive(Default)]
pub struct SparseCounters {
    /// Bit n: the nth of [`FileStats::counters`] is among `values`.
    which: u16,
    /// [`NameState::code`].
    name: u16,
    /// Those counters, in that order.
    values: Box<[u64]>,
}

impl SparseCounters {
    /// Adds `n` to the counter that `which` returns.
    pub fn add(&mut self, n: u64, which: impl FnOnce(&mut FileStats) -> &mut u64) {
        let mut all = self.all();
        let counter = which(&mut all);
        *counter = counter.wrapping_add(n);
        let counters = all.counters().map(|counter| *counter);
        let bit = |number: usize| u16::from(counters[number] != 0) << number;
        let which = (0..counters.len()).map(bit).sum();
        let nonzero = counters.into_iter().filter(|&counter| counter != 0);
        if which == self.which {
            for (value, counter) in self.values.iter_mut().zip(nonzero) {
                *value = counter;
            }
        } else {
            *self = Self {
                which,
                name: self.name,
                values: nonzero.collect(),
            };
        }
    }

    /// Sets the state of the file's name.
    pub fn set_name(&mut self, name: NameState) {
        self.name = name.code();
    }

    /// Returns all counters, and the state of the file's name.
    pub fn all(&self) -> FileStats {
        let mut all = FileStats {
            name: NameState::from_code(self.name),
            ..FileStats::default()
        };
        let mut values = self.values.iter();
        for (number, counter) in all.counters().into_iter().enumerate() {
            if self.which & 1 << number != 0 {
                *counter = *values.next().expect("as many values as bits");
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_independent() {
        let mut counters = SparseCounters::default();
        let mut expected = FileStats::default();
        for round in 1..=3 {
            // Odd ones first, so that later ones come between.
            for step in 0..11 {
                let number = (1 + 2 * step) % 11;
                let n = (round * 100 + number) as u64;
                counters.add(n, |stats| stats.counters().into_iter().nth(number).unwrap());
                *expected.counters()[number] += n;
                assert_eq!(counters.all(), expected);
            }
        }
        assert_eq!(counters.values.len(), 11);
    }

    #[test]
    fn counting_keeps_the_name_state() {
        use crate::error::Errno;
        let mut counters = SparseCounters::default();
        let unknown = NameState::Unknown(Errno(libc::ESTALE));
        for name in [
            NameState::Pending,
            NameState::Durable,
            unknown,
            NameState::NotNew,
        ] {
            counters.set_name(name);
            counters.add(1, |stats| &mut stats.fallbacks);
            assert_eq!(counters.all().name, name);
        }
    }

    #[test]
    fn a_counter_that_wraps_to_zero_takes_no_memory() {
        let mut counters = SparseCounters::default();
        counters.add(u64::MAX, |stats| &mut stats.fallbacks);
        counters.add(7, |stats| &mut stats.read.direct);
        counters.add(1, |stats| &mut stats.fallbacks);
        assert_eq!((counters.all().fallbacks, counters.values.len()), (0, 1));
        assert_eq!(counters.all().read.direct, 7);
    }
}

//! The figures of a file that are not zero: most files have three or four of them, so an array of
//! all would be the largest thing that an idle file keeps. What is known of the file's name is here
//! too, where it takes no memory.

use crate::stats::{FileStats, NameState};

/// See the module.
#[derive(Default)]
pub struct SparseCounters {
    /// Bit n: the nth of [`FileStats::figures`] is among `values`.
    which: u16,
    /// [`NameState::code`].
    name: u16,
    /// Those figures, in that order.
    values: Box<[u64]>,
}

impl SparseCounters {
    /// Counts `n` more in the figure that `which` names.
    pub fn add(&mut self, n: u64, which: impl FnOnce(&mut FileStats) -> &mut u64) {
        let mut all = self.all();
        let figure = which(&mut all);
        *figure = figure.wrapping_add(n);
        let counters = all.counters().map(|figure| *figure);
        let bit = |number: usize| u16::from(counters[number] != 0) << number;
        let which = (0..counters.len()).map(bit).sum();
        let counted = counters.into_iter().filter(|&figure| figure != 0);
        if which == self.which {
            for (value, figure) in self.values.iter_mut().zip(counted) {
                *value = figure;
            }
        } else {
            *self = Self {
                which,
                name: self.name,
                values: counted.collect(),
            };
        }
    }

    /// Notes what is known of the file's name.
    pub fn set_name(&mut self, name: NameState) {
        self.name = name.code();
    }

    /// Every figure, and what is known of the file's name.
    pub fn all(&self) -> FileStats {
        let mut all = FileStats {
            name: NameState::from_code(self.name),
            ..FileStats::default()
        };
        let mut values = self.values.iter();
        for (number, figure) in all.counters().into_iter().enumerate() {
            if self.which & 1 << number != 0 {
                *figure = *values.next().expect("as many values as bits");
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_figure_is_kept_for_itself() {
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
    fn what_is_known_of_the_name_stays() {
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
    fn a_figure_that_comes_round_to_zero_takes_no_memory() {
        let mut counters = SparseCounters::default();
        counters.add(u64::MAX, |stats| &mut stats.fallbacks);
        counters.add(7, |stats| &mut stats.read_direct);
        counters.add(1, |stats| &mut stats.fallbacks);
        assert_eq!((counters.all().fallbacks, counters.values.len()), (0, 1));
        assert_eq!(counters.all().read_direct, 7);
    }
}

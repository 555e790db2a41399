//! The randomness of a disk: small, seeded, and its own, so that a seed means the same everywhere.

/// SplitMix64: Steele, Lea & Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Returns one of `some`, which is not empty.
    pub fn one_of<T: Copy>(&mut self, some: &[T]) -> T {
        some[self.below(some.len() as u64) as usize]
    }

    /// Returns `true` in `per_mille` of a thousand cases.
    pub fn happens(&mut self, per_mille: u32) -> bool {
        per_mille > 0 && self.below(1000) < u64::from(per_mille)
    }

    /// Returns a part of `len` bytes in whole sectors of `sector` bytes, at least one sector; all
    /// of `len` if it is no longer than a sector.
    ///
    /// With `len` 2000 and `sector` 512: 512, 1024 or 1536.
    pub fn part_of(&mut self, len: usize, sector: usize) -> usize {
        if len <= sector {
            return len;
        }
        let some = 1 + self.below(len as u64 - 1) as usize;
        (some / sector * sector).clamp(sector, len)
    }
}

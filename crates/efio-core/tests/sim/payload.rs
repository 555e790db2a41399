//! Bytes to write: any two parts of a file, by whichever writer, are unlikely to be equal.

use std::sync::LazyLock;

/// The number of offsets at which a payload may begin.
pub const STARTS: u32 = 1 << 20;
/// The most bytes in one payload.
pub const LONGEST: usize = 1 << 21;

static PAYLOAD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut payload = vec![0; STARTS as usize + LONGEST];
    fastrand::Rng::with_seed(1).fill(&mut payload);
    payload
});

/// Returns `len` bytes from `start` on.
pub fn payload(start: u32, len: usize) -> &'static [u8] {
    &PAYLOAD[start as usize..][..len]
}

//! Bytes to write: no two places of a file are likely to hold the same, whoever wrote them.

use std::sync::LazyLock;

/// Where payload may begin.
pub const STARTS: u32 = 1 << 20;
/// The most bytes in one piece.
pub const LONGEST: usize = 1 << 21;

static PAYLOAD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut payload = vec![0; STARTS as usize + LONGEST];
    fastrand::Rng::with_seed(1).fill(&mut payload);
    payload
});

/// `len` bytes that begin at `start` in the payload.
pub fn payload(start: u32, len: usize) -> &'static [u8] {
    &PAYLOAD[start as usize..][..len]
}

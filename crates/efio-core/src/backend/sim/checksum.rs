//! A checksum of what an op writes, to see a change of its memory.

use crate::op::Op;

/// Returns the Fowler-Noll-Vo hash of the bytes that the op writes, over words in four lanes, which
/// is enough to see a change.
pub(super) fn checksum<F>(op: &Op<F>) -> u64 {
    let mix = |sum: u64, word: u64| (sum ^ word).wrapping_mul(0x0100_0000_01b3);
    let mut lanes = [0xcbf2_9ce4_8422_2325_u64, 1, 2, 3];
    let parts = match op {
        Op::Transfer(transfer) => transfer.memory.parts(),
        _ => Vec::new(),
    };
    for part in parts {
        let mut quads = part.chunks_exact(32);
        for quad in quads.by_ref() {
            for (lane, word) in lanes.iter_mut().zip(quad.chunks_exact(8)) {
                *lane = mix(
                    *lane,
                    u64::from_le_bytes(word.try_into().expect("eight bytes")),
                );
            }
        }
        for &byte in quads.remainder() {
            lanes[0] = mix(lanes[0], u64::from(byte));
        }
    }
    lanes.into_iter().fold(0, mix)
}

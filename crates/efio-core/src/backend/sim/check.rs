//! Checks the rules that a user of the kernel must keep.

use super::kernel::SimFile;
use super::{InFlightOp, SimDisk};
use crate::op::{CacheMode, Op};
use crate::page::PageSlice;
use std::sync::Arc;

impl SimDisk {
    /// Asserts that the op keeps the rules:
    ///
    /// 1. Offset, memory and length of a direct transfer are aligned.
    /// 2. No sync is submitted while a write of the same file is in flight (F31).
    pub(super) fn check(&self, op: &Op<SimFile>) {
        let align = u64::from(self.options.dio_align.max(1));
        let aligned = |offset: u64, at: usize, len: usize| {
            offset % align == 0 && at as u64 % align == 0 && len as u64 % align == 0
        };
        match op {
            Op::Read {
                cache_mode: CacheMode::Direct,
                offset,
                block,
                start,
                len,
                ..
            }
            | Op::WriteBlock {
                cache_mode: CacheMode::Direct,
                offset,
                block,
                start,
                len,
                ..
            } => {
                let at = block.as_ptr() as usize + start;
                assert!(aligned(*offset, at, *len), "misaligned block");
            }
            Op::Write {
                cache_mode: CacheMode::Direct,
                offset,
                slices,
                ..
            } => {
                for slice in slices {
                    let at = slice.as_slice().as_ptr() as usize;
                    assert!(aligned(*offset, at, slice.len()), "misaligned write");
                }
            }
            Op::Sync { file, .. } => {
                let same_file = |other: &InFlightOp| match &other.request.op {
                    Op::Write { file: other, .. } => Arc::ptr_eq(other, file),
                    _ => false,
                };
                assert!(
                    !self.in_flight.iter().any(same_file),
                    "a sync overtakes a write (F31)"
                );
            }
            _ => {}
        }
    }
}

/// Returns the bytes that an op writes.
pub(super) fn parts(op: &Op<SimFile>) -> Vec<&[u8]> {
    match op {
        Op::Write { slices, .. } => slices.iter().map(PageSlice::as_slice).collect(),
        Op::WriteBlock {
            block, start, len, ..
        } => vec![&block.as_slice()[*start..][..*len]],
        _ => Vec::new(),
    }
}

/// Returns the Fowler-Noll-Vo hash over words in four lanes, which is enough to see a change.
pub(super) fn checksum(parts: &[&[u8]]) -> u64 {
    let mix = |sum: u64, word: u64| (sum ^ word).wrapping_mul(0x0100_0000_01b3);
    let mut lanes = [0xcbf2_9ce4_8422_2325_u64, 1, 2, 3];
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

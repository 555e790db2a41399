//! Checks the rules that a user of the kernel must keep.

use super::kernel::SimFile;
use super::{InFlightOp, SimDisk};
use crate::op::{CacheMode, Memory, Op};
use std::sync::Arc;

impl SimDisk {
    /// Asserts that the op keeps the rules:
    ///
    /// 1. Offset, memory and length of a direct transfer are aligned.
    /// 2. No sync is submitted while a write of the same file is in flight (F31).
    pub(super) fn check(&self, op: &Op<SimFile>) {
        let align = u64::from(self.options.dio_align.max(1));
        let aligned = |offset: u64, bytes: &[u8]| {
            let (at, len) = (bytes.as_ptr() as u64, bytes.len() as u64);
            offset % align == 0 && at % align == 0 && len % align == 0
        };
        match op {
            Op::Transfer(transfer) if transfer.cache_mode == CacheMode::Direct => {
                let is_aligned = |bytes: &[u8]| aligned(transfer.offset, bytes);
                let all_aligned = match &transfer.memory {
                    Memory::Fill(range) | Memory::Block(range) => is_aligned(range.as_slice()),
                    Memory::Slices(slices) => {
                        slices.iter().all(|slice| is_aligned(slice.as_slice()))
                    }
                };
                assert!(all_aligned, "misaligned direct IO");
            }
            Op::Sync { file, .. } => {
                let same_file = |other: &InFlightOp| match &other.request.op {
                    Op::Transfer(write) => {
                        matches!(write.memory, Memory::Slices(_)) && Arc::ptr_eq(&write.file, file)
                    }
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

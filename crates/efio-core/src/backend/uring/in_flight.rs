//! The ops in flight on the ring: their memory, and their submission entries.

use super::buffers::Buffers;
use super::ring::Ring;
use crate::error::Errno;
use crate::op::{Completion, Memory, Op, OpId, Outcome, Request, Transfer};
use crate::slot_map::{Key, SlotMap};
use crate::sys::file::{DescriptorLease, KernelFile, MAX_SLICES, io_vectors};
use io_uring::squeue::Entry;
use io_uring::{opcode, types};

/// An op that was pushed and has not completed.
pub struct InFlightOp {
    id: OpId,
    transfer: Transfer<KernelFile>,
    /// The descriptor and flags that it uses.
    lease: DescriptorLease,
    /// The vectors of a vectored write, which the kernel reads.
    vectors: Vec<libc::iovec>,
    /// How many entries were pushed before its own.
    seq: u64,
}

/// All ops in flight. The `user_data` of an op is its key, so that a second completion finds
/// nothing (F43).
#[derive(Default)]
pub struct InFlight(SlotMap<InFlightOp>);

impl InFlight {
    /// Returns how many ops are in flight.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Pushes a read or write, and returns whether its memory is registered.
    ///
    /// # Errors
    ///
    /// The transfer,
    ///
    /// 1. if its file has no descriptor for its cache mode, or
    /// 2. if it is a write whose descriptor somebody else closed (F14).
    pub fn push(
        &mut self,
        ring: &mut Ring,
        buffers: &mut Buffers,
        id: OpId,
        transfer: Transfer<KernelFile>,
    ) -> Result<bool, Transfer<KernelFile>> {
        let Some(lease) = lease_for(&transfer) else {
            return Err(transfer);
        };
        let mut vectors = Vec::new();
        let (entry, fixed) = entry(&transfer, lease, &mut vectors, ring, buffers);
        let key = self.0.insert(InFlightOp {
            id,
            transfer,
            lease,
            vectors,
            seq: ring.pushed(),
        });
        let entry = entry.user_data(key.to_bits());
        // SAFETY: the op owns the memory and holds the file, and the vectors do not move with it.
        // It stays in its slot until the completion; at the end of the ring, `take_unsubmitted`
        // leaks the memory that the kernel may still use.
        unsafe { ring.push(&entry) };
        Ok(fixed)
    }

    /// Completes the op with this `user_data`; `None` if no such op is in flight.
    pub fn complete(&mut self, user_data: u64, result: i32) -> Option<Completion<KernelFile>> {
        let op = self.0.remove(Key::from_bits(user_data))?;
        let outcome = match usize::try_from(result) {
            Ok(n) => Outcome::Done(n),
            Err(_) => Outcome::Failed(Errno(-result)),
        };
        op.release();
        Some(Completion {
            id: op.id,
            outcome,
            block: op.transfer.memory.into_block(),
        })
    }

    /// Abandons every op, and returns the requests that the kernel did not take, in order. The
    /// kernel may read or fill the memory of the others at any time from now on, so that memory is
    /// leaked: never reused and never unmapped (F42, F45).
    ///
    /// With `taken` 2 and ops of the sequence numbers 0, 2 and 3 in flight, op 0 is leaked, and the
    /// requests of 2 and 3 are returned.
    pub fn take_unsubmitted(&mut self, taken: u64) -> Vec<Request<KernelFile>> {
        let ops = std::mem::take(&mut self.0).into_iter();
        let (mut unsubmitted, lost): (Vec<_>, Vec<_>) = ops.partition(|op| op.seq >= taken);
        for op in lost {
            std::mem::forget(op.transfer.memory);
            // The kernel copied the vectors, and has a reference of its own to the file.
            drop(op.vectors);
        }
        unsubmitted.sort_by_key(|op| op.seq);
        let into_request = |op: InFlightOp| {
            op.release();
            Request {
                id: op.id,
                op: Op::Transfer(op.transfer),
            }
        };
        unsubmitted.into_iter().map(into_request).collect()
    }
}

impl InFlightOp {
    /// Releases the lease of an op that the kernel does not have, or not any more.
    fn release(&self) {
        self.transfer.file.release(self.lease);
    }
}

/// Acquires the lease of a read, or of a write whose descriptor still belongs to the file.
fn lease_for(transfer: &Transfer<KernelFile>) -> Option<DescriptorLease> {
    let file = &transfer.file;
    let lease = file.acquire(transfer.cache_mode).ok()?;
    if transfer.is_read() || file.check_ours(lease).is_ok() {
        return Some(lease);
    }
    file.release(lease);
    None
}

/// Builds the entry for a read or write, and returns whether its memory is registered.
fn entry(
    transfer: &Transfer<KernelFile>,
    lease: DescriptorLease,
    vectors: &mut Vec<libc::iovec>,
    ring: &Ring,
    buffers: &mut Buffers,
) -> (Entry, bool) {
    let fd = types::Fd(lease.fd);
    macro_rules! entry {
        ($kind:ident, $memory:expr, $len:expr $(, $number:expr)?) => {
            opcode::$kind::new(fd, $memory, $len as u32 $(, $number)?)
                .offset(transfer.offset)
                .rw_flags(lease.flags)
                .build()
        };
    }
    let (memory, len, slab) = match &transfer.memory {
        Memory::Fill(range) | Memory::Block(range) => {
            (range.as_ptr(), range.len(), range.block().slab())
        }
        Memory::Slices(slices) => {
            let [slice] = &slices[..] else {
                *vectors = io_vectors(slices.iter().map(|slice| slice.as_slice()));
                debug_assert!(vectors.len() <= MAX_SLICES);
                return (entry!(Writev, vectors.as_ptr(), vectors.len()), false);
            };
            let bytes = slice.as_slice();
            (bytes.as_ptr().cast_mut(), bytes.len(), slice.slab())
        }
    };
    let number = buffers.number(ring, slab);
    let entry = match (transfer.is_read(), number) {
        (true, Some(number)) => entry!(ReadFixed, memory, len, number),
        (true, None) => entry!(Read, memory, len),
        (false, Some(number)) => entry!(WriteFixed, memory, len, number),
        (false, None) => entry!(Write, memory, len),
    };
    (entry, number.is_some())
}

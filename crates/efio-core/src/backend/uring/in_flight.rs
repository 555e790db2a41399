//! The ops in flight on the ring: their memory, and their submission entries.

use super::buffers::Buffers;
use super::ring::Ring;
use crate::error::Errno;
use crate::op::{Completion, Op, Outcome, Request};
use crate::page::PageSlice;
use crate::sys::file::{DescriptorLease, KernelFile, MAX_SLICES, io_vectors};
use io_uring::squeue::Entry;
use io_uring::{opcode, types};

/// An op that was pushed and has not completed.
pub struct InFlightOp {
    request: Request<KernelFile>,
    /// The descriptor and flags that it uses.
    lease: DescriptorLease,
    /// The vectors of a vectored write, which the kernel reads.
    vectors: Vec<libc::iovec>,
    /// How many entries were pushed before its own.
    seq: u64,
}

/// All ops in flight. The `user_data` of an op is its slot number and the slot's use count, so that
/// a second completion finds nothing (F43):
///
/// ```text
///  63        32 31         0
///  ┌───────────┬────────────┐
///  │   uses    │  slot      │      third use of slot 7: 0x0000_0003_0000_0007
///  └───────────┴────────────┘
/// ```
#[derive(Default)]
pub struct InFlight {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Default)]
struct Slot {
    uses: u32,
    op: Option<InFlightOp>,
}

impl InFlight {
    /// Returns how many ops are in flight.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Pushes a read or write, and returns whether its memory is registered.
    ///
    /// # Errors
    ///
    /// The request,
    ///
    /// 1. if it is neither a read nor a write,
    /// 2. if its file has no descriptor for its cache mode, or
    /// 3. if it is a write whose descriptor somebody else closed (F14).
    pub fn push(
        &mut self,
        ring: &mut Ring,
        buffers: &mut Buffers,
        request: Request<KernelFile>,
    ) -> Result<bool, Request<KernelFile>> {
        let Some(lease) = lease_for(&request.op) else {
            return Err(request);
        };
        let mut vectors = Vec::new();
        let (entry, fixed) = entry(&request.op, lease, &mut vectors, ring, buffers);
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() as u32 - 1
        });
        let slot = &mut self.slots[number as usize];
        slot.uses = slot.uses.wrapping_add(1);
        let entry = entry.user_data(u64::from(slot.uses) << 32 | u64::from(number));
        // SAFETY: the op owns the memory and holds the file, and the vectors do not move with it.
        // It stays in its slot until the completion; at the end of the ring, `take_unsubmitted`
        // leaks the memory that the kernel may still use.
        let seq = unsafe { ring.push(&entry) };
        slot.op = Some(InFlightOp {
            request,
            lease,
            vectors,
            seq,
        });
        Ok(fixed)
    }

    /// Completes the op with this `user_data`; `None` if no such op is in flight.
    pub fn complete(&mut self, user_data: u64, result: i32) -> Option<Completion<KernelFile>> {
        let (uses, number) = ((user_data >> 32) as u32, user_data as u32);
        let slot = self.slots.get_mut(number as usize)?;
        if slot.uses != uses {
            return None;
        }
        let op = slot.op.take()?;
        self.free.push(number);
        let outcome = match usize::try_from(result) {
            Ok(n) => Outcome::Done(n),
            Err(_) => Outcome::Failed(Errno(-result)),
        };
        op.release();
        let block = match op.request.op {
            Op::Read { block, .. } | Op::WriteBlock { block, .. } => Some(block),
            _ => None,
        };
        Some(Completion {
            id: op.request.id,
            outcome,
            block,
        })
    }

    /// Abandons every op, and returns the requests that the kernel did not take, in order. The
    /// kernel may read or fill the memory of the others at any time from now on, so that memory is
    /// leaked: never reused and never unmapped (F42, F45).
    ///
    /// With `taken` 2 and ops of the sequence numbers 0, 2 and 3 in flight, op 0 is leaked, and the
    /// requests of 2 and 3 are returned.
    pub fn take_unsubmitted(&mut self, taken: u64) -> Vec<Request<KernelFile>> {
        let ops = self.slots.drain(..).filter_map(|slot| slot.op);
        let (mut unsubmitted, lost): (Vec<_>, Vec<_>) = ops.partition(|op| op.seq >= taken);
        self.free.clear();
        for op in lost {
            match op.request.op {
                Op::Read { block, .. } | Op::WriteBlock { block, .. } => {
                    std::mem::forget(block);
                }
                Op::Write { slices, .. } => std::mem::forget(slices),
                _ => {}
            }
            // The kernel copied the vectors, and has a reference of its own to the file.
            drop(op.vectors);
        }
        unsubmitted.sort_by_key(|op| op.seq);
        let into_request = |op: InFlightOp| {
            op.release();
            op.request
        };
        unsubmitted.into_iter().map(into_request).collect()
    }
}

impl InFlightOp {
    /// Releases the lease of an op that the kernel does not have, or not any more.
    fn release(&self) {
        let op = &self.request.op;
        if let Op::Read { file, .. } | Op::Write { file, .. } | Op::WriteBlock { file, .. } = op {
            file.release(self.lease);
        }
    }
}

/// Acquires the lease of a read, or of a write whose descriptor still belongs to the file.
fn lease_for(op: &Op<KernelFile>) -> Option<DescriptorLease> {
    let (file, lease) = match op {
        Op::Read {
            file, cache_mode, ..
        } => return file.acquire(*cache_mode).ok(),
        Op::Write {
            file, cache_mode, ..
        }
        | Op::WriteBlock {
            file, cache_mode, ..
        } => (file, file.acquire(*cache_mode).ok()?),
        _ => return None,
    };
    if file.check_ours(lease).is_ok() {
        return Some(lease);
    }
    file.release(lease);
    None
}

/// Builds the entry for a read or write, and returns whether its memory is registered.
fn entry(
    op: &Op<KernelFile>,
    lease: DescriptorLease,
    vectors: &mut Vec<libc::iovec>,
    ring: &Ring,
    buffers: &mut Buffers,
) -> (Entry, bool) {
    let DescriptorLease { fd, flags, .. } = lease;
    let fd = types::Fd(fd);
    match op {
        Op::Read {
            offset,
            block,
            start,
            len,
            ..
        } => {
            let memory = block.as_ptr().wrapping_add(*start);
            let len = *len as u32;
            match buffers.number(ring, block.slab()) {
                Some(number) => {
                    let read = opcode::ReadFixed::new(fd, memory, len, number);
                    (read.offset(*offset).rw_flags(flags).build(), true)
                }
                None => {
                    let read = opcode::Read::new(fd, memory, len);
                    (read.offset(*offset).rw_flags(flags).build(), false)
                }
            }
        }
        Op::WriteBlock {
            offset,
            block,
            start,
            len,
            ..
        } => {
            let memory = block.as_ptr().wrapping_add(*start);
            let len = *len as u32;
            match buffers.number(ring, block.slab()) {
                Some(number) => {
                    let write = opcode::WriteFixed::new(fd, memory, len, number);
                    (write.offset(*offset).rw_flags(flags).build(), true)
                }
                None => {
                    let write = opcode::Write::new(fd, memory, len);
                    (write.offset(*offset).rw_flags(flags).build(), false)
                }
            }
        }
        Op::Write { offset, slices, .. } => {
            if let Some((slice, number)) = single_registered(slices, ring, buffers) {
                let bytes = slice.as_slice();
                let write = opcode::WriteFixed::new(fd, bytes.as_ptr(), bytes.len() as u32, number);
                return (write.offset(*offset).rw_flags(flags).build(), true);
            }
            *vectors = io_vectors(slices);
            debug_assert!(vectors.len() <= MAX_SLICES);
            let write = opcode::Writev::new(fd, vectors.as_ptr(), vectors.len() as u32);
            (write.offset(*offset).rw_flags(flags).build(), false)
        }
        _ => unreachable!("only a read or write has a lease"),
    }
}

/// Returns the only slice of a write, and the number of its fixed buffer.
fn single_registered<'a>(
    slices: &'a [PageSlice],
    ring: &Ring,
    buffers: &mut Buffers,
) -> Option<(&'a PageSlice, u16)> {
    let [slice] = slices else { return None };
    Some((slice, buffers.number(ring, slice.slab())?))
}

//! The ops that the ring has: what their memory is, and what the kernel is told to do.

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
    /// How it entered the kernel.
    lease: DescriptorLease,
    /// What a vectored write reads its pieces from.
    vectors: Vec<libc::iovec>,
    /// Entries that were pushed before its own.
    seq: u64,
}

/// All flights. The ring names one by the number of its slot and the count of its uses, so that a
/// second completion finds nothing (F43).
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
    /// How many there are.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Pushes a read or write. Whether its memory is registered.
    ///
    /// # Errors
    ///
    /// The request, when it is neither, or its file has no way for it, or it is a write whose
    /// descriptor somebody else closed (F14).
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
        // SAFETY: the flight owns the memory and holds the file, and the vectors do not move with
        // it. It stays in its slot until the completion; at the end of the ring, `salvage` keeps
        // the memory of what the kernel may still be at.
        let seq = unsafe { ring.push(&entry) };
        slot.op = Some(InFlightOp {
            request,
            lease,
            vectors,
            seq,
        });
        Ok(fixed)
    }

    /// The op named `name` ended with `result`; `None` if there is none such.
    pub fn complete(&mut self, name: u64, result: i32) -> Option<Completion<KernelFile>> {
        let (uses, number) = ((name >> 32) as u32, name as u32);
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

    /// Gives up every flight: the requests that the kernel never took come back, in order. The
    /// memory of the others may be read or filled at any time from now on, so it is never used for
    /// anything again, nor unmapped: lost for the process, and safe (F42, F45).
    pub fn take_unsubmitted(&mut self, taken: u64) -> Vec<Request<KernelFile>> {
        let flights = self.slots.drain(..).filter_map(|slot| slot.op);
        let (mut waiting, lost): (Vec<_>, Vec<_>) = flights.partition(|op| op.seq >= taken);
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
        waiting.sort_by_key(|op| op.seq);
        let again = |op: InFlightOp| {
            op.release();
            op.request
        };
        waiting.into_iter().map(again).collect()
    }
}

impl InFlightOp {
    /// The kernel is not at it, or not any more.
    fn release(&self) {
        let op = &self.request.op;
        if let Op::Read { file, .. } | Op::Write { file, .. } | Op::WriteBlock { file, .. } = op {
            file.release(self.lease);
        }
    }
}

/// The way of a read, or of a write whose descriptor is still the file's.
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

/// The entry for a read or write, and whether its memory is registered.
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
        _ => unreachable!("only a read or write has a way"),
    }
}

/// The one slice of a write, and the fixed buffer that it lies in.
fn single_registered<'a>(
    slices: &'a [PageSlice],
    ring: &Ring,
    buffers: &mut Buffers,
) -> Option<(&'a PageSlice, u16)> {
    let [slice] = slices else { return None };
    Some((slice, buffers.number(ring, slice.slab())?))
}

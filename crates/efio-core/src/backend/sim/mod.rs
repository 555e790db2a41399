//! The sim backend: a disk in memory that misbehaves as a seed tells it to.
//!
//! ```text
//!  submit ──► flying ── latency, any order ──► reap
//!     │                       │
//!     └ refused, aborted      └ short, failed, interrupted; twice; not before a stall is over
//! ```
//!
//! Ops complete late and in any order, reads and writes fall short, calls fail for a moment or for
//! good, completions come twice, the disk is full or hangs, the power fails. It also checks its
//! users: direct IO must be aligned, the memory of a write must not change while it is in flight, a
//! sync must not be submitted together with a write of the same file, and no op may be lost.

mod disk;
mod faults;
mod memory;
mod random;

pub use disk::{Foreign, SimInode, SimStore};
pub use faults::SimOptions;
pub use memory::{Memory, SimMemory};

use super::Backend;
use crate::config::IoMode;
use crate::error::Errno;
use crate::op::{Completion, FileFacts, Op, OpId, OpenSpec, Outcome, ReadNow, Request, Route};
use crate::page::PageSlice;
use disk::lock;
use random::Random;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What nobody wrote: a byte of it that is seen anywhere was leaked (F58).
const POISON: u8 = 0xAA;
/// The longest time that the disk hangs, in turns.
const LONGEST_STALL: u64 = 200;

/// An open file of a [`SimDisk`].
#[derive(Debug)]
pub struct SimFile {
    inode: Arc<Mutex<SimInode>>,
    append: bool,
    /// Thousandths of the reads that find their bytes in the kernel's memory.
    cached: u32,
    looks: AtomicU64,
}

/// A seeded disk.
pub struct SimDisk {
    options: SimOptions,
    random: Random,
    store: SimStore,
    flying: Vec<Flying>,
    turn: u64,
    /// Nothing completes before this turn.
    hangs_until: u64,
    open: usize,
    /// Completions that were given out once and will come again.
    again: Vec<(u64, OpId)>,
}

struct Flying {
    due: u64,
    submitted: u64,
    request: Request<SimFile>,
    /// Checksum of a write's bytes when it was submitted.
    sum: u64,
}

impl SimDisk {
    /// A disk with the files of `store` whose behaviour follows from `seed`.
    pub fn new(seed: u64, options: SimOptions, store: SimStore) -> Self {
        Self {
            options,
            random: Random::new(seed),
            store,
            flying: Vec::new(),
            turn: 0,
            hangs_until: 0,
            open: 0,
            again: Vec::new(),
        }
    }

    /// The files.
    pub fn store(&self) -> &SimStore {
        &self.store
    }

    /// Nothing completes until [`calm_down`](Self::calm_down).
    pub fn hang(&mut self) {
        self.hangs_until = u64::MAX;
    }

    /// Nothing is taken until [`calm_down`](Self::calm_down).
    pub fn refuse(&mut self) {
        self.options.refusals = 1000;
    }

    /// No trouble from now on: what lasted is mended.
    pub fn calm_down(&mut self) {
        self.options = self.options.calm();
        self.hangs_until = 0;
        self.store.mend();
    }

    /// Ops in flight, and kernel files open.
    pub fn at_work(&self) -> (usize, usize) {
        (self.flying.len(), self.open)
    }

    /// The process dies; the kernel ends the writes that it has begun, or a part of them, and keeps
    /// what it was given.
    pub fn kill(&mut self) {
        for flying in std::mem::take(&mut self.flying) {
            let (file, offset) = match &flying.request.op {
                Op::Write { file, offset, .. } | Op::WriteBlock { file, offset, .. } => {
                    (file, *offset)
                }
                Op::Truncate { file, len } => {
                    if self.random.happens(500) {
                        // A length that no file has changes nothing.
                        let _ = lock(&file.inode).truncate(*len);
                    }
                    continue;
                }
                _ => continue,
            };
            let parts = parts(&flying.request.op);
            let len: usize = parts.iter().map(|part| part.len()).sum();
            let n = self.random.below(len as u64 + 1) as usize;
            if n > 0 {
                // A file that has grown too long gets nothing more.
                let _ = put(file, offset, &parts, n);
            }
        }
    }

    /// The power fails: of what was not synced, the disk has what it happened to write.
    pub fn power_cut(&mut self) {
        self.kill();
        self.store.cut(&mut self.random);
    }

    fn complete(&mut self, flying: Flying) -> Completion<SimFile> {
        let Request { id, op } = flying.request;
        assert_eq!(
            checksum(&parts(&op)),
            flying.sum,
            "memory changed under a write (F27)"
        );
        let (outcome, block) = match op {
            Op::Open(spec) => (self.open(*spec), None),
            Op::Read {
                file,
                route,
                offset,
                mut block,
                start,
                len,
            } => {
                let buf = &mut block.as_mut_slice()[start..][..len];
                (self.read(&file, route, offset, buf), Some(block))
            }
            Op::Write {
                ref file,
                route,
                offset,
                ..
            } => (self.write(file, route, offset, &parts(&op)), None),
            Op::WriteBlock {
                ref file,
                route,
                offset,
                ..
            } => {
                let outcome = self.write(file, route, offset, &parts(&op));
                (outcome, op.into_block())
            }
            Op::Truncate { file, len } => (self.truncate(&file, len), None),
            Op::Sync { file, name_too } => (self.sync(&file, name_too), None),
            Op::Close(file) => (self.close(&file), None),
        };
        if self.random.happens(self.options.duplicates) {
            let late = self.random.below(2 * self.options.latency);
            self.again.push((self.turn + 1 + late, id));
        }
        Completion { id, outcome, block }
    }

    fn open(&mut self, spec: OpenSpec) -> Outcome<SimFile> {
        if self.random.happens(self.options.open_errors) {
            let errors = [libc::EMFILE, libc::ENOMEM, libc::EIO, libc::EACCES];
            return Outcome::Failed(Errno(self.random.one_of(&errors)));
        }
        let found = self.store.find(&spec.path);
        if found.is_some() && spec.flags & libc::O_EXCL != 0 {
            return Outcome::Failed(Errno(libc::EEXIST));
        }
        if found.is_none() && spec.flags & libc::O_CREAT == 0 {
            return Outcome::Failed(Errno(libc::ENOENT));
        }
        let inode = found.unwrap_or_else(|| self.store.create(spec.path));
        lock(&inode).opened(spec.flags & libc::O_TRUNC != 0);
        let append = spec.flags & libc::O_APPEND != 0;
        let direct = match spec.io_mode {
            IoMode::Direct => true,
            IoMode::Auto => !append,
            IoMode::Uncached | IoMode::Cached => false,
        };
        let block = if direct { self.options.block } else { 0 };
        let facts = FileFacts {
            size: lock(&inode).current().len() as u64,
            block,
            fell_back: spec.io_mode == IoMode::Direct && block == 0,
        };
        self.open += 1;
        let file = SimFile {
            inode,
            append,
            cached: self.options.cached,
            looks: AtomicU64::new(self.random.next()),
        };
        Outcome::Opened(file, facts)
    }

    fn read(
        &mut self,
        file: &SimFile,
        route: Route,
        offset: u64,
        buf: &mut [u8],
    ) -> Outcome<SimFile> {
        let poisoned = buf.len().min(512);
        buf[..poisoned].fill(POISON);
        if let Some(errno) = self.options.hindrance(&mut self.random, route) {
            return Outcome::Failed(errno);
        }
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let mut inode = lock(&file.inode);
        if self.random.happens(self.options.read_errors) {
            if self.random.happens(self.options.lasting) {
                inode.fail_reads(offset + self.random.below(buf.len() as u64) as usize);
            } else {
                return Outcome::Failed(Errno(libc::EIO));
            }
        }
        let there = match inode.read(offset, buf.len()) {
            Ok(there) => there,
            Err(errno) => return Outcome::Failed(errno),
        };
        let n = self
            .options
            .transferred(&mut self.random, route, there.len());
        buf[..n].copy_from_slice(&there[..n]);
        buf[n..].fill(POISON);
        Outcome::Done(n)
    }

    fn write(
        &mut self,
        file: &SimFile,
        route: Route,
        offset: u64,
        parts: &[&[u8]],
    ) -> Outcome<SimFile> {
        if let Some(errno) = self.options.hindrance(&mut self.random, route) {
            return Outcome::Failed(errno);
        }
        let used = self.store.used();
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let mut inode = lock(&file.inode);
        if self.random.happens(self.options.write_errors) {
            let errors = [libc::EIO, libc::ENOSPC, libc::EDQUOT, libc::EFBIG];
            let errno = Errno(self.random.one_of(&errors));
            inode.fail_writes(errno, self.random.happens(self.options.lasting));
            return Outcome::Failed(errno);
        }
        if let Some(errno) = inode.broken() {
            inode.fail_writes(errno, true);
            return Outcome::Failed(errno);
        }
        let size = inode.current().len();
        let at = if file.append { size } else { offset as usize };
        let n = self.options.transferred(&mut self.random, route, len);
        let grows = (at + n).saturating_sub(size) as u64;
        let free = self.options.capacity.saturating_sub(used);
        let n = n - grows.saturating_sub(free).min(n as u64) as usize;
        if n == 0 {
            inode.fail_writes(Errno(libc::ENOSPC), false);
            return Outcome::Failed(Errno(libc::ENOSPC));
        }
        drop(inode);
        done(put(file, offset, parts, n))
    }

    fn truncate(&mut self, file: &SimFile, len: u64) -> Outcome<SimFile> {
        if let Some(errno) = self.options.interruption(&mut self.random, &[libc::EINTR]) {
            return Outcome::Failed(errno);
        }
        let mut inode = lock(&file.inode);
        let errno = if self.random.happens(self.options.write_errors) {
            Some(Errno(libc::EIO))
        } else {
            inode.broken()
        };
        if let Some(errno) = errno {
            inode.fail_writes(errno, false);
            return Outcome::Failed(errno);
        }
        done(inode.truncate(len).map(|()| 0))
    }

    fn sync(&mut self, file: &SimFile, name_too: bool) -> Outcome<SimFile> {
        if let Some(errno) = self.options.interruption(&mut self.random, &[libc::EINTR]) {
            return Outcome::Failed(errno);
        }
        let mut inode = lock(&file.inode);
        if self.random.happens(self.options.sync_errors) {
            inode.forget();
            return Outcome::Failed(Errno(libc::EIO));
        }
        inode.sync(name_too);
        Outcome::Done(0)
    }

    fn close(&mut self, file: &SimFile) -> Outcome<SimFile> {
        self.open -= 1;
        if self.random.happens(self.options.close_errors) {
            lock(&file.inode).fail_close();
            return Outcome::Failed(Errno(libc::EIO));
        }
        Outcome::Done(0)
    }

    /// Nothing that was submitted since the last turn is begun (F42).
    fn abort(&mut self, out: &mut Vec<Completion<SimFile>>) {
        let turn = self.turn;
        let fresh = |flying: &Flying| {
            flying.submitted == turn
                && matches!(
                    flying.request.op,
                    Op::Read { .. } | Op::Write { .. } | Op::WriteBlock { .. }
                )
        };
        while let Some(at) = self.flying.iter().position(fresh) {
            let flying = self.flying.swap_remove(at);
            out.push(Completion {
                id: flying.request.id,
                outcome: Outcome::Failed(Errno(libc::EAGAIN)),
                block: flying.request.op.into_block(),
            });
        }
    }

    /// What a user of the kernel must not do.
    fn check(&self, op: &Op<SimFile>) {
        let block = u64::from(self.options.block.max(1));
        let aligned = |offset: u64, at: usize, len: usize| {
            offset % block == 0 && at as u64 % block == 0 && len as u64 % block == 0
        };
        match op {
            Op::Read {
                route: Route::Direct,
                offset,
                block,
                start,
                len,
                ..
            }
            | Op::WriteBlock {
                route: Route::Direct,
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
                route: Route::Direct,
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
                let same_file = |other: &Flying| match &other.request.op {
                    Op::Write { file: other, .. } => Arc::ptr_eq(other, file),
                    _ => false,
                };
                assert!(
                    !self.flying.iter().any(same_file),
                    "a sync overtakes a write (F31)"
                );
            }
            _ => {}
        }
    }
}

impl Backend for SimDisk {
    type File = SimFile;

    fn submit(&mut self, request: Request<SimFile>) -> Result<(), Request<SimFile>> {
        if self.random.happens(self.options.refusals) {
            return Err(request);
        }
        self.check(&request.op);
        let sum = checksum(&parts(&request.op));
        let due = self.turn + 1 + self.random.below(self.options.latency.max(1));
        self.flying.push(Flying {
            due,
            submitted: self.turn,
            request,
            sum,
        });
        Ok(())
    }

    fn reap(&mut self, out: &mut Vec<Completion<SimFile>>) {
        if self.random.happens(self.options.aborted) {
            self.abort(out);
        }
        self.turn += 1;
        let turn = self.turn;
        if self.random.happens(self.options.stalls) {
            self.hangs_until = turn + self.random.below(LONGEST_STALL);
        }
        if turn < self.hangs_until {
            return;
        }
        self.again.retain(|&(due, id)| {
            if due <= turn {
                let (outcome, block) = (Outcome::Done(1), None);
                out.push(Completion { id, outcome, block });
            }
            due > turn
        });
        while let Some(at) = self.flying.iter().position(|flying| flying.due <= turn) {
            let flying = self.flying.swap_remove(at);
            let completion = self.complete(flying);
            out.push(completion);
        }
    }

    fn read_now(file: &Arc<SimFile>) -> Option<Arc<dyn ReadNow>> {
        Some(Arc::clone(file) as Arc<dyn ReadNow>)
    }

    fn wait(&mut self, _timeout: Option<Duration>) {}
}

impl ReadNow for SimFile {
    fn read_now(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let looks = self.looks.fetch_add(1, Ordering::Relaxed);
        let mut random = Random::new(looks);
        if !random.happens(self.cached) {
            return Err(Errno(libc::EAGAIN).into());
        }
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let inode = lock(&self.inode);
        let there = inode.read(offset, random.part_of(buf.len(), 1))?;
        buf[..there.len()].copy_from_slice(there);
        Ok(there.len())
    }
}

/// The bytes that an op writes.
fn parts(op: &Op<SimFile>) -> Vec<&[u8]> {
    match op {
        Op::Write { slices, .. } => slices.iter().map(PageSlice::as_slice).collect(),
        Op::WriteBlock {
            block, start, len, ..
        } => vec![&block.as_slice()[*start..][..*len]],
        _ => Vec::new(),
    }
}

/// Writes at `offset`, or where the file ends.
fn put(file: &SimFile, offset: u64, parts: &[&[u8]], n: usize) -> Result<usize, Errno> {
    let mut inode = lock(&file.inode);
    let at = if file.append {
        inode.current().len()
    } else {
        offset as usize
    };
    inode.write(at, parts, n)?;
    Ok(n)
}

fn done(result: Result<usize, Errno>) -> Outcome<SimFile> {
    result.map_or_else(Outcome::Failed, Outcome::Done)
}

/// Fowler-Noll-Vo over words, in four lanes, which is enough to see a change.
fn checksum(parts: &[&[u8]]) -> u64 {
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

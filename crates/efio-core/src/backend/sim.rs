//! The sim backend: a disk in memory that misbehaves as a seed tells it to.
//!
//! Ops complete late and in any order, reads and writes fall short, calls fail for a moment or for
//! good, completions come twice, the disk is full. It also checks its users: direct IO must be
//! aligned, the memory of a write must not change while it is in flight, a sync must not be
//! submitted together with a write of the same file, and no op may be lost.

use super::Backend;
use crate::config::IoMode;
use crate::error::Errno;
use crate::op::{Completion, FileFacts, Op, OpId, OpenSpec, Outcome, Request, Route};
use crate::page::PageSlice;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::Arc;
use std::time::Duration;

/// How often what goes wrong, in thousandths of all ops, and what the file system can do.
#[derive(Clone, Debug)]
pub struct SimOptions {
    /// Transfers that move fewer bytes than asked.
    pub short: u32,
    /// Transfers that fail with EINTR or EAGAIN.
    pub transient: u32,
    /// Reads that fail with EIO.
    pub read_errors: u32,
    /// Writes that fail with EIO.
    pub write_errors: u32,
    /// Syncs that fail with EIO once and then say OK.
    pub sync_errors: u32,
    /// Completions that come a second time.
    pub duplicates: u32,
    /// Submissions that are refused for the moment.
    pub refusals: u32,
    /// Alignment of direct IO; 0 when there is none.
    pub block: u32,
    /// Whether `RWF_DONTCACHE` is known.
    pub uncached: bool,
    /// Bytes that all files together may have.
    pub capacity: u64,
    /// The longest latency of an op, in turns of `reap`.
    pub latency: u64,
}

impl Default for SimOptions {
    fn default() -> Self {
        Self {
            short: 0,
            transient: 0,
            read_errors: 0,
            write_errors: 0,
            sync_errors: 0,
            duplicates: 0,
            refusals: 0,
            block: 4096,
            uncached: true,
            capacity: u64::MAX,
            latency: 8,
        }
    }
}

/// The largest file that the disk takes.
const MAX_FILE: usize = 64 << 20;

/// An open file of a [`SimDisk`].
#[derive(Debug)]
pub struct SimFile {
    path: CString,
    append: bool,
}

/// A file as the kernel sees it and as the disk holds it.
#[derive(Clone, Debug, Default)]
pub struct SimInode {
    /// What a read returns.
    pub current: Vec<u8>,
    /// What a power cut leaves for sure.
    pub durable: Vec<u8>,
    /// Whether the name survives a power cut.
    pub name_durable: bool,
    /// A sync failed: the kernel dropped what was not durable, and says OK from then on.
    pub forgotten: bool,
}

/// A seeded disk.
pub struct SimDisk {
    options: SimOptions,
    random: Random,
    inodes: BTreeMap<CString, SimInode>,
    flying: Vec<Flying>,
    turn: u64,
    open: usize,
    /// Completions that were given out once and will come again.
    again: Vec<OpId>,
}

struct Flying {
    due: u64,
    request: Request<SimFile>,
    /// Checksum of a write's bytes when it was submitted.
    sum: u64,
}

impl SimDisk {
    /// An empty disk whose behaviour follows from `seed`.
    pub fn new(seed: u64, options: SimOptions) -> Self {
        Self {
            options,
            random: Random(seed),
            inodes: BTreeMap::new(),
            flying: Vec::new(),
            turn: 0,
            open: 0,
            again: Vec::new(),
        }
    }

    /// Puts a durable file on the disk.
    pub fn put(&mut self, path: &str, bytes: Vec<u8>) {
        let path = CString::new(path).expect("a path without NUL");
        let inode = SimInode {
            durable: bytes.clone(),
            current: bytes,
            name_durable: true,
            forgotten: false,
        };
        self.inodes.insert(path, inode);
    }

    /// A file, as it is now.
    pub fn inode(&self, path: &str) -> Option<&SimInode> {
        self.inodes.get(&CString::new(path).ok()?)
    }

    /// Changes what goes wrong from now on.
    pub fn set_options(&mut self, options: SimOptions) {
        self.options = options;
    }

    /// Ops in flight, and kernel files open.
    pub fn at_work(&self) -> (usize, usize) {
        (self.flying.len(), self.open)
    }

    fn complete(&mut self, flying: Flying) -> Completion<SimFile> {
        let Request { id, op } = flying.request;
        let (outcome, block) = match op {
            Op::Open(spec) => (self.open(*spec), None),
            Op::Read {
                file,
                route,
                offset,
                mut block,
                len,
            } => {
                let outcome = self.read(&file, route, offset, &mut block.as_mut_slice()[..len]);
                (outcome, Some(block))
            }
            Op::Write {
                file,
                route,
                offset,
                slices,
            } => {
                assert_eq!(
                    checksum(&slices),
                    flying.sum,
                    "memory changed under a write (F27)"
                );
                (self.write(&file, route, offset, &slices), None)
            }
            Op::Sync { file, name_too } => (self.sync(&file, name_too), None),
            Op::Close(_) => {
                self.open -= 1;
                (Outcome::Done(0), None)
            }
        };
        if self.random.happens(self.options.duplicates) {
            self.again.push(id);
        }
        Completion { id, outcome, block }
    }

    fn open(&mut self, spec: OpenSpec) -> Outcome<SimFile> {
        let exists = self.inodes.contains_key(&spec.path);
        if exists && spec.flags & libc::O_EXCL != 0 {
            return Outcome::Failed(Errno(libc::EEXIST));
        }
        if !exists && spec.flags & libc::O_CREAT == 0 {
            return Outcome::Failed(Errno(libc::ENOENT));
        }
        let inode = self.inodes.entry(spec.path.clone()).or_default();
        if spec.flags & libc::O_TRUNC != 0 {
            inode.current.clear();
        }
        let append = spec.flags & libc::O_APPEND != 0;
        let direct = match spec.io_mode {
            IoMode::Direct => true,
            IoMode::Auto => !append,
            IoMode::Uncached | IoMode::Cached => false,
        };
        let block = if direct { self.options.block } else { 0 };
        let fell_back = spec.io_mode == IoMode::Direct && block == 0;
        let facts = FileFacts {
            size: inode.current.len() as u64,
            block,
            fell_back,
        };
        self.open += 1;
        Outcome::Opened(
            SimFile {
                path: spec.path,
                append,
            },
            facts,
        )
    }

    fn read(
        &mut self,
        file: &SimFile,
        route: Route,
        offset: u64,
        buf: &mut [u8],
    ) -> Outcome<SimFile> {
        if let Some(errno) = self.trouble(route, self.options.read_errors) {
            return Outcome::Failed(errno);
        }
        let there = &self.inodes[&file.path].current;
        let from = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(there.len());
        let n = self
            .random
            .transferred(&self.options, route, buf.len().min(there.len() - from));
        buf[..n].copy_from_slice(&there[from..from + n]);
        // What a short read leaves behind is not to be seen by anyone (F58).
        buf[n..].fill(0xAA);
        Outcome::Done(n)
    }

    fn write(
        &mut self,
        file: &SimFile,
        route: Route,
        offset: u64,
        slices: &[PageSlice],
    ) -> Outcome<SimFile> {
        if let Some(errno) = self.trouble(route, self.options.write_errors) {
            return Outcome::Failed(errno);
        }
        let used: u64 = self
            .inodes
            .values()
            .map(|inode| inode.current.len() as u64)
            .sum();
        let len = slices.iter().map(PageSlice::len).sum();
        let n = self.random.transferred(&self.options, route, len);
        let inode = self
            .inodes
            .get_mut(&file.path)
            .expect("an open file exists");
        let offset = if file.append {
            inode.current.len()
        } else {
            offset as usize
        };
        if offset + n > MAX_FILE {
            return Outcome::Failed(Errno(libc::EFBIG));
        }
        let grows = ((offset + n).saturating_sub(inode.current.len())) as u64;
        let free = self.options.capacity.saturating_sub(used);
        let n = n - grows.saturating_sub(free).min(n as u64) as usize;
        if n == 0 {
            return Outcome::Failed(Errno(libc::ENOSPC));
        }
        if inode.current.len() < offset + n {
            inode.current.resize(offset + n, 0);
        }
        let mut room = &mut inode.current[offset..offset + n];
        for slice in slices {
            let part = slice.len().min(room.len());
            let (here, rest) = room.split_at_mut(part);
            here.copy_from_slice(&slice.as_slice()[..part]);
            room = rest;
        }
        Outcome::Done(n)
    }

    fn sync(&mut self, file: &SimFile, name_too: bool) -> Outcome<SimFile> {
        let failed = self.random.happens(self.options.sync_errors);
        let inode = self
            .inodes
            .get_mut(&file.path)
            .expect("an open file exists");
        if failed {
            inode.forgotten = true;
            return Outcome::Failed(Errno(libc::EIO));
        }
        if !inode.forgotten {
            inode.durable.clone_from(&inode.current);
            inode.name_durable |= name_too;
        }
        Outcome::Done(0)
    }

    fn trouble(&mut self, route: Route, errors: u32) -> Option<Errno> {
        if route == Route::Uncached && !self.options.uncached {
            return Some(Errno(libc::EOPNOTSUPP));
        }
        if self.random.happens(self.options.transient) {
            return Some(Errno(if self.random.happens(500) {
                libc::EINTR
            } else {
                libc::EAGAIN
            }));
        }
        self.random.happens(errors).then_some(Errno(libc::EIO))
    }

    /// What a user of the kernel must not do.
    fn check(&self, op: &Op<SimFile>) {
        let block = u64::from(self.options.block.max(1));
        let aligned = |offset: u64, parts: &[(usize, usize)]| {
            offset % block == 0
                && parts
                    .iter()
                    .all(|&(at, len)| at as u64 % block == 0 && len as u64 % block == 0)
        };
        match op {
            Op::Read {
                route: Route::Direct,
                offset,
                block,
                len,
                ..
            } => {
                assert!(
                    aligned(*offset, &[(block.as_ptr() as usize, *len)]),
                    "misaligned read"
                );
            }
            Op::Write {
                route: Route::Direct,
                offset,
                slices,
                ..
            } => {
                let part = |slice: &PageSlice| (slice.as_slice().as_ptr() as usize, slice.len());
                let parts: Vec<_> = slices.iter().map(part).collect();
                assert!(aligned(*offset, &parts), "misaligned write");
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
        let sum = match &request.op {
            Op::Write { slices, .. } => checksum(slices),
            _ => 0,
        };
        let due = self.turn + 1 + self.random.below(self.options.latency.max(1));
        self.flying.push(Flying { due, request, sum });
        Ok(())
    }

    fn reap(&mut self, out: &mut Vec<Completion<SimFile>>) {
        self.turn += 1;
        for id in std::mem::take(&mut self.again) {
            out.push(Completion {
                id,
                outcome: Outcome::Done(1),
                block: None,
            });
        }
        let mut at = 0;
        while at < self.flying.len() {
            if self.flying[at].due <= self.turn {
                let flying = self.flying.swap_remove(at);
                let completion = self.complete(flying);
                out.push(completion);
            } else {
                at += 1;
            }
        }
    }

    fn wait(&mut self, _timeout: Option<Duration>) {}
}

/// Fowler-Noll-Vo over words, which is enough to see a change.
fn checksum(slices: &[PageSlice]) -> u64 {
    let mix = |sum: u64, word: u64| (sum ^ word).wrapping_mul(0x0100_0000_01b3);
    slices.iter().fold(0xcbf2_9ce4_8422_2325, |sum, slice| {
        let mut words = slice.as_slice().chunks_exact(8);
        let sum = words.by_ref().fold(sum, |sum, word| {
            mix(
                sum,
                u64::from_le_bytes(word.try_into().expect("eight bytes")),
            )
        });
        words
            .remainder()
            .iter()
            .fold(sum, |sum, &byte| mix(sum, u64::from(byte)))
    })
}

/// Steele, Lea & Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn happens(&mut self, per_mille: u32) -> bool {
        per_mille > 0 && self.below(1000) < u64::from(per_mille)
    }

    /// How much of `len` bytes a transfer moves: direct ones stop between sectors.
    fn transferred(&mut self, options: &SimOptions, route: Route, len: usize) -> usize {
        let sector = if route == Route::Direct { 512 } else { 1 };
        if len <= sector || !self.happens(options.short) {
            return len;
        }
        let some = 1 + self.below(len as u64 - 1) as usize;
        (some / sector * sector).clamp(sector, len)
    }
}

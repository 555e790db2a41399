//! How the simulated kernel performs an op, and how ops fail.

use super::checksum::checksum;
use super::disk::{SimInode, lock};
use super::random::Random;
use super::{InFlightOp, SimDisk};
use crate::error::Errno;
use crate::io_mode::IoMode;
use crate::op::{
    CacheMode, Completion, FileFacts, FileId, Memory, NameSync, Op, OpenSpec, Outcome, ReadNow,
    Request, Transfer,
};
use crate::page::Block;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Fills memory that no file's bytes are in: a caller that sees this byte got leaked memory (F58).
const FILL: u8 = 0xAA;

/// An open file of a [`SimDisk`].
#[derive(Debug)]
pub struct SimFile {
    pub(super) inode: Arc<Mutex<SimInode>>,
    /// Names the open.
    pub(super) number: u32,
    append: bool,
    /// Thousandths of the reads that find their bytes in the kernel's memory.
    cached: u32,
    /// See [`SimOptions`](super::SimOptions).
    early_ends: u32,
    vague_sizes: bool,
    /// Seeds the randomness of [`ReadNow::read_now`].
    read_seed: AtomicU64,
}

impl SimDisk {
    pub(super) fn complete(&mut self, in_flight: InFlightOp) -> Completion<SimFile> {
        let submitted = in_flight.submitted;
        let Request { id, op } = in_flight.request;
        assert_eq!(
            checksum(&op),
            in_flight.sum,
            "memory changed under a write (F27)"
        );
        if self.is_busy(&op, submitted) {
            let (outcome, block) = not_now(op, libc::EAGAIN);
            return Completion { id, outcome, block };
        }
        let (outcome, block) = match op {
            Op::Open(spec) => (self.open(spec), None),
            Op::Transfer(transfer) => self.transfer(transfer),
            Op::Truncate { file, len } => (self.truncate(&file, len), None),
            Op::Empty { file } => (self.empty(&file), None),
            Op::Size { file } => (self.size(&file), None),
            Op::Sync { file, name_too } => (self.sync(&file, name_too), None),
            Op::Close(file) => (self.close(&file), None),
        };
        if self.random.happens(self.options.duplicates) {
            let late = self.random.below(2 * self.options.latency);
            self.duplicates.push((self.turn + 1 + late, id));
        }
        Completion { id, outcome, block }
    }

    fn transfer(&mut self, transfer: Transfer<SimFile>) -> (Outcome<SimFile>, Option<Block>) {
        let Transfer {
            file,
            cache_mode,
            offset,
            mut memory,
        } = transfer;
        let outcome = match &mut memory {
            Memory::Fill(range) => self.read(&file, cache_mode, offset, range.as_mut_slice()),
            Memory::Block(_) | Memory::Slices(_) => {
                self.write(&file, cache_mode, offset, &memory.parts())
            }
        };
        (outcome, memory.into_block())
    }

    /// Whether the op fails with EAGAIN because its file is busy, or becomes so.
    fn is_busy(&mut self, op: &Op<SimFile>, submitted: u64) -> bool {
        let inode = match op {
            Op::Open(spec) => self.store.find(&spec.path),
            Op::Transfer(Transfer { file, .. })
            | Op::Truncate { file, .. }
            | Op::Empty { file }
            | Op::Size { file } => Some(Arc::clone(&file.inode)),
            Op::Sync { .. } | Op::Close(_) => None,
        };
        let Some(inode) = inode else { return false };
        let mut inode = lock(&inode);
        if self.random.happens(self.options.transient) && self.random.happens(self.options.busy) {
            inode.set_busy();
        }
        inode.is_busy(submitted, self.turn, self.now)
    }

    fn open(&mut self, spec: Box<OpenSpec>) -> Outcome<SimFile> {
        if spec.is_cancelled() {
            return Outcome::Failed(Errno(libc::ECANCELED));
        }
        let now = [libc::EINTR, libc::EAGAIN];
        if self.options.interruption(&mut self.random, &now).is_some() {
            return Outcome::NotYet(spec);
        }
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
        let is_new = found.is_none();
        let inode = match found {
            Some(inode) => inode,
            None => self.store.create(spec.path.clone()),
        };
        let at_once = spec.flags_at_once() & libc::O_TRUNC != 0;
        let cut = at_once || spec.truncates_now(id(&inode));
        assert!(
            !cut || !spec.is_cancelled(),
            "truncated after a cancel (F86)"
        );
        lock(&inode).opened(spec.mode, is_new, spec.truncates(), cut);
        let append = spec.flags & libc::O_APPEND != 0;
        let direct = match spec.io_mode {
            IoMode::Direct => true,
            IoMode::Auto => !append,
            IoMode::Uncached | IoMode::Cached => false,
        };
        let dio_align = if direct { self.options.dio_align } else { 0 };
        let facts = FileFacts {
            size: lock(&inode).current().len() as u64,
            dio_align,
            fell_back: spec.io_mode == IoMode::Direct && dio_align == 0,
            truncation_due: spec.truncates() && !cut,
            is_new,
            on_workers: false,
        };
        self.open += 1;
        let file = SimFile {
            inode,
            number: spec.mode,
            append,
            cached: self.options.cached,
            early_ends: self.options.early_ends,
            vague_sizes: self.options.vague_sizes,
            read_seed: AtomicU64::new(self.random.next()),
        };
        Outcome::Opened(file, facts)
    }

    fn read(
        &mut self,
        file: &SimFile,
        cache_mode: CacheMode,
        offset: u64,
        buf: &mut [u8],
    ) -> Outcome<SimFile> {
        let filled = buf.len().min(512);
        buf[..filled].fill(FILL);
        if let Some(errno) = self.options.hindrance(&mut self.random, cache_mode) {
            return Outcome::Failed(errno);
        }
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let mut inode = lock(&file.inode);
        inode.touch(file.number);
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
            .transferred(&mut self.random, cache_mode, there.len());
        buf[..n].copy_from_slice(&there[..n]);
        buf[n..].fill(FILL);
        Outcome::Done(n)
    }

    fn write(
        &mut self,
        file: &SimFile,
        cache_mode: CacheMode,
        offset: u64,
        parts: &[&[u8]],
    ) -> Outcome<SimFile> {
        if let Some(errno) = self.options.hindrance(&mut self.random, cache_mode) {
            return Outcome::Failed(errno);
        }
        let used = self.store.used();
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let mut inode = lock(&file.inode);
        if self.random.happens(self.options.write_errors) {
            let errors = [libc::EIO, libc::ENOSPC, libc::EDQUOT, libc::EFBIG];
            let errno = Errno(self.random.one_of(&errors));
            inode.fail_writes(
                file.number,
                errno,
                self.random.happens(self.options.lasting),
            );
            return Outcome::Failed(errno);
        }
        if let Some(errno) = inode.broken() {
            inode.fail_writes(file.number, errno, true);
            return Outcome::Failed(errno);
        }
        let size = inode.current().len();
        let at = if file.append { size } else { offset as usize };
        let n = self.options.transferred(&mut self.random, cache_mode, len);
        let grows = (at + n).saturating_sub(size) as u64;
        let free = self.options.capacity.saturating_sub(used);
        let n = n - grows.saturating_sub(free).min(n as u64) as usize;
        if n == 0 {
            inode.fail_writes(file.number, Errno(libc::ENOSPC), false);
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
            inode.fail_writes(file.number, errno, false);
            return Outcome::Failed(errno);
        }
        done(inode.truncate(file.number, len).map(|()| 0))
    }

    fn empty(&mut self, file: &SimFile) -> Outcome<SimFile> {
        if let Some(errno) = self.options.interruption(&mut self.random, &[libc::EINTR]) {
            return Outcome::Failed(errno);
        }
        if self.random.happens(self.options.open_errors) {
            return Outcome::Failed(Errno(libc::EIO));
        }
        lock(&file.inode).empty(file.number);
        Outcome::Done(0)
    }

    fn size(&mut self, file: &SimFile) -> Outcome<SimFile> {
        match self.options.interruption(&mut self.random, &[libc::EINTR]) {
            Some(errno) => Outcome::Failed(errno),
            None => Outcome::Done(lock(&file.inode).current().len()),
        }
    }

    fn sync(&mut self, file: &SimFile, name_too: bool) -> Outcome<SimFile> {
        if let Some(errno) = self.options.interruption(&mut self.random, &[libc::EINTR]) {
            return Outcome::Failed(errno);
        }
        let mut inode = lock(&file.inode);
        if inode.take_sync_error(file.number) {
            return Outcome::Failed(Errno(libc::EIO));
        }
        if self.random.happens(self.options.sync_errors) {
            inode.fail_syncs(file.number);
            return Outcome::Failed(Errno(libc::EIO));
        }
        if !name_too {
            inode.sync(false);
            return Outcome::Done(0);
        }
        let name = if self.random.happens(self.options.name_errors) {
            let errors = [libc::EMFILE, libc::EACCES, libc::EINVAL, libc::EIO];
            match self.random.one_of(&errors) {
                libc::EMFILE => NameSync::NotYet,
                errno => NameSync::Unknown(Errno(errno)),
            }
        } else {
            NameSync::Durable
        };
        inode.sync(name == NameSync::Durable);
        Outcome::Synced(name)
    }

    fn close(&mut self, file: &SimFile) -> Outcome<SimFile> {
        self.open -= 1;
        if self.random.happens(self.options.close_errors) {
            lock(&file.inode).fail_close(file.number);
            return Outcome::Failed(Errno(libc::EIO));
        }
        Outcome::Done(0)
    }
}

/// Returns the identity of a file.
fn id(inode: &Arc<Mutex<SimInode>>) -> FileId {
    FileId {
        device: 0,
        inode: Arc::as_ptr(inode) as usize as u64,
    }
}

impl SimFile {
    /// Returns the identity of the file.
    pub(super) fn id(&self) -> FileId {
        id(&self.inode)
    }
}

impl ReadNow for SimFile {
    fn read_now(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let seed = self.read_seed.fetch_add(1, Ordering::Relaxed);
        let mut random = Random::new(seed);
        if !random.happens(self.cached) {
            if random.happens(self.early_ends) {
                return Ok(0);
            }
            return Err(Errno(libc::EAGAIN).into());
        }
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let inode = lock(&self.inode);
        let there = inode.read(offset, random.part_of(buf.len(), 1))?;
        buf[..there.len()].copy_from_slice(there);
        Ok(there.len())
    }

    fn reports_end(&self) -> bool {
        self.early_ends == 0
    }

    fn end(&self) -> Option<u64> {
        let size = lock(&self.inode).current().len() as u64;
        (!self.vague_sizes).then_some(size)
    }
}

/// Writes at `offset`, or at the end of a file that is open for appending.
pub(super) fn put(file: &SimFile, offset: u64, parts: &[&[u8]], n: usize) -> Result<usize, Errno> {
    let mut inode = lock(&file.inode);
    let at = if file.append {
        inode.current().len()
    } else {
        offset as usize
    };
    inode.write(file.number, at, parts, n)?;
    Ok(n)
}

/// Returns the outcome of an op that the kernel does not perform now.
fn not_now(op: Op<SimFile>, errno: i32) -> (Outcome<SimFile>, Option<Block>) {
    match op {
        Op::Open(spec) => (Outcome::NotYet(spec), None),
        op => (Outcome::Failed(Errno(errno)), op.into_block()),
    }
}

fn done(result: Result<usize, Errno>) -> Outcome<SimFile> {
    result.map_or_else(Outcome::Failed, Outcome::Done)
}

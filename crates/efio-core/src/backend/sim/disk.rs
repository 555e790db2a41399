//! The state that outlives an engine: files as the kernel holds them, and as the disk does.
//!
//! ```text
//!  write ──► current ── sync ──► durable
//!               │                   │
//!               ├── kill ──► current, whole, is the file
//!               └── power cut ──► durable, and of each sector that was not synced: all, nothing,
//!                                 or a part; the old size, the new one, or one between
//! ```

mod opened;

pub use opened::SimOpen;

use super::random::Random;
use crate::error::Errno;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The unit that a disk writes whole or not at all, if nothing tears it.
const SECTOR: usize = 512;
/// The largest file that the disk takes.
const MAX_FILE: usize = 64 << 20;

/// A change of a file by another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// It appended this many of the given bytes.
    Appended(usize),
    /// It set the length of the file.
    Resized(usize),
}

/// A file as the kernel sees it and as the disk holds it.
#[derive(Debug, Default)]
pub struct SimInode {
    current: Vec<u8>,
    durable: Vec<u8>,
    /// Sectors that differ between the two, one bit each.
    dirty: Vec<u64>,
    name_durable: bool,
    /// Its opens, by number, in the order of the calls.
    opens: BTreeMap<u32, SimOpen>,
    /// Each write fails with this error.
    broken: Option<Errno>,
    /// Sectors that cannot be read.
    bad: Range<usize>,
    /// Each op fails with EAGAIN.
    busy: Option<Rounds>,
}

/// Counts the rounds of retries of a file that fails with EAGAIN.
#[derive(Debug, Default)]
struct Rounds {
    /// The turn of the last completion.
    answered: u64,
    /// When this span of time began.
    begun: Duration,
    count: u32,
}

impl Rounds {
    /// The time in which rounds are counted.
    const SPAN: Duration = Duration::from_millis(10);
    /// The most rounds in that time.
    const MAX_ROUNDS: u32 = 12;

    /// Counts an op that was submitted in the turn `submitted` and completes with EAGAIN. Ops that
    /// were in flight when the last one completed belong to its round.
    ///
    /// Submitted in turn 3 and completing in turns 5 and 7: the second op is of the first one's
    /// round (3 < 5). A retry submitted in turn 8 begins the next round.
    fn answer(&mut self, submitted: u64, turn: u64, now: Duration) {
        if submitted < self.answered {
            return;
        }
        self.answered = turn;
        if now.abs_diff(self.begun) > Self::SPAN {
            *self = Self {
                answered: turn,
                begun: now,
                count: 0,
            };
        }
        self.count += 1;
        assert!(
            self.count <= Self::MAX_ROUNDS,
            "ops that fail with EAGAIN are retried without a pause (F61)"
        );
    }
}

impl SimInode {
    /// Returns the bytes that a read sees.
    pub fn current(&self) -> &[u8] {
        &self.current
    }

    /// Returns the bytes that a power cut keeps for sure.
    pub fn durable(&self) -> &[u8] {
        &self.durable
    }

    /// Whether the name survives a power cut.
    pub fn name_is_durable(&self) -> bool {
        self.name_durable
    }

    pub(super) fn fail_writes(&mut self, number: u32, errno: Errno, lasting: bool) {
        self.touch(number).write_failed = Some(errno);
        if lasting {
            self.broken = Some(errno);
        }
    }

    /// Lets each op fail with EAGAIN from now on.
    pub(super) fn set_busy(&mut self) {
        self.busy.get_or_insert_default();
    }

    /// Whether an op that was submitted in the turn `submitted` fails with EAGAIN.
    pub(super) fn is_busy(&mut self, submitted: u64, turn: u64, now: Duration) -> bool {
        let Some(rounds) = &mut self.busy else {
            return false;
        };
        rounds.answer(submitted, turn, now);
        true
    }

    pub(super) fn fail_reads(&mut self, offset: usize) {
        let sector = offset / SECTOR * SECTOR;
        self.bad = sector..sector + SECTOR;
    }

    pub(super) fn broken(&self) -> Option<Errno> {
        self.broken
    }

    /// Ends all lasting faults.
    pub(super) fn mend(&mut self) {
        self.broken = None;
        self.bad = 0..0;
        self.busy = None;
    }

    /// Returns the bytes from `offset` on, at most `len` and up to the first bad sector.
    pub(super) fn read(&self, offset: usize, len: usize) -> Result<&[u8], Errno> {
        let from = offset.min(self.current.len());
        let to = (offset + len).min(self.current.len());
        if self.bad.contains(&from) && from < to {
            return Err(Errno(libc::EIO));
        }
        let to = if !self.bad.is_empty() && (from..to).contains(&self.bad.start) {
            self.bad.start
        } else {
            to
        };
        Ok(&self.current[from..to])
    }

    /// Writes the first `n` bytes of `parts` for an open.
    pub(super) fn write(
        &mut self,
        number: u32,
        offset: usize,
        parts: &[&[u8]],
        n: usize,
    ) -> Result<(), Errno> {
        if offset + n > MAX_FILE {
            return Err(Errno(libc::EFBIG));
        }
        self.take(number, n as u64);
        if self.current.len() < offset + n {
            self.resize(offset + n);
        }
        let mut room = &mut self.current[offset..offset + n];
        for part in parts {
            let len = part.len().min(room.len());
            let (here, rest) = room.split_at_mut(len);
            here.copy_from_slice(&part[..len]);
            room = rest;
        }
        self.mark_dirty(offset..offset + n);
        if self.bad.start < offset + n && offset < self.bad.end {
            self.bad = 0..0;
        }
        Ok(())
    }

    pub(super) fn resize(&mut self, size: usize) {
        let old = self.current.len();
        self.current.resize(size, 0);
        self.mark_dirty(old.min(size)..old.max(size));
    }

    /// Sets the length, as `ftruncate(2)` does.
    pub(super) fn truncate(&mut self, number: u32, len: u64) -> Result<(), Errno> {
        if len > MAX_FILE as u64 {
            return Err(Errno(libc::EFBIG));
        }
        // A truncation counts as one byte, as in the accepted watermark.
        self.take(number, 1);
        self.resize(len as usize);
        Ok(())
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        let end = self.current.len();
        self.current.extend_from_slice(bytes);
        self.mark_dirty(end..end + bytes.len());
    }

    fn mark_dirty(&mut self, range: Range<usize>) {
        let sectors = range.start / SECTOR..range.end.div_ceil(SECTOR);
        let words = sectors.end.div_ceil(64);
        if self.dirty.len() < words {
            self.dirty.resize(words, 0);
        }
        for sector in sectors {
            self.dirty[sector / 64] |= 1 << (sector % 64);
        }
    }

    pub(super) fn sync(&mut self, name_too: bool) {
        self.durable.resize(self.current.len(), 0);
        for range in take_dirty(&mut self.dirty) {
            let range = range.start.min(self.current.len())..range.end.min(self.current.len());
            self.durable[range.clone()].copy_from_slice(&self.current[range]);
        }
        self.name_durable |= name_too;
    }

    /// Marks all dirty sectors as clean without writing them, as the kernel does after a failed
    /// sync (F30).
    pub(super) fn forget(&mut self) {
        self.dirty.clear();
    }

    /// Cuts the power: the file becomes what the disk has.
    fn cut(&mut self, random: &mut Random) {
        let (old, new) = (self.durable.len(), self.current.len());
        let size = match random.below(3) {
            0 => old,
            1 => new,
            _ => old.min(new) + random.below((old.max(new) - old.min(new)) as u64 + 1) as usize,
        };
        self.durable.resize(size, 0);
        for sectors in take_dirty(&mut self.dirty) {
            for start in sectors.step_by(SECTOR) {
                let end = (start + SECTOR).min(size).min(new);
                let len = end.saturating_sub(start);
                let kept = match random.below(3) {
                    0 => 0,
                    1 => len,
                    _ => random.below(len as u64 + 1) as usize,
                };
                self.durable[start.min(size)..][..kept]
                    .copy_from_slice(&self.current[start.min(new)..][..kept]);
            }
        }
        self.current.clone_from(&self.durable);
        self.mend();
    }
}

/// Takes the byte ranges of all dirty sectors, which are clean afterwards.
fn take_dirty(dirty: &mut Vec<u64>) -> impl Iterator<Item = Range<usize>> + use<> {
    let words = std::mem::take(dirty);
    let mut at = 0;
    let is_dirty = move |words: &[u64], sector: usize| {
        words
            .get(sector / 64)
            .is_some_and(|word| word >> (sector % 64) & 1 == 1)
    };
    std::iter::from_fn(move || {
        while at < words.len() * 64 && !is_dirty(&words, at) {
            let clean = words[at / 64] >> (at % 64) == 0;
            at = if clean { (at / 64 + 1) * 64 } else { at + 1 };
        }
        let start = at;
        while is_dirty(&words, at) {
            at += 1;
        }
        (start < at).then_some(start * SECTOR..at * SECTOR)
    })
}

/// The files of a disk by name. A clone is the same disk.
#[derive(Clone, Debug, Default)]
pub struct SimStore {
    names: Arc<Mutex<BTreeMap<CString, Arc<Mutex<SimInode>>>>>,
}

impl SimStore {
    /// Puts a durable file on the disk.
    pub fn put(&self, path: &str, bytes: &[u8]) {
        let inode = SimInode {
            durable: bytes.to_vec(),
            current: bytes.to_vec(),
            name_durable: true,
            // The open that wrote it; no later one has this number.
            opens: BTreeMap::from([(0, SimOpen::default())]),
            ..SimInode::default()
        };
        let path = CString::new(path).expect("a path without NUL");
        lock(&self.names).insert(path, Arc::new(Mutex::new(inode)));
    }

    /// Returns the file with this name.
    pub fn inode(&self, path: &str) -> Option<Arc<Mutex<SimInode>>> {
        self.find(&CString::new(path).ok()?)
    }

    pub(super) fn find(&self, path: &CStr) -> Option<Arc<Mutex<SimInode>>> {
        lock(&self.names).get(path).map(Arc::clone)
    }

    pub(super) fn create(&self, path: CString) -> Arc<Mutex<SimInode>> {
        Arc::clone(lock(&self.names).entry(path).or_default())
    }

    /// Returns the sum of the lengths of all files.
    pub(super) fn used(&self) -> u64 {
        let names = lock(&self.names);
        let sizes = names.values().map(|inode| lock(inode).current.len());
        sizes.sum::<usize>() as u64
    }

    pub(super) fn mend(&self) {
        for inode in lock(&self.names).values() {
            lock(inode).mend();
        }
    }

    pub(super) fn cut(&self, random: &mut Random) {
        let mut names = lock(&self.names);
        names.retain(|_, inode| lock(inode).name_durable || random.below(2) == 0);
        for inode in names.values() {
            let mut inode = lock(inode);
            inode.name_durable = true;
            inode.cut(random);
        }
    }

    /// Changes a file as another process would, without the engine's knowledge.
    pub fn interfere(&self, path: &str, change: Foreign, bytes: &[u8]) {
        if let Some(inode) = self.inode(path) {
            match change {
                Foreign::Appended(len) => lock(&inode).append(&bytes[..len]),
                Foreign::Resized(size) => lock(&inode).resize(size),
            }
        }
    }
}

/// Locks the state of a file. The disk's thread owns it; the lock exists because tests read it
/// from their threads.
pub(super) fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dirty(inode: &mut SimInode) -> Vec<Range<usize>> {
        take_dirty(&mut inode.dirty).collect()
    }

    #[test]
    fn only_what_was_written_is_dirty() {
        let mut inode = SimInode::default();
        inode.append(&[1; 600]);
        inode.resize(70 * 512);
        assert_eq!(dirty(&mut inode)[0], 0..70 * 512);
        inode.mark_dirty(513..514);
        inode.mark_dirty(65 * 512..66 * 512 + 1);
        assert_eq!(dirty(&mut inode), [512..1024, 65 * 512..67 * 512]);
        assert_eq!(dirty(&mut inode), []);
    }

    /// F30, F34.
    #[test]
    fn a_cut_takes_what_was_not_synced_or_was_forgotten() {
        let (mut lost, mut kept) = (0, 0);
        for seed in 0..100 {
            let mut inode = SimInode::default();
            inode.append(&[1; 700]);
            inode.sync(true);
            inode.append(&[2; 700]);
            inode.cut(&mut Random::new(seed));
            assert!(inode.current[..700].iter().all(|&byte| byte == 1), "synced");
            assert!(
                inode.current[700..]
                    .iter()
                    .all(|&byte| byte == 0 || byte == 2)
            );
            lost += usize::from(inode.current != [[1; 700], [2; 700]].concat());
            kept += usize::from(inode.current.len() == 1400);

            let mut inode = SimInode::default();
            inode.append(&[3; 700]);
            inode.forget();
            inode.sync(true);
            inode.cut(&mut Random::new(seed));
            assert_eq!(
                inode.current, [0; 700],
                "the size is there, the bytes are not"
            );
        }
        assert!(lost > 50 && kept > 20, "{lost} {kept}");
    }
}

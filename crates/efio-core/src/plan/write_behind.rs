//! Write-behind: what to write, in which sizes and cache mode, and what is durable.
//!
//! Bytes are counted from the first one that was accepted through the descriptor:
//!
//! ```text
//!  0 ─────── durable ─────── written ─── in flight ───┬─── pending ───┬── accepted
//!                                                     └ next write ─┘
//! ```
//!
//! One write is in flight per file, as long as the pending bytes allow. So the kernel gets the
//! bytes in the order in which they were accepted, and whatever kills the process leaves a prefix
//! of them (F52); a file never has a length that was not written (F25). Speed comes from the size
//! of the one write, which the kernel splits over the device's queue itself.
//!
//! With direct IO a write is one of three, so that nothing is ever padded or truncated:
//!
//! ```text
//!  file blocks   |       ·       |       ·       |       ·       |
//!  pending bytes         [ head ][     body: direct     ][ tail ]
//!                         buffered, exact length          buffered, only when it is due
//! ```
//!
//! With a `dio_align` of 4096, 100 000 bytes from offset 10 000 on that are due become three
//! writes:
//!
//! | write | offset | len | mode |
//! |---|---|---|---|
//! | head | 10 000 | 2288, up to 12 288 | buffered |
//! | body | 12 288 | 94 208 = 23 × 4096 | direct |
//! | tail | 106 496 | 3504 | buffered |

use super::io_caps::IoCaps;
use crate::error::{Errno, Failure};
use crate::op::CacheMode;

/// Bytes that wait for the kernel and follow each other in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// File offset of the first one.
    pub offset: u64,
    /// How many.
    pub len: u64,
    /// Whether no more bytes follow them here: the caller moved on to another offset.
    pub complete: bool,
}

/// One write to submit: the first `len` pending bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteRange {
    /// File offset.
    pub offset: u64,
    /// Length in bytes, never 0.
    pub len: u64,
    /// The mode of the write.
    pub cache_mode: CacheMode,
}

/// The limits of a file's writes.
#[derive(Clone, Copy, Debug)]
pub struct WriteLimits {
    /// The maximum of bytes in one write.
    pub max_write: u64,
    /// Small files go to the page cache: the kernel takes them in a fraction of the time of a
    /// direct write, and writes many of them back together.
    ///
    /// | file | write shorter than this |
    /// |---|---|
    /// | positioned, nothing written yet | cached, and only once it is due |
    /// | positioned, later | as without this |
    /// | append | cached |
    pub small: u64,
}

/// The write side of one file; `Q` is the queue of the bytes that wait for the kernel. Of an idle
/// file only a few words are left: a file is idle while everything accepted is written, no flush or
/// sync is requested and nothing was lost.
#[derive(Debug)]
pub struct WriteBehind<Q> {
    written: u64,
    /// Lowest offset written since the last sync was submitted, or [`Failure::NOTHING_LOST`].
    unsynced_from: u64,
    append: bool,
    /// The directory entry is not durable yet.
    name_pending: bool,
    active: Option<Box<Active<Q>>>,
}

/// What a file has until it is idle.
#[derive(Debug, Default)]
struct Active<Q> {
    queue: Q,
    /// Everything below is written without waiting for more, full block or not.
    due: u64,
    in_flight: Option<WriteRange>,
    failure: Option<Failure>,
    sync: Sync,
}

/// The state of syncing.
#[derive(Debug, Default)]
struct Sync {
    /// The mark that the next sync waits for. Later requests do not raise it, so a caller that
    /// requests syncs again and again delays none of them (F88).
    next: Option<u64>,
    /// The highest mark requested and not synced, if any.
    wanted: Option<u64>,
    /// The highest of them that has to be reported.
    asked: Option<u64>,
    /// The sync in flight: what was written when it was submitted, and the lowest offset that it
    /// covers.
    running: Option<(u64, u64)>,
}

impl<Q: Default> WriteBehind<Q> {
    /// Creates the plan of a file that is being opened.
    pub fn new(append: bool) -> Self {
        Self {
            written: 0,
            unsynced_from: Failure::NOTHING_LOST,
            append,
            name_pending: false,
            active: None,
        }
    }

    fn active(&mut self) -> &mut Active<Q> {
        self.active.get_or_insert_default()
    }

    /// Returns the queue of the bytes that wait for the kernel.
    pub fn queue(&mut self) -> &mut Q {
        &mut self.active().queue
    }

    /// Drops the queue of an idle file. Returns whether the file is idle.
    pub fn park(&mut self) -> bool {
        let is_idle = |active: &Active<Q>| {
            let is_busy = active.in_flight.is_some() || active.sync.running.is_some();
            let is_asked = active.sync.wanted.is_some() || active.due > self.written;
            !is_busy && !is_asked && active.failure.is_none()
        };
        if self.active.as_deref().is_some_and(is_idle) {
            self.active = None;
        }
        self.active.is_none()
    }

    /// Handles the open of the file. The first sync of a new file syncs its directory entry too.
    pub fn handle_opened(&mut self, is_new: bool) {
        self.name_pending = is_new;
    }

    /// Makes everything up to `mark` due: it is written without waiting for more.
    pub fn flush(&mut self, mark: u64) {
        if mark > self.written {
            let active = self.active();
            active.due = active.due.max(mark);
        }
    }

    /// Requests a sync of everything up to `mark`, with a report.
    pub fn sync(&mut self, mark: u64) {
        self.sync_silently(mark);
        let asked = &mut self.active().sync.asked;
        *asked = (*asked).max(Some(mark));
    }

    /// Requests a sync of everything up to `mark` before the file is closed, without a report.
    pub fn sync_silently(&mut self, mark: u64) {
        self.flush(mark);
        let sync = &mut self.active().sync;
        sync.next.get_or_insert(mark);
        sync.wanted = sync.wanted.max(Some(mark));
    }

    /// Handles the success of a sequenced op at `offset`: the next sync covers it.
    pub fn handle_positional(&mut self, offset: u64) {
        self.unsynced_from = self.unsynced_from.min(self.failure_offset(offset));
    }

    /// Advances the written mark to `mark`: completed sequenced ops fill the sequence up to there.
    pub fn skip_to(&mut self, mark: u64) {
        debug_assert!(!self.is_write_in_flight() && mark >= self.written);
        self.written = mark;
    }

    /// Returns the error that the file failed with.
    pub fn failure(&self) -> Option<Failure> {
        self.active.as_ref()?.failure
    }

    /// Handles the failure of a sequenced op; `offset` is that of its first unwritten byte.
    pub fn handle_positional_error(&mut self, errno: Errno, offset: u64) -> Result<(), Failure> {
        self.fail(errno, self.failure_offset(offset))
    }

    /// Returns whether writes go to the end of the file.
    pub fn appends(&self) -> bool {
        self.append
    }

    /// Returns how many bytes the kernel has taken.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Returns the mark below which everything is written without waiting for more.
    pub fn due(&self) -> u64 {
        self.active.as_ref().map_or(0, |active| active.due)
    }

    /// Returns the next write, if enough bytes are pending or they are due.
    pub fn poll_write(
        &mut self,
        ready: Pending,
        io_caps: IoCaps,
        limits: WriteLimits,
    ) -> Option<WriteRange> {
        let active = self.active();
        if active.in_flight.is_some() || active.failure.is_some() || ready.len == 0 {
            return None;
        }
        let forced = ready.complete || active.due > self.written;
        let range = self.write_range(ready, forced, io_caps, limits)?;
        self.active().in_flight = Some(range);
        Some(range)
    }

    fn write_range(
        &self,
        ready: Pending,
        forced: bool,
        io_caps: IoCaps,
        limits: WriteLimits,
    ) -> Option<WriteRange> {
        let Pending { offset, len, .. } = ready;
        let range = |len: u64, cache_mode| WriteRange {
            offset,
            len,
            cache_mode,
        };
        let buffered = |len: u64| range(len.min(limits.max_write), io_caps.written);
        if self.append && len < limits.small {
            // The next append goes to the same page of the cache, so it should stay there.
            return Some(range(len, CacheMode::Cached));
        }
        let dio_align = u64::from(io_caps.dio_align);
        if self.append || dio_align == 0 {
            return Some(buffered(len));
        }
        if self.written == 0 && len < limits.small {
            return forced.then(|| range(len, CacheMode::Cached));
        }
        let into_block = offset % dio_align;
        if into_block != 0 {
            let head = dio_align - into_block;
            return (len >= head || forced).then(|| buffered(len.min(head)));
        }
        let body = len.min(limits.max_write) / dio_align * dio_align;
        if body > 0 {
            return Some(range(body, CacheMode::Direct));
        }
        forced.then(|| buffered(len))
    }

    /// Returns whether a write is in flight.
    pub fn is_write_in_flight(&self) -> bool {
        self.cache_mode_in_flight().is_some()
    }

    /// Returns the mode of the write in flight.
    pub fn cache_mode_in_flight(&self) -> Option<CacheMode> {
        let range = self.active.as_ref()?.in_flight?;
        Some(range.cache_mode)
    }

    fn take_in_flight(&mut self) -> WriteRange {
        let range = self.active().in_flight.take();
        range.expect("a write was in flight")
    }

    /// Handles the completion of the write in flight with `n` bytes. 0 bytes are an error of the
    /// device, with which the file fails.
    pub fn handle_written(&mut self, n: u64) -> Result<(), Failure> {
        let range = self.take_in_flight();
        debug_assert!(n <= range.len);
        if n == 0 {
            return self.fail(Errno(libc::EIO), range.offset);
        }
        self.written += n;
        self.unsynced_from = self.unsynced_from.min(range.offset);
        Ok(())
    }

    /// Handles the failure of the write in flight. `Ok`: it is submitted again, and nothing is
    /// lost.
    pub fn handle_write_error(&mut self, errno: Errno) -> Result<(), Failure> {
        let range = self.take_in_flight();
        if errno.is_transient() {
            return Ok(());
        }
        self.fail(errno, range.offset)
    }

    /// Handles the failure of the open: everything that was accepted is lost.
    pub fn handle_open_error(&mut self, errno: Errno) -> Result<(), Failure> {
        self.fail(errno, 0)
    }

    /// Returns the sync to submit now, as whether it has to cover the directory entry: each byte
    /// that it must cover is written, and no write is in flight. It comes before the next write,
    /// else it would wait for a pause of the writer (F88).
    pub fn poll_sync(&mut self) -> Option<bool> {
        let active = self.active.as_mut()?;
        let next = active.sync.next?;
        let idle = active.sync.running.is_none() && active.in_flight.is_none();
        if !idle || active.failure.is_some() || self.written < next {
            return None;
        }
        active.sync.running = Some((self.written, self.unsynced_from));
        self.unsynced_from = Failure::NOTHING_LOST;
        Some(self.name_pending)
    }

    fn take_running_sync(&mut self) -> (u64, u64) {
        let running = self.active().sync.running.take();
        running.expect("a sync was in flight")
    }

    /// Handles the success of the sync in flight. Returns up to where the file is durable now, and
    /// whether to report it. The next sync covers the directory entry if `name_pending`.
    pub fn handle_synced(&mut self, name_pending: bool) -> (u64, bool) {
        let (covered, _) = self.take_running_sync();
        self.name_pending = name_pending;
        let sync = &mut self.active().sync;
        let is_asked = sync.asked.is_some();
        if sync.asked <= Some(covered) {
            sync.asked = None;
        }
        sync.wanted = sync.wanted.filter(|&wanted| wanted > covered);
        sync.next = sync.wanted;
        (covered, is_asked)
    }

    /// Returns whether every requested sync has completed.
    pub fn syncs_are_answered(&self) -> bool {
        let active = self.active.as_ref();
        active.is_none_or(|active| active.sync.wanted.is_none())
    }

    /// Handles the failure of the sync in flight. It is not retried unless the kernel did not start
    /// it (`EINTR`): the kernel drops the error and the dirty pages (F30).
    pub fn handle_sync_error(&mut self, errno: Errno) -> Result<(), Failure> {
        let (_, covered_from) = self.take_running_sync();
        let lowest = self.unsynced_from.min(covered_from);
        if errno.0 == libc::EINTR {
            self.unsynced_from = lowest;
            return Ok(());
        }
        self.fail(errno, lowest)
    }

    /// Returns whether nothing is left to do for `accepted` bytes: they are written, and synced if
    /// that was requested; or lost.
    pub fn is_drained(&self, accepted: u64) -> bool {
        let is_syncing = |active: &Active<Q>| {
            let is_wanted = active.failure.is_none() && active.sync.wanted.is_some();
            active.sync.running.is_some() || is_wanted
        };
        self.is_written(accepted) && !self.active.as_deref().is_some_and(is_syncing)
    }

    /// Returns whether all `accepted` bytes are written or lost.
    pub fn is_written(&self, accepted: u64) -> bool {
        !self.is_write_in_flight() && (self.failure().is_some() || self.written == accepted)
    }

    /// Returns the offset of a sequenced op as failures report it: in append mode its place among
    /// the accepted bytes, where it is the next one.
    fn failure_offset(&self, offset: u64) -> u64 {
        if self.append { self.written } else { offset }
    }

    fn fail(&mut self, errno: Errno, offset: u64) -> Result<(), Failure> {
        let failure = &mut self.active().failure;
        Err(*failure.get_or_insert(Failure { errno, offset }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ready(offset: u64, len: u64) -> Pending {
        Pending {
            offset,
            len,
            complete: false,
        }
    }

    const DIRECT: IoCaps = IoCaps {
        dio_align: 4096,
        buffered: CacheMode::Uncached,
        written: CacheMode::Uncached,
    };

    const LIMITS: WriteLimits = WriteLimits {
        max_write: 8 << 20,
        small: 0,
    };
    const SMALL: WriteLimits = WriteLimits {
        small: 65_536,
        ..LIMITS
    };
    const EIO: Errno = Errno(libc::EIO);

    fn positioned() -> WriteBehind<()> {
        WriteBehind::new(false)
    }

    #[test]
    fn small_files_go_to_the_page_cache_and_large_ones_do_not() {
        let mut plan = positioned();
        assert_eq!(
            plan.poll_write(ready(0, 65_535), DIRECT, SMALL),
            None,
            "not due"
        );
        let range = plan.poll_write(ready(0, 65_536), DIRECT, SMALL).unwrap();
        assert_eq!((range.len, range.cache_mode), (65_536, CacheMode::Direct));

        let mut plan = positioned();
        plan.flush(10_000);
        let range = plan.poll_write(ready(0, 10_000), DIRECT, SMALL).unwrap();
        assert_eq!((range.len, range.cache_mode), (10_000, CacheMode::Cached));
        plan.handle_written(10_000).unwrap();
        // From here on it is like any other.
        let range = plan
            .poll_write(ready(10_000, 100_000), DIRECT, SMALL)
            .unwrap();
        assert_eq!((range.len, range.cache_mode), (2288, CacheMode::Uncached));
    }

    #[test]
    fn small_appends_go_to_the_page_cache_and_large_ones_do_not() {
        let mut plan = WriteBehind::<()>::new(true);
        plan.handle_opened(false);
        for (len, cache_mode) in [
            (200, CacheMode::Cached),
            (65_536, CacheMode::Uncached),
            (1, CacheMode::Cached),
        ] {
            let range = plan.poll_write(ready(0, len), DIRECT, SMALL).unwrap();
            assert_eq!((range.len, range.cache_mode), (len, cache_mode));
            plan.handle_written(len).unwrap();
        }
    }

    #[test]
    fn whole_blocks_go_direct_and_the_tail_waits_until_it_is_due() {
        let mut plan = positioned();
        let range = plan.poll_write(ready(0, 10_000), DIRECT, LIMITS).unwrap();
        assert_eq!(
            range,
            WriteRange {
                offset: 0,
                len: 8192,
                cache_mode: CacheMode::Direct
            }
        );
        assert_eq!(
            plan.poll_write(ready(8192, 1808), DIRECT, LIMITS),
            None,
            "one write in flight"
        );
        plan.handle_written(8192).unwrap();
        assert_eq!(
            plan.poll_write(ready(8192, 1808), DIRECT, LIMITS),
            None,
            "not due"
        );
        plan.flush(10_000);
        let range = plan.poll_write(ready(8192, 1808), DIRECT, LIMITS).unwrap();
        assert_eq!(
            range,
            WriteRange {
                offset: 8192,
                len: 1808,
                cache_mode: CacheMode::Uncached
            }
        );
        plan.handle_written(1808).unwrap();
        // The next write fills the block exactly, and the one after it is direct again.
        let range = plan
            .poll_write(ready(10_000, 100_000), DIRECT, LIMITS)
            .unwrap();
        assert_eq!(
            range,
            WriteRange {
                offset: 10_000,
                len: 2288,
                cache_mode: CacheMode::Uncached
            }
        );
    }

    /// F23: the written prefix of a short write counts once.
    #[test]
    fn a_short_write_goes_on_and_then_fails_at_the_exact_offset() {
        let mut plan = positioned();
        plan.poll_write(ready(0, 8192), DIRECT, LIMITS).unwrap();
        assert_eq!(plan.handle_written(512), Ok(()));
        let range = plan.poll_write(ready(512, 7680), DIRECT, LIMITS).unwrap();
        assert_eq!((range.offset, range.len), (512, 3584));
        let failure = Failure {
            errno: Errno(libc::ENOSPC),
            offset: 512,
        };
        assert_eq!(plan.handle_write_error(Errno(libc::ENOSPC)), Err(failure));
        assert_eq!(plan.written(), 512);
        assert_eq!(
            plan.poll_write(ready(512, 7680), DIRECT, LIMITS),
            None,
            "failed"
        );
        assert!(plan.is_drained(8192));
    }

    /// F24; F28: the driver passes a refused mode on as a transient error.
    #[test]
    fn only_transient_errors_are_retried() {
        let mut plan = positioned();
        plan.poll_write(ready(0, 4096), DIRECT, LIMITS).unwrap();
        assert_eq!(plan.handle_write_error(Errno(libc::EAGAIN)), Ok(()));
        let range = plan
            .poll_write(ready(0, 4096), IoCaps::CACHED, LIMITS)
            .unwrap();
        assert_eq!(range.cache_mode, CacheMode::Cached);
        assert!(plan.handle_write_error(Errno(libc::EIO)).is_err());
    }

    /// F31: a sync waits for the writes before it; F30: it is not retried.
    #[test]
    fn sync_follows_the_writes_and_fails_for_good() {
        let mut plan = positioned();
        plan.handle_opened(true);
        plan.sync(4096);
        assert_eq!(plan.poll_sync(), None, "nothing is written yet");
        plan.poll_write(ready(0, 4096), DIRECT, LIMITS).unwrap();
        assert_eq!(plan.poll_sync(), None, "the write is in flight");
        plan.handle_written(4096).unwrap();
        assert_eq!(plan.poll_sync(), Some(true));
        assert_eq!(plan.poll_sync(), None, "it runs");
        assert_eq!(plan.handle_synced(false), (4096, true));

        plan.sync(8192);
        plan.poll_write(ready(4096, 4096), DIRECT, LIMITS).unwrap();
        plan.handle_written(4096).unwrap();
        assert_eq!(plan.poll_sync(), Some(false), "the name is durable by now");
        let failure = Failure {
            errno: Errno(libc::EIO),
            offset: 4096,
        };
        assert_eq!(plan.handle_sync_error(Errno(libc::EIO)), Err(failure));
        plan.sync(8192);
        assert_eq!(plan.poll_sync(), None);
    }

    /// F88: a sync waits for its own bytes only, whatever is written and asked for after it.
    #[test]
    fn later_syncs_put_none_off() {
        let mut plan = positioned();
        plan.handle_opened(false);
        plan.poll_write(ready(0, 100), IoCaps::CACHED, LIMITS)
            .unwrap();
        plan.sync(100);
        plan.sync(200);
        plan.handle_written(100).unwrap();
        plan.poll_sync().expect("all of the first is written");
        plan.poll_write(ready(100, 200), IoCaps::CACHED, LIMITS)
            .unwrap();
        plan.sync(300);
        assert_eq!(plan.handle_synced(false), (100, true));
        plan.handle_written(100).unwrap();
        plan.sync(400);
        assert_eq!(
            plan.poll_sync(),
            None,
            "the second and the third wait together"
        );
        plan.poll_write(ready(200, 100), IoCaps::CACHED, LIMITS)
            .unwrap();
        plan.handle_written(100).unwrap();
        plan.poll_sync().expect("all of the third is written");
        assert_eq!(plan.handle_synced(false), (300, true));
        assert!(!plan.syncs_are_answered(), "the fourth is not");
    }

    #[test]
    fn a_sync_of_nothing_still_syncs_the_new_name() {
        let mut plan = positioned();
        plan.handle_opened(true);
        plan.sync(0);
        assert_eq!(plan.poll_sync(), Some(true));
        assert_eq!(plan.handle_synced(false), (0, true));
        assert_eq!(plan.poll_sync(), None);
    }

    #[test]
    fn a_sync_that_covers_nothing_of_ours_loses_nothing() {
        for append in [false, true] {
            let mut plan = WriteBehind::<()>::new(append);
            plan.handle_opened(false);
            plan.sync(100);
            plan.poll_write(ready(0, 100), IoCaps::CACHED, LIMITS)
                .unwrap();
            plan.handle_written(100).unwrap();
            plan.poll_sync().unwrap();
            plan.handle_synced(false);
            plan.sync(100);
            plan.poll_sync().unwrap();
            assert_eq!(plan.handle_sync_error(Errno(libc::EINTR)), Ok(()));
            plan.poll_sync().unwrap();
            let failure = Failure {
                errno: Errno(libc::EIO),
                offset: Failure::NOTHING_LOST,
            };
            assert_eq!(plan.handle_sync_error(Errno(libc::EIO)), Err(failure));
        }
    }

    #[test]
    fn a_silent_sync_is_reported_only_with_a_requested_one() {
        let mut plan = positioned();
        plan.sync(0);
        plan.poll_sync().unwrap();
        // Requested while another sync is in flight, and then closed with more.
        plan.sync(4096);
        plan.sync_silently(8192);
        assert_eq!(plan.handle_synced(false), (0, true));
        plan.poll_write(ready(0, 4096), DIRECT, LIMITS).unwrap();
        plan.handle_written(4096).unwrap();
        plan.poll_write(ready(4096, 4096), DIRECT, LIMITS).unwrap();
        plan.handle_written(4096).unwrap();
        plan.poll_sync().unwrap();
        assert_eq!(
            plan.handle_synced(false),
            (8192, true),
            "it covers the caller's"
        );
        plan.sync_silently(8192);
        plan.poll_sync().unwrap();
        assert_eq!(plan.handle_synced(false), (8192, false));
    }

    fn write(plan: &mut WriteBehind<()>, offset: u64, len: u64) {
        plan.flush(plan.written() + len);
        let range = plan.poll_write(ready(offset, len), IoCaps::CACHED, LIMITS);
        assert!(range.is_some() && !plan.park(), "a write is in flight");
        assert_eq!(plan.handle_written(len), Ok(()));
    }

    fn lost_from(plan: &mut WriteBehind<()>) -> u64 {
        let failure = plan.handle_sync_error(EIO).unwrap_err();
        failure.offset
    }

    #[test]
    fn an_idle_file_keeps_what_its_next_sync_needs() {
        let mut plan = positioned();
        plan.handle_opened(true);
        write(&mut plan, 700, 10);
        assert!(plan.park(), "nothing to do");
        assert_eq!(plan.written(), 10);
        plan.sync(10);
        assert!(!plan.park(), "a sync is asked for");
        assert_eq!(plan.poll_sync(), Some(true), "the name is not durable yet");
        assert!(!plan.park(), "a sync is in flight");
        assert_eq!(lost_from(&mut plan), 700, "from before it was idle");
        assert!(!plan.park(), "a failure is never forgotten");
    }

    #[test]
    fn what_is_synced_stays_synced() {
        let mut plan = WriteBehind::new(true);
        plan.handle_opened(true);
        write(&mut plan, 0, 10);
        plan.sync(10);
        assert_eq!(plan.poll_sync(), Some(true));
        plan.handle_synced(false);
        write(&mut plan, 10, 5);
        assert!(plan.park(), "nothing to do");
        plan.sync(15);
        assert_eq!(plan.poll_sync(), Some(false), "the name is durable");
        assert_eq!(lost_from(&mut plan), 10, "what is durable");
    }

    proptest! {
        /// Direct writes are whole blocks; no write is longer than the pending bytes or the limit;
        /// once all bytes are due, all of them are written.
        #[test]
        fn writes_cover_everything(start in 0u64..20_000, len in 1u64..100_000, dio_align in prop::sample::select(vec![0u32, 512, 4096]), max in 4096usize..50_000) {
            let mut plan = positioned();
            let limits = WriteLimits { max_write: max as u64, small: 0 };
            let io_caps = IoCaps { dio_align, ..IoCaps::CACHED };
            plan.flush(len);
            let mut at = start;
            while at < start + len {
                let range = plan.poll_write(ready(at, start + len - at), io_caps, limits).unwrap();
                prop_assert_eq!(range.offset, at);
                prop_assert!(range.len > 0 && range.len <= start + len - at && range.len <= max as u64);
                if range.cache_mode == CacheMode::Direct {
                    prop_assert_eq!((range.offset % u64::from(dio_align), range.len % u64::from(dio_align)), (0, 0));
                }
                prop_assert_eq!(plan.handle_written(range.len), Ok(()));
                at += range.len;
            }
            prop_assert_eq!(plan.written(), len);
            prop_assert!(plan.is_drained(len));
        }
    }
}

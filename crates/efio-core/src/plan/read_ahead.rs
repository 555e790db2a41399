//! Read-ahead: what to read, how much at a time, and how far ahead of the consumer.
//!
//! ```text
//!          consumed        delivered                     next
//!  ───────────┴─ available ───┴── requests, in order ──────┴──►  file offset
//!             └───────────────── window ───────────────────┘
//! ```
//!
//! Requests may complete in any order; they are delivered in file order. The window grows while the
//! consumer has to wait, as in Seastar's file input stream, and requests grow with the stream: 64
//! KiB, 256 KiB, 1 MiB, 2 MiB. The size of the file only bounds speculation: its end is where the
//! kernel reads 0 bytes.
//!
//! Each run from one position has an epoch. A seek starts a new run; what the old one still has in
//! flight finds no request when it completes (F18).

use super::io_caps::IoCaps;
use crate::error::Errno;
use crate::op::CacheMode;
use crate::page::{UNIT_BYTES, order_for};
use std::collections::VecDeque;

/// The minimum that direct IO transfers.
const SECTOR: usize = 512;

/// Limits of a file's read-ahead.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    /// The widest window, in bytes.
    pub window: u64,
    /// The order of the first request of a run (`4096 << order` bytes).
    pub first_order: u8,
    /// The order of the largest request.
    pub most_order: u8,
}

/// A read to submit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadRequest {
    /// Its number, to be given back with the completion.
    pub number: u64,
    /// File offset, aligned to the block in direct mode.
    pub offset: u64,
    /// Length in bytes, a multiple of the block in direct mode.
    pub len: usize,
    /// The smallest order of a page that holds `len` bytes.
    pub order: u8,
    /// The mode of the read.
    pub cache_mode: CacheMode,
}

/// What the consumer gets next.
#[derive(Debug, PartialEq, Eq)]
pub enum Delivered<P> {
    /// `len` bytes of the page `memory`, after the first `skip` of it.
    Data {
        /// The page of the request.
        memory: P,
        /// File offset of the first byte delivered.
        offset: u64,
        /// Bytes before it, which were read only for alignment.
        skip: usize,
        /// How many bytes.
        len: usize,
    },
    /// No more for now: the end of the file, or an error after the bytes delivered so far.
    End(Result<(), Errno>),
}

/// The runs of one file, one after the other; `P` is the memory of a request.
#[derive(Debug)]
pub struct ReadAhead<P> {
    limits: ReadLimits,
    running: bool,
    delivered: u64,
    next: u64,
    /// Bytes delivered in this run, and consumed of them.
    delivered_in_run: u64,
    consumed_in_run: u64,
    window: u64,
    order: u8,
    /// The next request has to find out for certain whether the file ends here.
    exact: bool,
    requests: VecDeque<Requested<P>>,
    numbers: u64,
}

#[derive(Debug)]
struct Requested<P> {
    read: ReadRequest,
    /// Bytes at its start that are read only for alignment.
    skip: u64,
    arrived: Option<(P, Result<usize, Errno>)>,
}

impl<P> ReadAhead<P> {
    /// Creates the plan without a run.
    pub fn new(limits: ReadLimits) -> Self {
        Self {
            limits,
            running: false,
            delivered: 0,
            next: 0,
            delivered_in_run: 0,
            consumed_in_run: 0,
            window: 0,
            order: limits.first_order,
            exact: false,
            requests: VecDeque::new(),
            numbers: 0,
        }
    }

    /// Starts a run at `offset`; results that the last run has in flight are discarded.
    pub fn start(&mut self, offset: u64) {
        self.delivered_in_run = 0;
        self.consumed_in_run = 0;
        self.order = self.limits.first_order;
        self.window = self.bounded(0);
        self.restart_at(offset);
    }

    /// Handles a consumer that found no data and waits: continues, with a wider window.
    pub fn handle_demand(&mut self) {
        if !self.running {
            self.restart_at(self.delivered);
        } else if self.delivered_in_run > 0 {
            self.window *= 2;
        }
        self.window = self.bounded(self.window);
    }

    /// Handles the progress of the consumer: `consumed` bytes of this run so far.
    pub fn handle_consumed(&mut self, consumed: u64) {
        self.consumed_in_run = consumed.clamp(self.consumed_in_run, self.delivered_in_run);
    }

    /// Stops the run: nothing more is requested or delivered.
    pub fn stop(&mut self) {
        self.running = false;
        self.requests.clear();
    }

    /// Stops the run: its unconsumed bytes were dropped. Returns how many bytes that were.
    pub fn handle_reclaimed(&mut self) -> u64 {
        self.stop();
        let bytes = self.unconsumed();
        self.consumed_in_run = self.delivered_in_run;
        bytes
    }

    /// Returns whether the consumer took anything of this run.
    pub fn is_begun(&self) -> bool {
        self.consumed_in_run > 0
    }

    /// Returns the next read of a file that is about `size` bytes long, if the window has room for
    /// one. The file may be `share` bytes ahead of its consumer, and a page in any case: when
    /// memory is short, the window and the requests are smaller.
    ///
    /// A window of 8 MiB takes requests of 2 MiB; in a share of 200 KiB they are 64 KiB.
    pub fn poll_read(&self, share: u64, size: u64, io_caps: IoCaps) -> Option<ReadRequest> {
        let share = share.max(UNIT_BYTES as u64);
        if !self.has_room(share, size) {
            return None;
        }
        if self.exact {
            return Some(ReadRequest {
                number: self.numbers,
                offset: self.next,
                len: UNIT_BYTES,
                order: 0,
                cache_mode: io_caps.buffered,
            });
        }
        let (dio_align, cache_mode) = match io_caps.dio_align {
            0 => (1, io_caps.buffered),
            dio_align => (u64::from(dio_align), CacheMode::Direct),
        };
        let offset = self.next - self.next % dio_align;
        let len = if self.probes_the_end(size) {
            (UNIT_BYTES << self.limits.first_order).min(self.request_bytes(share) as usize)
        } else {
            let rest = (size - offset).div_ceil(dio_align) * dio_align;
            rest.min(self.request_bytes(share)) as usize
        };
        Some(ReadRequest {
            number: self.numbers,
            offset,
            len,
            order: order_for(len),
            cache_mode,
        })
    }

    /// Beyond the known size one request at a time probes where the file ends now.
    fn probes_the_end(&self, size: u64) -> bool {
        self.next >= size
    }

    fn has_room(&self, share: u64, size: u64) -> bool {
        let ahead = self.next - self.delivered + self.unconsumed();
        self.running
            && if self.exact || self.probes_the_end(size) {
                self.requests.is_empty()
            } else {
                ahead < self.window.min(share)
            }
    }

    /// Returns whether a share of the memory is less than what the run would use.
    pub fn is_short_of(&self, share: u64, size: u64) -> bool {
        share < self.window.min(self.earned()) && self.has_room(u64::MAX, size)
    }

    /// Returns how many bytes ahead are not too many for a consumer that may stop at any time: at
    /// first two requests, then twice what it took in this run. The window grows faster, with the
    /// stream. So where memory is short, what is read in vain for a consumer that stops is only a
    /// few times what it took.
    ///
    /// With requests of 64 KiB at first: 128 KiB until the consumer has taken 64 KiB, and 2 MiB
    /// once it has taken 1 MiB.
    pub fn earned(&self) -> u64 {
        let first = (UNIT_BYTES as u64) << self.limits.first_order;
        2 * first.max(self.consumed_in_run)
    }

    /// Returns whether the current run delivers nothing more.
    pub fn is_over(&self) -> bool {
        !self.running
    }

    /// Returns whether nothing is requested and everything delivered was consumed.
    pub fn is_stalled(&self) -> bool {
        self.requests.is_empty() && self.consumed_in_run == self.delivered_in_run
    }

    /// Returns whether a read of this run is in flight.
    pub fn is_reading(&self) -> bool {
        let mut requests = self.requests.iter();
        requests.any(|request| request.arrived.is_none())
    }

    /// Returns how many bytes were delivered in this run and not consumed.
    pub fn unconsumed(&self) -> u64 {
        self.delivered_in_run - self.consumed_in_run
    }

    /// Records that the read from [`poll_read`](Self::poll_read) was submitted.
    pub fn submitted(&mut self, read: ReadRequest) {
        debug_assert_eq!(read.number, self.numbers);
        self.numbers += 1;
        let skip = self.next - read.offset;
        self.next = read.offset + read.len as u64;
        self.requests.push_back(Requested {
            read,
            skip,
            arrived: None,
        });
    }

    /// Returns the mode of a request of the current run.
    pub fn cache_mode_of(&self, number: u64) -> Option<CacheMode> {
        let mut requests = self.requests.iter().map(|request| &request.read);
        let read = requests.find(|read| read.number == number)?;
        Some(read.cache_mode)
    }

    /// Handles the completion of a read. Returns its memory if it belongs to an earlier run.
    pub fn handle_read(
        &mut self,
        number: u64,
        memory: P,
        result: Result<usize, Errno>,
    ) -> Option<P> {
        let mut requests = self.requests.iter_mut();
        let Some(request) = requests.find(|request| request.read.number == number) else {
            return Some(memory);
        };
        request.arrived = Some((memory, result));
        None
    }

    /// Returns what the consumer gets next, in file order, and notes in `size` how long the file is
    /// now. A completed request of `n` bytes means:
    ///
    /// | result | meaning |
    /// |---|---|
    /// | `n` > `skip` | data; what follows a short read is requested again |
    /// | `n` ≤ `skip`, a multiple of [`SECTOR`] | short, or the end: probe exactly here, buffered |
    /// | `n` ≤ `skip`, otherwise | the end of the file |
    /// | transient error | request the bytes again |
    /// | other error | the error, after the bytes before it |
    pub fn poll_delivery(&mut self, size: &mut u64) -> Option<Delivered<P>> {
        loop {
            self.requests.front()?.arrived.as_ref()?;
            let request = self.requests.pop_front()?;
            let (memory, result) = request.arrived?;
            let Requested { read, skip, .. } = request;
            match result {
                Ok(n) if n as u64 > skip => {
                    let len = n - skip as usize;
                    let offset = self.delivered;
                    self.deliver_some(len as u64, n < read.len);
                    *size = self.delivered.max(*size);
                    return Some(Delivered::Data {
                        memory,
                        offset,
                        skip: skip as usize,
                        len,
                    });
                }
                // A direct transfer that ends inside a sector reached the end of the file. One
                // that ends on a sector boundary may just be short, and ended before our first
                // byte. A buffered read from exactly here decides it.
                Ok(n) if n > 0 && n % SECTOR == 0 => {
                    self.restart_at(self.delivered);
                    self.exact = true;
                }
                Ok(_) => {
                    *size = self.delivered;
                    self.stop();
                    return Some(Delivered::End(Ok(())));
                }
                Err(errno) if errno.is_transient() => self.restart_at(self.delivered),
                Err(errno) => {
                    self.stop();
                    return Some(Delivered::End(Err(errno)));
                }
            }
        }
    }

    fn deliver_some(&mut self, len: u64, short: bool) {
        self.delivered += len;
        self.delivered_in_run += len;
        if short {
            // This may be the end of the file: the next read from here decides it. The requests
            // after the gap are discarded.
            self.restart_at(self.delivered);
        } else {
            self.exact = false;
            self.order = (self.order + 2).min(self.limits.most_order);
            self.window = self.bounded(self.window);
        }
    }

    fn restart_at(&mut self, offset: u64) {
        self.requests.clear();
        self.exact = false;
        self.delivered = offset;
        self.next = offset;
        self.running = true;
    }

    /// Returns a window of at least two requests, within the limit.
    fn bounded(&self, window: u64) -> u64 {
        let most = self.limits.window.max(UNIT_BYTES as u64);
        window.max(2 * self.request_bytes(most)).min(most)
    }

    /// Returns the length of the next request: as much as the stream has earned, within half of the
    /// window and of the share, as a power of two.
    fn request_bytes(&self, share: u64) -> u64 {
        let earned = (UNIT_BYTES as u64) << self.order;
        let bound = (self.limits.window.min(share) / 2).max(UNIT_BYTES as u64);
        earned.min(1 << bound.ilog2())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::SLAB_ORDER;
    use proptest::prelude::*;

    const LIMITS: ReadLimits = ReadLimits {
        window: 8 << 20,
        first_order: 4,
        most_order: SLAB_ORDER,
    };

    const CACHED: IoCaps = IoCaps::CACHED;
    const DIRECT: IoCaps = IoCaps {
        dio_align: 4096,
        ..CACHED
    };

    fn plan() -> ReadAhead<()> {
        ReadAhead::new(LIMITS)
    }

    fn next_read(plan: &mut ReadAhead<()>, size: u64, io_caps: IoCaps) -> ReadRequest {
        let read = plan.poll_read(u64::MAX, size, io_caps);
        let read = read.expect("a read to submit");
        plan.submitted(read);
        read
    }

    #[test]
    fn requests_grow_and_stop_at_the_window() {
        let (mut plan, mut size) = (plan(), 1 << 30);
        assert_eq!(plan.poll_read(u64::MAX, size, DIRECT), None, "no run yet");
        plan.start(0);
        plan.handle_demand();
        let first = next_read(&mut plan, size, DIRECT);
        assert_eq!(
            (first.offset, first.len, first.cache_mode),
            (0, 65_536, CacheMode::Direct)
        );
        assert_eq!(next_read(&mut plan, size, DIRECT).offset, 65_536);
        assert_eq!(
            plan.poll_read(u64::MAX, size, DIRECT),
            None,
            "the window is two requests"
        );
        plan.handle_read(first.number, (), Ok(65_536));
        assert!(matches!(
            plan.poll_delivery(&mut size),
            Some(Delivered::Data {
                offset: 0,
                skip: 0,
                len: 65_536,
                ..
            })
        ));
        assert_eq!(plan.poll_delivery(&mut size), None);
        assert_eq!(
            next_read(&mut plan, size, DIRECT).len,
            262_144,
            "the stream earned more"
        );
    }

    /// F83: when memory is short the window narrows, down to a page at a time.
    #[test]
    fn a_small_share_narrows_the_window() {
        let (mut plan, size) = (plan(), 1 << 30);
        plan.start(0);
        plan.order = SLAB_ORDER;
        plan.window = plan.bounded(0);
        assert_eq!(plan.poll_read(u64::MAX, size, DIRECT).unwrap().len, 2 << 20);
        assert_eq!(plan.earned(), 128 << 10, "nothing was taken yet");
        assert!(!plan.is_short_of(128 << 10, size) && plan.is_short_of(100 << 10, size));
        for len in [65_536, 65_536, 65_536] {
            let read = plan.poll_read(140 << 10, size, DIRECT).unwrap();
            assert_eq!(read.len, len);
            plan.submitted(read);
        }
        assert_eq!(
            plan.poll_read(140 << 10, size, DIRECT),
            None,
            "the share is used up"
        );
        plan.start(0);
        let read = plan.poll_read(0, size, DIRECT).unwrap();
        assert_eq!(read.len, UNIT_BYTES, "a stalled reader gets a page");
        plan.submitted(read);
        assert_eq!(plan.poll_read(0, size, DIRECT), None);
    }

    /// Completions in the wrong order are delivered in the right one.
    #[test]
    fn order_is_kept() {
        let (mut plan, mut size) = (plan(), 1 << 20);
        plan.start(0);
        let (first, second) = (
            next_read(&mut plan, size, CACHED),
            next_read(&mut plan, size, CACHED),
        );
        plan.handle_read(second.number, (), Ok(second.len));
        assert_eq!(plan.poll_delivery(&mut size), None);
        plan.handle_read(first.number, (), Ok(first.len));
        for expected in [first, second] {
            let Some(Delivered::Data { offset, .. }) = plan.poll_delivery(&mut size) else {
                panic!()
            };
            assert_eq!(offset, expected.offset);
        }
    }

    /// F16: a short read in the middle of the file is not its end.
    #[test]
    fn a_short_read_is_continued() {
        let (mut plan, mut size) = (plan(), 200_000);
        plan.start(0);
        let (first, second) = (
            next_read(&mut plan, size, CACHED),
            next_read(&mut plan, size, CACHED),
        );
        plan.handle_read(first.number, (), Ok(1000));
        assert!(matches!(
            plan.poll_delivery(&mut size),
            Some(Delivered::Data { len: 1000, .. })
        ));
        assert_eq!(
            plan.handle_read(second.number, (), Ok(second.len)),
            Some(()),
            "after a gap: void"
        );
        assert_eq!(next_read(&mut plan, size, CACHED).offset, 1000);
    }

    /// F17: the end is where the kernel reads 0 bytes, also after an unaligned size.
    #[test]
    fn the_end_is_what_the_kernel_says_now() {
        let (mut plan, mut size) = (plan(), 5000);
        plan.start(0);
        let read = next_read(&mut plan, size, DIRECT);
        assert_eq!((read.offset, read.len), (0, 8192));
        plan.handle_read(read.number, (), Ok(5000));
        assert!(matches!(
            plan.poll_delivery(&mut size),
            Some(Delivered::Data { len: 5000, .. })
        ));
        let probe = next_read(&mut plan, size, DIRECT);
        assert_eq!(probe.offset, 4096);
        assert_eq!(
            plan.poll_read(u64::MAX, size, DIRECT),
            None,
            "one probe at a time"
        );
        plan.handle_read(probe.number, (), Ok(904));
        assert_eq!(plan.poll_delivery(&mut size), Some(Delivered::End(Ok(()))));
        assert_eq!(plan.poll_read(u64::MAX, size, DIRECT), None);
        // The file grew; the consumer reads again.
        plan.handle_demand();
        let probe = next_read(&mut plan, size, DIRECT);
        plan.handle_read(probe.number, (), Ok(1000));
        let delivery = plan.poll_delivery(&mut size);
        assert!(matches!(
            delivery,
            Some(Delivered::Data {
                offset: 5000,
                skip: 904,
                len: 96,
                ..
            })
        ));
    }

    /// F16, F17: a direct read that ends on a sector boundary before the first byte needed is no
    /// end.
    #[test]
    fn an_uncertain_end_is_probed_exactly() {
        let (mut plan, mut size) = (plan(), 0);
        plan.start(1024);
        let read = next_read(&mut plan, size, DIRECT);
        assert_eq!((read.offset, read.cache_mode), (0, CacheMode::Direct));
        plan.handle_read(read.number, (), Ok(512));
        assert_eq!(plan.poll_delivery(&mut size), None);
        let read = next_read(&mut plan, size, DIRECT);
        assert_eq!((read.offset, read.cache_mode), (1024, CacheMode::Cached));
        plan.handle_read(read.number, (), Ok(0));
        assert_eq!(plan.poll_delivery(&mut size), Some(Delivered::End(Ok(()))));
    }

    /// F15: what was read before the error is delivered, then the error, never an end of file.
    #[test]
    fn an_error_follows_the_bytes_before_it() {
        let (mut plan, mut size) = (plan(), 1 << 20);
        plan.start(0);
        let (first, second) = (
            next_read(&mut plan, size, CACHED),
            next_read(&mut plan, size, CACHED),
        );
        plan.handle_read(second.number, (), Err(Errno(libc::EIO)));
        plan.handle_read(first.number, (), Ok(first.len));
        assert!(matches!(
            plan.poll_delivery(&mut size),
            Some(Delivered::Data { .. })
        ));
        assert_eq!(
            plan.poll_delivery(&mut size),
            Some(Delivered::End(Err(Errno(libc::EIO))))
        );
    }

    /// F18: what an old run had in flight never fills the new one.
    #[test]
    fn a_seek_voids_what_is_in_flight() {
        let (mut plan, mut size) = (plan(), 1 << 20);
        plan.start(0);
        let old = next_read(&mut plan, size, CACHED);
        plan.start(500_000);
        assert_eq!(plan.handle_read(old.number, (), Ok(old.len)), Some(()));
        assert_eq!(plan.poll_delivery(&mut size), None);
        assert_eq!(next_read(&mut plan, size, CACHED).offset, 500_000);
    }

    /// F28: the driver passes a refused mode on as a transient error.
    #[test]
    fn a_refused_read_is_requested_in_another_mode() {
        let (mut plan, mut size) = (plan(), 100);
        plan.start(10);
        let read = next_read(&mut plan, size, DIRECT);
        assert_eq!((read.offset, read.cache_mode), (0, CacheMode::Direct));
        plan.handle_read(read.number, (), Err(Errno(libc::EAGAIN)));
        assert_eq!(plan.poll_delivery(&mut size), None);
        let read = next_read(&mut plan, size, IoCaps::CACHED);
        assert_eq!((read.offset, read.cache_mode), (10, CacheMode::Cached));
    }

    proptest! {
        /// Any order of completions, any short reads: the consumer gets each byte once, in order,
        /// and then the end.
        #[test]
        fn every_byte_once(
            size in 0u64..400_000,
            start in 0u64..100_000,
            hint in 0u64..500_000,
            dio_align in prop::sample::select(vec![0u32, 512, 4096]),
            choices in prop::collection::vec(any::<u16>(), 1..60),
        ) {
            let io_caps = IoCaps { dio_align, ..CACHED };
            let (mut plan, mut hint) = (plan(), hint);
            plan.start(start);
            let mut in_flight: Vec<ReadRequest> = Vec::new();
            let mut at = start;
            let mut picks = choices.iter().cycle();
            for _ in 0..10_000 {
                while let Some(read) = plan.poll_read(u64::MAX, hint, io_caps) {
                    plan.submitted(read);
                    in_flight.push(read);
                }
                let pick = usize::from(*picks.next().unwrap());
                prop_assert!(!in_flight.is_empty(), "a run never stalls");
                let read = in_flight.swap_remove(pick % in_flight.len());
                let there = size.saturating_sub(read.offset).min(read.len as u64) as usize;
                let short = there > 1 && pick % 5 == 0;
                let n = if short { (there / 2).next_multiple_of(512).min(there) } else { there };
                plan.handle_read(read.number, (), Ok(n));
                let mut ended = false;
                while let Some(delivery) = plan.poll_delivery(&mut hint) {
                    match delivery {
                        Delivered::Data { offset, len, .. } => {
                            prop_assert_eq!(offset, at);
                            at += len as u64;
                        }
                        Delivered::End(result) => {
                            prop_assert_eq!(result, Ok(()));
                            ended = true;
                        }
                    }
                }
                plan.handle_consumed(at - start);
                if ended {
                    prop_assert_eq!(at, size.max(start));
                    return Ok(());
                }
            }
            prop_assert!(false, "no end");
        }
    }
}

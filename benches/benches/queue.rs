//! The queues beside their peers, in alternating rounds of one run.
//!
//! Printed are nanoseconds per item (median, and the middle half of the rounds in brackets), then
//! the ratio to our `SegQueue`: (peer's time ÷ our time) of each round, above 1 is ours.
//!
//! ```text
//! cargo bench -p efio-benches --bench queue              # all shapes
//! cargo bench -p efio-benches --bench queue -- 1p1c      # those whose name contains this
//! EFIO_BENCH_ROUNDS=15 EFIO_BENCH_ITEMS=1000000 cargo bench …
//! ```

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use concurrent_queue::ConcurrentQueue;
use efio_benches::interleave::{self, Reference, Rounds, Spread, Table};
use efio_queue::{MsQueue, SegQueue};
use efio_sync::Backoff;

/// What all candidates can do. Items are `u64`.
trait Candidate: Sync {
    fn push(&self, item: u64);
    fn pop(&self) -> Option<u64>;

    fn push_batch(&self, items: &mut Vec<u64>) {
        items.drain(..).for_each(|item| self.push(item));
    }

    fn pop_batch(&self, out: &mut Vec<u64>, max: usize) {
        out.extend((0..max).map_while(|_| self.pop()));
    }
}

impl Candidate for SegQueue<u64> {
    fn push(&self, item: u64) {
        SegQueue::push(self, item).unwrap();
    }
    fn pop(&self) -> Option<u64> {
        SegQueue::pop(self)
    }
    fn push_batch(&self, items: &mut Vec<u64>) {
        SegQueue::push_batch(self, items).unwrap();
    }
    fn pop_batch(&self, out: &mut Vec<u64>, max: usize) {
        SegQueue::pop_batch(self, out, max);
    }
}

impl Candidate for MsQueue<u64> {
    fn push(&self, item: u64) {
        MsQueue::push(self, item).unwrap();
    }
    fn pop(&self) -> Option<u64> {
        MsQueue::pop(self)
    }
    fn push_batch(&self, items: &mut Vec<u64>) {
        MsQueue::push_batch(self, items).unwrap();
    }
    fn pop_batch(&self, out: &mut Vec<u64>, max: usize) {
        MsQueue::pop_batch(self, out, max);
    }
}

impl Candidate for crossbeam_queue::SegQueue<u64> {
    fn push(&self, item: u64) {
        self.push(item);
    }
    fn pop(&self) -> Option<u64> {
        self.pop()
    }
}

impl Candidate for crossbeam_queue::ArrayQueue<u64> {
    fn push(&self, item: u64) {
        while self.push(item).is_err() {
            thread::yield_now();
        }
    }
    fn pop(&self) -> Option<u64> {
        self.pop()
    }
}

impl Candidate for ConcurrentQueue<u64> {
    fn push(&self, item: u64) {
        ConcurrentQueue::push(self, item).unwrap();
    }
    fn pop(&self) -> Option<u64> {
        ConcurrentQueue::pop(self).ok()
    }
}

impl Candidate for Mutex<VecDeque<u64>> {
    fn push(&self, item: u64) {
        self.lock().unwrap().push_back(item);
    }
    fn pop(&self) -> Option<u64> {
        self.lock().unwrap().pop_front()
    }
    fn push_batch(&self, items: &mut Vec<u64>) {
        self.lock().unwrap().extend(items.drain(..));
    }
    fn pop_batch(&self, out: &mut Vec<u64>, max: usize) {
        let mut queue = self.lock().unwrap();
        let count = max.min(queue.len());
        out.extend(queue.drain(..count));
    }
}

/// The other queue with a node for each item.
impl Candidate for scc::Queue<u64> {
    fn push(&self, item: u64) {
        scc::Queue::push(self, item);
    }
    fn pop(&self) -> Option<u64> {
        scc::Queue::pop(self).map(|entry| **entry)
    }
}

/// A channel, both ends.
struct Flume(flume::Sender<u64>, flume::Receiver<u64>);

impl Candidate for Flume {
    fn push(&self, item: u64) {
        self.0.send(item).unwrap();
    }
    fn pop(&self) -> Option<u64> {
        self.1.try_recv().ok()
    }
}

/// One consumer: its `Receiver` is not `Sync`, and the shapes with several leave it out.
struct Mpsc(mpsc::Sender<u64>, OneConsumer);

struct OneConsumer(mpsc::Receiver<u64>);

// SAFETY: the shapes that run `Mpsc` call `pop` from one thread at a time.
unsafe impl Sync for OneConsumer {}

impl Candidate for Mpsc {
    fn push(&self, item: u64) {
        self.0.send(item).unwrap();
    }
    fn pop(&self) -> Option<u64> {
        self.1.0.try_recv().ok()
    }
}

const ARRAY: usize = 4096;

/// Those that can take the shape, each compiled for its type. A turn is given a number of items,
/// and starts with a new queue.
fn entries(shape: &Shape) -> Vec<interleave::Candidate<'_, usize>> {
    type Run = fn(&Shape, usize) -> Duration;
    let per_item = |run: Run| move |items| run(shape, items).as_nanos() as f64 / items as f64;
    let ours = |name, run: Run| interleave::Candidate::ours(name, per_item(run));
    let rival = |name, run: Run| interleave::Candidate::rival(name, per_item(run));
    let mut entries = vec![
        ours("efio SegQueue", |shape, items| {
            shape.run(&SegQueue::new(), items)
        }),
        ours("efio MsQueue", |shape, items| {
            shape.run(&MsQueue::new(), items)
        }),
        rival("crossbeam SegQueue", |shape, items| {
            shape.run(&crossbeam_queue::SegQueue::new(), items)
        }),
        rival("crossbeam ArrayQueue", |shape, items| {
            let capacity = if shape.fills { items } else { ARRAY };
            shape.run(&crossbeam_queue::ArrayQueue::new(capacity), items)
        }),
        rival("concurrent-queue", |shape, items| {
            shape.run(&ConcurrentQueue::unbounded(), items)
        }),
        rival("scc Queue", |shape, items| {
            shape.run(&scc::Queue::default(), items)
        }),
        rival("flume", |shape, items| {
            let (sender, receiver) = flume::unbounded();
            shape.run(&Flume(sender, receiver), items)
        }),
    ];
    if shape.consumers < 2 {
        entries.push(rival("std mpsc", |shape, items| {
            let (sender, receiver) = mpsc::channel();
            shape.run(&Mpsc(sender, OneConsumer(receiver)), items)
        }));
    }
    entries.push(rival("Mutex<VecDeque>", |shape, items| {
        shape.run(&Mutex::new(VecDeque::new()), items)
    }));
    entries
}

/// How many threads push and pop.
struct Shape {
    name: &'static str,
    /// 0: the queue stays empty, and one thread pops.
    producers: usize,
    /// 0: one thread pushes and pops.
    consumers: usize,
    /// Items at a time.
    batch: usize,
    /// With one thread: all pushes first.
    fills: bool,
}

const fn shape(name: &'static str, producers: usize, consumers: usize, batch: usize) -> Shape {
    Shape {
        name,
        producers,
        consumers,
        batch,
        fills: false,
    }
}

const SHAPES: [Shape; 15] = [
    shape("pop of an empty queue", 0, 0, 1),
    shape("same-thread", 1, 0, 1),
    Shape {
        fills: true,
        ..shape("fill-drain", 1, 0, 1)
    },
    shape("1p1c", 1, 1, 1),
    shape("2p2c", 2, 2, 1),
    shape("4p1c", 4, 1, 1),
    shape("1p4c", 1, 4, 1),
    shape("same-thread batch-8", 1, 0, 8),
    shape("same-thread batch-32", 1, 0, 32),
    shape("1p1c batch-8", 1, 1, 8),
    shape("1p1c batch-32", 1, 1, 32),
    shape("2p2c batch-8", 2, 2, 8),
    shape("2p2c batch-32", 2, 2, 32),
    shape("4p1c batch-32", 4, 1, 32),
    shape("1p4c batch-32", 1, 4, 32),
];

impl Shape {
    /// How long it takes for `items` to go through `queue`.
    fn run<Q: Candidate>(&self, queue: &Q, items: usize) -> Duration {
        match (self.producers, self.consumers, self.fills) {
            (0, ..) => pop_empty(queue, items),
            (_, 0, false) => self.same_thread(queue, items),
            (_, 0, true) => fill_drain(queue, items),
            _ => self.threads(queue, items),
        }
    }

    fn same_thread<Q: Candidate>(&self, queue: &Q, items: usize) -> Duration {
        let (mut input, mut output) = (Vec::with_capacity(32), Vec::with_capacity(32));
        let start = Instant::now();
        for round in 0..items / self.batch {
            if self.batch == 1 {
                queue.push(round as u64);
                black_box(queue.pop());
            } else {
                input.extend(0..self.batch as u64);
                queue.push_batch(&mut input);
                queue.pop_batch(&mut output, self.batch);
                black_box(&output);
                output.clear();
            }
        }
        start.elapsed()
    }

    fn threads<Q: Candidate>(&self, queue: &Q, items: usize) -> Duration {
        let share = items / self.producers / self.batch * self.batch;
        let total = share * self.producers;
        let popped = AtomicUsize::new(0);
        let barrier = Barrier::new(self.producers + self.consumers);
        // From the first start to the last end, by the workers' own clocks.
        let timed = |work: &dyn Fn()| {
            barrier.wait();
            let start = Instant::now();
            work();
            (start, Instant::now())
        };
        thread::scope(|scope| {
            let mut workers = vec![];
            for _ in 0..self.producers {
                workers.push(scope.spawn(|| timed(&|| self.produce(queue, share))));
            }
            for _ in 0..self.consumers {
                workers.push(scope.spawn(|| timed(&|| self.consume(queue, &popped, total))));
            }
            let (starts, ends): (Vec<_>, Vec<_>) = workers
                .into_iter()
                .map(|worker| worker.join().unwrap())
                .unzip();
            *ends.iter().max().unwrap() - *starts.iter().min().unwrap()
        })
    }

    fn produce<Q: Candidate>(&self, queue: &Q, share: usize) {
        let mut items = Vec::with_capacity(self.batch);
        for round in 0..share / self.batch {
            if self.batch == 1 {
                queue.push(round as u64);
            } else {
                items.extend(0..self.batch as u64);
                queue.push_batch(&mut items);
            }
        }
    }

    fn consume<Q: Candidate>(&self, queue: &Q, popped: &AtomicUsize, total: usize) {
        let mut items = Vec::with_capacity(self.batch);
        // Published every so often, so that the count is not what is measured.
        let mut mine = 0;
        let backoff = Backoff::new();
        loop {
            let count = if self.batch == 1 {
                usize::from(black_box(queue.pop()).is_some())
            } else {
                queue.pop_batch(&mut items, self.batch);
                let count = black_box(&items).len();
                items.clear();
                count
            };
            mine += count;
            if count == 0 || mine >= 1024 {
                if mine > 0 {
                    popped.fetch_add(mine, Ordering::Relaxed);
                    mine = 0;
                }
                if popped.load(Ordering::Relaxed) >= total {
                    return;
                }
            }
            if count > 0 {
                backoff.reset();
            } else {
                backoff.snooze();
            }
        }
    }
}

/// The queue was used before, so that its memory is there to look at.
fn pop_empty<Q: Candidate>(queue: &Q, items: usize) -> Duration {
    queue.push(0);
    queue.pop();
    let start = Instant::now();
    (0..items).for_each(|_| _ = black_box(queue.pop()));
    start.elapsed()
}

fn fill_drain<Q: Candidate>(queue: &Q, items: usize) -> Duration {
    let start = Instant::now();
    (0..items as u64).for_each(|item| queue.push(item));
    (0..items).for_each(|_| _ = black_box(queue.pop()));
    start.elapsed()
}

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
}

fn compare(shape: &Shape, rounds: usize, items: usize) {
    let measured = Rounds::new(rounds, items)
        .warm_up(items)
        .measure(&mut entries(shape));
    Table::new(shape.name, "ns/item", Spread::Quartiles)
        .against(Reference::Ours)
        .print(&measured);
}

/// The heap, counted.
struct Counting;

static HEAP: AtomicUsize = AtomicUsize::new(0);

// SAFETY: hands everything on to `System`.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HEAP.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HEAP.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is the same.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Heap bytes for 10 M queued items, and what is left when they are popped.
fn memory(items: usize) {
    fn burst<Q: Candidate>(name: &str, items: usize, make: impl FnOnce() -> Q) {
        let before = HEAP.load(Ordering::Relaxed);
        let queue = make();
        (0..items as u64).for_each(|item| queue.push(item));
        let full = HEAP.load(Ordering::Relaxed) - before;
        (0..items).for_each(|_| _ = queue.pop());
        let after = HEAP.load(Ordering::Relaxed).saturating_sub(before);
        println!(
            "  {name:<22}{:>8.1} B/item  {:>10.1} KiB left",
            full as f64 / items as f64,
            after as f64 / 1024.0
        );
    }
    println!("\nmemory: a burst of {items} items of 8 bytes");
    burst("efio SegQueue", items, SegQueue::new);
    burst("efio MsQueue", items, MsQueue::new);
    burst("crossbeam SegQueue", items, crossbeam_queue::SegQueue::new);
    burst("crossbeam ArrayQueue", items, || {
        crossbeam_queue::ArrayQueue::new(items)
    });
    burst("concurrent-queue", items, ConcurrentQueue::unbounded);
    burst("scc Queue", items, scc::Queue::default);
    burst("flume", items, || {
        let (sender, receiver) = flume::unbounded();
        Flume(sender, receiver)
    });
    burst("std mpsc", items, || {
        let (sender, receiver) = mpsc::channel();
        Mpsc(sender, OneConsumer(receiver))
    });
    burst("Mutex<VecDeque>", items, || Mutex::new(VecDeque::new()));
}

fn main() {
    // `cargo test --benches` runs this too, with nothing to prove but that it runs.
    let testing = !std::env::args().any(|argument| argument == "--bench");
    let filter = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    let chosen = |name: &str| {
        filter
            .as_ref()
            .is_none_or(|filter| name.contains(filter.as_str()))
    };
    let (rounds, items) = match testing {
        true => (1, 1_000),
        false => (
            setting("EFIO_BENCH_ROUNDS", 11),
            setting("EFIO_BENCH_ITEMS", 1_000_000),
        ),
    };
    for shape in SHAPES.iter().filter(|shape| chosen(shape.name)) {
        compare(shape, rounds, items);
    }
    if chosen("memory") {
        memory(if testing { 10_000 } else { 10_000_000 });
    }
}

//! The locks of efio-sync beside those of std, parking_lot and spin, in alternating rounds.
//!
//! ```text
//! cargo bench -p efio-benches --bench sync               everything, about two minutes
//! cargo bench -p efio-benches --bench sync -- mutex 2    scenarios whose name has all the words
//! ROUNDS=5 SLICE_MS=10 cargo bench …                     shorter
//! ```
//!
//! ns/op is wall time over the operations of all threads together: the throughput. Threads work a
//! little outside of the lock too, for a pseudo-random time, as programs do; in the "short" section
//! they change one word, in the "long" one they compute for about a microsecond.

#[path = "sync/rivals.rs"]
mod rivals;

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use efio_benches::interleave::{self, Reference, Rounds, Spread, Table};
use efio_sync::{Alarm, CasCell, Doorbell, EventFd, McsLock, Parker, RwSpinLock, SpinLock};
use rivals::{Data, Exclusive, Shared};
use spin::mutex::TicketMutex;

fn main() {
    let number = |name: &str, default| {
        std::env::var(name)
            .ok()
            .and_then(|value| value.parse().ok())
            .unwrap_or(default)
    };
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let bench = Bench {
        words,
        rounds: number("ROUNDS", 11) as usize,
        slice: Duration::from_millis(number("SLICE_MS", 40)),
    };
    bench.mutexes();
    bench.rwlocks();
    bench.doorbells();
}

/// Runs for about the given time.
type Candidate = interleave::Candidate<'static, Duration>;

/// What is to be run, and for how long.
struct Bench {
    words: Vec<String>,
    rounds: usize,
    slice: Duration,
}

/// The work under the lock, in steps of about a nanosecond.
#[derive(Clone, Copy, Debug)]
enum Section {
    Short,
    Long,
}

impl Section {
    #[inline]
    fn run(self, data: &mut Data) {
        match self {
            Self::Short => *data += 1,
            Self::Long => *data = compute(*data, 900),
        }
    }

    #[inline]
    fn look(self, data: &Data) {
        black_box(match self {
            Self::Short => *data,
            Self::Long => compute(*data, 900),
        });
    }
}

/// A chain of dependent steps, each a multiplication.
#[inline]
fn compute(seed: u64, steps: u32) -> u64 {
    (0..steps).fold(seed | 1, |value, _| {
        black_box(value.wrapping_mul(6_364_136_223_846_793_005))
    })
}

impl Bench {
    fn compare(&self, scenario: &str, mut candidates: Vec<Candidate>) {
        if !self
            .words
            .iter()
            .all(|word| scenario.split(' ').any(|part| part == word))
        {
            return;
        }
        let measured = Rounds::new(self.rounds, self.slice)
            .warm_up(self.slice / 4)
            .measure(&mut candidates);
        Table::new(scenario, "ns/op", Spread::Deciles)
            .against(Reference::BestRival)
            .against(Reference::Named("parking_lot"))
            .print(&measured);
    }

    fn mutexes(&self) {
        fn turn<L: Exclusive>(threads: usize, section: Section) -> impl Fn(Duration) -> f64 {
            move |slice| {
                throughput(threads, slice, Arc::new(L::new()), move |lock: &L, _| {
                    lock.with(|data| section.run(data));
                })
            }
        }
        let unfair = |threads, section| {
            vec![
                Candidate::ours("SpinLock", turn::<SpinLock<Data>>(threads, section)),
                Candidate::ours("CasCell", turn::<CasCell<Data>>(threads, section)),
                Candidate::rival("std", turn::<std::sync::Mutex<Data>>(threads, section)),
                Candidate::rival(
                    "parking_lot",
                    turn::<parking_lot::Mutex<Data>>(threads, section),
                ),
                Candidate::rival("spin", turn::<spin::Mutex<Data>>(threads, section)),
            ]
        };
        // First come, first served: each hand-over goes from one core to another.
        let fair = |threads, section| {
            vec![
                Candidate::ours("McsLock", turn::<McsLock<Data>>(threads, section)),
                Candidate::rival(
                    "parking_lot",
                    turn::<parking_lot::FairMutex<Data>>(threads, section),
                ),
                Candidate::rival("spin (ticket)", turn::<TicketMutex<Data>>(threads, section)),
            ]
        };
        for (kind, candidates) in [
            ("mutex", &unfair as &dyn Fn(_, _) -> Vec<Candidate>),
            ("fair-mutex", &fair),
        ] {
            self.compare(
                &format!("{kind} 1 thread uncontended"),
                candidates(1, Section::Short),
            );
            for threads in [2, 4, 8] {
                for section in [Section::Short, Section::Long] {
                    let scenario = format!("{kind} {threads} threads {section:?}").to_lowercase();
                    self.compare(&scenario, candidates(threads, section));
                }
            }
        }
    }

    fn rwlocks(&self) {
        /// One write in `every` operations; 0: none.
        fn turn<L: Shared>(
            threads: usize,
            section: Section,
            every: u64,
        ) -> impl Fn(Duration) -> f64 {
            move |slice| {
                throughput(threads, slice, Arc::new(L::new()), move |lock: &L, turn| {
                    if every != 0 && turn % every == 0 {
                        lock.with(|data| section.run(data));
                    } else {
                        lock.read(|data| section.look(data));
                    }
                })
            }
        }
        let candidates = |threads, section, every| {
            vec![
                Candidate::ours(
                    "RwSpinLock",
                    turn::<RwSpinLock<Data>>(threads, section, every),
                ),
                Candidate::rival(
                    "std",
                    turn::<std::sync::RwLock<Data>>(threads, section, every),
                ),
                Candidate::rival(
                    "parking_lot",
                    turn::<parking_lot::RwLock<Data>>(threads, section, every),
                ),
                Candidate::rival("spin", turn::<spin::RwLock<Data>>(threads, section, every)),
            ]
        };
        self.compare("rwlock 1 thread read", candidates(1, Section::Short, 0));
        self.compare("rwlock 1 thread write", candidates(1, Section::Short, 1));
        for threads in [2, 4, 8] {
            self.compare(
                &format!("rwlock {threads} threads short (5 % writes)"),
                candidates(threads, Section::Short, 20),
            );
            self.compare(
                &format!("rwlock {threads} threads long (5 % writes)"),
                candidates(threads, Section::Long, 20),
            );
        }
    }

    fn doorbells(&self) {
        fn repeat(mut operation: impl FnMut(), slice: Duration) -> f64 {
            let (begin, mut count) = (Instant::now(), 0u64);
            while begin.elapsed() < slice {
                (0..1000).for_each(|_| operation());
                count += 1000;
            }
            begin.elapsed().as_nanos() as f64 / count as f64
        }
        let bell = Doorbell::new(Parker::new());
        let fd = EventFd::new().expect("an eventfd");
        let thread = std::thread::current();
        self.compare(
            "doorbell ring of a sleeper that is awake",
            vec![
                Candidate::ours("Doorbell", move |slice| {
                    repeat(|| _ = black_box(bell.notify()), slice)
                }),
                Candidate::rival("eventfd write", move |slice| repeat(|| fd.wake(), slice)),
                Candidate::rival("Thread::unpark", move |slice| {
                    repeat(|| thread.unpark(), slice)
                }),
            ],
        );
        self.compare(
            "doorbell round trip of two sleepers",
            vec![
                Candidate::ours("Doorbell<Parker>", |slice| {
                    ping_pong(
                        || Doorbell::new(Parker::new()),
                        |bell| _ = bell.notify(),
                        |bell| _ = bell.wait(None),
                        slice,
                    )
                }),
                Candidate::ours("Doorbell<EventFd>", |slice| {
                    ping_pong(
                        || Doorbell::new(EventFd::new().expect("an eventfd")),
                        |bell| _ = bell.notify(),
                        |bell| _ = bell.wait(None),
                        slice,
                    )
                }),
                Candidate::rival("mpsc::sync_channel(1)", |slice| {
                    ping_pong(
                        || {
                            let (sender, receiver) = std::sync::mpsc::sync_channel(1);
                            (sender, std::sync::Mutex::new(receiver))
                        },
                        |(sender, _)| sender.send(()).expect("connected"),
                        |(_, receiver)| receiver.lock().unwrap().recv().expect("connected"),
                        slice,
                    )
                }),
            ],
        );
    }
}

/// Threads that run `operation` in turn for `slice`; ns of wall time per operation.
fn throughput<L: Send + Sync + 'static>(
    threads: usize,
    slice: Duration,
    lock: Arc<L>,
    operation: impl Fn(&L, u64) + Copy + Send + 'static,
) -> f64 {
    let stop = Arc::new(AtomicBool::new(false));
    let start = Arc::new(Barrier::new(threads + 1));
    let workers: Vec<_> = (0..threads)
        .map(|number| {
            let (lock, stop, start) = (Arc::clone(&lock), Arc::clone(&stop), Arc::clone(&start));
            std::thread::spawn(move || {
                let (mut turns, mut random) = (0u64, number as u32 + 1);
                start.wait();
                while !stop.load(Ordering::Relaxed) {
                    // A stop is looked for now and then only, so that it costs nothing.
                    for _ in 0..16 {
                        operation(&lock, turns);
                        turns += 1;
                        if threads > 1 {
                            random = random.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
                            compute(turns, random >> 27);
                        }
                    }
                }
                turns
            })
        })
        .collect();
    start.wait();
    let begin = Instant::now();
    std::thread::sleep(slice);
    stop.store(true, Ordering::Relaxed);
    let elapsed = begin.elapsed();
    let turns: u64 = workers
        .into_iter()
        .map(|worker| worker.join().expect("no panic"))
        .sum();
    elapsed.as_nanos() as f64 / turns as f64
}

/// Two threads that wake each other in turn; ns per round trip.
fn ping_pong<B: Send + Sync + 'static>(
    new: impl Fn() -> B,
    ring: impl Fn(&B) + Copy + Send + 'static,
    wait: impl Fn(&B) + Copy + Send + 'static,
    slice: Duration,
) -> f64 {
    let bells = Arc::new((new(), new()));
    let stop = Arc::new(AtomicBool::new(false));
    let echo = {
        let (bells, stop) = (Arc::clone(&bells), Arc::clone(&stop));
        std::thread::spawn(move || {
            loop {
                wait(&bells.0);
                let last = stop.load(Ordering::Relaxed);
                ring(&bells.1);
                if last {
                    return;
                }
            }
        })
    };
    let (begin, mut trips) = (Instant::now(), 0u64);
    loop {
        let last = begin.elapsed() >= slice;
        stop.store(last, Ordering::Relaxed);
        ring(&bells.0);
        wait(&bells.1);
        trips += 1;
        if last {
            break;
        }
    }
    let cost = begin.elapsed().as_nanos() as f64 / trips as f64;
    echo.join().expect("no panic");
    cost
}

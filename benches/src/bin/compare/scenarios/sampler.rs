//! What is noted during a turn.

use crate::measure::system::{Snapshot, peak_memory};
use efio_benches::record::{Figures, KINDS, Latency};
use futures::stream::{FuturesUnordered, TryStreamExt};
use hdrhistogram::Histogram;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

/// What a call is for, in the order of [`KINDS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Open,
    Read,
    Write,
    End,
}

/// Times of calls by their kind, and of those in which the thread kept its processor.
struct Watch {
    kinds: [Histogram<u64>; KINDS.len()],
    undisturbed: Histogram<u64>,
}

/// Times of calls, and what the turn took between start and stop.
pub struct Sampler {
    dir: PathBuf,
    started: Option<Snapshot>,
    figures: RefCell<Figures>,
    calls: RefCell<Histogram<u64>>,
    watch: Option<RefCell<Watch>>,
    late: RefCell<Histogram<u64>>,
    steal: Cell<f64>,
}

impl Sampler {
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            started: None,
            figures: RefCell::default(),
            calls: histogram().into(),
            watch: None,
            late: histogram().into(),
            steal: Cell::new(0.0),
        }
    }

    /// Separates calls by their kind, and those in which the thread lost its processor from the
    /// others. It costs a system call before each.
    pub fn watch(&mut self) {
        let watch = Watch {
            kinds: std::array::from_fn(|_| histogram()),
            undisturbed: histogram(),
        };
        self.watch = Some(watch.into());
    }

    pub fn start(&mut self) -> io::Result<Instant> {
        let started = Snapshot::take(&self.dir)?;
        self.started = Some(started);
        Ok(started.at)
    }

    /// Ends the measured part, in which the caller moved so many bytes. The seconds it took.
    pub fn stop(&mut self, bytes: u64) -> io::Result<f64> {
        let ended = Instant::now();
        let now = Snapshot::take(&self.dir)?;
        let then = self
            .started
            .ok_or_else(|| io::Error::other("never started"))?;
        let seconds = (ended - then.at).as_secs_f64();
        let figures = self.figures.get_mut();
        figures.seconds = seconds;
        figures.bytes = bytes;
        figures.cpu = now.cpu - then.cpu;
        figures.cpu_machine = now.machine - then.machine;
        figures.device = (now.device.0 - then.device.0, now.device.1 - then.device.1);
        figures.peak_memory = peak_memory();
        self.steal.set((now.stolen - then.stolen) / seconds);
        Ok(seconds)
    }

    pub fn metric(&self, name: &str, value: f64) {
        self.figures
            .borrow_mut()
            .metrics
            .insert(name.to_owned(), value);
    }

    pub fn note(&self, note: String) {
        self.figures.borrow_mut().note = note;
    }

    /// A call or an operation took so long.
    pub fn took(&self, time: Duration) {
        self.calls.borrow_mut().saturating_record(nanos(time));
    }

    /// A tick was noticed so late.
    pub fn late(&self, time: Duration) {
        self.late.borrow_mut().saturating_record(nanos(time));
    }

    /// Notes how long each poll of a call holds this thread.
    pub async fn held<T>(&self, kind: Kind, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        poll_fn(|cx| {
            let watch = self.watch.as_ref().map(|watch| (watch, preemptions()));
            let start = Instant::now();
            let polled = call.as_mut().poll(cx);
            let time = start.elapsed();
            self.took(time);
            if let Some((watch, before)) = watch {
                watch.borrow_mut().took(kind, time, before);
            }
            polled
        })
        .await
    }

    /// Fraction of a processor that the host took, and all figures.
    pub fn finish(self) -> (f64, Figures) {
        let mut figures = self.figures.into_inner();
        figures.latency = Latency::of(&self.calls.into_inner());
        if let Some(watch) = self.watch {
            let Watch { kinds, undisturbed } = watch.into_inner();
            figures.undisturbed = Latency::of(&undisturbed);
            for (name, times) in KINDS.iter().zip(kinds) {
                let times = Latency::of(&times).map(|times| ((*name).to_owned(), times));
                figures.kinds.extend(times);
            }
        }
        figures.lateness = Latency::of(&self.late.into_inner());
        (self.steal.get(), figures)
    }
}

impl Watch {
    /// A call took so long; before it the thread had lost its processor so many times.
    fn took(&mut self, kind: Kind, time: Duration, before: i64) {
        // A switch and back takes longer than this.
        const SHORT: Duration = Duration::from_micros(5);
        self.kinds[kind as usize].saturating_record(nanos(time));
        if time < SHORT || preemptions() == before {
            self.undisturbed.saturating_record(nanos(time));
        }
    }
}

/// A histogram of nanoseconds.
pub fn histogram() -> Histogram<u64> {
    const HOUR: u64 = 3_600_000_000_000;
    Histogram::new_with_max(HOUR, 3).expect("a range, and three digits")
}

/// How many times this thread lost its processor to another one.
fn preemptions() -> i64 {
    // SAFETY: room for the answer; all zeros are a valid value of it.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage);
        usage.ru_nivcsw
    }
}

fn nanos(time: Duration) -> u64 {
    (time.as_nanos() as u64).max(1)
}

/// Adds up how long the polls of something hold this thread.
pub async fn holding<T>(sum: &Cell<Duration>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|cx| {
        let start = Instant::now();
        let polled = work.as_mut().poll(cx);
        sum.set(sum.get() + start.elapsed());
        polled
    })
    .await
}

/// Lets the loop's other work run.
pub async fn give_way() {
    let mut gave = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut gave, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Does all of it at once. Each part is polled only when it was woken, as a task of its own would
/// be: some runtimes keep one waker for each poll of an operation.
pub async fn together<F>(parts: impl Iterator<Item = F>) -> io::Result<()>
where
    F: Future<Output = io::Result<()>>,
{
    let parts: FuturesUnordered<F> = parts.collect();
    parts.try_collect().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;

    #[test]
    fn calls_are_separated() {
        let mut sampler = Sampler::new(Path::new("."));
        sampler.watch();
        block_on(sampler.held(Kind::Read, async {}));
        block_on(sampler.held(Kind::End, async {}));
        // Not before it: this one was disturbed.
        let watch = sampler.watch.as_ref().unwrap();
        let long = Duration::from_millis(1);
        watch.borrow_mut().took(Kind::End, long, preemptions() - 1);
        let (_, figures) = sampler.finish();
        assert_eq!(figures.latency.unwrap().count, 2);
        assert_eq!(figures.undisturbed.unwrap().count, 2);
        let kinds = figures.kinds.iter();
        let kinds: Vec<_> = kinds.map(|(name, times)| (&**name, times.count)).collect();
        assert_eq!(kinds, [("end", 2), ("read", 1)]);
    }
}

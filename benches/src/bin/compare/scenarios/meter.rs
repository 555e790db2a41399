//! What is noted during a turn.

use crate::measure::system::{Snapshot, peak_memory};
use efio_benches::record::{Figures, Latency};
use hdrhistogram::Histogram;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

/// Times of calls, and what the turn took between start and stop.
pub struct Meter {
    dir: PathBuf,
    started: Option<Snapshot>,
    figures: RefCell<Figures>,
    calls: RefCell<Histogram<u64>>,
    late: RefCell<Histogram<u64>>,
    steal: Cell<f64>,
}

impl Meter {
    pub fn new(dir: &Path) -> Self {
        let histogram = || {
            let hour = 3_600_000_000_000;
            RefCell::new(Histogram::new_with_max(hour, 3).expect("a range, and three digits"))
        };
        Self {
            dir: dir.to_owned(),
            started: None,
            figures: RefCell::default(),
            calls: histogram(),
            late: histogram(),
            steal: Cell::new(0.0),
        }
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
    pub async fn held<T>(&self, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        poll_fn(|cx| {
            let start = Instant::now();
            let polled = call.as_mut().poll(cx);
            self.took(start.elapsed());
            polled
        })
        .await
    }

    /// Fraction of a processor that the host took, and all figures.
    pub fn finish(self) -> (f64, Figures) {
        let mut figures = self.figures.into_inner();
        figures.latency = Latency::of(&self.calls.into_inner());
        figures.lateness = Latency::of(&self.late.into_inner());
        (self.steal.get(), figures)
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

//! A tick of 1 kHz from another thread, and how late a loop notices it.

use futures::task::AtomicWaker;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub const PERIOD: Duration = Duration::from_millis(1);

/// The thread that ticks.
pub struct Timer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    begun: Instant,
    /// Nanoseconds since the begin at which the first tick that is not noticed yet came; or 0.
    first: AtomicU64,
    waker: AtomicWaker,
    over: AtomicBool,
}

impl Timer {
    pub fn start() -> Self {
        let shared = Arc::new(Shared {
            begun: Instant::now(),
            first: AtomicU64::new(0),
            waker: AtomicWaker::new(),
            over: AtomicBool::new(false),
        });
        let ticking = Arc::clone(&shared);
        let thread = thread::spawn(move || ticking.tick());
        Self {
            shared,
            thread: Some(thread),
        }
    }

    /// Waits for a tick; how long ago the first one came that was not noticed.
    pub async fn next(&self) -> Duration {
        poll_fn(|cx| {
            self.shared.waker.register(cx.waker());
            match self.shared.first.swap(0, Ordering::Relaxed) {
                0 => Poll::Pending,
                at => Poll::Ready(self.shared.begun.elapsed() - Duration::from_nanos(at)),
            }
        })
        .await
    }
}

impl Shared {
    fn tick(&self) {
        for count in 1.. {
            let due = self.begun + PERIOD * count;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if self.over.load(Ordering::Relaxed) {
                return;
            }
            // What this thread is late by is not the loop's fault: the time is that of now.
            let now = self.begun.elapsed().as_nanos() as u64;
            // Relaxed: the waker's own synchronisation carries it.
            let _ = self
                .first
                .compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
            self.waker.wake();
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

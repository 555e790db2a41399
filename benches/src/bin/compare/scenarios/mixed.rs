//! A server on one loop: it sends and takes streams, logs, and looks up small files. Slow syncs are
//! beside reads that somebody waits for.
//!
//! All of it keeps step with a tick of 1 kHz, as clients on a network would have it. A part that is
//! late goes on at once, until it has caught up. Times are those from a call to its result.

use super::case::{
    Case, LINES_PER_MIXED_TICK, READ_PER_TICK, STREAMS, Set, TICKS_OF_SMALL, WRITTEN_PER_TICK,
    wrong,
};
use super::log::{self, line};
use super::sampler::{Kind, Sampler, histogram, together};
use super::timer::Timer;
use crate::pattern;
use crate::peer::{CALL, Peer, Reader, Writer};
use futures::future::{Either, LocalBoxFuture, select};
use futures::stream::{self, StreamExt, TryStreamExt};
use hdrhistogram::Histogram;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

const LOGS: usize = 2;
/// The most small files that are open at once.
const AT_ONCE: usize = 256;
/// A stream out is synced after so many bytes.
const SYNC: u64 = 4 << 20;

/// What is timed, by the name in the figures.
#[derive(Clone, Copy)]
enum Timed {
    Read,
    Small,
    Sync,
    Line,
}

const NAMES: [&str; 4] = ["read", "small file", "sync", "line"];

/// The ticks so far, the parts that wait for one, and the times of what they did.
struct Server<'turn, P> {
    peer: &'turn P,
    case: &'turn Case,
    sampler: &'turn Sampler,
    tick: Cell<u64>,
    waiting: RefCell<Vec<Waker>>,
    times: [RefCell<Histogram<u64>>; NAMES.len()],
}

impl<P: Peer> Server<'_, P> {
    /// Waits for that tick.
    async fn at(&self, tick: u64) {
        poll_fn(|cx| {
            if self.tick.get() >= tick {
                return Poll::Ready(());
            }
            self.waiting.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    async fn ticks(&self) {
        let timer = Timer::start();
        let begun = Instant::now();
        loop {
            self.sampler.late(timer.next().await);
            self.tick.set(begun.elapsed().as_millis() as u64);
            for waker in self.waiting.take() {
                waker.wake();
            }
        }
    }

    async fn timed<T>(&self, what: Timed, call: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let result = call.await;
        let nanos = begun.elapsed().as_nanos() as u64;
        self.times[what as usize]
            .borrow_mut()
            .saturating_record(nanos);
        result
    }

    /// Sends a file.
    async fn send(&self, file: usize) -> io::Result<()> {
        let path = self.case.in_path(file);
        let mut reader = self
            .sampler
            .held(Kind::Open, self.peer.reader(&path))
            .await?;
        let mut offset = 0;
        loop {
            self.at(offset / READ_PER_TICK).await;
            let call = self.sampler.held(Kind::Read, reader.next());
            let bytes = self.timed(Timed::Read, call).await?;
            if bytes.is_empty() {
                break;
            }
            if !pattern::check(file as u64, offset, bytes) {
                return Err(wrong(&path, offset));
            }
            offset += bytes.len() as u64;
            reader.spent();
        }
        if offset != self.case.input().len {
            return Err(wrong(&path, offset));
        }
        self.sampler.held(Kind::End, reader.close()).await
    }

    /// Takes an upload.
    async fn take(&self, file: usize) -> io::Result<()> {
        let path = self.case.out_path(file);
        let mut writer = self
            .sampler
            .held(Kind::Open, self.peer.writer(&path))
            .await?;
        let len = self.case.output().len;
        for offset in (0..len).step_by(CALL) {
            self.at(offset / WRITTEN_PER_TICK).await;
            let part = CALL.min((len - offset) as usize);
            let fill = |bytes: &mut [u8]| pattern::fill(file as u64, offset, bytes);
            let call = writer.put(part, fill);
            self.sampler.held(Kind::Write, call).await?;
            if (offset + part as u64) % SYNC == 0 {
                let call = self.sampler.held(Kind::End, writer.sync());
                self.timed(Timed::Sync, call).await?;
            }
        }
        self.sampler.held(Kind::End, writer.finish(true)).await
    }

    /// Logs to all logs in turn.
    async fn log(&self) -> io::Result<()> {
        let mut logs = Vec::new();
        for file in STREAMS..STREAMS + LOGS {
            logs.push(self.peer.writer(&self.case.out_path(file)).await?);
        }
        for number in 0..self.case.lines() {
            self.at(number / LINES_PER_MIXED_TICK).await;
            let call = logs[number as usize % LOGS].put_line(line(number));
            let call = self.sampler.held(Kind::Write, call);
            self.timed(Timed::Line, call).await?;
        }
        together(logs.into_iter().map(|log| log.finish(false))).await
    }

    /// Looks up a small file.
    async fn look_up(&self, index: usize) -> io::Result<()> {
        let file = STREAMS + index;
        self.timed(Timed::Small, async {
            let path = self.case.in_path(file);
            let mut reader = self
                .sampler
                .held(Kind::Open, self.peer.reader(&path))
                .await?;
            let (mut offset, Set { len, .. }) = (0, self.case.small());
            while offset < len {
                let bytes = self.sampler.held(Kind::Read, reader.next()).await?;
                if bytes.is_empty() || !pattern::check(file as u64, offset, bytes) {
                    return Err(wrong(&path, offset));
                }
                offset += bytes.len() as u64;
                reader.spent();
            }
            self.sampler.held(Kind::End, reader.close()).await
        })
        .await
    }

    /// Looks up each small file at its tick, whether the ones before are there or not.
    async fn look_ups(&self) -> io::Result<()> {
        stream::iter(0..self.case.small().count)
            .then(async |index| {
                self.at(index as u64 * TICKS_OF_SMALL).await;
                index
            })
            .map(|index| self.look_up(index))
            .buffer_unordered(AT_ONCE)
            .try_for_each(async |()| Ok(()))
            .await
    }

    /// All parts, until the last one is over.
    async fn serve(&self) -> io::Result<()> {
        type Part<'server> = LocalBoxFuture<'server, io::Result<()>>;
        let mut parts: Vec<Part<'_>> = vec![Box::pin(self.log()), Box::pin(self.look_ups())];
        parts.extend((0..STREAMS).map(|file| Box::pin(self.send(file)) as Part<'_>));
        parts.extend((0..STREAMS).map(|file| Box::pin(self.take(file)) as Part<'_>));
        match select(pin!(together(parts.into_iter())), pin!(self.ticks())).await {
            Either::Left((result, _)) => result,
            Either::Right(_) => unreachable!("the ticks never end"),
        }
    }
}

pub async fn mixed<P: Peer>(peer: &P, case: &Case, sampler: &mut Sampler) -> io::Result<()> {
    sampler.watch();
    sampler.start()?;
    let server = Server {
        peer,
        case,
        sampler,
        tick: Cell::new(0),
        waiting: RefCell::default(),
        times: std::array::from_fn(|_| histogram().into()),
    };
    server.serve().await?;
    let times = server.times.map(RefCell::into_inner);
    for (name, times) in NAMES.iter().zip(times) {
        for (rank, part) in [
            ("p50", 0.5),
            ("p99", 0.99),
            ("p99.9", 0.999),
            ("longest", 1.0),
        ] {
            let time = Duration::from_nanos(times.value_at_quantile(part));
            sampler.metric(&format!("ms, {rank} of a {name}"), time.as_secs_f64() * 1e3);
        }
    }
    let bytes = |set: Set| set.count as u64 * set.len;
    let moved = bytes(case.input()) + bytes(case.small()) + bytes(case.output());
    let seconds = sampler.stop(moved + log::bytes(0..case.lines()))?;
    sampler.metric("s", seconds);
    Ok(())
}

/// Whether the streams and the logs are what was given.
pub fn verify(case: &Case) -> io::Result<()> {
    case.verify()?;
    log::verify(case, STREAMS..STREAMS + LOGS, case.lines())
}

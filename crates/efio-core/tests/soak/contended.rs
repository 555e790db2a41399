//! One file shared by several: writers that never stop while others ask whether all is written
//! (F88), several that make the same call at once (F93), and readers that share a position (F50).

use crate::client::{Client, WaitMode};
use crate::session::Session;
use efio_core::{File, OpenOptions};
use fastrand::Rng;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A writer's bytes count modulo this number; the upper three bits are the writer's number.
const ROUND: u64 = 29;

/// How much is written in large calls; after that a byte at a time, so that writing never stops.
const MOST: u64 = 64 << 20;

/// A file that many write to.
pub struct ContendedFile {
    file: File,
    path: PathBuf,
    /// How many bytes each writer's calls accepted.
    accepted: Vec<AtomicU64>,
    /// Queriers that still run: writers go on until there is none.
    queriers: AtomicUsize,
}

impl ContendedFile {
    /// Opens the file.
    pub fn new(session: &Session, path: PathBuf, random: &mut Rng, writers: usize) -> Arc<Self> {
        let append = random.bool();
        let options = OpenOptions::new()
            .write(!append)
            .append(append)
            .create(true)
            .truncate(!append)
            .io_mode(crate::walker::MODES[random.usize(..4)])
            .events(false);
        let file = session.with(|engine| engine.open(&path, &options));
        Arc::new(Self {
            file: file.unwrap().unwrap(),
            path,
            accepted: (0..writers).map(|_| AtomicU64::new(0)).collect(),
            queriers: AtomicUsize::new(0),
        })
    }

    /// Sets the number of queriers before the first of them runs.
    pub fn expect_queriers(&self, queriers: usize) {
        self.queriers.store(queriers, Ordering::SeqCst);
    }

    /// Writes as long as a querier runs.
    pub async fn write(self: Arc<Self>, client: Client, number: usize, seed: u64) {
        let mut random = Rng::with_seed(seed);
        let pause = [0, 20, 50, 200][random.usize(..4)];
        let largest = [100, 5000, 50_000][random.usize(..3)];
        let mut bytes = vec![0; largest];
        while self.queriers.load(Ordering::SeqCst) > 0 {
            let done = self.accepted[number].load(Ordering::SeqCst);
            let is_much = done > MOST / self.accepted.len() as u64;
            let len = if is_much {
                1
            } else {
                random.usize(1..=largest)
            };
            for (at, byte) in (done..).zip(&mut bytes[..len]) {
                *byte = (number as u8) << 5 | (at % ROUND) as u8;
            }
            match client
                .write(&self.file, &[IoSlice::new(&bytes[..len])])
                .await
            {
                Ok(n) => {
                    self.accepted[number].fetch_add(n as u64, Ordering::SeqCst);
                }
                Err(error) => return client.end(Err(error)),
            }
            if client.wait_mode == WaitMode::Thread && (pause > 0 || is_much) {
                std::thread::sleep(Duration::from_micros(pause.max(50)));
            }
            client.yield_now().await;
        }
    }

    /// Makes queries and checks each result.
    pub async fn query(self: Arc<Self>, client: Client, seed: u64) {
        let mut random = Rng::with_seed(seed);
        loop {
            let result = self.query_once(&client, random.u8(..8)).await;
            let is_over = result.is_err() || client.session.is_stopping();
            client.end(result);
            if is_over {
                break;
            }
            client.yield_now().await;
        }
        self.queriers.fetch_sub(1, Ordering::SeqCst);
    }

    async fn query_once(&self, client: &Client, what: u8) -> io::Result<()> {
        let name = &client.tracker.name;
        let before = self.file.progress()?.accepted;
        match what {
            0..3 => {
                client.flush(&self.file).await?;
                let written = self.file.progress()?.written;
                assert!(written >= before, "{name}: {written} of {before} flushed");
            }
            3..6 => {
                let size = client.size(&self.file).await?;
                let after = self.file.progress()?.accepted;
                assert!(
                    (before..=after).contains(&size),
                    "{name}: size {size}, accepted were {before} to {after}"
                );
            }
            6 => {
                let mark = client.sync(&self.file).await?;
                let durable = self.file.progress()?.durable;
                assert!(
                    durable >= mark && mark >= before,
                    "{name}: {durable}, {mark}"
                );
            }
            _ => client.opened(&self.file).await?,
        }
        Ok(())
    }

    /// Checks, once everything was written, that the file holds each accepted byte once and in the
    /// order of its writer.
    pub fn check(&self, session: &Session) {
        let bytes = std::fs::read(&self.path).unwrap();
        session
            .compared
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let mut seen = vec![0; self.accepted.len()];
        for (at, &byte) in bytes.iter().enumerate() {
            let writer = usize::from(byte >> 5);
            let expected = seen[writer] % ROUND;
            assert_eq!(
                u64::from(byte & 31),
                expected,
                "{:?}: at {at}, byte {} of writer {writer}",
                self.path,
                seen[writer]
            );
            seen[writer] += 1;
        }
        let accepted: Vec<u64> = self
            .accepted
            .iter()
            .map(|count| count.load(Ordering::SeqCst))
            .collect();
        assert_eq!(seen, accepted, "{:?}: bytes of each writer", self.path);
    }
}

/// A file that several read with one position: each byte is returned once.
pub struct SharedReaders {
    file: File,
    len: usize,
    given: Mutex<Vec<(u64, u64)>>,
    /// Readers that did not come to the end.
    left: AtomicUsize,
}

impl SharedReaders {
    pub fn new(session: &Session, path: &Path, random: &mut Rng, readers: usize) -> Arc<Self> {
        let len = 8 * random.usize(1000..500_000);
        let cells = (0..len as u64 / 8).flat_map(u64::to_ne_bytes);
        std::fs::write(path, cells.collect::<Vec<u8>>()).unwrap();
        let options = OpenOptions::new()
            .read(true)
            .events(false)
            .io_mode(crate::walker::MODES[random.usize(..4)]);
        let file = session.with(|engine| engine.open(path, &options));
        Arc::new(Self {
            file: file.unwrap().unwrap(),
            len,
            given: Mutex::default(),
            left: AtomicUsize::new(readers),
        })
    }

    /// Reads to the end.
    pub async fn read(self: Arc<Self>, client: Client, seed: u64) {
        let mut random = Rng::with_seed(seed);
        let mut buffer = vec![0; 8 * 5000];
        loop {
            let len = 8 * random.usize(1..5000);
            match client.read(&self.file, &mut buffer[..len]).await {
                Ok(0) => break,
                Ok(n) => self.note(&client, &buffer[..n]),
                Err(error) => return client.end(Err(error)),
            }
            client.yield_now().await;
        }
        self.left.fetch_sub(1, Ordering::SeqCst);
    }

    /// Checks that the returned bytes are consecutive cells, and records them.
    fn note(&self, client: &Client, bytes: &[u8]) {
        let cell = |at: usize| u64::from_ne_bytes(bytes[8 * at..8 * at + 8].try_into().unwrap());
        assert_eq!(bytes.len() % 8, 0, "{}", client.tracker.name);
        let (first, count) = (cell(0), bytes.len() / 8);
        for at in 0..count {
            let expected = first + at as u64;
            assert_eq!(
                cell(at),
                expected,
                "{}: at {first} + {at}",
                client.tracker.name
            );
        }
        let compared = bytes.len() as u64;
        client
            .session
            .compared
            .fetch_add(compared, Ordering::Relaxed);
        let mut given = self.given.lock().unwrap();
        given.push((first, first + count as u64));
    }

    /// Checks that every byte was returned once, if all readers reached the end.
    pub fn check(&self) {
        if self.left.load(Ordering::SeqCst) > 0 {
            return;
        }
        let mut given = self.given.lock().unwrap();
        given.sort_unstable();
        let mut end = 0;
        for &(from, to) in &*given {
            assert_eq!(from, end, "bytes of a shared reader are missing or doubled");
            end = to;
        }
        assert_eq!(end, self.len as u64 / 8, "a shared reader ends early");
    }
}

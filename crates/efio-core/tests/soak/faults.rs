//! Injected faults: files that reach a limit or fill a disk, with a read or another call after the
//! write that fails (F92, F21), a disk that hangs now and then (F45), readers that stall (F83).

use crate::client::Client;
use crate::session::Session;
use crate::tracker::Call;
use efio_core::{Errno, File, OpenOptions};
use fastrand::Rng;
use std::io::{self, ErrorKind, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// No file of this process becomes longer.
pub const LIMIT: u64 = 1 << 30;

/// How many writes failed as they should.
pub static FAILURES: AtomicU64 = AtomicU64::new(0);
/// How often the disk was frozen.
pub static FREEZES: AtomicU64 = AtomicU64::new(0);

/// Where a file stops taking bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// At [`LIMIT`]: exactly known.
    Limit,
    /// Where the disk is full.
    Full,
}

impl End {
    fn errno(self) -> i32 {
        match self {
            Self::Limit => libc::EFBIG,
            Self::Full => libc::ENOSPC,
        }
    }
}

/// Writes files until they fail.
pub async fn overrun(client: Client, path: PathBuf, end: End, seed: u64) {
    let mut random = Rng::with_seed(seed);
    while !client.session.is_stopping() {
        let result = overrun_once(&client, &path, end, &mut random).await;
        let is_over = result.is_err();
        client.end(result);
        if is_over {
            break;
        }
    }
    let _ = std::fs::remove_file(&path);
}

async fn overrun_once(client: &Client, path: &Path, end: End, random: &mut Rng) -> io::Result<()> {
    let options = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .events(client.wait_mode.has_events())
        .io_mode(crate::walker::MODES[random.usize(..4)]);
    let file = client.open(path, &options)?;
    client.opened(&file).await?;
    let (begin, len) = match end {
        End::Limit => (LIMIT - random.u64(1..100_000), 300_000),
        End::Full => (0, 16 << 20),
    };
    file.set_position(begin)?;
    let mut bytes = vec![0; len];
    random.fill(&mut bytes);
    let mut accepted = 0;
    while accepted < len {
        let step = random.usize(1..200_000).min(len - accepted);
        match client
            .write(&file, &[IoSlice::new(&bytes[accepted..accepted + step])])
            .await
        {
            Ok(n) => accepted += n,
            Err(error) if error.raw_os_error() == Some(end.errno()) => break,
            Err(error) => return Err(error),
        }
    }
    let bytes = &bytes[..accepted];
    let asked = match random.u8(..6) {
        0..3 => {
            file.set_position(begin)?;
            client.read(&file, &mut [0; 100]).await.map(drop)
        }
        3 => client.flush(&file).await,
        4 => client.size(&file).await.map(drop),
        _ => client.sync(&file).await.map(drop),
    };
    match asked {
        Err(error) if error.raw_os_error() == Some(end.errno()) => {}
        Err(error) => return Err(error),
        Ok(()) => panic!("{}: {accepted} bytes, and no error", client.tracker.name),
    }
    FAILURES.fetch_add(1, Ordering::Relaxed);
    let failure = file.failure()?.expect("it was reported");
    assert_eq!(failure.errno, Errno(end.errno()));
    let lost = take_unwritten(client, &file).await?;
    let closed = client.close(file, false).await;
    let result = closed.map_err(|error| error.raw_os_error());
    if result == Err(Some(libc::ESHUTDOWN)) {
        return Err(io::Error::from_raw_os_error(libc::ESHUTDOWN));
    }
    assert_eq!(result, Err(Some(end.errno())), "{}", client.tracker.name);
    check(client, path, end, begin, bytes, failure.offset, &lost)
}

async fn take_unwritten(client: &Client, file: &File) -> io::Result<Vec<efio_core::Unwritten>> {
    let _guard = client.tracker.begin(Call::Write, Some(file.fd()));
    loop {
        match file.take_unwritten() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::yield_now();
                client.yield_now().await;
            }
            result => return result,
        }
    }
}

/// Checks that the bytes on the disk and those that came back are all the bytes, without gap or
/// overlap.
fn check(
    client: &Client,
    path: &Path,
    end: End,
    begin: u64,
    bytes: &[u8],
    offset: u64,
    lost: &[efio_core::Unwritten],
) -> io::Result<()> {
    let name = || format!("{}: after a failure at {offset}", client.tracker.name);
    let first = lost.first().map(|range| range.offset);
    if end == End::Limit {
        assert_eq!((first, offset), (Some(LIMIT), LIMIT), "{}", name());
    }
    let first = first.unwrap_or(begin + bytes.len() as u64);
    assert!(
        offset <= first && offset >= begin,
        "{}: lost from {first}",
        name()
    );
    let at = (first - begin) as usize;
    let mut there = vec![0; at];
    std::fs::File::open(path)?.read_exact_at(&mut there, begin)?;
    client.session.compare(name, &there, &bytes[..at]);
    let lost: Vec<u8> = lost.iter().flat_map(|range| range.bytes.clone()).collect();
    client.session.compare(name, &lost, &bytes[at..]);
    std::fs::remove_file(path)
}

/// Reads a little of each of some files, and then stalls while read-ahead holds memory.
pub async fn stop_reading(client: Client, path: PathBuf, files: usize) {
    let result = hold(&client, &path, files).await;
    client.end(result);
}

async fn hold(client: &Client, path: &Path, files: usize) -> io::Result<()> {
    let options = OpenOptions::new().read(true).events(false).prefetch(true);
    let mut held = Vec::new();
    for _ in 0..files {
        let file = client.open(path, &options)?;
        let n = client.read(&file, &mut [0; 100]).await?;
        assert!(n > 0, "{}: an empty file", client.tracker.name);
        held.push(file);
    }
    let mut at = 0;
    while !client.session.is_stopping() && !client.session.is_ending() {
        std::thread::sleep(Duration::from_millis(5));
        // One of them goes on, rarely.
        at = (at + 1) % held.len();
        if client.read(&held[at], &mut [0; 5000]).await? == 0 {
            held[at].set_position(0)?;
        }
    }
    Ok(())
}

/// Freezes and thaws the disk until the session stops.
pub fn freeze(session: &Session, mount: &crate::common::mount::Mount, seed: u64) {
    let mut random = Rng::with_seed(seed);
    let pause = |millis| std::thread::sleep(Duration::from_millis(millis));
    let say = |is_frozen| *session.frozen.lock().unwrap() = (is_frozen, Instant::now());
    while !session.is_stopping() && !session.is_ending() {
        pause(random.u64(10..300));
        say(true);
        let frozen = mount.freeze();
        FREEZES.fetch_add(1, Ordering::Relaxed);
        pause(random.u64(10..500));
        drop(frozen);
        say(false);
    }
}

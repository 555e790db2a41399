//! Real files through the engine, in each io mode.

mod common;

use common::mount;
use common::{
    Dir, PORTABLE, TIMEOUT, closed, errno, event, pattern, read_all, readable, ready, skip,
    write_all,
};
use efio_core::{Engine, EventKind, FileStats, IoMode, ModeReason, OpenOptions};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

const MODES: [IoMode; 4] = [
    IoMode::Direct,
    IoMode::Uncached,
    IoMode::Cached,
    IoMode::Auto,
];
const SIZES: [usize; 12] = [
    0,
    1,
    511,
    4095,
    4096,
    4097,
    65_537,
    (1 << 20) - 1,
    (1 << 20) + 1,
    (2 << 20) - 1,
    (2 << 20) + 1,
    20_000_003,
];

fn engine(mode: IoMode) -> Engine {
    Engine::builder().io_mode(mode).start().unwrap()
}

fn create() -> OpenOptions {
    OpenOptions::new().write(true).create(true).truncate(true)
}

fn reading() -> OpenOptions {
    OpenOptions::new().read(true)
}

#[test]
fn files_come_back_as_they_were_written() {
    let dir = Dir::new();
    for mode in MODES {
        let engine = engine(mode);
        for len in SIZES {
            let path = dir.join("file");
            let bytes = pattern(len);
            let file = engine.open(&path, &create()).unwrap();
            for part in bytes.chunks(60_001) {
                write_all(&engine, &file, part).unwrap();
            }
            let mark = file.sync().unwrap();
            assert_eq!(mark, len as u64);
            let synced = event(&engine, |event| {
                matches!(event.kind, EventKind::Synced { .. })
            });
            assert_eq!(synced.kind, EventKind::Synced { upto: mark });
            let progress = file.progress().unwrap();
            assert_eq!((progress.written, progress.durable), (mark, mark));
            let fd = file.fd();
            file.close().unwrap();
            assert_eq!(closed(&engine, fd), Ok(()));
            assert!(
                std::fs::read(&path).unwrap() == bytes,
                "{mode:?}, {len} bytes written"
            );

            let file = engine.open(&path, &reading()).unwrap();
            let read = read_all(&engine, &file, 50_000).unwrap();
            assert!(read == bytes, "{mode:?}, {len} bytes read");
        }
        assert!(engine.shutdown(TIMEOUT).unwrap().is_clean());
    }
}

/// F19, and the position that read, write and seek share.
#[test]
fn a_read_sees_what_was_written_before() {
    let dir = Dir::new();
    for mode in MODES {
        let engine = engine(mode);
        let path = dir.join("both");
        std::fs::write(&path, pattern(100_000)).unwrap();
        let mut model = pattern(100_000);
        let file = engine
            .open(&path, &OpenOptions::new().read(true).write(true))
            .unwrap();
        for (at, len) in [
            (0, 10),
            (50_000, 9000),
            (5, 4096),
            (99_990, 5000),
            (4096, 8192),
        ] {
            file.set_position(at as u64).unwrap();
            let bytes = vec![at as u8; len];
            write_all(&engine, &file, &bytes).unwrap();
            model.resize(model.len().max(at + len), 0);
            model[at..at + len].copy_from_slice(&bytes);
            let start = at.saturating_sub(3000);
            file.set_position(start as u64).unwrap();
            assert!(
                read_all(&engine, &file, 7000).unwrap() == model[start..],
                "{mode:?} at {at}"
            );
        }
    }
}

/// `readable` takes nothing: what it reports, bytes or the end, the next read returns at once.
#[test]
fn what_is_available_can_be_read() {
    let dir = Dir::new();
    for mode in MODES {
        let engine = engine(mode);
        let path = dir.join("looked-at");
        let bytes = pattern(3_000_001);
        std::fs::write(&path, &bytes).unwrap();
        let fd = engine.open(&path, &reading()).unwrap().into_fd();
        let mut read = Vec::new();
        let mut buf = vec![0; 70_000];
        loop {
            let available = ready(&engine, fd, || engine.file(fd).available()).unwrap();
            assert!(engine.file(fd).available().unwrap() >= available);
            let n = engine.file(fd).read(&mut buf).unwrap();
            assert!(
                n >= available.min(buf.len()),
                "{mode:?}: {n} of {available}"
            );
            assert_eq!(n == 0, available == 0, "{mode:?}");
            if n == 0 {
                break;
            }
            read.extend_from_slice(&buf[..n]);
        }
        assert!(read == bytes, "{mode:?}");

        // A new position invalidates what was reported.
        ready(&engine, fd, || engine.file(fd).available()).unwrap();
        engine.file(fd).set_position(2_999_999).unwrap();
        assert!(matches!(
            ready(&engine, fd, || engine.file(fd).available()),
            Ok(1..=2)
        ));
        engine.file(fd).close().unwrap();
        assert_eq!(closed(&engine, fd), Ok(()));
        assert_eq!(errno(engine.file(fd).available()), libc::EBADF);

        let writer = engine.open(dir.join("new"), &create()).unwrap();
        assert_eq!(errno(writer.available()), libc::EBADF);
        let missing = engine
            .open(dir.join("missing"), &reading())
            .unwrap()
            .into_fd();
        let refused = ready(&engine, missing, || engine.file(missing).available());
        assert_eq!(errno(refused), libc::ENOENT);
    }
}

/// F29: whatever others append, no bytes are overwritten or cut off.
#[test]
fn appends_of_two_writers_all_arrive() {
    use std::io::Write;
    let dir = Dir::new();
    for mode in MODES {
        let engine = engine(mode);
        let path = dir.join(&format!("log-{mode:?}"));
        let mut other = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .unwrap();
        let ours = engine
            .open(&path, &OpenOptions::new().append(true).create(true))
            .unwrap();
        for line in 0..2000 {
            // In one call: only a whole write is atomic.
            other
                .write_all(format!("other {line}\n").as_bytes())
                .unwrap();
            write_all(&engine, &ours, format!("ours {line}\n").as_bytes()).unwrap();
            if line % 100 == 0 {
                ours.sync().unwrap();
            }
        }
        let fd = ours.fd();
        ours.close().unwrap();
        assert_eq!(closed(&engine, fd), Ok(()));
        let text = std::fs::read_to_string(&path).unwrap();
        for who in ["other", "ours"] {
            let lines: Vec<_> = text.lines().filter(|line| line.starts_with(who)).collect();
            let expected: Vec<_> = (0..2000).map(|line| format!("{who} {line}")).collect();
            assert!(
                lines == expected,
                "{mode:?}: lines of {who} are lost or torn"
            );
        }
    }
}

/// The driver writes accepted bytes within the flush interval, without a call.
#[test]
fn the_flushes_interval_the_open_page() {
    let dir = Dir::new();
    let engine = Engine::builder()
        .flush_interval(Duration::from_millis(50))
        .start()
        .unwrap();
    let path = dir.join("log");
    let file = engine
        .open(&path, &OpenOptions::new().append(true).create(true))
        .unwrap();
    for round in 1..=3 {
        file.write(b"0123456789").unwrap();
        let deadline = std::time::Instant::now() + TIMEOUT;
        while file.progress().unwrap().written < 10 * round {
            assert!(std::time::Instant::now() < deadline, "never flushed");
            std::thread::sleep(Duration::from_millis(5));
        }
        // Long enough for the driver to take the file off its timers.
        std::thread::sleep(Duration::from_millis(120));
    }
    assert_eq!(std::fs::read(&path).unwrap().len(), 30);
    assert!(engine.stats().flushes_interval >= 3);
}

/// F17: the end of file is the kernel's current one.
#[test]
fn a_file_that_grows_reads_on() {
    use std::io::Write;
    let dir = Dir::new();
    for mode in MODES {
        let engine = engine(mode);
        let path = dir.join(&format!("growing-{mode:?}"));
        let mut other = std::fs::File::create(&path).unwrap();
        let file = engine.open(&path, &reading()).unwrap();
        for step in 0..20 {
            let bytes = pattern(1 + step * 777);
            other.write_all(&bytes).unwrap();
            assert!(
                read_all(&engine, &file, 4000).unwrap() == bytes,
                "{mode:?}, step {step}"
            );
        }
        // A file that shrank ends at its new end.
        other.set_len(10).unwrap();
        assert_eq!(
            ready(&engine, file.fd(), || file.read(&mut [0; 10])).unwrap(),
            0
        );
        file.set_position(8).unwrap();
        assert_eq!(read_all(&engine, &file, 100).unwrap().len(), 2);
    }
}

/// F7: one write of more than 2 GiB is a short count, and every byte is accounted for.
#[test]
fn a_huge_write_is_split() {
    let dir = Dir::new();
    let engine = engine(IoMode::Direct);
    let path = dir.join("huge");
    let file = engine.open(&path, &create()).unwrap();
    let bytes = vec![7u8; (2 << 30) + 10];
    let accepted = file.write(&bytes).unwrap();
    assert!(accepted > 0 && accepted < bytes.len());
    let fd = file.fd();
    file.close().unwrap();
    assert_eq!(closed(&engine, fd), Ok(()));
    assert_eq!(std::fs::metadata(&path).unwrap().len(), accepted as u64);
}

/// The caller's own thread reads what is in the page cache, with one system call.
#[test]
fn cached_reads_are_answered_at_once() {
    if PORTABLE {
        return skip("this system layer does not know what is in the page cache");
    }
    let dir = Dir::new();
    let path = dir.join("cached");
    let bytes = pattern(500_000);
    std::fs::write(&path, &bytes).unwrap();
    let engine = engine(IoMode::Cached);
    let file = engine.open(&path, &reading()).unwrap();
    event(&engine, |event| event.kind == EventKind::Opened);
    let mut all = Vec::new();
    let mut buffer = [0; 7001];
    loop {
        match file
            .read(&mut buffer)
            .expect("just written: in the page cache")
        {
            0 => break,
            n => all.extend_from_slice(&buffer[..n]),
        }
    }
    assert!(all == bytes);
    let stats = engine.stats();
    assert_eq!((stats.reads_blocked, stats.ops), (0, 0));
    assert_eq!(stats.reads_from_cache, 500_000u64.div_ceil(7001) + 1);
}

/// `mode` reports what the engine chose for a file and why, also what the kernel refused.
#[test]
fn the_mode_of_a_file_is_reported_with_its_reason() {
    let dir = Dir::new();
    let engine = engine(IoMode::Auto);
    let status = |path: PathBuf, options: OpenOptions| {
        let file = engine.open(path, &options).unwrap();
        event(&engine, |event| event.kind == EventKind::Opened);
        write_all(&engine, &file, &pattern(1 << 20)).unwrap();
        file.sync().unwrap();
        event(&engine, |event| {
            matches!(event.kind, EventKind::Synced { .. })
        });
        let stats = file.stats().unwrap();
        (stats.mode, stats.mode_reason)
    };
    let auto = status(dir.join("auto"), create());
    let append = status(
        dir.join("append"),
        OpenOptions::new().append(true).create(true),
    );
    let cached = status(dir.join("cached"), create().io_mode(IoMode::Cached));
    assert_eq!(cached, (IoMode::Cached, ModeReason::Asked));
    if PORTABLE {
        assert_eq!(auto, (IoMode::Cached, ModeReason::NoDirect));
        assert_eq!(append, (IoMode::Cached, ModeReason::UncachedRefused));
    } else {
        // The work directory is on a disk.
        assert_eq!(auto, (IoMode::Direct, ModeReason::Chosen));
        assert_eq!(append.1, ModeReason::Chosen);
    }
    if let Some(memory) = mount::memory(8 << 20) {
        let auto = status(memory.join("auto"), create());
        assert_eq!(auto, (IoMode::Cached, ModeReason::NoDirect));
        // It has neither direct IO nor uncached writes.
        let direct = status(memory.join("direct"), create().io_mode(IoMode::Direct));
        assert_eq!(direct, (IoMode::Cached, ModeReason::UncachedRefused));
    }
    let stats = engine.stats();
    let opened = stats.opened_direct + stats.opened_uncached + stats.opened_cached;
    assert!((3..=5).contains(&opened), "{stats:?}");
    assert_eq!(stats.opened_direct, u64::from(!PORTABLE));
    assert_eq!(file_not_opened(&engine, &dir), ModeReason::NotOpen);
}

/// The reason of a file that the kernel refused.
fn file_not_opened(engine: &Engine, dir: &Dir) -> ModeReason {
    let file = engine.open(dir.join("nothing"), &reading()).unwrap();
    event(engine, |event| matches!(event.kind, EventKind::Failed(_)));
    file.stats().unwrap().mode_reason
}

/// The io traits of std and the streams of efio-bstream work on a file as on any other stream.
#[test]
fn streams_stand_on_files() {
    use efio_core::bstream::{Chunked, SinkWriter, SourceReader};
    use std::io::{BufRead, ErrorKind, Seek, SeekFrom, Write};
    let dir = Dir::new();
    let path = dir.join("lines");
    let engine = engine(IoMode::Auto);

    // Written as HTTP chunks, each at least 1000 bytes long.
    let file = engine.open(&path, &create()).unwrap();
    let mut chunked = SinkWriter::new(&file, Chunked, 1000);
    for line in 0..1000 {
        writeln!(chunked, "line {line}").unwrap();
    }
    while let Err(error) = chunked.finish() {
        assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
        event(&engine, |event| event.kind == EventKind::Writable);
    }
    drop(chunked);
    let progress = file.progress().unwrap();
    assert_eq!(progress.written, progress.accepted, "flushed");
    assert_eq!(std::fs::read(&path).unwrap().len() as u64, progress.written);
    assert!(
        std::fs::read_to_string(&path)
            .unwrap()
            .ends_with("\r\n0\r\n\r\n")
    );

    // And read line by line.
    std::fs::write(&path, "one\ntwo\nthree\n").unwrap();
    let mut file = engine.open(&path, &reading()).unwrap();
    let mut source = SourceReader::new(&file);
    let mut line = String::new();
    let mut lines = Vec::new();
    loop {
        match source.read_line(&mut line) {
            Ok(0) => break,
            Ok(_) => lines.push(std::mem::take(&mut line)),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                event(&engine, |event| event.kind == EventKind::Readable);
            }
        }
    }
    assert_eq!(lines, ["one\n", "two\n", "three\n"]);
    drop(source);
    assert_eq!(Seek::seek(&mut file, SeekFrom::Start(4)).unwrap(), 4);
    assert_eq!(Seek::seek(&mut file, SeekFrom::Current(4)).unwrap(), 8);
    assert!(Seek::seek(&mut file, SeekFrom::Current(-9)).is_err());
    let mut three = [0; 5];
    while let Err(error) = file.read(&mut three) {
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        event(&engine, |event| event.kind == EventKind::Readable);
    }
    assert_eq!(&three, b"three");
}

/// F38: a writer faster than the disk is limited to its share, and notified when there is room.
#[test]
fn backpressure_is_a_short_count_and_an_event() {
    let dir = Dir::new();
    let engine = Engine::builder()
        .memory_budget(4 << 20)
        .write_behind(1 << 20)
        .start()
        .unwrap();
    let file = engine.open(dir.join("file"), &create()).unwrap();
    let bytes = pattern(64 << 20);
    write_all(&engine, &file, &bytes).unwrap();
    assert!(
        engine.stats().writes_blocked > 0,
        "64 MiB through 1 MiB must block"
    );
    let fd = file.fd();
    file.close().unwrap();
    assert_eq!(closed(&engine, fd), Ok(()));
    assert!(std::fs::read(dir.join("file")).unwrap() == bytes);
}

/// F12, F13, F55: files that are dropped in any state are drained and leak no descriptor.
#[test]
fn dropped_files_are_drained() {
    let dir = Dir::new();
    {
        let engine = engine(IoMode::Auto);
        for number in 0..200 {
            let file = engine
                .open(dir.join(&format!("{number}")), &create())
                .unwrap();
            file.write(&pattern(5000)).unwrap();
        }
    }
    for number in 0..200 {
        assert!(std::fs::read(dir.join(&format!("{number}"))).unwrap() == pattern(5000));
    }
    let ours = |entry: std::io::Result<std::fs::DirEntry>| {
        let link = std::fs::read_link(entry.unwrap().path()).unwrap_or_default();
        link.starts_with(dir.path())
    };
    let open = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| ours(entry).then_some(()));
    assert_eq!(open.count(), 0, "kernel descriptors leaked");
}

/// F50: calls on one descriptor from several threads happen one after the other.
#[test]
fn threads_share_a_file() {
    let dir = Dir::new();
    let path = dir.join("shared");
    let engine = engine(IoMode::Auto);
    let file = engine.open(&path, &create()).unwrap();
    let line = |thread: u8| [thread; 100];
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let file = &file;
            scope.spawn(move || {
                for _ in 0..2000 {
                    while file.write(&line(thread)).is_err() {
                        std::thread::yield_now();
                    }
                    drop(file.sync());
                }
            });
        }
    });
    let fd = file.fd();
    file.close().unwrap();
    assert_eq!(closed(&engine, fd), Ok(()));
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(bytes.len(), 4 * 2000 * 100);
    for line in bytes.chunks(100) {
        assert!(line.iter().all(|&byte| byte == line[0]), "a write was torn");
    }
}

/// F11: of two closes one succeeds.
#[test]
fn two_closes_race() {
    let dir = Dir::new();
    let engine = engine(IoMode::Auto);
    for _ in 0..200 {
        let file = engine.open(dir.join("raced"), &create()).unwrap();
        let close = || {
            engine
                .file(file.fd())
                .close()
                .map_err(|error| error.raw_os_error())
        };
        let results = std::thread::scope(|scope| {
            let (a, b) = (scope.spawn(close), scope.spawn(close));
            [a.join().unwrap(), b.join().unwrap()]
        });
        assert!(results.contains(&Ok(())) && results.contains(&Err(Some(libc::EBADF))));
    }
}

/// F47 and the promise of the queue: readable while an event waits, not readable when none does.
#[test]
fn the_event_descriptor_is_level_triggered() {
    let dir = Dir::new();
    let engine = engine(IoMode::Auto);
    assert!(!readable(&engine, Duration::ZERO));
    let first = engine.open(dir.join("a"), &create()).unwrap();
    let second = engine.open(dir.join("b"), &create()).unwrap();
    while !(first.open_status().unwrap() && second.open_status().unwrap()) {
        std::thread::yield_now();
    }
    assert!(readable(&engine, TIMEOUT));
    assert!(readable(&engine, TIMEOUT), "still: nothing was taken");
    event(&engine, |event| event.kind == EventKind::Opened);
    assert!(readable(&engine, TIMEOUT), "the second event waits");
    event(&engine, |event| event.kind == EventKind::Opened);
    assert!(engine.events().try_next().is_none());
    assert!(!readable(&engine, Duration::ZERO));
}

/// After a shutdown every call fails cleanly.
#[test]
fn a_shutdown_closes_everything() {
    let dir = Dir::new();
    let engine = engine(IoMode::Auto);
    let file = engine.open(dir.join("file"), &create()).unwrap();
    file.write(b"left in memory").unwrap();
    assert!(engine.shutdown(TIMEOUT).unwrap().is_clean());
    assert_eq!(errno(file.write(b"late")), libc::ESHUTDOWN);
    assert_eq!(errno(file.sync()), libc::ESHUTDOWN);
    assert_eq!(std::fs::read(dir.join("file")).unwrap(), b"left in memory");
}

/// The counters of a file show what happened to it, and those of the engine are the sum.
#[test]
fn the_counters_show_what_happened() {
    let dir = Dir::new();
    let engine = Engine::new().unwrap();
    let options = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .io_mode(IoMode::Cached);
    let file = engine.open(dir.join("file"), &options).unwrap();
    assert_eq!(file.stats().unwrap(), FileStats::default());
    file.write(&[7; 5000]).unwrap();
    file.sync().unwrap();
    event(&engine, |event| {
        matches!(event.kind, EventKind::Synced { .. })
    });
    file.set_position(0).unwrap();
    let mut buf = [0; 3000];
    let mut total = 0;
    loop {
        match file.read(&mut buf) {
            Ok(0) => break,
            Ok(n) => total += n,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                event(&engine, |event| event.kind == EventKind::Readable);
            }
        }
    }
    assert_eq!(total, 5000);
    let stats = file.stats().unwrap();
    assert_eq!(stats.written.cached, 5000);
    assert_eq!(stats.written.direct + stats.written.uncached, 0);
    assert!(
        stats.reads_served >= 3,
        "two with bytes and the end of file"
    );
    let whole = engine.stats();
    assert_eq!(whole.reads_served, stats.reads_served);
    assert_eq!(whole.reads_blocked, stats.reads_blocked);
    assert_eq!(whole.reads_from_cache, stats.reads_from_cache);
    assert_eq!(whole.written.buffered(), 5000);
    assert!(whole.flushes_sync >= 1);
    assert_eq!((whole.flushes_full, whole.flushes_close), (0, 0));

    let fd = file.fd();
    file.write(b"rest").unwrap();
    file.close().unwrap();
    event(&engine, |event| {
        event.fd == fd && matches!(event.kind, EventKind::Closed { .. })
    });
    assert!(engine.file(fd).stats().is_err());
    let whole = engine.stats();
    assert_eq!(
        whole.reads_served, stats.reads_served,
        "also of closed files"
    );
    assert_eq!(whole.flushes_close, 1);
}

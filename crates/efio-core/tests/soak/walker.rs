//! One file that a single actor uses, with a model of each of its bytes: a random walk over every
//! call. A task drops futures, too.

use crate::client::{Client, WaitMode};
use crate::session::Record;
use efio_core::{AsyncFile, File, IoMode, OpenOptions};
use fastrand::Rng;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

/// A pending positional call, and its expected result.
struct Asked {
    token: u64,
    at: usize,
    len: usize,
    /// `None` for a write.
    bytes: Option<Vec<u8>>,
}

pub struct Walker {
    client: Client,
    random: Rng,
    record: Arc<Mutex<Record>>,
    position: usize,
    append: bool,
    /// How long the file may become.
    most: usize,
    asked: VecDeque<Asked>,
    buffer: Vec<u8>,
    /// The next seek of tokio may have the error of one that was dropped.
    has_dropped_seek: bool,
}

pub const MODES: [IoMode; 4] = [
    IoMode::Direct,
    IoMode::Uncached,
    IoMode::Cached,
    IoMode::Auto,
];

impl Walker {
    pub fn new(client: Client, path: PathBuf, seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let record = Arc::new(Mutex::new(Record {
            path,
            bytes: Vec::new(),
            fds: Vec::new(),
        }));
        client
            .session
            .records
            .lock()
            .unwrap()
            .push(Arc::clone(&record));
        let most = 1 << random.usize(12..23);
        Self {
            client,
            random,
            record,
            position: 0,
            append: false,
            most,
            asked: VecDeque::new(),
            buffer: vec![0; 1 << 18],
            has_dropped_seek: false,
        }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap()
    }

    fn len(&self) -> usize {
        self.record().bytes.len()
    }

    pub async fn run(mut self) {
        let result = self.walk().await;
        self.client.end(result);
    }

    async fn walk(&mut self) -> io::Result<()> {
        let mut is_new = true;
        while !self.client.session.is_stopping() {
            let mut file = AsyncFile::from(self.open(is_new).await?);
            is_new = false;
            for _ in 0..self.random.usize(1..200) {
                if self.client.session.is_stopping() {
                    break;
                }
                self.step(&mut file).await?;
                self.client.yield_now().await;
            }
            self.land_all(file.get_ref()).await?;
            self.close(file.into_inner()).await?;
        }
        Ok(())
    }

    async fn open(&mut self, is_new: bool) -> io::Result<File> {
        let random = &mut self.random;
        let truncate = is_new || random.u8(..3) == 0;
        self.append = !truncate && random.u8(..4) == 0;
        let options = OpenOptions::new()
            .read(true)
            .write(!self.append)
            .append(self.append)
            .create(true)
            .truncate(truncate)
            .prefetch(random.bool())
            // A client that waits for events has to get them.
            .events(self.client.wait_mode.has_events() || random.bool())
            .io_mode(MODES[random.usize(..4)]);
        let waits = random.u8(..4) != 0;
        let path = self.record().path.clone();
        let file = self.client.open(&path, &options)?;
        self.begin(&file, truncate);
        self.position = 0;
        if waits {
            self.client.opened(&file).await?;
        }
        Ok(file)
    }

    fn begin(&self, file: &File, truncate: bool) {
        let mut record = self.record();
        record.fds.push(file.fd());
        if truncate {
            record.bytes.clear();
        }
    }

    /// How many bytes a call is about: mostly few, sometimes many.
    fn amount(&mut self) -> usize {
        let most = self.buffer.len();
        match self.random.u8(..8) {
            0 => self.random.usize(1..most),
            1..=2 => 4096 << self.random.u8(..5),
            3 => self.random.usize(1..70_000),
            _ => self.random.usize(1..3000),
        }
    }

    /// A range within the file.
    fn within(&mut self) -> Option<Range<usize>> {
        let len = self.len();
        if len == 0 {
            return None;
        }
        let mut at = self.random.usize(..len);
        if self.random.bool() {
            at &= !4095;
        }
        let end = len.min(at + self.amount());
        Some(at..end)
    }

    async fn step(&mut self, file: &mut AsyncFile) -> io::Result<()> {
        if self.client.wait_mode == WaitMode::Task && self.random.u8(..3) == 0 {
            return self.drop_future(file).await;
        }
        let file = file.get_ref();
        match self.random.u8(..100) {
            0..30 => self.write(file).await,
            30..60 => self.read(file).await,
            60..72 => self.seek(file).await,
            72..76 => self.size(file).await,
            76..80 => self.flush(file).await,
            80..82 => self.sync(file).await,
            82..84 => self.truncate(file),
            84..90 => self.write_at(file),
            90..96 => self.read_at(file),
            96..98 => self.land_all(file).await,
            _ => self.look(file),
        }
    }

    async fn write(&mut self, file: &File) -> io::Result<()> {
        let len = self.amount().min(self.most.saturating_sub(self.position));
        if len == 0 || (self.append && self.len() + len > self.most) {
            return Ok(());
        }
        if self.asked.iter().any(|asked| asked.bytes.is_some()) {
            // A positional read may see what the stream writes after it.
            self.land_all(file).await?;
        }
        self.random.fill(&mut self.buffer[..len]);
        let cut = self.random.usize(..=len);
        let bufs = [
            IoSlice::new(&self.buffer[..cut]),
            IoSlice::new(&self.buffer[cut..len]),
        ];
        let bufs = if cut == len { &bufs[..1] } else { &bufs[..] };
        let n = self.client.write(file, bufs).await?;
        self.was_written(file, len, n)
    }

    /// The file accepted `n` of the first `len` bytes of the buffer.
    fn was_written(&mut self, file: &File, len: usize, n: usize) -> io::Result<()> {
        assert!(
            n > 0 && n <= len,
            "{}: wrote {n} of {len}",
            self.client.tracker.name
        );
        let mut record = self.record.lock().unwrap();
        let at = if self.append {
            record.bytes.len()
        } else {
            self.position
        };
        put(&mut record.bytes, at, &self.buffer[..n]);
        // The position after an append is another test's matter: set it.
        let end = record.bytes.len();
        drop(record);
        self.position += n;
        if self.append {
            file.set_position(end as u64)?;
            self.position = end;
        }
        Ok(())
    }

    async fn read(&mut self, file: &File) -> io::Result<()> {
        let len = self.amount().min(self.buffer.len());
        let n = self.client.read(file, &mut self.buffer[..len]).await?;
        self.was_read(n);
        Ok(())
    }

    /// A read returned the first `n` bytes of the buffer.
    fn was_read(&mut self, n: usize) {
        let record = self.record.lock().unwrap();
        let rest = record.bytes.get(self.position..).unwrap_or_default();
        let name = || format!("{}: a read at {}", self.client.tracker.name, self.position);
        assert!(
            n > 0 || rest.is_empty(),
            "{}: ends, {} bytes are there",
            name(),
            rest.len()
        );
        let expected = &rest[..n.min(rest.len())];
        self.client
            .session
            .compare(name, &self.buffer[..n], expected);
        drop(record);
        self.position += n;
    }

    /// Polls a future a few times and drops it, as a `select!` does. What is dropped has no effect
    /// later (F86): all that follows on the file is checked.
    async fn drop_future(&mut self, file: &mut AsyncFile) -> io::Result<()> {
        let polls = [1, 1, 2, 5][self.random.usize(..4)];
        match self.random.u8(..12) {
            0..6 => {
                let (len, to) = (self.len(), self.random.usize(..=self.len()));
                let by = |from| to as i64 - from as i64;
                let seek = match self.random.u8(..4) {
                    0 => SeekFrom::Start(to as u64),
                    1 => SeekFrom::Current(by(self.position)),
                    _ => SeekFrom::End(by(len)),
                };
                match self.client.poll_some(polls, file.seek(seek)).await {
                    None => self.has_dropped_seek = true,
                    Some(result) => {
                        let is_dropped = std::mem::take(&mut self.has_dropped_seek);
                        match result {
                            // The dropped one goes before the start since the file is shorter.
                            Err(error) if is_dropped && is_invalid(&error) => {}
                            result => {
                                let name = &self.client.tracker.name;
                                assert_eq!(result?, to as u64, "{name}: {seek:?}");
                                self.position = to;
                            }
                        }
                    }
                }
            }
            6..8 => {
                let len = self.amount().min(self.buffer.len());
                let read = file.read(&mut self.buffer[..len]);
                if let Some(n) = self.client.poll_some(polls, read).await {
                    self.was_read(n?);
                }
            }
            8 => {
                let most = self.amount();
                let Some(shown) = self.client.poll_some(polls, file.fill_buf()).await else {
                    return Ok(());
                };
                let shown = shown?;
                let n = shown.len().min(most).min(self.buffer.len());
                self.buffer[..n].copy_from_slice(&shown[..n]);
                file.consume(n);
                self.was_read(n);
            }
            9 => {
                let most = self.most.saturating_sub(self.position.max(self.len()));
                let len = self.amount().min(most);
                if len == 0 {
                    return Ok(());
                }
                self.land_all(file.get_ref()).await?;
                self.random.fill(&mut self.buffer[..len]);
                let write = file.write(&self.buffer[..len]);
                if let Some(n) = self.client.poll_some(polls, write).await {
                    self.was_written(file.get_ref(), len, n?)?;
                }
            }
            10 => {
                if let Some(flushed) = self.client.poll_some(polls, file.flush()).await {
                    flushed?;
                    let marks = file.get_ref().progress()?;
                    let name = &self.client.tracker.name;
                    assert_eq!(marks.written, marks.accepted, "{name}: flushed");
                }
            }
            _ => {
                if let Some(mark) = self.client.poll_some(polls, file.sync()).await {
                    let (mark, durable) = (mark?, file.get_ref().progress()?.durable);
                    assert!(durable >= mark, "{}", self.client.tracker.name);
                }
            }
        }
        Ok(())
    }

    async fn seek(&mut self, file: &File) -> io::Result<()> {
        if self.random.u8(..4) == 0 {
            let end = self.client.seek_to_end(file).await?;
            assert_eq!(end, self.len() as u64, "{}", self.client.tracker.name);
            self.position = end as usize;
            return Ok(());
        }
        let to = self.random.usize(..=self.len());
        self.client
            .now("seek", file, || file.set_position(to as u64))?;
        self.position = to;
        Ok(())
    }

    async fn size(&mut self, file: &File) -> io::Result<()> {
        let size = self.client.size(file).await?;
        assert_eq!(
            size,
            self.len() as u64,
            "{}: the size",
            self.client.tracker.name
        );
        Ok(())
    }

    async fn flush(&mut self, file: &File) -> io::Result<()> {
        self.client.flush(file).await?;
        let marks = file.progress()?;
        assert_eq!(
            marks.written, marks.accepted,
            "{}",
            self.client.tracker.name
        );
        Ok(())
    }

    async fn sync(&mut self, file: &File) -> io::Result<()> {
        let mark = self.client.sync(file).await?;
        let marks = file.progress()?;
        assert!(
            marks.durable >= mark,
            "{}: {marks:?}",
            self.client.tracker.name
        );
        Ok(())
    }

    fn truncate(&mut self, file: &File) -> io::Result<()> {
        let len = self.random.usize(..=self.most);
        self.client
            .now("truncate", file, || file.set_len(len as u64))?;
        self.record().bytes.resize(len, 0);
        // After the end a write would leave a hole.
        let to = self.position.min(len);
        self.position = to;
        file.set_position(to as u64)
    }

    fn write_at(&mut self, file: &File) -> io::Result<()> {
        let Some(range) = self.within().filter(|_| !self.append) else {
            return Ok(());
        };
        let (at, len) = (range.start, range.len());
        let Some(mut buffer) = self.memory(len)? else {
            return Ok(());
        };
        self.random.fill(&mut buffer);
        let bytes = buffer.to_vec();
        let token = self.client.session.token();
        let asked = self
            .client
            .now("write_at", file, || file.write_at(at as u64, buffer, token));
        asked?;
        put(&mut self.record().bytes, at, &bytes);
        self.asked.push_back(Asked {
            token,
            at,
            len,
            bytes: None,
        });
        Ok(())
    }

    fn read_at(&mut self, file: &File) -> io::Result<()> {
        let Some(range) = self.within() else {
            return Ok(());
        };
        let (at, len) = (range.start, range.len());
        let Some(buffer) = self.memory(len)? else {
            return Ok(());
        };
        let token = self.client.session.token();
        let asked = self
            .client
            .now("read_at", file, || file.read_at(at as u64, buffer, token));
        asked?;
        let bytes = Some(self.record().bytes[range].to_vec());
        self.asked.push_back(Asked {
            token,
            at,
            len,
            bytes,
        });
        Ok(())
    }

    /// A buffer, if there is memory for it.
    fn memory(&self, len: usize) -> io::Result<Option<efio_core::Buffer>> {
        if self.asked.len() > 8 {
            return Ok(None);
        }
        match self.client.session.with(|engine| engine.buffer(len)) {
            None => Err(io::Error::from_raw_os_error(libc::ESHUTDOWN)),
            Some(Err(error)) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Some(buffer) => buffer.map(Some),
        }
    }

    /// Waits for every positional call.
    async fn land_all(&mut self, file: &File) -> io::Result<()> {
        while let Some(asked) = self.asked.pop_front() {
            let Some(completed) = self.client.completion(file, asked.token).await else {
                return Err(io::Error::from_raw_os_error(libc::ESHUTDOWN));
            };
            let n = completed.result?;
            let Asked { at, len, .. } = asked;
            let name = || format!("{}: {len} bytes at {at}", self.client.tracker.name);
            assert_eq!(n, len, "{}", name());
            if let Some(bytes) = asked.bytes {
                self.client
                    .session
                    .compare(name, &completed.buffer[..n], &bytes);
            }
        }
        Ok(())
    }

    /// Makes the calls that are allowed at any time and change nothing.
    fn look(&mut self, file: &File) -> io::Result<()> {
        self.client.now("look", file, || {
            let marks = file.progress()?;
            assert!(marks.accepted >= marks.written && marks.written >= marks.durable);
            assert_eq!(file.failure()?, None, "{}", self.client.tracker.name);
            file.stats()?;
            let ready = self
                .client
                .session
                .with(|engine| engine.file(file.fd()).readiness());
            ready.transpose()?;
            match file.available() {
                Ok(0) => assert!(self.position >= self.len()),
                Ok(n) => assert!(n <= self.len().saturating_sub(self.position)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            Ok(())
        })
    }

    /// Closes the file and checks what is on the disk; or drops it, and the next open finds it as
    /// if the close had completed (F85).
    async fn close(&mut self, file: File) -> io::Result<()> {
        if self.random.u8(..3) == 0 {
            self.client.let_go(file);
            return Ok(());
        }
        let durable = self.random.bool();
        self.client.close(file, durable).await?;
        if self.random.u8(..3) == 0 {
            let record = self.record.lock().unwrap();
            let bytes = std::fs::read(&record.path)?;
            let name = || format!("{}: after the close", self.client.tracker.name);
            self.client.session.compare(name, &bytes, &record.bytes);
        }
        Ok(())
    }
}

fn is_invalid(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EINVAL)
}

/// `bytes` at `at`, and the file as long as it then is.
fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[at..end].copy_from_slice(bytes);
}

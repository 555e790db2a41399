//! The user: his table of files, and the calls that he makes.

use super::noise::noise;
use super::oracle::Oracle;
use super::steps::{Closing, FILES, Opening, PATHS, Plan, Step};
use efio_core::sim::{Foreign, SimInode, SimOptions, SimStore};
use efio_core::{Config, Engine, Event, EventKind, Fd, File, OpenOptions};
use std::io::{ErrorKind, IoSlice, IoSliceMut, Write};
use std::sync::{Arc, Mutex, MutexGuard};

/// A file that the user opened and that is not closed yet.
pub struct Open {
    pub fd: Fd,
    /// `None` once closed by the user.
    pub file: Option<File>,
    pub path: u8,
    pub oracle: Oracle,
    readable: bool,
    writable: bool,
    close_sync: bool,
    /// What the kernel has to say to the open, trouble apart.
    refusal: Option<i32>,
}

/// A name on the disk.
#[derive(Default)]
pub struct Place {
    /// What is there, while nobody has it open.
    pub content: Option<Vec<u8>>,
    /// The last descriptor that had it open, for what it was promised.
    pub last: Option<Oracle>,
}

/// Who calls the engine: from outside, and from inside of callbacks.
pub struct User {
    pub engine: Arc<Engine>,
    store: SimStore,
    pub config: Config,
    pub trouble: SimOptions,
    /// The user's table.
    pub files: Vec<Open>,
    pub places: Vec<Place>,
    stale: Vec<Fd>,
    /// What is still to be done inside of callbacks, last step first.
    pub inside: Vec<Step>,
    is_inside: bool,
    saves: bool,
    /// Bytes that all files together accepted.
    pub accepted: u64,
    /// Names of positional ops given so far.
    pub tokens: u64,
    buffer: Vec<u8>,
}

pub fn path(number: u8) -> String {
    format!("/file-{number}")
}

/// Looks at a file.
pub fn look(inode: &Mutex<SimInode>) -> MutexGuard<'_, SimInode> {
    inode.lock().expect("the disk does not panic")
}

impl User {
    pub fn new(engine: Arc<Engine>, store: SimStore, plan: &Plan) -> Self {
        Self {
            engine,
            store,
            config: plan.config.clone(),
            trouble: plan.trouble.clone(),
            accepted: 0,
            saves: plan.saves,
            files: Vec::new(),
            places: (0..PATHS).map(|_| Place::default()).collect(),
            stale: Vec::new(),
            inside: Vec::new(),
            is_inside: false,
            tokens: 0,
            buffer: vec![0; 1 << 17],
        }
    }

    /// Another engine runs on the disk.
    pub fn use_engine(&mut self, engine: Arc<Engine>) {
        self.engine = engine;
        self.stale.clear();
    }

    /// Makes the next call that is due inside of a callback.
    pub fn call_inside(&mut self) {
        if let Some(step) = self.inside.pop() {
            self.is_inside = true;
            self.call(&step);
            self.is_inside = false;
        }
    }

    /// Makes a call.
    pub fn call(&mut self, step: &Step) {
        match *step {
            Step::Open(ref opening) => self.open(opening),
            Step::Write { file, len, noise } => self.write(file, len as usize, noise),
            Step::Read { file, len } => {
                if let Some(index) = self.pick(file) {
                    self.read(index, len as usize);
                }
            }
            Step::ReadAt { file, at, len } => self.read_at(file, at as usize, len as usize),
            Step::WriteAt {
                file,
                at,
                len,
                noise,
            } => self.write_at(file, at as usize, len as usize, noise),
            Step::Truncate { file, len } => self.truncate(file, len as usize),
            Step::TakeUnwritten { file } => self.take_unwritten(file),
            Step::Seek { file, to } => self.seek(file, to as usize),
            Step::Sync { file } => self.sync(file),
            Step::Flush { file } => self.flush(file),
            Step::Close { file, how } => {
                if let Some(index) = self.pick(file) {
                    self.close(index, how);
                }
            }
            Step::UseStale { which, bits } => self.use_stale(which, bits),
            Step::Interfere {
                file,
                change,
                noise,
            } => self.interfere(file, change, noise),
            Step::Turns { .. } | Step::Shutdown { .. } | Step::Kill | Step::PowerCut => {
                unreachable!("nothing that a user does")
            }
        }
    }

    /// The file at a place of the table, or the next one.
    pub fn pick(&self, file: u8) -> Option<usize> {
        let count = self.files.len();
        let mut after = (0..count).map(|index| (usize::from(file) + index) % count.max(1));
        after.find(|&index| self.files[index].file.is_some())
    }

    fn open(&mut self, opening: &Opening) {
        let busy = |path: u8| self.files.iter().any(|open| open.path == path);
        let Some(number) = (0..PATHS)
            .map(|next| (opening.path + next) % PATHS)
            .find(|&number| !busy(number))
        else {
            return;
        };
        let place = &mut self.places[usize::from(number)];
        if let (None, Some((len, start))) = (&place.content, opening.exists) {
            let content = noise(start, len as usize);
            place.content = Some(content.to_vec());
            self.store.put(&path(number), content);
        }
        let exists = place.content.is_some();
        let mut options = OpenOptions::new()
            .read(opening.read)
            .write(opening.write)
            .append(opening.append)
            .create(opening.create)
            .create_new(opening.create_new)
            .truncate(opening.truncate)
            .prefetch(opening.prefetch);
        if let Some(mode) = opening.io_mode {
            options = options.io_mode(mode);
        }
        let nonsense = opening.contradicts();
        let full = self.files.len() >= FILES as usize;
        match self.engine.open(path(number), &options) {
            Ok(file) => {
                // Inside of a callback a file may be closed whose event is still to come.
                let closing = self.files.iter().any(|open| open.file.is_none());
                let room = !full || (self.is_inside && closing);
                assert!(room && !nonsense, "{opening:?}, full: {full}");
                self.opened(file, number, opening, exists);
            }
            Err(error) => {
                let expected = if nonsense { libc::EINVAL } else { libc::EMFILE };
                assert!(full || nonsense, "{error}");
                assert_eq!(error.raw_os_error(), Some(expected), "F5, F37: {opening:?}");
            }
        }
    }

    fn opened(&mut self, file: File, path: u8, opening: &Opening, exists: bool) {
        let place = &mut self.places[usize::from(path)];
        let content = match &place.content {
            Some(content) if !opening.truncate => content.clone(),
            _ => Vec::new(),
        };
        let creates = opening.create || opening.create_new;
        let refusal = match exists {
            true if opening.create_new => Some(libc::EEXIST),
            false if !creates => Some(libc::ENOENT),
            _ => None,
        };
        self.files.push(Open {
            fd: file.fd(),
            file: Some(file),
            path,
            oracle: Oracle::new(content, opening.append, creates),
            readable: opening.read,
            writable: opening.write || opening.append,
            close_sync: false,
            refusal,
        });
    }

    fn write(&mut self, file: u8, len: usize, start: u32) {
        let Some(index) = self.pick(file) else { return };
        let bytes = noise(start, len);
        let before = self.before(index);
        // F26: what happens to the caller's buffer afterwards is the caller's business.
        let scribbles = start % 4 == 0 && len <= self.buffer.len();
        let Open {
            file: Some(file),
            oracle,
            writable,
            ..
        } = &mut self.files[index]
        else {
            return;
        };
        let ready = self.engine.poll(file.fd()).unwrap().writable;
        let result = if start % 4 == 1 {
            let (head, tail) = bytes.split_at(len / 3);
            file.write_vectored(&[IoSlice::new(head), IoSlice::new(&[]), IoSlice::new(tail)])
        } else if scribbles {
            self.buffer[..len].copy_from_slice(bytes);
            let result = file.write(&self.buffer[..len]);
            self.buffer[..len].fill(0x55);
            result
        } else {
            file.write(bytes)
        };
        match result {
            Ok(n) => {
                assert!(n <= len && *writable && (n > 0 || len == 0));
                oracle.wrote(&bytes[..n]);
                oracle.waits_from = None;
                self.count_accepted(n as u64);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                assert!(!ready, "a poll said that it is writable");
                oracle.writable.would_block();
                oracle.waits_from.get_or_insert(self.accepted);
            }
            Err(error) => {
                let errno = error.raw_os_error();
                let failure = file.failure().unwrap();
                let poisoned = failure.is_some_and(|failure| errno == Some(failure.errno.0));
                assert!(
                    poisoned || (!*writable && errno == Some(libc::EBADF)),
                    "{error}"
                );
            }
        }
        self.is_fair(&before);
    }

    /// Reads once; whether there may be more to read at once.
    pub fn read(&mut self, index: usize, len: usize) -> bool {
        let Open {
            file: Some(file),
            oracle,
            readable,
            ..
        } = &mut self.files[index]
        else {
            return false;
        };
        let ready = self.engine.poll(file.fd()).unwrap().readable;
        let buffer = &mut self.buffer[..len];
        let result = if len % 4 == 1 {
            let (head, tail) = buffer.split_at_mut(len / 3);
            file.read_vectored(&mut [IoSliceMut::new(head), IoSliceMut::new(tail)])
        } else {
            file.read(buffer)
        };
        match result {
            Ok(0) if len > 0 => oracle.read_end(),
            Ok(n) => {
                oracle.read(&buffer[..n]);
                return true;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                // What the kernel held in memory then it may have dropped since.
                let evicted = self.trouble.cached > 0;
                assert!(!ready || evicted, "a poll said that it is readable");
                oracle.readable.would_block();
            }
            Err(error) => {
                let errno = error.raw_os_error().unwrap();
                let allowed = if *readable {
                    // An error of the disk, or the file is poisoned.
                    errno == libc::EIO || file.failure().unwrap().is_some()
                } else {
                    errno == libc::EBADF
                };
                assert!(allowed, "{error}");
                oracle.begin_anew();
            }
        }
        false
    }

    fn seek(&mut self, file: u8, to: usize) {
        let Some(index) = self.pick(file) else { return };
        let open = &mut self.files[index];
        open.file.as_ref().unwrap().seek(to as u64).unwrap();
        open.oracle.seek(to);
    }

    fn sync(&mut self, file: u8) {
        let Some(index) = self.pick(file) else { return };
        let open = &mut self.files[index];
        match open.file.as_ref().unwrap().sync() {
            Ok(mark) => {
                assert_eq!(mark, open.oracle.accepted());
                open.oracle.syncs();
            }
            Err(error) => open.is_poisoned_by(&error),
        }
    }

    fn flush(&mut self, file: u8) {
        let Some(index) = self.pick(file) else { return };
        let open = &mut self.files[index];
        match open.file.as_ref().unwrap().flush() {
            Ok(()) => {
                let accepted = open.oracle.accepted();
                assert_eq!(self.taken(index), accepted, "flushed");
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                open.oracle.writable.would_block();
            }
            Err(error) => open.is_poisoned_by(&error),
        }
    }

    pub fn close(&mut self, index: usize, how: Closing) {
        let open = &mut self.files[index];
        let file = open.file.take().unwrap();
        self.stale.push(open.fd);
        let result = match how {
            Closing::Drop => {
                drop(file);
                return;
            }
            Closing::Close => file.close(),
            Closing::CloseSync => {
                open.close_sync = true;
                file.close_sync()
            }
        };
        if let Err(error) = result {
            assert!(error.raw_os_error().is_some(), "{error}");
        }
    }

    /// F8, F9.
    fn use_stale(&mut self, which: u8, bits: u64) {
        let Some(&fd) = self.stale.get(usize::from(which) % self.stale.len().max(1)) else {
            return;
        };
        let engine = &self.engine;
        for result in [
            engine.write(fd, b"stale").map(drop),
            engine.read(fd, &mut [0; 10]).map(drop),
            engine.seek(fd, 0),
            engine.sync(fd).map(drop),
            engine.close(fd),
            engine.close_sync(fd),
            engine.progress(fd).map(drop),
            engine.open_status(fd).map(drop),
            engine.failure(fd).map(drop),
            engine
                .read(Fd::from_bits(bits | 1 << 31), &mut [0])
                .map(drop),
        ] {
            assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EBADF));
        }
    }

    /// Another process changes a file that we only read, or appends to one that we append to
    /// (F17, F29).
    fn interfere(&mut self, file: u8, change: Foreign, start: u32) {
        let Some(index) = self.pick(file) else { return };
        let open = &self.files[index];
        let (number, append) = (open.path, open.oracle.history.append);
        let fits = match change {
            Foreign::Appended(_) if append => !open.readable,
            _ => !open.writable,
        };
        let fits = fits && !open.oracle.history.is_cut();
        if !fits || !open.oracle.opened {
            return;
        }
        let taken = self.taken(index);
        let whole = self.trouble.short == 0 && self.trouble.capacity == u64::MAX;
        let oracle = &mut self.files[index].oracle;
        if append && whole && oracle.failed.is_none() {
            let between = oracle.history.is_between_calls(taken);
            assert!(between, "a call was torn by another process (F29)");
        }
        oracle.interfere(change, start, taken);
        let bytes = match change {
            Foreign::Appended(len) => noise(start, len),
            Foreign::Resized(_) => &[],
        };
        self.store.interfere(&path(number), change, bytes);
    }

    fn inode(&self, number: u8) -> Option<Arc<Mutex<SimInode>>> {
        self.store.inode(&path(number))
    }

    /// Bytes that the kernel has of the open file.
    pub fn taken(&self, index: usize) -> u64 {
        let open = &self.files[index];
        let inode = self.inode(open.path).filter(|_| open.oracle.opened);
        inode.map_or(0, |inode| look(&inode).taken())
    }

    /// Hears an event.
    pub fn hear(&mut self, event: Event) {
        let at = self.files.iter().position(|open| open.fd == event.fd);
        let at = at.expect("an event of a file that is open");
        let number = self.files[at].path;
        let on_disk = self.inode(number);
        let inode = on_disk.as_ref().map(|inode| look(inode));
        let open = &mut self.files[at];
        open.oracle.event(&event.kind, inode.as_deref());
        if let EventKind::Failed(failure) = event.kind {
            let right = open.refusal.is_none_or(|errno| errno == failure.errno.0);
            assert!(
                right || self.trouble.open_errors > 0,
                "{failure:?}, but {:?}",
                open.refusal
            );
            if self.saves && open.file.is_some() {
                drop(inode);
                return self.take_unwritten(at as u8);
            }
        }
        let EventKind::Closed { error } = event.kind else {
            return;
        };
        open.oracle.closed(error, open.close_sync, inode.as_deref());
        let content = inode.as_deref().map(|inode| inode.current().to_vec());
        let open = self.files.remove(at);
        assert!(open.file.is_none(), "closed behind the user's back");
        let place = &mut self.places[usize::from(number)];
        if open.oracle.opened {
            place.content = content;
            place.last = Some(open.oracle);
        } else {
            assert!(content == place.content, "a failed open changes nothing");
        }
    }

    /// The marks of all files.
    pub fn look_at_marks(&mut self) {
        for open in &mut self.files {
            if let Some(file) = &open.file {
                let inode = self.store.inode(&path(open.path));
                let inode = inode.as_ref().map(|inode| look(inode));
                let marks = file.progress().unwrap();
                open.oracle.progress(marks, inode.as_deref());
            }
        }
    }
}

impl Opening {
    /// F5.
    fn contradicts(&self) -> bool {
        let writes = self.write || self.append;
        let makes = self.create || self.create_new;
        let truncates = self.truncate && !self.create_new;
        let allowed = writes || (self.read && !makes);
        !allowed || (truncates && (!self.write || self.append))
    }
}

impl Open {
    /// What a call needs of it: handle, oracle, and whether it may be read and written.
    pub fn parts(&mut self) -> Option<(&File, &mut Oracle, bool, bool)> {
        let (readable, writable) = (self.readable, self.writable);
        Some((self.file.as_ref()?, &mut self.oracle, readable, writable))
    }

    /// Whether there is something to be read from it.
    pub fn is_readable(&self) -> bool {
        self.file.is_some() && self.readable && self.oracle.opened
    }

    pub fn is_poisoned_by(&self, error: &std::io::Error) {
        let failure = self.file.as_ref().and_then(|file| file.failure().unwrap());
        let errno = failure.map(|failure| failure.errno.0);
        assert!(errno.is_some() && error.raw_os_error() == errno, "{error}");
    }
}

//! Carries out a plan: the user, his files, and the disk that outlives his engines.

use super::noise::noise;
use super::oracle::Oracle;
use super::steps::{Closing, FILES, Opening, PATHS, Plan, Step};
use efio_core::sim::{Foreign, SimMemory, SimStore, Simulation};
use efio_core::{EventKind, Fd, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::time::Duration;

/// More turns than anything takes to come to rest.
const PATIENCE: u32 = 5_000;

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
    /// The errors that the open may fail with, trouble apart.
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

pub struct World<'a> {
    plan: &'a Plan,
    memory: &'a SimMemory,
    pub simulation: Option<Simulation>,
    lives: u64,
    /// The user's table.
    pub files: Vec<Open>,
    pub places: Vec<Place>,
    stale: Vec<Fd>,
    buffer: Vec<u8>,
}

pub fn path(number: u8) -> String {
    format!("/file-{number}")
}

impl<'a> World<'a> {
    pub fn new(plan: &'a Plan, memory: &'a SimMemory) -> Self {
        let mut world = Self {
            plan,
            memory,
            simulation: None,
            lives: 0,
            files: Vec::new(),
            places: (0..PATHS).map(|_| Place::default()).collect(),
            stale: Vec::new(),
            buffer: vec![0; 1 << 17],
        };
        world.begin_life(SimStore::default());
        world
    }

    /// An engine starts on the disk.
    pub fn begin_life(&mut self, store: SimStore) {
        self.lives += 1;
        self.stale.clear();
        let seed = self.plan.seed ^ self.lives << 48;
        let options = self.plan.trouble.clone();
        let config = self.plan.config.clone();
        let simulation = Simulation::on_disk(config, seed, options, store, self.memory);
        self.simulation = Some(simulation.expect("the limits are valid"));
    }

    fn engine(&mut self) -> &mut Simulation {
        self.simulation.as_mut().expect("an engine runs")
    }

    /// Carries out a step, then hears what is new and looks at everything.
    pub fn step(&mut self, step: &Step) {
        match *step {
            Step::Open(ref opening) => self.open(opening),
            Step::Write { file, len, noise } => self.write(file, len as usize, noise),
            Step::Read { file, len } => {
                if let Some(index) = self.pick(file) {
                    self.read(index, len as usize);
                }
            }
            Step::Seek { file, to } => self.seek(file, to as usize),
            Step::Sync { file } => self.sync(file),
            Step::Flush { file } => self.flush(file),
            Step::Close { file, how } => {
                if let Some(index) = self.pick(file) {
                    self.close(index, how);
                }
            }
            Step::UseStale { which, bits } => self.use_stale(which, bits),
            Step::Turns { count, ms } => {
                for _ in 0..count {
                    self.turn(ms.into());
                }
            }
            Step::Interfere {
                file,
                change,
                noise,
            } => self.interfere(file, change, noise),
            Step::Shutdown { ms } => self.shutdown(ms.into()),
            Step::Kill => self.kill(),
            Step::PowerCut => self.power_cut(),
        }
        self.hear();
    }

    fn turn(&mut self, ms: u64) -> bool {
        let budget = self.plan.config.memory_budget;
        let engine = self.engine();
        let more = engine.turn(Duration::from_millis(ms));
        let (used, mapped) = (engine.memory_used(), engine.memory_mapped());
        assert!(
            used <= mapped && mapped <= budget,
            "memory beyond the budget (F38): {used} of {mapped}"
        );
        more
    }

    /// The file at a place of the table, or the next one.
    fn pick(&self, file: u8) -> Option<usize> {
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
            self.simulation
                .as_mut()
                .expect("an engine runs")
                .store()
                .put(&path(number), content);
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
        match self.engine().engine().open(path(number), &options) {
            Ok(file) => {
                assert!(!full && !nonsense, "{opening:?}, full: {full}");
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
        let result = if scribbles {
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
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => oracle.writable.would_block(),
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
    }

    /// Reads once; whether there may be more to read at once.
    fn read(&mut self, index: usize, len: usize) -> bool {
        let Open {
            file: Some(file),
            oracle,
            readable,
            ..
        } = &mut self.files[index]
        else {
            return false;
        };
        let buffer = &mut self.buffer[..len];
        match file.read(buffer) {
            Ok(0) if len > 0 => oracle.read_end(),
            Ok(n) => {
                oracle.read(&buffer[..n]);
                return true;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => oracle.readable.would_block(),
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
        let number = self.files[index].path;
        let open = &mut self.files[index];
        match open.file.as_ref().unwrap().flush() {
            Ok(()) => {
                let opened = open.oracle.opened;
                let taken = if opened { self.taken(number) } else { 0 };
                assert_eq!(taken, self.files[index].oracle.accepted(), "flushed");
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                open.oracle.writable.would_block();
            }
            Err(error) => open.is_poisoned_by(&error),
        }
    }

    fn close(&mut self, index: usize, how: Closing) {
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
                open.oracle.syncs();
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
        let engine = self.engine().engine();
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
        if !fits || !open.oracle.opened {
            return;
        }
        let taken = self.taken(number);
        let whole = self.plan.trouble.short == 0 && self.plan.trouble.capacity == u64::MAX;
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
        self.engine()
            .store()
            .interfere(&path(number), change, bytes);
    }

    /// Bytes that the kernel has of the descriptor that has the file open.
    fn taken(&mut self, number: u8) -> u64 {
        let inode = self.engine().store().inode(&path(number));
        inode.map_or(0, |inode| inode.taken())
    }

    /// Takes the events that wait, and looks at the marks.
    pub fn hear(&mut self) {
        let Self {
            simulation: Some(simulation),
            files,
            places,
            ..
        } = self
        else {
            return;
        };
        while let Some(event) = simulation.engine().events().next() {
            let at = files.iter().position(|open| open.fd == event.fd);
            let at = at.expect("an event of a file that is open");
            let open = &mut files[at];
            let inode = simulation.store().inode(&path(open.path));
            if let EventKind::Failed(failure) = event.kind {
                let refused = !open.oracle.opened && open.refusal.is_some();
                assert!(
                    !refused || open.refusal == Some(failure.errno.0) || failure.errno.0 != 0,
                    "{failure:?}"
                );
            }
            open.oracle.event(&event.kind, inode.as_deref());
            let EventKind::Closed { error } = event.kind else {
                continue;
            };
            open.oracle.closed(error, open.close_sync, inode.as_deref());
            let content = inode.as_deref().map(|inode| inode.current().to_vec());
            let open = files.remove(at);
            assert!(open.file.is_none(), "closed behind the user's back");
            let place = &mut places[usize::from(open.path)];
            if !open.oracle.opened {
                assert!(content == place.content, "a failed open changes nothing");
                continue;
            }
            place.content = content;
            place.last = Some(open.oracle);
        }
        for open in files {
            if let Some(file) = &open.file {
                let marks = file.progress().unwrap();
                let inode = simulation.store().inode(&path(open.path));
                open.oracle.progress(marks, inode.as_deref());
            }
        }
    }

    /// The trouble stops: every owed event comes, everything drains, nothing is left.
    pub fn come_to_rest(&mut self) {
        self.engine().calm_down();
        self.settle();
        // Whoever reads on makes room for whoever waits for it.
        for index in 0..self.files.len() {
            self.read_to_the_end(index);
        }
        self.settle();
        for open in &self.files {
            let Open { path, oracle, .. } = open;
            assert!(!oracle.readable.due, "{path}: no Readable came (F47)");
            assert!(!oracle.writable.due, "{path}: no Writable came (F38)");
            assert!(oracle.opened || oracle.failed.is_some());
            oracle.heard_of_syncs();
        }
        for index in 0..self.files.len() {
            if self.files[index].file.is_some() {
                self.close(index, Closing::Close);
            }
        }
        self.settle();
        assert!(self.files.is_empty(), "files that never closed");
        let engine = self.engine();
        assert_eq!(engine.memory_used(), 0, "pages leaked");
        assert_eq!(engine.at_work(), (0, 0), "ops or kernel files leaked");
    }

    /// Twice to the end: what was read ahead, then what the file holds now.
    fn read_to_the_end(&mut self, index: usize) {
        let open = &self.files[index];
        if open.file.is_none() || !open.readable || !open.oracle.opened {
            return;
        }
        let (mut ends, mut answers) = (0, 0);
        while ends < 2 {
            while self.read(index, 30_000) {}
            let oracle = &self.files[index].oracle;
            if oracle.failed.is_some() {
                return;
            }
            ends += u32::from(!oracle.readable.due);
            self.settle();
            answers += 1;
            assert!(answers < 1_000, "a read that never ends");
        }
        let oracle = &self.files[index].oracle;
        let end = oracle.content.len();
        assert!(oracle.position >= end, "the end of file of now (F17)");
    }

    /// Turns until nothing happens any more.
    fn settle(&mut self) {
        let interval = self.plan.config.flush_interval.as_millis() as u64;
        let enough = 3 + interval / 100;
        let mut quiet = 0;
        for _ in 0..PATIENCE {
            let more = self.turn(100);
            self.hear();
            let (ops, _) = self.engine().at_work();
            quiet = if more || ops > 0 { 0 } else { quiet + 1 };
            if quiet > enough {
                return;
            }
        }
        panic!("does not come to rest");
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
    fn is_poisoned_by(&self, error: &std::io::Error) {
        let failure = self.file.as_ref().and_then(|file| file.failure().unwrap());
        let errno = failure.map(|failure| failure.errno.0);
        assert!(errno.is_some() && error.raw_os_error() == errno, "{error}");
    }
}

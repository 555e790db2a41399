//! The client: his table of files, and the calls that he makes.

use super::oracle::{Named, Oracle};
use super::payload::payload;
use super::steps::{PATHS, Plan, Step};
use efio_core::sim::{CancelsOpen, Foreign, SimInode, SimOptions, SimStore};
use efio_core::{Config, Engine, Event, EventKind, Failure, Fd, File};
use std::sync::{Arc, Mutex, MutexGuard};

/// A file that the client opened and that is not closed yet.
pub struct Open {
    pub fd: Fd,
    /// `None` once closed by the client.
    pub file: Option<File>,
    pub path: u8,
    pub oracle: Oracle,
    pub readable: bool,
    pub writable: bool,
    pub close_sync: bool,
    /// The open cuts the file off.
    pub truncates: bool,
    /// Until the open is heard of, if it is a future's, and withdrawn when that is dropped.
    pub future: Option<CancelsOpen>,
    /// The engine was at older closes of the file.
    pub is_behind: bool,
    /// Nobody wanted the file any more before it was open.
    pub is_withdrawn: bool,
    /// Later opens were at the file before this one, which was closed and had nothing to say.
    pub is_passed: bool,
    /// What the kernel has to say to the open, trouble apart.
    pub refusal: Option<i32>,
}

/// A name on the disk.
#[derive(Default)]
pub struct Place {
    /// What is there, while nobody has it open.
    pub content: Option<Vec<u8>>,
    /// The last descriptor that had it open, for what it was promised.
    pub last: Option<Oracle>,
    /// The number of its open, or of the last before the engine began.
    pub number: u32,
}

/// Who calls the engine: from outside, and from inside of callbacks.
pub struct Client {
    pub engine: Arc<Engine>,
    pub store: SimStore,
    pub config: Config,
    pub trouble: SimOptions,
    /// The user's table.
    pub files: Vec<Open>,
    pub places: Vec<Place>,
    pub stale: Vec<Fd>,
    /// What is still to be done inside of callbacks, last step first.
    pub inside: Vec<Step>,
    pub is_inside: bool,
    pub saves: bool,
    /// Bytes that all files together accepted.
    pub accepted: u64,
    /// Files that were closed, and how they had failed.
    pub closed: Vec<(Fd, Option<Failure>)>,
    /// Numbers of opens given so far.
    pub opens: u32,
    /// Names of positional ops given so far.
    pub tokens: u64,
    pub buffer: Vec<u8>,
}

pub fn path(number: u8) -> String {
    format!("/file-{number}")
}

/// Looks at a file.
pub fn look(inode: &Mutex<SimInode>) -> MutexGuard<'_, SimInode> {
    inode.lock().expect("the disk does not panic")
}

impl Client {
    pub fn new(engine: Arc<Engine>, store: SimStore, plan: &Plan) -> Self {
        Self {
            engine,
            store,
            config: plan.config.clone(),
            trouble: plan.trouble.clone(),
            accepted: 0,
            closed: Vec::new(),
            opens: 0,
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
        self.closed.clear();
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
            Step::Write { file, len, payload } => self.write(file, len as usize, payload),
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
                payload,
            } => self.write_at(file, at as usize, len as usize, payload),
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
            Step::Withdraw => self.withdraw(),
            Step::UseStale { which, bits } => self.use_stale(which, bits),
            Step::Interfere {
                file,
                change,
                payload,
            } => self.interfere(file, change, payload),
            Step::Turns { .. } | Step::Shutdown { .. } | Step::Kill | Step::PowerCut => {
                unreachable!("nothing that a client does")
            }
        }
    }

    /// The file at a place of the table, or the next one.
    pub fn pick(&self, file: u8) -> Option<usize> {
        let count = self.files.len();
        let mut after = (0..count).map(|index| (usize::from(file) + index) % count.max(1));
        after.find(|&index| {
            let open = &self.files[index];
            open.file.is_some() && open.future.is_none()
        })
    }

    /// Another process changes a file that we only read, or appends to one that we append to
    /// (F17, F29).
    fn interfere(&mut self, file: u8, change: Foreign, start: u32) {
        let Some(index) = self.pick(file) else { return };
        let open = &self.files[index];
        let (number, append) = (open.path, open.oracle.history.append);
        if self.files.iter().filter(|open| open.path == number).count() > 1 {
            return;
        }
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
            Foreign::Appended(len) => payload(start, len),
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
        inode.map_or(0, |inode| look(&inode).taken(open.oracle.number))
    }

    /// Hears an event.
    pub fn hear(&mut self, event: Event) {
        let at = self.files.iter().position(|open| open.fd == event.fd);
        let at = at.expect("an event of a file that is open");
        let number = self.files[at].path;
        if matches!(event.kind, EventKind::Opened) {
            self.found(at);
        }
        let on_disk = self.inode(number);
        let inode = on_disk.as_ref().map(|inode| look(inode));
        let open = &mut self.files[at];
        let stats = open.file.as_ref().and_then(|file| file.stats().ok());
        let name = stats.map_or(Named::Closed, |stats| Named::Told(stats.name));
        open.oracle.event(&event.kind, inode.as_deref(), name);
        if let EventKind::Failed(failure) = event.kind {
            let right = open.refusal.is_none_or(|errno| errno == failure.errno.0);
            assert!(
                right || self.trouble.open_errors > 0 || open.was_withdrawn(failure.errno),
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
        if !open.is_passed {
            open.oracle.closed(error, open.close_sync, inode.as_deref());
        }
        let content = |inode: &SimInode| inode.left_by(open.oracle.number).to_vec();
        let content = inode.as_deref().map(content);
        let open = self.files.remove(at);
        assert!(open.file.is_none(), "closed behind the user's back");
        self.closed.push((open.fd, open.oracle.failed));
        let is_alone = self.files.iter().all(|open| open.path != number);
        let place = &mut self.places[usize::from(number)];
        if !open.oracle.opened {
            assert!(
                !is_alone || content == place.content,
                "a failed open changes nothing"
            );
        } else if !open.is_passed {
            place.is_left(content, open.oracle);
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

//! The client: its table of files, and the calls that it makes.

use super::oracle::{Named, Oracle};
use super::payload::payload;
use super::steps::{PATHS, Plan, Step};
use super::task::Task;
use efio_core::sim::{CancelsOpen, Config, Foreign, SimInode, SimOptions, SimStore};
use efio_core::{AsyncFile, Engine, Errno, Event, EventKind, Failure, Fd, File};
use std::sync::{Arc, Mutex, MutexGuard};

/// A file that the client opened and whose `Closed` is still pending.
pub struct Open {
    pub fd: Fd,
    /// `None` once closed by the client.
    pub file: Option<AsyncFile>,
    /// The task that uses the file as well.
    pub task: Task,
    pub path: u8,
    pub oracle: Oracle,
    pub readable: bool,
    pub writable: bool,
    pub close_sync: bool,
    /// The open truncates the file.
    pub truncates: bool,
    /// The future of the open, if it has one; `None` once it ended or was dropped.
    pub future: Option<CancelsOpen>,
    /// The engine still had older closes of the file to finish.
    pub waits_for_close: bool,
    /// The open was cancelled before it ended.
    pub is_cancelled: bool,
    /// Later opens reached the file before this one, which was closed and without effect.
    pub is_overtaken: bool,
    /// The errno that the kernel returns for the open without faults.
    pub refusal: Option<i32>,
}

/// The state of a path on the disk.
#[derive(Default)]
pub struct PathState {
    /// The content, while no descriptor has it open.
    pub content: Option<Vec<u8>>,
    /// The last descriptor that had it open, for the guarantees that it was given.
    pub last: Option<Oracle>,
    /// The number of that open, or of the last one before the engine began.
    pub number: u32,
    /// The kernel completed an open of it that the engine never reported: the file may be new, and
    /// its name not durable.
    pub is_touched: bool,
}

/// Calls the engine, from outside and from inside callbacks.
pub struct Client {
    pub engine: Arc<Engine>,
    pub store: SimStore,
    pub config: Config,
    pub faults: SimOptions,
    /// The client's table of files.
    pub files: Vec<Open>,
    pub paths: Vec<PathState>,
    pub stale: Vec<Fd>,
    /// The steps still to be made inside callbacks, last step first.
    pub inside: Vec<Step>,
    pub is_inside: bool,
    pub takes_unwritten: bool,
    /// Bytes that all files together accepted.
    pub accepted: u64,
    /// The files that were closed, each with its failure.
    pub closed: Vec<(Fd, Option<Failure>)>,
    /// The number of the last open.
    pub opens: u32,
    /// The token of the last positional op.
    pub tokens: u64,
    pub buffer: Vec<u8>,
}

pub fn path(number: u8) -> String {
    format!("/file-{number}")
}

/// The client's number for the file of open `number`, which its events carry.
pub fn user_data(number: u32) -> u64 {
    u64::MAX - u64::from(number)
}

/// Locks a file of the disk.
pub fn lock(inode: &Mutex<SimInode>) -> MutexGuard<'_, SimInode> {
    inode.lock().expect("the disk does not panic")
}

impl Client {
    pub fn new(engine: Arc<Engine>, store: SimStore, plan: &Plan) -> Self {
        Self {
            engine,
            store,
            config: plan.config.clone(),
            faults: plan.faults.clone(),
            accepted: 0,
            closed: Vec::new(),
            opens: 0,
            takes_unwritten: plan.takes_unwritten,
            files: Vec::new(),
            paths: (0..PATHS).map(|_| PathState::default()).collect(),
            stale: Vec::new(),
            inside: Vec::new(),
            is_inside: false,
            tokens: 0,
            buffer: vec![0; 1 << 17],
        }
    }

    /// Continues with another engine on the same disk.
    pub fn use_engine(&mut self, engine: Arc<Engine>) {
        self.engine = engine;
        self.stale.clear();
        self.closed.clear();
    }

    /// Makes the next call that is due inside a callback.
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
            Step::CancelOpen => self.cancel_open(),
            Step::Poll { file, what } => self.begin(file, what),
            Step::PollAgain { file } => self.poll_again(file),
            Step::UseStale { which, bits } => self.use_stale(which, bits),
            Step::Interfere {
                file,
                change,
                payload,
            } => self.interfere(file, change, payload),
            Step::Turns { .. } | Step::Shutdown { .. } | Step::Kill | Step::PowerCut => {
                unreachable!("not a step of the client")
            }
        }
    }

    /// Returns the file at this index of the table, or the next open one.
    pub fn pick(&self, file: u8) -> Option<usize> {
        let count = self.files.len();
        let mut after = (0..count).map(|index| (usize::from(file) + index) % count.max(1));
        after.find(|&index| {
            let open = &self.files[index];
            open.file.is_some() && open.future.is_none()
        })
    }

    /// Another process changes a file that the client only reads, or appends to one that it appends
    /// to (F17, F29).
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
        let whole = self.faults.short == 0 && self.faults.capacity == u64::MAX;
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

    /// Returns the number of accepted bytes that the kernel has of the open file.
    pub fn taken(&self, index: usize) -> u64 {
        let open = &self.files[index];
        let inode = self.inode(open.path).filter(|_| open.oracle.opened);
        inode.map_or(0, |inode| lock(&inode).taken(open.oracle.number))
    }

    /// Checks an event and updates the file that it belongs to.
    pub fn handle_event(&mut self, event: Event) {
        let at = self.files.iter().position(|open| open.fd == event.fd);
        let at = at.expect("an event of a file that is open");
        let open = &self.files[at];
        assert_eq!(event.user_data, user_data(open.oracle.number), "{event:?}");
        let number = open.path;
        if matches!(event.kind, EventKind::Opened) {
            self.found(at);
        }
        let on_disk = self.inode(number);
        let inode = on_disk.as_ref().map(|inode| lock(inode));
        let open = &mut self.files[at];
        let stats = self.engine.file(open.fd).stats().ok();
        let name = stats.map_or(Named::Closed, |stats| Named::Reported(stats.name));
        open.oracle.event(&event.kind, inode.as_deref(), name);
        if let EventKind::Failed(failure) = event.kind {
            // EBUSY: the file was busy until the deadline of an open.
            let right = open.refusal.is_none_or(|errno| errno == failure.errno.0);
            assert!(
                right
                    || self.faults.open_errors > 0
                    || (self.faults.busy > 0 && failure.errno == Errno(libc::EBUSY))
                    || open.was_cancelled(failure.errno),
                "{failure:?}, but {:?}",
                open.refusal
            );
        }
        let takes_unwritten = match event.kind {
            EventKind::Failed(_) => self.takes_unwritten,
            EventKind::Writable => open.oracle.wants_unwritten,
            _ => false,
        };
        if takes_unwritten && open.file.is_some() {
            drop(inode);
            return self.take_unwritten(at as u8);
        }
        let EventKind::Closed { result } = event.kind else {
            return;
        };
        if !open.is_overtaken {
            open.oracle
                .closed(result, open.close_sync, inode.as_deref());
        }
        let content = |inode: &SimInode| inode.left_by(open.oracle.number).to_vec();
        let content = inode.as_deref().map(content);
        let open = self.files.remove(at);
        assert!(open.file.is_none(), "closed without a close");
        self.closed.push((open.fd, open.oracle.failed));
        let is_alone = self.files.iter().all(|open| open.path != number);
        let state = &mut self.paths[usize::from(number)];
        // A later open may have been closed before one that was cancelled.
        let is_last = state.number < open.oracle.number;
        if !open.oracle.opened {
            assert!(
                !is_alone || !is_last || content == state.content,
                "a failed open changes nothing"
            );
        } else if !open.is_overtaken {
            state.record(content, open.oracle);
        }
    }

    /// Checks the marks of all files.
    pub fn look_at_marks(&mut self) {
        for open in &mut self.files {
            if open.file.is_some() {
                let inode = self.store.inode(&path(open.path));
                let inode = inode.as_ref().map(|inode| lock(inode));
                let marks = self.engine.file(open.fd).progress().unwrap();
                open.oracle.progress(marks, inode.as_deref());
            }
        }
    }
}

impl Open {
    /// Returns what a call needs: handle, oracle, and whether reads and writes are allowed.
    pub fn parts(&mut self) -> Option<(&File, &mut Oracle, bool, bool)> {
        let (readable, writable) = (self.readable, self.writable);
        let file = self.file.as_ref()?.get_ref();
        Some((file, &mut self.oracle, readable, writable))
    }

    /// Whether it is open for reading.
    pub fn is_readable(&self) -> bool {
        self.file.is_some() && self.readable && self.oracle.opened
    }

    /// Asserts that the call failed with the failure of the file.
    pub fn assert_failure(&self, error: &std::io::Error) {
        let file = self.file.as_ref().map(AsyncFile::get_ref);
        let failure = file.and_then(|file| file.failure().unwrap());
        let errno = failure.map(|failure| failure.errno.0);
        assert!(errno.is_some() && error.raw_os_error() == errno, "{error}");
    }
}

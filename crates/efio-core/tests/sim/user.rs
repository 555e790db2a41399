//! A random user of an engine, and the trouble that the disk makes.

use super::oracle::Oracle;
use efio_core::sim::Simulation;
use efio_core::{Config, EventKind, Fd, File, IoMode, OpenOptions, SimInode, SimOptions};
use fastrand::Rng;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::time::Duration;

/// The most files open at once.
const FILES: usize = 5;

struct Open {
    /// `None` once closed by the user.
    file: Option<File>,
    path: String,
    oracle: Oracle,
    readable: bool,
    writable: bool,
}

pub struct User {
    simulation: Simulation,
    random: Rng,
    files: HashMap<Fd, Open>,
    stale: Vec<Fd>,
    paths: u32,
    budget: usize,
    options: SimOptions,
}

impl User {
    pub fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let mut some = |most: u32| {
            if random.bool() {
                random.u32(0..most)
            } else {
                0
            }
        };
        let options = SimOptions {
            short: some(400),
            transient: some(200),
            read_errors: some(30),
            write_errors: some(30),
            sync_errors: some(200),
            duplicates: some(200),
            refusals: some(300),
            ..SimOptions::default()
        };
        let options = SimOptions {
            block: random.choice([0, 512, 4096]).unwrap_or(0),
            uncached: random.bool(),
            capacity: if random.u8(0..4) == 0 {
                random.u64(0..3 << 20)
            } else {
                u64::MAX
            },
            latency: random.u64(1..40),
            ..options
        };
        let budget = 4 << 20;
        let config = Config {
            memory_budget: budget,
            write_behind: Some(random.usize(4096..1 << 20)),
            read_ahead: Some(random.usize(4096..2 << 20)),
            flush_interval: Duration::from_millis(random.u64(1..2000)),
            max_files: FILES as u32,
            ..Config::default()
        };
        let simulation = Simulation::new(config, seed, options.clone()).unwrap();
        let files = HashMap::new();
        Self {
            simulation,
            random,
            files,
            stale: Vec::new(),
            paths: 0,
            budget,
            options,
        }
    }

    /// One thing that a user does, or some time that passes.
    pub fn step(&mut self) {
        match self.random.u8(0..100) {
            0..6 => self.open(),
            6..36 => self.write(),
            36..60 => self.read(),
            60..64 => self.seek(),
            64..69 => self.sync(),
            69..72 => self.close(),
            72..74 => self.use_stale(),
            _ => self.turns(),
        }
        self.hear();
    }

    fn turns(&mut self) {
        for _ in 0..self.random.u32(1..10) {
            self.simulation
                .turn(Duration::from_millis(self.random.u64(0..300)));
        }
        assert!(
            self.simulation.memory_mapped() <= self.budget,
            "memory beyond the budget (F38)"
        );
    }

    fn open(&mut self) {
        let full = self.files.len() >= FILES;
        self.paths += 1;
        let path = format!("/file-{}", self.paths);
        let exists = self.random.bool();
        let content: Vec<u8> = if exists {
            let mut content = vec![0; self.random.usize(0..300_000)];
            self.random.fill(&mut content);
            content
        } else {
            Vec::new()
        };
        if exists {
            self.simulation.disk().put(&path, content.clone());
        }
        let append = self.random.u8(0..5) == 0;
        let (read, write) = match self.random.u8(0..3) {
            _ if append => (false, true),
            0 => (true, false),
            1 => (false, true),
            _ => (true, true),
        };
        let modes = [
            IoMode::Direct,
            IoMode::Uncached,
            IoMode::Cached,
            IoMode::Auto,
        ];
        let options = OpenOptions::new()
            .read(read)
            .write(write && !append)
            .append(append)
            .create(write && self.random.u8(0..10) > 0)
            .prefetch(self.random.bool())
            .io_mode(self.random.choice(modes).unwrap_or_default());
        match self.simulation.engine().open(&path, &options) {
            Ok(file) => {
                assert!(!full, "more files than the limit");
                let oracle = Oracle::new(content, append);
                let open = Open {
                    path,
                    oracle,
                    readable: read,
                    writable: write,
                    file: None,
                };
                self.files.insert(
                    file.fd(),
                    Open {
                        file: Some(file),
                        ..open
                    },
                );
            }
            Err(error) => {
                assert!(full, "{error}");
                assert_eq!(error.raw_os_error(), Some(libc::EMFILE), "F37");
            }
        }
    }

    /// Some file that the user has open.
    fn pick(&mut self) -> Option<Fd> {
        let mut open: Vec<Fd> = self
            .files
            .iter()
            .filter(|(_, open)| open.file.is_some())
            .map(|(&fd, _)| fd)
            .collect();
        open.sort();
        self.random.choice(open)
    }

    fn write(&mut self) {
        let Some(fd) = self.pick() else { return };
        let len = match self.random.u8(0..4) {
            0 => self.random.usize(0..200),
            1 => 4096,
            2 => self.random.usize(0..20_000),
            _ => self.random.usize(0..400_000),
        };
        let mut bytes = vec![0; len];
        self.random.fill(&mut bytes);
        let open = self.files.get_mut(&fd).unwrap();
        let result = open.file.as_ref().unwrap().write(&bytes);
        let oracle = &mut open.oracle;
        match result {
            Ok(n) => {
                assert!(n <= len && open.writable && (n > 0 || len == 0));
                oracle.wrote(&bytes[..n]);
                // F26: what happens to the caller's buffer afterwards is the caller's business.
                bytes.fill(0);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => oracle.owed_writable = true,
            Err(error) => {
                let errno = error.raw_os_error();
                let failure = open.file.as_ref().unwrap().failure().unwrap();
                let poisoned = failure.is_some_and(|failure| errno == Some(failure.errno.0));
                assert!(
                    poisoned || (!open.writable && errno == Some(libc::EBADF)),
                    "{error}"
                );
            }
        }
    }

    fn read(&mut self) {
        let Some(fd) = self.pick() else { return };
        let mut buf = vec![0; self.random.usize(1..100_000)];
        let open = self.files.get_mut(&fd).unwrap();
        let oracle = &mut open.oracle;
        match open.file.as_ref().unwrap().read(&mut buf) {
            Ok(0) => oracle.read_end(),
            Ok(n) => oracle.read(&buf[..n]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => oracle.owed_readable = true,
            Err(error) => {
                let errno = error.raw_os_error().unwrap();
                let allowed = if open.readable {
                    // An error of the disk, or the file is poisoned.
                    errno == libc::EIO || open.file.as_ref().unwrap().failure().unwrap().is_some()
                } else {
                    errno == libc::EBADF
                };
                assert!(allowed, "{error}");
            }
        }
    }

    fn seek(&mut self) {
        let Some(fd) = self.pick() else { return };
        let open = self.files.get_mut(&fd).unwrap();
        let position = self.random.usize(0..open.oracle.content.len() + 5000);
        open.file.as_ref().unwrap().seek(position as u64).unwrap();
        open.oracle.position = position;
    }

    fn sync(&mut self) {
        let Some(fd) = self.pick() else { return };
        let open = self.files.get_mut(&fd).unwrap();
        if let Ok(mark) = open.file.as_ref().unwrap().sync() {
            assert_eq!(mark, open.oracle.accepted);
            open.oracle.syncs.push((mark, open.oracle.content.clone()));
        }
    }

    fn close(&mut self) {
        let Some(fd) = self.pick() else { return };
        let file = self.files.get_mut(&fd).unwrap().file.take().unwrap();
        match self.random.u8(0..3) {
            0 => drop(file),
            1 => drop(file.close()),
            _ => {
                let open = self.files.get_mut(&fd).unwrap();
                open.oracle
                    .syncs
                    .push((open.oracle.accepted, open.oracle.content.clone()));
                drop(file.close_sync());
            }
        }
        self.stale.push(fd);
    }

    /// F8, F9.
    fn use_stale(&mut self) {
        let Some(fd) = self.random.choice(self.stale.clone()) else {
            return;
        };
        let engine = self.simulation.engine();
        for result in [
            engine.write(fd, b"stale").map(drop),
            engine.read(fd, &mut [0; 10]).map(drop),
            engine.sync(fd).map(drop),
            engine.close(fd),
            engine.progress(fd).map(drop),
            engine
                .read(Fd::from_bits(self.random.u64(..) | 1 << 31), &mut [0])
                .map(drop),
        ] {
            assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EBADF));
        }
    }

    /// Takes the events that wait, and looks at the marks.
    fn hear(&mut self) {
        while let Some(event) = self.simulation.engine().events().next() {
            let open = self
                .files
                .get_mut(&event.fd)
                .expect("an event of a file that is open");
            let (inode, none) = (
                self.simulation.disk().inode(&open.path),
                SimInode::default(),
            );
            let inode = inode.unwrap_or(&none);
            open.oracle.event(event.kind, &inode.durable);
            if let EventKind::Synced { .. } = event.kind {
                assert!(inode.name_durable, "a synced file has a name (F35)");
            }
            if let EventKind::Closed { error } = event.kind {
                assert!(open.file.is_none(), "closed behind the user's back");
                open.oracle.closed(error, &inode.current);
                self.files.remove(&event.fd);
            }
        }
        for open in self.files.values_mut() {
            if let Some(file) = &open.file {
                let marks = file.progress().unwrap();
                open.oracle.progress(marks);
                if let Some(failure) = open.oracle.failed {
                    open.oracle.lost_from(failure, marks.written);
                }
            }
        }
    }

    /// The trouble stops: every owed event comes, everything drains, nothing is left.
    pub fn come_to_rest(&mut self) {
        let calm = SimOptions {
            block: self.options.block,
            uncached: self.options.uncached,
            capacity: self.options.capacity,
            ..SimOptions::default()
        };
        self.simulation.disk().set_options(calm);
        self.quiet_turns();
        // Whoever reads on makes room for whoever waits for it.
        for _ in 0..50 {
            self.read();
            self.few_quiet_turns();
        }
        self.quiet_turns();
        for open in self.files.values() {
            assert!(
                !open.oracle.owed_readable,
                "{}: no Readable came (F47)",
                open.path
            );
            assert!(
                !open.oracle.owed_writable,
                "{}: no Writable came (F38)",
                open.path
            );
            assert!(open.oracle.opened || open.oracle.failed.is_some());
        }
        while self.pick().is_some() {
            self.close();
        }
        self.quiet_turns();
        assert!(self.files.is_empty(), "files that never closed");
        assert_eq!(self.simulation.memory_used(), 0, "pages leaked");
        assert_eq!(
            self.simulation.disk().at_work(),
            (0, 0),
            "ops or kernel files leaked"
        );
    }

    fn quiet_turns(&mut self) {
        for _ in 0..100 {
            self.simulation.turn(Duration::from_millis(100));
            self.hear();
        }
    }

    fn few_quiet_turns(&mut self) {
        for _ in 0..10 {
            self.simulation.turn(Duration::from_millis(1));
            self.hear();
        }
    }
}

//! What the actors of a scenario share: one engine, its events, the directory, and counters.

use crate::dispatch::{Dispatcher, Executor};
use crate::tracker::CallTrackers;
use efio_core::{Engine, Fd};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Instant;

/// What a file must hold in the end.
pub struct Record {
    pub path: PathBuf,
    /// Each accepted byte, at its offset.
    pub bytes: Vec<u8>,
    /// The descriptors that wrote it: if one of them was left unfinished, the contents are unknown.
    pub fds: Vec<Fd>,
}

/// One engine and all that happens on it.
pub struct Session {
    engine: RwLock<Option<Engine>>,
    pub trackers: CallTrackers,
    pub dispatcher: Arc<Dispatcher>,
    pub executor: Arc<Executor>,
    pub dir: PathBuf,
    pub records: Mutex<Vec<Arc<Mutex<Record>>>>,
    /// Actors come to their end by themselves.
    stopping: AtomicBool,
    /// The engine is gone, or about to go.
    ending: AtomicBool,
    /// The engine is gone.
    over: AtomicBool,
    /// Every accepted byte has to be on the disk in the end.
    certain: AtomicBool,
    /// Since when the disk is frozen, or when it thawed last.
    pub frozen: Mutex<(bool, Instant)>,
    tokens: AtomicU64,
    pub compared: AtomicU64,
}

impl Session {
    pub fn new(
        engine: Engine,
        dispatcher: Arc<Dispatcher>,
        executor: Arc<Executor>,
        dir: PathBuf,
    ) -> Self {
        Self {
            engine: RwLock::new(Some(engine)),
            trackers: CallTrackers::default(),
            dispatcher,
            executor,
            dir,
            records: Mutex::default(),
            stopping: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            over: AtomicBool::new(false),
            certain: AtomicBool::new(false),
            frozen: Mutex::new((false, Instant::now())),
            tokens: AtomicU64::new(0),
            compared: AtomicU64::new(0),
        }
    }

    /// Calls the engine, if it is still there.
    pub fn with<R>(&self, call: impl FnOnce(&Engine) -> R) -> Option<R> {
        self.engine.read().unwrap().as_ref().map(call)
    }

    /// As `with`, without waiting for the lock.
    pub fn try_with<R>(&self, call: impl FnOnce(&Engine) -> R) -> Option<R> {
        self.engine.try_read().ok()?.as_ref().map(call)
    }

    /// The descriptor of the events, which outlives the engine.
    pub fn event_descriptor(&self) -> OwnedFd {
        let fd = self.with(|engine| engine.events().as_fd().try_clone_to_owned());
        fd.unwrap().unwrap()
    }

    /// Takes the engine away, while actors run or at the end.
    pub fn take_engine(&self) -> Engine {
        self.ending.store(true, Ordering::SeqCst);
        self.engine.write().unwrap().take().unwrap()
    }

    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    pub fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    /// Nothing of the engine is left.
    pub fn set_over(&self) {
        self.over.store(true, Ordering::SeqCst);
        self.dispatcher.wake_all();
    }

    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    pub fn set_certain(&self, is_certain: bool) {
        self.certain.store(is_certain, Ordering::SeqCst);
    }

    pub fn is_certain(&self) -> bool {
        self.certain.load(Ordering::SeqCst)
    }

    /// Returns an unused token for a positional call.
    pub fn token(&self) -> u64 {
        self.tokens.fetch_add(1, Ordering::Relaxed)
    }

    /// Panics unless `seen` is what was written.
    pub fn compare(&self, what: impl Fn() -> String, seen: &[u8], expected: &[u8]) {
        self.compared
            .fetch_add(seen.len() as u64, Ordering::Relaxed);
        if seen == expected {
            return;
        }
        let at = seen.iter().zip(expected).position(|(a, b)| a != b);
        let at = at.unwrap_or(seen.len().min(expected.len()));
        let show = |bytes: &[u8]| format!("{:?}", &bytes[at..bytes.len().min(at + 16)]);
        panic!(
            "{}: {} bytes seen, {} expected, the first that differs is {at}: {} for {}",
            what(),
            seen.len(),
            expected.len(),
            show(seen),
            show(expected)
        );
    }
}

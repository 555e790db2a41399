//! The function of `ef_set_cb_func`, and the thread that calls it.
//!
//! The original calls it from a worker thread of its own, where a callback may do what it likes,
//! even wait for a close. So it does not run on the engine's thread, which would wait with it, but
//! on one that is there for this alone and starts with the first function.

use crate::cancel::CancelGuard;
use crate::ffi::error;
use crate::forked::Home;
use crate::library::check_process;
use crate::signals;
use efio_core::queue::{SegQueue, inbox};
use efio_sync::Parker;
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread::{self, JoinHandle};

/// Whom to call.
pub static SUBSCRIPTION: Subscription = Subscription::new();

/// The type of the function: descriptor, operation code, user data.
pub type Function = unsafe extern "C" fn(c_int, c_int, *mut c_void);

/// A function and its user data.
#[derive(Clone, Copy)]
pub struct Subscriber {
    /// What is called.
    pub function: Function,
    /// What it is called with.
    pub data: *mut c_void,
}

// SAFETY: the pointer is given back to the function and not followed here; whoever sets it knows
// that the function runs on another thread.
unsafe impl Send for Subscriber {}

/// The one function of the process, if there is one.
pub struct Subscription {
    state: Mutex<State>,
    idle: Condvar,
    /// Whether there is a subscriber: spares the engine's thread the lock.
    wanted: AtomicBool,
    /// In a forked child: another thread had the lock, and has it for ever.
    is_lost: AtomicBool,
}

struct State {
    subscriber: Option<Subscriber>,
    running: bool,
}

thread_local! {
    /// Whether this is the thread that calls the function.
    static IS_CALLER: Cell<bool> = const { Cell::new(false) };
}

/// In a forked child, before anything else runs there: the thread that calls the function is not
/// there, unless it is the one that forked.
pub fn after_fork() {
    match SUBSCRIPTION.state.try_lock() {
        Ok(mut state) => state.running &= is_callback_thread(),
        Err(TryLockError::Poisoned(state)) => state.into_inner().running &= is_callback_thread(),
        Err(TryLockError::WouldBlock) => SUBSCRIPTION.is_lost.store(true, Ordering::Relaxed),
    }
}

/// Whether the calling thread is the one that runs the callback.
pub fn is_callback_thread() -> bool {
    IS_CALLER.with(Cell::get)
}

impl Subscription {
    const fn new() -> Self {
        let state = State {
            subscriber: None,
            running: false,
        };
        Self {
            state: Mutex::new(state),
            idle: Condvar::new(),
            wanted: AtomicBool::new(false),
            is_lost: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anybody is to be called.
    pub fn is_wanted(&self) -> bool {
        // Relaxed: news of a moment ago may still go to the old one, or to nobody.
        self.wanted.load(Ordering::Relaxed)
    }

    /// Sets or removes the function. When this returns the one before is not running and will not
    /// be called again, unless it is the caller itself.
    ///
    /// # Errors
    ///
    /// `ESHUTDOWN` in a forked child.
    pub fn replace(&self, subscriber: Option<Subscriber>) -> io::Result<()> {
        check_process()?;
        if self.is_lost.load(Ordering::Relaxed) {
            return Err(error(libc::ESHUTDOWN));
        }
        let mut state = self.lock();
        self.wanted.store(subscriber.is_some(), Ordering::Relaxed);
        state.subscriber = subscriber;
        while state.running && !is_callback_thread() {
            state = self
                .idle
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// Calls the function, with nothing locked.
    fn call(&self, number: c_int, operation: c_int, home: &Home) {
        let mut state = self.lock();
        let Some(subscriber) = state.subscriber else {
            return;
        };
        state.running = true;
        drop(state);
        // SAFETY: whoever set the function promised that it can be called from another thread with
        // this data, until it is replaced.
        unsafe { (subscriber.function)(number, operation, subscriber.data) };
        if home.is_child() {
            // It forked, and came back in the child, where this is the only thread.
            // SAFETY: ends the process.
            unsafe { libc::_exit(0) };
        }
        self.lock().running = false;
        self.idle.notify_all();
    }
}

type Sender = inbox::Sender<(c_int, c_int), SegQueue<(c_int, c_int)>, Parker>;

/// The thread that calls the function, once somebody wants it.
pub struct Caller {
    started: OnceLock<Sender>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// News that was sent to the thread. Only the engine's thread adds to it.
    sent: AtomicU64,
    told: Arc<Told>,
}

/// How much of it the thread has told.
#[derive(Default)]
struct Told {
    count: Mutex<u64>,
    more: Condvar,
}

impl Told {
    fn count(&self) -> MutexGuard<'_, u64> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn one_more(&self) {
        *self.count() += 1;
        self.more.notify_all();
    }
}

impl Caller {
    /// No thread yet.
    pub fn new() -> Self {
        Self {
            started: OnceLock::new(),
            thread: Mutex::new(None),
            sent: AtomicU64::new(0),
            told: Arc::default(),
        }
    }

    /// Starts the thread unless it is there.
    ///
    /// # Errors
    ///
    /// What the kernel says to a thread.
    pub fn start(&self) -> io::Result<()> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if self.started.get().is_some() {
            return Ok(());
        }
        let (sender, mut receiver) = inbox::new(SegQueue::new(), Parker::new());
        let told = Arc::clone(&self.told);
        let handle = thread::Builder::new()
            .name("efio-callback".into())
            .stack_size(signals::stack_size())
            .spawn(move || {
                let program = signals::block();
                let home = Home::here();
                IS_CALLER.with(|is_caller| is_caller.set(true));
                // Cancelled it would end in frames that are not C.
                let _cancel_guard = CancelGuard::new();
                while let Some(first) = receiver.recv() {
                    let mut next = Some(first);
                    program.run(|| {
                        while let Some((number, operation)) = next {
                            SUBSCRIPTION.call(number, operation, &home);
                            told.one_more();
                            next = receiver.try_recv();
                        }
                    });
                }
            })?;
        *thread = Some(handle);
        self.started.set(sender).map_err(|_| error(libc::EALREADY))
    }

    /// Has the function called, if there is one.
    pub fn enqueue(&self, number: c_int, operation: c_int) {
        if let Some(sender) = self.started.get() {
            if SUBSCRIPTION.is_wanted() {
                // Release: pairs with `settle`.
                self.sent.fetch_add(1, Ordering::Release);
                if sender.send((number, operation)).is_err() {
                    // After `stop`, or without memory: nobody is to wait for it.
                    self.told.one_more();
                }
            }
        }
    }

    /// Waits until all that was sent is told. The callback itself does not wait.
    pub fn settle(&self) {
        if is_callback_thread() {
            return;
        }
        // Acquire: pairs with `tell`.
        let sent = self.sent.load(Ordering::Acquire);
        let mut count = self.told.count();
        while *count < sent {
            count = self
                .told
                .more
                .wait(count)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until all news was told, and ends the thread. Not for the thread itself.
    pub fn stop(&self) {
        if let Some(sender) = self.started.get() {
            sender.close();
        }
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // A panic there was told by the panic hook.
            let _ = thread.join();
        }
    }
}

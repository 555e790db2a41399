//! The function of `ef_set_cb_func`, and the thread that calls it.
//!
//! The original calls it on a worker thread, where a callback may wait, for a close for instance.
//! So it does not run on the driver's thread, which would wait with it, but on a thread of its own,
//! which starts when the first function is set.

use crate::cancel::CancelGuard;
use crate::event::Operation;
use crate::ffi::error;
use crate::forked::ForkGuard;
use crate::library::check_process;
use crate::signals;
use efio_core::queue::{SegQueue, inbox};
use efio_sync::Parker;
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError, mpsc};
use std::thread::{self, JoinHandle};

/// The function of the process.
pub static SUBSCRIPTION: Subscription = Subscription::new();

/// The type of the function: descriptor, operation code, user data.
pub type Function = unsafe extern "C" fn(c_int, c_int, *mut c_void);

/// A function and its user data.
#[derive(Clone, Copy)]
pub struct Subscriber {
    /// The function.
    pub function: Function,
    /// Its last argument.
    pub data: *mut c_void,
}

// SAFETY: the pointer goes to the function and is not followed here; the program that sets it
// promises that the function may use it on another thread.
unsafe impl Send for Subscriber {}

/// The one function of the process, if it has set one.
pub struct Subscription {
    state: Mutex<State>,
    idle: Condvar,
    /// Whether there is a subscriber: spares the driver the lock.
    wanted: AtomicBool,
    /// In a forked child: another thread of the parent held the lock, so nobody releases it here.
    is_lost: AtomicBool,
}

struct State {
    subscriber: Option<Subscriber>,
    running: bool,
}

thread_local! {
    /// Whether this is the thread that runs the callback.
    static IS_CALLER: Cell<bool> = const { Cell::new(false) };
}

/// In a forked child, before anything else runs there: the callback is not running, unless the
/// thread that forked runs it.
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

    /// Whether a function is set.
    pub fn is_wanted(&self) -> bool {
        // Relaxed: an event of a moment ago may still go to the old function, or to none.
        self.wanted.load(Ordering::Relaxed)
    }

    /// Sets or removes the function. On return the one before is not running and will not be called
    /// again, unless it is the caller itself.
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
    fn call(&self, number: c_int, operation: c_int, fork: &ForkGuard) {
        let mut state = self.lock();
        let Some(subscriber) = state.subscriber else {
            return;
        };
        state.running = true;
        drop(state);
        // SAFETY: the program that set the function promised that it can be called on another
        // thread with this data, until it is replaced.
        unsafe { (subscriber.function)(number, operation, subscriber.data) };
        if fork.is_child() {
            // It forked, and returned in the child, where this is the only thread.
            // SAFETY: ends the process.
            unsafe { libc::_exit(0) };
        }
        self.lock().running = false;
        self.idle.notify_all();
    }
}

/// What the thread is sent.
enum Message {
    /// Call the function.
    Call(c_int, Operation),
    /// Confirm that all calls before were made.
    Settle(mpsc::Sender<()>),
}

type MessageSender = inbox::Sender<Message, SegQueue<Message>, Parker>;

/// The thread that runs the callback. It starts when the first function is set.
pub struct Caller {
    started: OnceLock<MessageSender>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Caller {
    /// No thread yet.
    pub fn new() -> Self {
        Self {
            started: OnceLock::new(),
            thread: Mutex::new(None),
        }
    }

    /// Starts the thread unless it is running.
    ///
    /// # Errors
    ///
    /// Those of the kernel for a thread.
    pub fn start(&self) -> io::Result<()> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if self.started.get().is_some() {
            return Ok(());
        }
        let (sender, mut receiver) = inbox::new(SegQueue::new(), Parker::new());
        let handle = thread::Builder::new()
            .name("efio-callback".into())
            .stack_size(signals::stack_size())
            .spawn(move || {
                let program = signals::block();
                let fork = ForkGuard::new();
                IS_CALLER.with(|is_caller| is_caller.set(true));
                // A cancellation would unwind frames that are not C.
                let _cancel_guard = CancelGuard::new();
                while let Some(first) = receiver.recv() {
                    let mut next = Some(first);
                    program.run(|| {
                        while let Some(message) = next {
                            match message {
                                Message::Call(number, operation) => {
                                    SUBSCRIPTION.call(number, operation as c_int, &fork);
                                }
                                // That is all that `settle` waits for.
                                Message::Settle(confirm) => drop(confirm),
                            }
                            next = receiver.try_recv();
                        }
                    });
                }
            })?;
        *thread = Some(handle);
        self.started.set(sender).map_err(|_| error(libc::EALREADY))
    }

    /// Queues a call of the function, if one is set.
    pub fn enqueue(&self, number: c_int, operation: Operation) {
        if let Some(sender) = self.started.get() {
            if SUBSCRIPTION.is_wanted() {
                // Fails after `stop`, and without memory: the call is lost.
                let _ = sender.send(Message::Call(number, operation));
            }
        }
    }

    /// Waits until all queued calls were made. The callback itself does not wait.
    pub fn settle(&self) {
        let Some(sender) = self.started.get() else {
            return;
        };
        if !is_callback_thread() {
            let (confirm, settled) = mpsc::channel();
            let _ = sender.send(Message::Settle(confirm));
            // The sender is dropped, here if it was not sent.
            let _ = settled.recv();
        }
    }

    /// Waits until all queued calls were made, and ends the thread. Not for the thread itself.
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
            // The panic hook has reported a panic of the thread.
            let _ = thread.join();
        }
    }
}

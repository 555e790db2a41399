//! Who is inside which call, and since when: what the watchdog looks at.

use efio_core::Fd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// A call of the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// One that must return at once.
    Now(&'static str),
    Open,
    Read,
    Write,
    Flush,
    Size,
    /// Until this mark is durable.
    Sync(u64),
    Close,
    /// A positional call, by its token.
    Completion(u64),
    /// The end of the engine, which knows its own deadline.
    Shutdown,
    /// For something of the test itself.
    Rest,
}

/// What an actor is doing.
#[derive(Clone, Copy, Debug)]
pub struct Doing {
    pub call: Call,
    pub fd: Option<Fd>,
    pub since: Instant,
    /// How often it was woken in this call and found nothing.
    pub wakeups: u32,
    /// Tells this call from the next one.
    pub number: u64,
}

/// One actor: a thread, or a task.
pub struct Post {
    pub name: String,
    doing: Mutex<Option<Doing>>,
    calls: Mutex<u64>,
}

impl Post {
    fn set(&self, call: Option<(Call, Option<Fd>)>) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        *calls += 1;
        let number = *calls;
        let doing = call.map(|(call, fd)| Doing {
            call,
            fd,
            since: Instant::now(),
            wakeups: 0,
            number,
        });
        *self.doing.lock().unwrap_or_else(PoisonError::into_inner) = doing;
    }

    /// Says what is being done until the guard is dropped.
    pub fn begin(self: &Arc<Self>, call: Call, fd: Option<Fd>) -> Busy {
        self.set(Some((call, fd)));
        Busy(Arc::clone(self))
    }

    /// Woken, and not ready yet.
    pub fn woken(&self) {
        let mut doing = self.doing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(doing) = doing.as_mut() {
            doing.wakeups += 1;
        }
    }

    /// What is being done; `None` when nothing is, or when it changes at this moment.
    pub fn doing(&self) -> Option<Doing> {
        *self.doing.try_lock().ok()?
    }
}

/// An actor is inside a call.
pub struct Busy(Arc<Post>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.set(None);
    }
}

/// All actors of a scene.
#[derive(Default)]
pub struct Posts(Mutex<Vec<Arc<Post>>>);

impl Posts {
    pub fn add(&self, name: String) -> Arc<Post> {
        let post = Arc::new(Post {
            name,
            doing: Mutex::default(),
            calls: Mutex::default(),
        });
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Arc::clone(&post));
        post
    }

    pub fn all(&self) -> Vec<Arc<Post>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.clone()
    }
}

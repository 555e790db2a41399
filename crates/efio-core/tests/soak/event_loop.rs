//! A thread that waits for the engine's event descriptor in an epoll set, and for nothing else: a
//! lost wake-up stalls every actor of this loop.

use crate::session::Session;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// How the descriptor is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    Level,
    Edge,
    OneShot,
}

impl Trigger {
    fn flags(self) -> i32 {
        libc::EPOLLIN
            | match self {
                Self::Level => 0,
                Self::Edge => libc::EPOLLET,
                Self::OneShot => libc::EPOLLONESHOT,
            }
    }
}

struct Set {
    epoll: OwnedFd,
    events: OwnedFd,
    trigger: Trigger,
}

impl Set {
    fn new(events: OwnedFd, trigger: Trigger) -> Self {
        // SAFETY: takes no memory; a result that is no error is a descriptor without another owner.
        let epoll = unsafe {
            let fd = libc::epoll_create1(libc::EPOLL_CLOEXEC);
            assert!(fd >= 0, "{}", io::Error::last_os_error());
            OwnedFd::from_raw_fd(fd)
        };
        let set = Self {
            epoll,
            events,
            trigger,
        };
        set.control(libc::EPOLL_CTL_ADD);
        set
    }

    fn control(&self, operation: i32) {
        let mut event = libc::epoll_event {
            events: self.trigger.flags() as u32,
            u64: 0,
        };
        let (epoll, fd) = (self.epoll.as_raw_fd(), self.events.as_raw_fd());
        // SAFETY: two open descriptors, and an event that lives through the call.
        let result = unsafe { libc::epoll_ctl(epoll, operation, fd, &raw mut event) };
        assert_eq!(result, 0, "{}", io::Error::last_os_error());
    }

    /// Returns whether the descriptor was reported within 50 ms.
    fn wait(&self) -> bool {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        // SAFETY: an open descriptor, and room for one event.
        let count = unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), &raw mut event, 1, 50) };
        count == 1
    }
}

/// Runs the tasks of the session until the engine is gone. Takes events only when the descriptor is
/// reported, and then until none is left.
pub fn run(session: &Session, trigger: Trigger) {
    let set = Set::new(session.event_descriptor(), trigger);
    while !session.is_ending() {
        session.executor.run();
        if !set.wait() {
            continue;
        }
        session.with(|engine| {
            for event in engine.events().drain() {
                session.dispatcher.deliver(event);
            }
        });
        if trigger == Trigger::OneShot {
            set.control(libc::EPOLL_CTL_MOD);
        }
    }
}

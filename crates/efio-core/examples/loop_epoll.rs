//! efio in a loop of one's own, on plain epoll: the engine calls back, and the callback wakes the
//! loop by whatever it has for that; here, a channel and an eventfd.
//!
//! ```text
//! cargo run --example loop_epoll -- FILE      # prints how many lines it has
//! ```

use efio_core::sync::{Alarm, EventFd};
use efio_core::{Engine, EventKind, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::channel;

fn main() -> io::Result<()> {
    let path = std::env::args_os().nth(1).unwrap_or_else(|| file!().into());
    let (news, heard) = channel();
    let bell = Arc::new(EventFd::new()?);
    let ring = Arc::clone(&bell);
    let engine = Engine::builder()
        .on_event(move |event| {
            // On the engine's thread: hand it over and be gone. Nobody hears it at the end.
            let _ = news.send(event);
            ring.wake();
        })
        .start()?;
    let epoll = Epoll::new(&*bell)?;

    let file = engine.open(path, &OpenOptions::new().read(true).prefetch(true))?;
    let mut buffer = vec![0; 64 << 10];
    let mut lines = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => lines += buffer[..n].iter().filter(|&&byte| byte == b'\n').count(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                epoll.wait()?;
                // First silence, then take: what comes in between rings again.
                bell.clear();
                for event in heard.try_iter() {
                    if let EventKind::Failed(failure) = event.kind {
                        return Err(failure.into());
                    }
                }
            }
            Err(error) => return Err(error),
        }
    }
    println!("{lines} lines");
    Ok(())
}

/// The least of an epoll: one descriptor, level-triggered.
struct Epoll(OwnedFd);

impl Epoll {
    fn new(bell: &impl AsRawFd) -> io::Result<Self> {
        // SAFETY: no pointers.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a new descriptor that nobody else owns.
        let epoll = Self(unsafe { OwnedFd::from_raw_fd(fd) });
        let mut event = libc::epoll_event {
            events: libc::EPOLLIN as u32,
            u64: 0,
        };
        // SAFETY: two open descriptors and an event that lives through the call.
        let result =
            unsafe { libc::epoll_ctl(fd, libc::EPOLL_CTL_ADD, bell.as_raw_fd(), &raw mut event) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(epoll)
    }

    fn wait(&self) -> io::Result<()> {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        // SAFETY: room for one event.
        let n = unsafe { libc::epoll_wait(self.0.as_raw_fd(), &raw mut event, 1, -1) };
        match n {
            0.. => Ok(()),
            _ => match io::Error::last_os_error() {
                error if error.kind() == ErrorKind::Interrupted => Ok(()),
                error => Err(error),
            },
        }
    }
}

//! efio in a loop of your own, on plain epoll: the engine calls back, and the callback wakes the
//! loop by what it has for that; here, a channel and an eventfd.
//!
//! ```text
//! cargo run --example loop_epoll -- FILE...   # prints how many lines each has
//! ```

use efio_core::sync::{Alarm, EventFd};
use efio_core::{Engine, EventKind, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::channel;

fn main() -> io::Result<()> {
    let (sender, receiver) = channel();
    let wakeup = Arc::new(EventFd::new()?);
    let waker = Arc::clone(&wakeup);
    let engine = Engine::builder()
        .on_event(move |event| {
            // On the engine's thread: hand it over and return. At the end nobody receives it.
            let _ = sender.send(event);
            waker.wake();
        })
        .start()?;
    let epoll = Epoll::new(&*wakeup)?;

    let mut counts = Vec::new();
    for path in std::env::args_os().skip(1) {
        // Each event of the file carries its place in the table: no map from descriptors is needed.
        let options = OpenOptions::new()
            .read(true)
            .prefetch(true)
            .user_data(counts.len() as u64);
        let file = Some(engine.open(path, &options)?);
        counts.push(Count { file, lines: 0 });
    }

    let mut open = counts.len();
    let mut buffer = vec![0; 64 << 10];
    while open > 0 {
        epoll.wait()?;
        // Clear first, then receive: an event that comes in between wakes the loop again.
        wakeup.clear();
        for event in receiver.try_iter() {
            let count = &mut counts[event.user_data as usize];
            match event.kind {
                EventKind::Opened | EventKind::Readable => count.go_on(&mut buffer)?,
                EventKind::Failed(failure) => return Err(failure.into()),
                EventKind::Closed { .. } => open -= 1,
                _ => {}
            }
        }
    }
    for count in counts {
        println!("{} lines", count.lines);
    }
    Ok(())
}

/// A file whose lines are counted.
struct Count {
    /// Until its end.
    file: Option<File>,
    lines: usize,
}

impl Count {
    /// Counts what can be read now. At the end of file it closes it: a `Closed` event follows.
    fn go_on(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        while let Some(file) = &self.file {
            match file.read(buffer) {
                Ok(0) => self.file = None,
                Ok(n) => self.lines += buffer[..n].iter().filter(|&&byte| byte == b'\n').count(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The least of an epoll: one descriptor, level-triggered.
struct Epoll(OwnedFd);

impl Epoll {
    fn new(wakeup: &impl AsRawFd) -> io::Result<Self> {
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
            unsafe { libc::epoll_ctl(fd, libc::EPOLL_CTL_ADD, wakeup.as_raw_fd(), &raw mut event) };
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

//! efio in a loop of mio: the event queue is one more source beside the sockets.
//!
//! ```text
//! cargo run --example loop_mio -- FILE...   # prints how many lines each has
//! ```

use efio_core::{Engine, EventKind, File, OpenOptions};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;

const FILES: Token = Token(0);

fn main() -> io::Result<()> {
    let engine = Engine::new()?;
    let mut poll = Poll::new()?;
    let queue = engine.events().as_raw_fd();
    // mio is edge-triggered, so every wake-up has to take all events: `drain` does.
    poll.registry()
        .register(&mut SourceFd(&queue), FILES, Interest::READABLE)?;

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
    let mut events = Events::with_capacity(16);
    while open > 0 {
        poll.poll(&mut events, None)?;
        for event in &events {
            assert_eq!(
                event.token(),
                FILES,
                "sockets would have tokens of their own"
            );
        }
        for event in engine.events().drain() {
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

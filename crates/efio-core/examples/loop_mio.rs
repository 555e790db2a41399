//! efio in a loop of mio: the event queue is one more source beside the sockets.
//!
//! ```text
//! cargo run --example loop_mio -- FILE      # prints how many lines it has
//! ```

use efio_core::{Engine, EventKind, OpenOptions};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;

const FILES: Token = Token(0);

fn main() -> io::Result<()> {
    let path = std::env::args_os().nth(1).unwrap_or_else(|| file!().into());
    let engine = Engine::new()?;
    let mut poll = Poll::new()?;
    let queue = engine.events().as_raw_fd();
    // mio asks for edges, so every wake-up has to take all events: `drain` does.
    poll.registry()
        .register(&mut SourceFd(&queue), FILES, Interest::READABLE)?;

    let file = engine.open(path, &OpenOptions::new().read(true).prefetch(true))?;
    let mut events = Events::with_capacity(16);
    let mut buffer = vec![0; 64 << 10];
    let mut lines = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => lines += buffer[..n].iter().filter(|&&byte| byte == b'\n').count(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                poll.poll(&mut events, None)?;
                for event in &events {
                    assert_eq!(
                        event.token(),
                        FILES,
                        "sockets would have tokens of their own"
                    );
                }
                for event in engine.events().drain() {
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

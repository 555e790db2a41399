//! efio in a loop of the crate polling, which async-io and smol stand on.
//!
//! ```text
//! cargo run --example loop_polling -- FILE      # prints how many lines it has
//! ```

use efio_core::{Engine, EventKind, OpenOptions};
use polling::{Event, Events, Poller};
use std::io::{self, ErrorKind};

const FILES: usize = 0;

fn main() -> io::Result<()> {
    let path = std::env::args_os().nth(1).unwrap_or_else(|| file!().into());
    let engine = Engine::new()?;
    let poller = Poller::new()?;
    // SAFETY: the queue lives as long as the engine, which is dropped after the poller forgot it.
    unsafe { poller.add(engine.events(), Event::readable(FILES))? };

    let file = engine.open(path, &OpenOptions::new().read(true).prefetch(true))?;
    let mut events = Events::new();
    let mut buffer = vec![0; 64 << 10];
    let mut lines = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => lines += buffer[..n].iter().filter(|&&byte| byte == b'\n').count(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                poller.wait(&mut events, None)?;
                events.clear();
                for event in engine.events().drain() {
                    if let EventKind::Failed(failure) = event.kind {
                        return Err(failure.into());
                    }
                }
                // polling tells once: ask again.
                poller.modify(engine.events(), Event::readable(FILES))?;
            }
            Err(error) => return Err(error),
        }
    }
    poller.delete(engine.events())?;
    println!("{lines} lines");
    Ok(())
}

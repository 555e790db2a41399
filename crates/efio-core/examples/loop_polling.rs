//! efio in a loop of the crate polling, which async-io and smol stand on.
//!
//! ```text
//! cargo run --example loop_polling -- FILE...   # prints how many lines each has
//! ```

use efio_core::{Engine, EventKind, File, OpenOptions};
use polling::{Event, Events, Poller};
use std::io::{self, ErrorKind};

const FILES: usize = 0;

fn main() -> io::Result<()> {
    let engine = Engine::new()?;
    let poller = Poller::new()?;
    // SAFETY: the queue lives as long as the engine, which is dropped after the poller forgot it.
    unsafe { poller.add(engine.events(), Event::readable(FILES))? };

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
    let mut events = Events::new();
    while open > 0 {
        poller.wait(&mut events, None)?;
        events.clear();
        for event in engine.events().drain() {
            let count = &mut counts[event.user_data as usize];
            match event.kind {
                EventKind::Opened | EventKind::Readable => count.go_on(&mut buffer)?,
                EventKind::Failed(failure) => return Err(failure.into()),
                EventKind::Closed { .. } => open -= 1,
                _ => {}
            }
        }
        // polling notifies once: ask again.
        poller.modify(engine.events(), Event::readable(FILES))?;
    }
    poller.delete(engine.events())?;
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

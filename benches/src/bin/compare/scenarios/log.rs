//! Lines of a log: first as many as a busy server makes, then as many as the peer can take.
//!
//! What a line costs its caller is measured while the disk keeps up: 200 lines, made beforehand, at
//! each tick of 1 kHz and looked at just before, so that they are as near as lines that were
//! formatted just now. On every other tick each call is timed by itself, which costs more than some
//! of the calls; the mean is that of the other ticks. Then the lines come at once, and all are made
//! durable.

use super::case::{Case, FLOOD, LINES_PER_TICK, TICKS, wrong};
use super::sampler::{Kind, Sampler, holding};
use super::timer::Timer;
use crate::pattern::mix;
use crate::peer::{Peer, Writer};
use std::cell::Cell;
use std::fs;
use std::hint::black_box;
use std::io;
use std::ops::Range;
use std::sync::LazyLock;
use std::time::Duration;

/// Lines repeat after so many. A program has formatted its line just now: together they fit the
/// caches of a core. Their number is odd and so are their bytes, so a page that is lost or
/// misplaced is seen.
const DIFFERENT: u64 = 251;

/// All lines, one after the other.
static LINES: LazyLock<Lines> = LazyLock::new(Lines::make);

struct Lines {
    bytes: Vec<u8>,
    /// Where each line begins, and where the last one ends.
    starts: Vec<usize>,
}

impl Lines {
    fn make() -> Self {
        let (mut bytes, mut starts) = (Vec::new(), vec![0]);
        for number in 0..DIFFERENT {
            let len = 100 + mix(number) % 101;
            let character = |at: u64| b'a' + (mix((number << 8) | at) % 26) as u8;
            bytes.extend((1..len).map(character));
            bytes.push(b'\n');
            starts.push(bytes.len());
        }
        Self { bytes, starts }
    }
}

pub fn line(number: u64) -> &'static [u8] {
    let (lines, index) = (&*LINES, (number % DIFFERENT) as usize);
    &lines.bytes[lines.starts[index]..lines.starts[index + 1]]
}

/// Bytes of so many lines from one on.
pub fn bytes(numbers: Range<u64>) -> u64 {
    numbers.map(|number| line(number).len() as u64).sum()
}

/// Leaves these lines in the cache, as formatting them would have done. It belongs before the
/// clock.
pub fn format(numbers: Range<u64>) {
    const CACHE_LINE: usize = 64;
    for number in numbers {
        let sum = line(number)
            .iter()
            .step_by(CACHE_LINE)
            .map(|&byte| u64::from(byte));
        black_box(sum.sum::<u64>());
    }
}

pub async fn log<P: Peer>(peer: &P, case: &Case, sampler: &mut Sampler) -> io::Result<()> {
    let (ticks, flood) = (case.scaled(TICKS), case.scaled(FLOOD));
    let mut writer = peer.writer(&case.out_path(0)).await?;
    let held = Cell::new(Duration::ZERO);
    let mut number = 0;
    {
        let ticker = Timer::start();
        for tick in 0..ticks {
            ticker.next().await;
            let lines = number..number + LINES_PER_TICK;
            number = lines.end;
            format(lines.clone());
            if tick % 2 == 0 {
                holding(&held, batch(&mut writer, lines)).await?;
            } else {
                each(&mut writer, lines, sampler).await?;
            }
        }
    }
    let measured = ticks.div_ceil(2) * LINES_PER_TICK;
    let cost = held.get().as_nanos() as f64 / measured as f64;

    let lines = number..number + flood;
    let bytes = bytes(lines.clone());
    sampler.start()?;
    batch(&mut writer, lines).await?;
    writer.finish(true).await?;
    let seconds = sampler.stop(bytes)?;
    sampler.metric("ns/line", cost);
    sampler.metric("MB/s, durable", bytes as f64 / 1e6 / seconds);
    Ok(())
}

async fn batch<W: Writer>(writer: &mut W, lines: Range<u64>) -> io::Result<()> {
    for number in lines {
        writer.put_line(line(number)).await?;
    }
    Ok(())
}

async fn each<W: Writer>(writer: &mut W, lines: Range<u64>, sampler: &Sampler) -> io::Result<()> {
    for number in lines {
        sampler
            .held(Kind::Write, writer.put_line(line(number)))
            .await?;
    }
    Ok(())
}

/// Whether each of the files holds its lines, which went to them in turn.
pub fn verify(case: &Case, files: Range<usize>, total: u64) -> io::Result<()> {
    for (index, file) in files.clone().enumerate() {
        let path = case.out_path(file);
        let bytes = fs::read(&path)?;
        let mut rest = &bytes[..];
        for number in (index as u64..total).step_by(files.len()) {
            let at = (bytes.len() - rest.len()) as u64;
            rest = rest
                .strip_prefix(line(number))
                .ok_or_else(|| wrong(&path, at))?;
        }
        if !rest.is_empty() {
            return Err(wrong(&path, (bytes.len() - rest.len()) as u64));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misplaced_page_of_lines_would_be_seen() {
        let period = bytes(0..DIFFERENT);
        assert_eq!(period, LINES.bytes.len() as u64);
        // Two places a whole number of pages apart hold the same bytes only 4096 periods apart.
        assert_eq!(period % 2, 1, "the lines of a period have an even length");
        assert!(period < 64 << 10, "they fit a core's own caches");
        assert!((0..DIFFERENT).all(|number| line(number).ends_with(b"\n")));
        assert_eq!(line(DIFFERENT), line(0));
    }
}

//! Lines of a log: first as many as a busy server makes, then as many as the peer can take.
//!
//! What a line costs its caller is measured while the disk keeps up: 200 lines, made beforehand, at
//! each tick of 1 kHz. On every other tick each call is timed by itself, which costs more than some of
//! the calls; the mean is that of the other ticks. Then the lines come at once, and all are made
//! durable.

use super::meter::holding;
use super::tick::Ticker;
use super::{Case, Meter, wrong};
use crate::pattern::mix;
use crate::peers::{Peer, Writer};
use std::cell::Cell;
use std::fs;
use std::io;
use std::sync::LazyLock;
use std::time::Duration;

const TICKS: u64 = 1000;
const LINES_PER_TICK: u64 = 200;
const FLOOD: u64 = 2_000_000;
/// Lines repeat after so many.
const DIFFERENT: u64 = 4096;

static LINES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let letters = |number: u64| {
        let len = 100 + mix(number) % 101;
        let letter = move |at: u64| b'a' + (mix((number << 8) | at) % 26) as u8;
        let mut line: Vec<u8> = (1..len).map(letter).collect();
        line.push(b'\n');
        line
    };
    (0..DIFFERENT).map(letters).collect()
});

pub fn line(number: u64) -> &'static [u8] {
    &LINES[(number % DIFFERENT) as usize]
}

pub async fn log<P: Peer>(peer: &P, case: &Case, meter: &mut Meter) -> io::Result<()> {
    line(0);
    let (ticks, flood) = (case.scaled(TICKS), case.scaled(FLOOD));
    let mut writer = peer.writer(&case.out_path(0)).await?;
    let held = Cell::new(Duration::ZERO);
    let mut number = 0;
    {
        let ticker = Ticker::start();
        for tick in 0..ticks {
            ticker.next().await;
            let lines = number..number + LINES_PER_TICK;
            number = lines.end;
            if tick % 2 == 0 {
                holding(&held, batch(&mut writer, lines)).await?;
            } else {
                each(&mut writer, lines, meter).await?;
            }
        }
    }
    let measured = ticks.div_ceil(2) * LINES_PER_TICK;
    let cost = held.get().as_nanos() as f64 / measured as f64;

    let start = meter.start()?;
    let lines = number..number + flood;
    let bytes: u64 = lines.clone().map(|number| line(number).len() as u64).sum();
    let counted = start.elapsed().as_secs_f64();
    batch(&mut writer, lines).await?;
    writer.finish(true).await?;
    let seconds = meter.stop(bytes)? - counted;
    meter.metric("ns/line", cost);
    meter.metric("MB/s, durable", bytes as f64 / 1e6 / seconds);
    Ok(())
}

async fn batch<W: Writer>(writer: &mut W, lines: std::ops::Range<u64>) -> io::Result<()> {
    for number in lines {
        writer.put_line(line(number)).await?;
    }
    Ok(())
}

async fn each<W: Writer>(
    writer: &mut W,
    lines: std::ops::Range<u64>,
    meter: &Meter,
) -> io::Result<()> {
    for number in lines {
        meter.held(writer.put_line(line(number))).await?;
    }
    Ok(())
}

/// Whether each file holds its lines.
pub fn verify(case: &Case) -> io::Result<()> {
    let total = match case.scenario.name {
        "log" => case.scaled(TICKS) * LINES_PER_TICK + case.scaled(FLOOD),
        _ => case.scaled(super::growth::LINES),
    };
    for file in 0..case.files {
        let path = case.out_path(file);
        let bytes = fs::read(&path)?;
        let mut rest = &bytes[..];
        for number in (file as u64..total).step_by(case.files) {
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

//! The same work over ever more open files.

use super::log::line;
use super::meter::{give_way, holding};
use super::stall::{pour, read as read_one};
use super::{Case, Meter, Set};
use crate::measure::cache::sync_file_system;
use crate::peers::{Peer, Writer};
use futures::future::try_join_all;
use std::cell::Cell;
use std::io;
use std::time::Duration;

pub const LINES: u64 = 400_000;

pub async fn read<P: Peer>(peer: &P, case: &Case, meter: &mut Meter) -> io::Result<()> {
    let Set { count, len } = case.input();
    meter.start()?;
    {
        let meter = &*meter;
        try_join_all((0..count).map(|file| read_one(peer, case, meter, file))).await?;
    }
    let seconds = meter.stop(count as u64 * len)?;
    meter.metric("MB/s", (count as u64 * len) as f64 / 1e6 / seconds);
    Ok(())
}

pub async fn write<P: Peer>(peer: &P, case: &Case, meter: &mut Meter) -> io::Result<()> {
    let Set { count, len } = case.output();
    meter.start()?;
    {
        let meter = &*meter;
        let one = |file: usize| async move {
            let mut writer = peer.writer(&case.out_path(file)).await?;
            // All are open before the first is written.
            give_way().await;
            pour::<P>(&mut writer, meter, file, len).await?;
            writer.finish(false).await
        };
        try_join_all((0..count).map(one)).await?;
    }
    sync_file_system(&case.output)?;
    let seconds = meter.stop(count as u64 * len)?;
    meter.metric("MB/s", (count as u64 * len) as f64 / 1e6 / seconds);
    Ok(())
}

pub async fn log<P: Peer>(peer: &P, case: &Case, meter: &mut Meter) -> io::Result<()> {
    let lines = case.scaled(LINES);
    let opens = (0..case.files).map(|file| async move { peer.writer(&case.out_path(file)).await });
    let mut writers = try_join_all(opens).await?;
    meter.start()?;
    let held = Cell::new(Duration::ZERO);
    let mut bytes = 0;
    for number in 0..lines {
        let line = line(number);
        bytes += line.len() as u64;
        let writer = &mut writers[number as usize % case.files];
        let put = writer.put_line(line);
        holding(&held, put).await?;
    }
    try_join_all(writers.into_iter().map(|writer| writer.finish(false))).await?;
    sync_file_system(&case.output)?;
    meter.stop(bytes)?;
    meter.metric("ns/line", held.get().as_nanos() as f64 / lines as f64);
    Ok(())
}

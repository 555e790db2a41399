//! The same work over ever more open files.

use super::case::{Case, Set};
use super::latency::{pour, read as read_one};
use super::log::{self, line};
use super::sampler::{Sampler, give_way, holding, together};
use crate::measure::cache::sync_file_system;
use crate::peer::{Peer, Writer};
use futures::future::try_join_all;
use std::cell::Cell;
use std::io;
use std::time::Duration;

const BATCH: u64 = 200;

pub async fn read<P: Peer>(peer: &P, case: &Case, sampler: &mut Sampler) -> io::Result<()> {
    let Set { count, len } = case.input();
    sampler.start()?;
    {
        let sampler = &*sampler;
        together((0..count).map(|file| read_one(peer, case, sampler, file))).await?;
    }
    let seconds = sampler.stop(count as u64 * len)?;
    sampler.metric("MB/s", (count as u64 * len) as f64 / 1e6 / seconds);
    Ok(())
}

pub async fn write<P: Peer>(peer: &P, case: &Case, sampler: &mut Sampler) -> io::Result<()> {
    let Set { count, len } = case.output();
    sampler.start()?;
    {
        let sampler = &*sampler;
        let one = |file: usize| async move {
            let mut writer = peer.writer(&case.out_path(file)).await?;
            // All are open before the first is written.
            give_way().await;
            pour::<P>(&mut writer, sampler, file, len).await?;
            writer.finish(false).await
        };
        together((0..count).map(one)).await?;
    }
    sync_file_system(&case.output)?;
    let seconds = sampler.stop(count as u64 * len)?;
    sampler.metric("MB/s", (count as u64 * len) as f64 / 1e6 / seconds);
    Ok(())
}

pub async fn log<P: Peer>(peer: &P, case: &Case, sampler: &mut Sampler) -> io::Result<()> {
    let lines = case.lines();
    let opens = (0..case.files).map(|file| async move { peer.writer(&case.out_path(file)).await });
    let mut writers = try_join_all(opens).await?;
    for writer in &mut writers {
        writer.opened().await?;
    }
    let bytes = log::bytes(0..lines);
    sampler.start()?;
    let held = Cell::new(Duration::ZERO);
    let mut number = 0;
    while number < lines {
        let end = lines.min(number + BATCH);
        log::format(number..end);
        // The clock costs as much as a line: it is read once for many.
        let batch = async {
            for number in number..end {
                let writer = &mut writers[number as usize % case.files];
                writer.put_line(line(number)).await?;
            }
            io::Result::Ok(())
        };
        holding(&held, batch).await?;
        number = end;
    }
    together(writers.into_iter().map(|writer| writer.finish(false))).await?;
    sync_file_system(&case.output)?;
    let seconds = sampler.stop(bytes)?;
    sampler.metric("ns/line", held.get().as_nanos() as f64 / lines as f64);
    sampler.metric("MB/s, durable", bytes as f64 / 1e6 / seconds);
    Ok(())
}

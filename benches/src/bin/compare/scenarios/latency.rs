//! One loop thread serves readers and writers at once, while a tick wants to be noticed.

use super::case::{Case, Set, wrong};
use super::sampler::{Kind, Sampler, give_way, together};
use super::timer::Timer;
use crate::pattern;
use crate::peer::{CALL, Peer, Reader, Writer};
use futures::future::{Either, LocalBoxFuture, select};
use std::io;
use std::pin::pin;

pub async fn latency<P: Peer>(peer: &P, case: &Case, sampler: &mut Sampler) -> io::Result<()> {
    let (input, output) = (case.input(), case.output());
    sampler.watch();
    sampler.start()?;
    {
        let sampler = &*sampler;
        let ticker = Timer::start();
        let ticks = pin!(async {
            loop {
                sampler.late(ticker.next().await);
            }
        });
        let readers = (0..input.count).map(|file| {
            Box::pin(read(peer, case, sampler, file)) as LocalBoxFuture<'_, io::Result<()>>
        });
        let writers = (0..output.count).map(|file| {
            Box::pin(write(peer, case, sampler, file)) as LocalBoxFuture<'_, io::Result<()>>
        });
        let all: LocalBoxFuture<'_, io::Result<()>> = Box::pin(together(readers.chain(writers)));
        let ticks: LocalBoxFuture<'_, ()> = Box::pin(ticks);
        match select(all, ticks).await {
            Either::Left((result, _)) => result?,
            Either::Right(_) => unreachable!("the ticks never end"),
        }
    }
    let moved = input.count as u64 * input.len + output.count as u64 * output.len;
    let seconds = sampler.stop(moved)?;
    sampler.metric("s", seconds);
    Ok(())
}

/// Reads one file of the set to its end, giving way after each call.
pub async fn read<P: Peer>(
    peer: &P,
    case: &Case,
    sampler: &Sampler,
    file: usize,
) -> io::Result<()> {
    let path = case.in_path(file);
    let mut reader = sampler.held(Kind::Open, peer.reader(&path)).await?;
    let mut offset = 0;
    loop {
        let bytes = sampler.held(Kind::Read, reader.next()).await?;
        if bytes.is_empty() {
            break;
        }
        if !pattern::check(file as u64, offset, bytes) {
            return Err(wrong(&path, offset));
        }
        offset += bytes.len() as u64;
        reader.spent();
        give_way().await;
    }
    if offset != case.input().len {
        return Err(wrong(&path, offset));
    }
    sampler.held(Kind::End, reader.close()).await
}

async fn write<P: Peer>(peer: &P, case: &Case, sampler: &Sampler, file: usize) -> io::Result<()> {
    let Set { len, .. } = case.output();
    let mut writer = sampler
        .held(Kind::Open, peer.writer(&case.out_path(file)))
        .await?;
    pour::<P>(&mut writer, sampler, file, len).await?;
    sampler.held(Kind::End, writer.finish(true)).await
}

/// Puts the bytes of a file into a writer, giving way after each call.
pub async fn pour<P: Peer>(
    writer: &mut P::Writer,
    sampler: &Sampler,
    file: usize,
    len: u64,
) -> io::Result<()> {
    for offset in (0..len).step_by(CALL) {
        let part = CALL.min((len - offset) as usize);
        let call = writer.put(part, |bytes| pattern::fill(file as u64, offset, bytes));
        sampler.held(Kind::Write, call).await?;
        give_way().await;
    }
    Ok(())
}

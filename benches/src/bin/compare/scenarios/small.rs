//! Many small files, 64 of them at once.

use super::case::{Case, Set, wrong};
use super::sampler::Sampler;
use crate::measure::cache::sync_file_system;
use crate::pattern;
use crate::peer::{Peer, Reader, Writer};
use futures::stream::{self, StreamExt, TryStreamExt};
use std::io;
use std::time::Instant;

pub async fn write<P: Peer>(peer: &P, case: &Case, sampler: &mut Sampler) -> io::Result<()> {
    let Set { count, len } = case.output();
    let start = sampler.start()?;
    {
        let sampler = &*sampler;
        let one = |file: usize| async move {
            let begun = Instant::now();
            let mut writer = peer.writer(&case.out_path(file)).await?;
            writer
                .put(len as usize, |bytes| pattern::fill(file as u64, 0, bytes))
                .await?;
            writer.finish(false).await?;
            sampler.took(begun.elapsed());
            Ok(())
        };
        all(count, case.files, one).await?;
    }
    let closed = start.elapsed().as_secs_f64();
    sync_file_system(&case.output)?;
    let durable = sampler.stop(count as u64 * len)?;
    sampler.metric("files/s, closed", count as f64 / closed);
    sampler.metric("files/s, durable", count as f64 / durable);
    Ok(())
}

pub async fn read<P: Peer>(peer: &P, case: &Case, sampler: &mut Sampler) -> io::Result<()> {
    let Set { count, len } = case.input();
    sampler.start()?;
    {
        let sampler = &*sampler;
        let one = |file: usize| async move {
            let begun = Instant::now();
            let path = case.in_path(file);
            let mut reader = peer.reader(&path).await?;
            let mut offset = 0;
            // A server of files knows their lengths.
            while offset < len {
                let bytes = reader.next().await?;
                if bytes.is_empty() || !pattern::check(file as u64, offset, bytes) {
                    return Err(wrong(&path, offset));
                }
                offset += bytes.len() as u64;
                reader.spent();
            }
            reader.close().await?;
            sampler.took(begun.elapsed());
            Ok(())
        };
        all(count, case.files, one).await?;
    }
    let seconds = sampler.stop(count as u64 * len)?;
    sampler.metric("files/s", count as f64 / seconds);
    Ok(())
}

/// Does it for each of `count` files, for so many at once.
async fn all<F>(count: usize, at_once: usize, one: impl FnMut(usize) -> F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>>,
{
    stream::iter((0..count).map(one))
        .buffer_unordered(at_once)
        .try_for_each(async |()| Ok(()))
        .await
}

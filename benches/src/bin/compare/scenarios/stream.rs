//! One file, from its begin to its end.

use super::case::{Case, Set, wrong};
use super::sampler::{Kind, Sampler};
use crate::pattern;
use crate::peer::{CALL, Peer, Reader, Writer};
use std::io;

pub async fn read<P: Peer>(peer: &P, case: &Case, sampler: &mut Sampler) -> io::Result<()> {
    let Set { len, .. } = case.input();
    sampler.start()?;
    let mut reader = peer.reader(&case.in_path(0)).await?;
    let mut offset = 0;
    loop {
        let bytes = sampler.held(Kind::Read, reader.next()).await?;
        if bytes.is_empty() {
            break;
        }
        if !pattern::check(0, offset, bytes) {
            return Err(wrong(&case.in_path(0), offset));
        }
        offset += bytes.len() as u64;
    }
    reader.close().await?;
    let seconds = sampler.stop(len)?;
    if offset != len {
        return Err(wrong(&case.in_path(0), offset));
    }
    sampler.metric("MB/s", len as f64 / 1e6 / seconds);
    Ok(())
}

pub async fn write<P: Peer>(peer: &P, case: &Case, sampler: &mut Sampler) -> io::Result<()> {
    let Set { len, .. } = case.output();
    sampler.start()?;
    let mut writer = peer.writer(&case.out_path(0)).await?;
    for offset in (0..len).step_by(CALL) {
        let call = writer.put(CALL, |bytes| pattern::fill(0, offset, bytes));
        sampler.held(Kind::Write, call).await?;
    }
    writer.finish(true).await?;
    let seconds = sampler.stop(len)?;
    sampler.metric("MB/s", len as f64 / 1e6 / seconds);
    Ok(())
}

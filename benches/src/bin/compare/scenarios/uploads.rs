//! Many uploads at once: pieces as they come off a network, in turn, and each file durable at its
//! end.

use super::case::{Case, Set};
use super::sampler::{Sampler, give_way, together};
use crate::pattern;
use crate::peer::{Peer, Writer};
use std::io;
use std::time::Instant;

const PIECE: usize = 16 << 10;

pub async fn uploads<P: Peer>(peer: &P, case: &Case, sampler: &mut Sampler) -> io::Result<()> {
    let Set { count, len } = case.output();
    sampler.start()?;
    {
        let sampler = &*sampler;
        let one = |file: usize| async move {
            let begun = Instant::now();
            let mut writer = peer.writer(&case.out_path(file)).await?;
            for offset in (0..len).step_by(PIECE) {
                let fill = |bytes: &mut [u8]| pattern::fill(file as u64, offset, bytes);
                writer.put(PIECE, fill).await?;
                give_way().await;
            }
            writer.finish(true).await?;
            sampler.took(begun.elapsed());
            io::Result::Ok(())
        };
        together((0..count).map(one)).await?;
    }
    let seconds = sampler.stop(count as u64 * len)?;
    sampler.metric("uploads/s", count as f64 / seconds);
    Ok(())
}

//! Reads of a page here and there, 64 at once.

use super::case::{Case, Set, wrong};
use super::sampler::{Sampler, together};
use crate::pattern::{self, mix};
use crate::peer::{Peer, Places};
use std::cell::Cell;
use std::io;
use std::time::Instant;

const READ: usize = 4096;
const DEPTH: usize = 64;
const READS: u64 = 32_000;

pub async fn random<P: Peer>(peer: &P, case: &Case, sampler: &mut Sampler) -> io::Result<()> {
    let Set { len, .. } = case.input();
    let reads = case.scaled(READS);
    let places = peer.places(&case.in_path(0)).await?;
    sampler.start()?;
    {
        let (sampler, places, next) = (&*sampler, &places, &Cell::new(0));
        let one = |_| async move {
            while next.get() < reads {
                let offset = mix(next.get()) % (len / READ as u64) * READ as u64;
                next.set(next.get() + 1);
                let begun = Instant::now();
                let mut right = false;
                let look =
                    |bytes: &[u8]| right = bytes.len() == READ && pattern::check(0, offset, bytes);
                places.read_at(offset, READ, look).await?;
                sampler.took(begun.elapsed());
                if !right {
                    return Err(wrong(&case.in_path(0), offset));
                }
            }
            Ok(())
        };
        together((0..DEPTH).map(one)).await?;
    }
    let seconds = sampler.stop(reads * READ as u64)?;
    sampler.metric("reads/s", reads as f64 / seconds);
    Ok(())
}

//! What is done with the peers. Each scenario is written once, for all of them.

mod case;
mod growth;
mod latency;
mod log;
mod mixed;
mod random;
mod sampler;
mod small;
mod stream;
mod timer;
mod uploads;

pub use case::Case;
pub use sampler::Sampler;

use crate::peer::Peer;
use std::io;

/// Reads back what was written.
pub fn verify(case: &Case) -> io::Result<()> {
    match case.scenario.name {
        "log" | "growth-log" => log::verify(case, 0..case.files, case.lines()),
        "mixed" => mixed::verify(case),
        _ => case.verify(),
    }
}

/// Runs a case for one peer.
pub fn run<P: Peer>(case: &Case, sampler: &mut Sampler) -> io::Result<()> {
    P::run(case.demand(), async |peer| {
        match case.scenario.name {
            "read" => stream::read(peer, case, sampler).await?,
            "write" => stream::write(peer, case, sampler).await?,
            "log" => log::log(peer, case, sampler).await?,
            "mixed" => mixed::mixed(peer, case, sampler).await?,
            "stall" => latency::latency(peer, case, sampler).await?,
            "small-write" => small::write(peer, case, sampler).await?,
            "small-read" => small::read(peer, case, sampler).await?,
            "random" => random::random(peer, case, sampler).await?,
            "uploads" => uploads::uploads(peer, case, sampler).await?,
            "growth-read" => growth::read(peer, case, sampler).await?,
            "growth-write" => growth::write(peer, case, sampler).await?,
            "growth-log" => growth::log(peer, case, sampler).await?,
            other => return Err(io::Error::other(format!("no scenario {other}"))),
        }
        sampler.note(peer.note());
        Ok(())
    })
}

//! All peers. One that moves blocks is only a [`Disk`](blocks::Disk).

pub mod blocks;
mod efio;
mod pool;
mod ring;
mod standard;
mod std_buffered;

#[cfg(feature = "peers")]
mod glommio;
#[cfg(feature = "peers")]
mod owned;
#[cfg(feature = "peers")]
mod tokio;
#[cfg(feature = "peers")]
mod tracing_appender;

use crate::scenarios::{Case, Sampler, run};
use std::io;

/// A name on the command line and what runs a case for it.
pub struct Entry {
    pub name: &'static str,
    pub about: &'static str,
    pub run: fn(&Case, &mut Sampler) -> io::Result<()>,
}

macro_rules! peers {
    ($($(#[$cfg:meta])* $name:literal, $about:literal, $peer:ty;)*) => {
        &[$($(#[$cfg])* Entry { name: $name, about: $about, run: run::<$peer> },)*]
    };
}

/// Everyone, in the order of the tables.
pub const PEERS: &[Entry] = peers! {
    "efio", "efio with its default settings", efio::Efio<efio::Auto>;
    "efio-uring", "efio, io_uring asked for", efio::Efio<efio::Uring>;
    "efio-pool", "efio, worker threads asked for", efio::Efio<efio::Pool>;
    "limit", "a bare io_uring, O_DIRECT, 4 × 2 MiB registered in huge pages", blocks::Blocks<ring::Ring<{ 2 << 20 }>>;
    "ring-1m", "the same with 4 × 1 MiB", blocks::Blocks<ring::Ring<{ 1 << 20 }>>;
    "std", "std::fs, a system call for each call", blocks::Blocks<standard::Std>;
    "direct", "std::fs with O_DIRECT, 1 MiB at once", blocks::Blocks<standard::Direct>;
    "dontcache", "RWF_DONTCACHE, 2 MiB at once", blocks::Blocks<standard::DontCache>;
    "bufwriter", "std::io::BufWriter, 64 KiB", std_buffered::Buffered;
    #[cfg(feature = "peers")]
    "tokio", "tokio::fs, 256 KiB at once, writes through its BufWriter", tokio::Tokio;
    #[cfg(feature = "peers")]
    "tokio-uring", "tokio-uring, reads of 64 KiB, writes of 2 × 256 KiB", blocks::Blocks<owned::TokioUring>;
    #[cfg(feature = "peers")]
    "glommio", "glommio DmaFile, 4 × 1 MiB", blocks::Blocks<glommio::Glommio>;
    #[cfg(feature = "peers")]
    "compio", "compio, the same", blocks::Blocks<owned::Compio>;
    #[cfg(feature = "peers")]
    "monoio", "monoio, the same", blocks::Blocks<owned::Monoio>;
    #[cfg(feature = "peers")]
    "tracing-appender", "tracing_appender::non_blocking, lossless", tracing_appender::Appender;
};

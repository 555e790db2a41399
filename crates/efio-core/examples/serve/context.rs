//! What all connections share.

use crate::blocking::BlockingPool;
use crate::counters::Counters;
use crate::timing::Timings;
use efio_core::{Engine, Fd, OpenOptions};
use std::collections::HashMap;
use std::ffi::CString;
use std::time::{Duration, Instant};

/// How much and how slow a client may be.
#[derive(Clone, Copy)]
pub struct Limits {
    /// Bytes of a head.
    pub head: usize,
    /// Bytes of a body.
    pub body: u64,
    /// How long a head may take from its first byte on.
    pub head_time: Duration,
    /// How long a connection may be silent between two requests.
    pub idle_time: Duration,
    /// How long a body may be slower than [`LEAST_SPEED`].
    pub stall_time: Duration,
}

/// Bytes per second of a client that is not too slow.
pub const LEAST_SPEED: u64 = 1024;

/// The state that all connections share.
pub struct Context {
    pub engine: Engine,
    pub pool: BlockingPool,
    pub timings: Timings,
    pub counters: Counters,
    pub limits: Limits,
    /// The connection that uses each file.
    pub connections_by_fd: HashMap<Fd, usize>,
    /// Uploads that were given up, whose files are not closed yet.
    pub given_up: HashMap<Fd, CString>,
    pub upload_options: OpenOptions,
    /// No new requests are taken.
    pub draining: bool,
    /// When this turn of the loop began.
    pub now: Instant,
    pub uploads: u64,
}

impl Context {
    /// A name that no other upload has.
    pub fn next_upload(&mut self) -> String {
        self.uploads += 1;
        format!("{}-{}", std::process::id(), self.uploads)
    }
}

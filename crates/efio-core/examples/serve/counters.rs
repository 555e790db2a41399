//! What the live metrics count.

use std::time::Instant;

/// What happened so far.
pub struct Counters {
    pub since: Instant,
    pub requests: u64,
    pub uploads: u64,
    pub downloads: u64,
    /// Uploads that got their name.
    pub published: u64,
    /// Uploads that were given up.
    pub given_up: u64,
    /// Bytes that files accepted.
    pub accepted: u64,
    /// Bytes of finished uploads.
    pub durable: u64,
    /// Bytes of files that sockets took.
    pub sent: u64,
    /// Pages of the root's files in the page cache, and all.
    pub pages: (u64, u64),
}

impl Counters {
    pub fn new() -> Self {
        Self {
            since: Instant::now(),
            requests: 0,
            uploads: 0,
            downloads: 0,
            published: 0,
            given_up: 0,
            accepted: 0,
            durable: 0,
            sent: 0,
            pages: (0, 0),
        }
    }
}

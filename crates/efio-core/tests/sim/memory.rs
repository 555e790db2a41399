//! The rules for the memory that all files share.

use super::client::{Client, Open};
use efio_core::sim::memory;

/// More than all others may write while one writer waits for room.
const TIMEOUT: u64 = 16 << 20;

/// The memory of a file before a write.
pub struct Before {
    used: usize,
    /// The accepted bytes of the file that were not written.
    backlog: u64,
    /// The most bytes that it may have so.
    share: usize,
}

impl Client {
    /// Returns the memory of a file now.
    pub fn before(&self, index: usize) -> Before {
        let (used, _) = memory(&self.engine);
        let file = self.engine.file(self.files[index].fd);
        let marks = file.progress().unwrap();
        let free = self.config.memory_budget - used;
        Before {
            used,
            backlog: marks.accepted - marks.written,
            share: free.min(self.config.write_behind.unwrap_or(free)),
        }
    }

    /// Asserts after a write that a file whose backlog had reached its share got no more memory.
    pub fn assert_fair(&self, before: &Before) {
        let (used, _) = memory(&self.engine);
        let full = before.backlog >= before.share as u64;
        assert!(
            !full || used <= before.used,
            "{} bytes unwritten, a share of {}, and it got another page",
            before.backlog,
            before.share
        );
    }

    /// Counts accepted bytes and asserts that no other writer waits for too long.
    pub fn count_accepted(&mut self, bytes: u64) {
        self.accepted += bytes;
        for Open { path, oracle, .. } in &self.files {
            let missed = oracle.waits_from.map_or(0, |from| self.accepted - from);
            assert!(
                missed < TIMEOUT,
                "{path}: waits for room while others wrote {missed} bytes"
            );
        }
    }

    /// Asserts that refused memory was refused for the right reason (F36).
    pub fn refused_memory(&self, errno: Option<i32>) {
        let (_, mapped) = memory(&self.engine);
        if mapped < self.config.memory_budget {
            assert!(self.faults.no_memory > 0, "memory is available");
            assert_eq!(errno, Some(libc::ENOMEM), "the kernel refused it");
        } else {
            assert_eq!(errno, Some(libc::EAGAIN), "the budget is used up");
        }
    }
}

//! What calls may do to the memory that all files share.

use super::client::{Client, Open};
use efio_core::sim::memory;

/// More than all others may write while a writer waits for room: it is starved.
const TIMEOUT: u64 = 16 << 20;

/// How things stood before a write.
pub struct Before {
    used: usize,
    /// Bytes that the file had accepted and not written.
    backlog: u64,
    /// Bytes that it may have so.
    share: usize,
}

impl Client {
    /// How things stand for a file.
    pub fn before(&self, index: usize) -> Before {
        let (used, _) = memory(&self.engine);
        let marks = self.files[index].file.as_ref().unwrap().progress().unwrap();
        let free = self.config.memory_budget - used;
        Before {
            used,
            backlog: marks.accepted - marks.written,
            share: free.min(self.config.write_behind.unwrap_or(free)),
        }
    }

    /// A write was made: who has as much as is free already got no memory for more.
    pub fn is_fair(&self, before: &Before) {
        let (used, _) = memory(&self.engine);
        let full = before.backlog >= before.share as u64;
        assert!(
            !full || used <= before.used,
            "{} bytes unwritten, a share of {}, and it got another page",
            before.backlog,
            before.share
        );
    }

    /// A file accepted bytes: none of the others has waited for too long.
    pub fn count_accepted(&mut self, bytes: u64) {
        self.accepted += bytes;
        for Open { path, oracle, .. } in &self.files {
            let missed = oracle.waits_from.map_or(0, |from| self.accepted - from);
            assert!(
                missed < TIMEOUT,
                "{path}: starved while others wrote {missed} bytes"
            );
        }
    }

    /// Memory was refused: by whoever had none (F36).
    pub fn refused_memory(&self, errno: Option<i32>) {
        let (_, mapped) = memory(&self.engine);
        if mapped < self.config.memory_budget {
            assert!(self.trouble.no_memory > 0, "there is memory");
            assert_eq!(errno, Some(libc::ENOMEM), "the kernel refused it");
        } else {
            assert_eq!(errno, Some(libc::EAGAIN), "the budget is used up");
        }
    }
}

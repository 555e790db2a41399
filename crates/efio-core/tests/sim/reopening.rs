//! Files that are opened while an older close of them is still in progress, and opens that are
//! cancelled.
//!
//! ```text
//!  open ── write ── close ┄┄┄┄┄ drained
//!                     └─ open ┄┄┄┄┄┄┄┄┄ opened: it finds what the first one left (F85)
//!                          └─ dropped ── the next open finds it as well (F86)
//! ```

use super::client::{Client, Open, PathState, lock, path};
use super::oracle::Oracle;
use efio_core::Errno;

impl Client {
    /// Returns the path that was closed last, of those whose close is still in progress.
    pub fn closing(&self) -> Option<u8> {
        let open = |path: u8| {
            let mut others = self.files.iter().filter(|open| open.path == path);
            others.any(|open| open.file.is_some())
        };
        let mut paths = self.files.iter().rev().map(|open| open.path);
        paths.find(|&path| !open(path))
    }

    /// Returns the content of a file once all accepted bytes are written.
    pub fn will_be(&self, path: u8) -> Vec<u8> {
        let fits = |open: &&Open| {
            let is_refused = open.oracle.failed.is_some() && !open.oracle.opened;
            open.path == path && !is_refused && !open.is_overtaken && !open.is_cancelled
        };
        let state = &self.paths[usize::from(path)];
        match self.files.iter().rev().find(fits) {
            Some(Open { oracle, .. }) if oracle.number > state.number => oracle.content.clone(),
            _ => state.content.clone().unwrap_or_default(),
        }
    }

    /// Drops the last future that opens a file, and the file with it.
    pub fn cancel_open(&mut self) {
        let mut files = self.files.iter_mut().rev();
        let Some(open) = files.find(|open| open.future.is_some()) else {
            return;
        };
        let future = open.future.take().expect("it was selected by its future");
        if future.cancel() {
            (open.is_cancelled, open.truncates) = (true, false);
        }
        self.stale.push(open.fd);
        open.file = None;
    }

    /// Checks the content that an open found.
    pub fn found(&mut self, at: usize) {
        let (before, after) = self.files.split_at_mut(at);
        let open = &mut after[0];
        open.future = None;
        let state = &self.paths[usize::from(open.path)];
        let inode = self.store.inode(&path(open.path));
        let inode = inode.expect("an opened file exists");
        // What a cancelled open found empty before it waited, others may have filled meanwhile.
        let is_stale = open.is_cancelled && lock(&inode).is_passed(open.oracle.number);
        let found = lock(&inode).found_by(open.oracle.number);
        let Some(found) = found.filter(|_| !is_stale) else {
            // In a file that it made there was nothing to truncate.
            let inode = lock(&inode);
            let record = inode.open(open.oracle.number);
            let truncates = open.truncates && !record.is_some_and(|record| record.made);
            let has_effects = truncates || open.oracle.accepted() > 0;
            assert!(open.file.is_none() && !has_effects, "overtaken (F85)");
            open.is_overtaken = true;
            return;
        };
        let of_path = |other: &&Open| other.path == open.path && !other.is_overtaken;
        let before: Vec<_> = before.iter().filter(of_path).collect();
        // One that was closed at once has no event before its last.
        let inode = lock(&inode);
        let is_open = |other: &Open| {
            let was_on_disk = || inode.open(other.oracle.number).is_some();
            other.oracle.opened || (other.file.is_none() && was_on_disk())
        };
        for other in &before {
            let is_answered = is_open(other) || other.oracle.failed.is_some();
            let has_effects = other.truncates || other.oracle.accepted() > 0;
            assert!(is_answered || !has_effects, "overtook another open (F85)");
        }
        let last = before.iter().rev().find(|other| is_open(other));
        let last = last.filter(|other| other.oracle.number > state.number);
        let expected = match last {
            _ if open.truncates => Some(Vec::new()),
            // Its own close checks how many bytes it wrote.
            Some(other) if other.oracle.failed.is_some() => None,
            // What it found is not known.
            Some(other) if !other.oracle.opened && !other.truncates => None,
            // Others may have appended in between.
            Some(Open { oracle, .. }) => Some(oracle.history.replay(oracle.accepted())),
            None => Some(state.content.clone().unwrap_or_default()),
        };
        if let Some(expected) = expected {
            let same = found.iter().zip(&expected).take_while(|(a, b)| a == b);
            assert!(
                found == expected,
                "{} found {} bytes, not {} (F85, F86), {} are right",
                path(open.path),
                found.len(),
                expected.len(),
                same.count()
            );
        }
        open.oracle.begins_with(found);
    }
}

impl Open {
    /// Whether this is the error of a cancelled open.
    pub fn was_cancelled(&self, errno: Errno) -> bool {
        self.is_cancelled && errno == Errno(libc::ECANCELED)
    }
}

impl PathState {
    /// Records the content that a closed descriptor left.
    pub fn record(&mut self, content: Option<Vec<u8>>, oracle: Oracle) {
        if oracle.number > self.number {
            self.number = oracle.number;
            self.content = content;
            self.last = Some(oracle);
        }
    }
}

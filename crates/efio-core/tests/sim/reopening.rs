//! Files that are opened while the engine is still at an older close of them, and opens that nobody
//! wants any more.
//!
//! ```text
//!  open ── write ── close ┄┄┄┄┄ drained
//!                     └─ open ┄┄┄┄┄┄┄┄┄ opened: it has found what the first one left (F85)
//!                          └─ dropped ── whoever comes next finds it, too (F86)
//! ```

use super::client::{Client, Open, Place, look, path};
use super::oracle::Oracle;
use efio_core::Errno;

impl Client {
    /// The path that was closed last, of those that the engine is still at.
    pub fn closing(&self) -> Option<u8> {
        let open = |path: u8| {
            let mut others = self.files.iter().filter(|open| open.path == path);
            others.any(|open| open.file.is_some())
        };
        let mut paths = self.files.iter().rev().map(|open| open.path);
        paths.find(|&path| !open(path))
    }

    /// What a file holds once all is written that was accepted for it.
    pub fn will_be(&self, path: u8) -> Vec<u8> {
        let fits = |open: &&Open| {
            let is_refused = open.oracle.failed.is_some() && !open.oracle.opened;
            open.path == path && !is_refused && !open.is_passed && !open.is_withdrawn
        };
        let place = &self.places[usize::from(path)];
        match self.files.iter().rev().find(fits) {
            Some(Open { oracle, .. }) if oracle.number > place.number => oracle.content.clone(),
            _ => place.content.clone().unwrap_or_default(),
        }
    }

    /// The last future that opens a file is dropped, and the file with it.
    pub fn withdraw(&mut self) {
        let mut files = self.files.iter_mut().rev();
        let Some(open) = files.find(|open| open.future.is_some()) else {
            return;
        };
        let future = open.future.take().expect("it was found by that");
        if future.cancel() {
            (open.is_withdrawn, open.truncates) = (true, false);
        }
        self.stale.push(open.fd);
        open.file = None;
    }

    /// A file was opened: what did it find?
    pub fn found(&mut self, at: usize) {
        let (before, after) = self.files.split_at_mut(at);
        let open = &mut after[0];
        open.future = None;
        let place = &self.places[usize::from(open.path)];
        let inode = self.store.inode(&path(open.path));
        let inode = inode.expect("an opened file exists");
        let Some(found) = look(&inode).found_by(open.oracle.number) else {
            let has_effects = open.truncates || open.oracle.accepted() > 0;
            assert!(open.file.is_none() && !has_effects, "overtaken (F85)");
            open.is_passed = true;
            return;
        };
        let of_path = |other: &&Open| other.path == open.path && !other.is_passed;
        let before: Vec<_> = before.iter().filter(of_path).collect();
        for other in &before {
            let is_answered = other.oracle.opened || other.oracle.failed.is_some();
            let has_effects = other.truncates || other.oracle.accepted() > 0;
            assert!(is_answered || !has_effects, "overtook another open (F85)");
        }
        let last = before.iter().rev().map(|other| &other.oracle);
        let last = last.into_iter().find(|oracle| oracle.opened);
        let last = last.filter(|oracle| oracle.number > place.number);
        let expected = match last {
            _ if open.truncates => Some(Vec::new()),
            // How far it got is told by its own close.
            Some(oracle) if oracle.failed.is_some() => None,
            // Others may have appended in between.
            Some(oracle) => Some(oracle.history.replay(oracle.accepted())),
            None => Some(place.content.clone().unwrap_or_default()),
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
    /// Whether it failed because nobody wanted it.
    pub fn was_withdrawn(&self, errno: Errno) -> bool {
        self.is_withdrawn && errno == Errno(libc::ECANCELED)
    }
}

impl Place {
    /// What a descriptor left that the engine is through with.
    pub fn is_left(&mut self, content: Option<Vec<u8>>, oracle: Oracle) {
        if oracle.number > self.number {
            self.number = oracle.number;
            self.content = content;
            self.last = Some(oracle);
        }
    }
}

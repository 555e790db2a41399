//! Ends of an engine: the process dies, the power fails, or it is shut down with a deadline.

use super::user::{Open, look, path};
use super::world::World;
use efio_core::sim::Simulation;
use efio_core::{Fd, OpenOptions};
use std::time::Duration;

impl World<'_> {
    /// F52: what the kernel was given stays, and is a prefix of what was accepted.
    pub fn kill(&mut self) {
        self.begin_life(Simulation::kill);
        let mut user = self.user();
        let user = &mut *user;
        for open in user.files.drain(..) {
            let place = &mut user.places[usize::from(open.path)];
            let inode = self.store.inode(&path(open.path));
            let inode = inode.as_ref().map(|inode| look(inode));
            let content = inode.as_ref().map(|inode| inode.current().to_vec());
            if open.oracle.opened {
                let inode = inode.expect("an opened file exists");
                open.oracle.holds_a_prefix(&inode);
                place.last = Some(open.oracle);
            } else {
                assert!(content == place.content, "an open that did not happen");
            }
            place.content = content;
        }
    }

    /// F34, F35: what was durable stays, and there is nothing that nobody wrote.
    pub fn power_cut(&mut self) {
        self.begin_life(Simulation::power_cut);
        let mut user = self.user();
        let user = &mut *user;
        for open in user.files.drain(..) {
            if open.oracle.opened {
                user.places[usize::from(open.path)].last = Some(open.oracle);
            }
        }
        for (number, place) in (0..).zip(&mut user.places) {
            let inode = self.store.inode(&path(number));
            let content = inode.map(|inode| look(&inode).current().to_vec());
            match place.last.take() {
                Some(oracle) => oracle.survives(content.as_deref()),
                None => assert!(content == place.content, "a file that nobody opened"),
            }
            place.content = content;
        }
    }

    /// Everything is closed, or named in the report at the deadline.
    pub fn shutdown(&mut self, ms: u64) {
        let engine = &mut self.simulation;
        engine.begin_shutdown(Duration::from_millis(ms));
        let late = engine
            .engine()
            .open("/late", &OpenOptions::new().read(true));
        assert_eq!(late.unwrap_err().raw_os_error(), Some(libc::ESHUTDOWN));
        for open in &mut self.user().files {
            // The engine closes it: the handle is stale, or will be.
            open.file = None;
        }
        self.user().inside.clear();
        // One turn for the start, one for the deadline itself.
        let mut report = None;
        for _ in 0..ms / 50 + 2 {
            self.turn(50);
            report = self.simulation.report();
            if report.is_some() {
                break;
            }
        }
        let report = report.expect("a shutdown ends at its deadline (F45)");
        let healthy = |open: &&Open| {
            let oracle = &open.oracle;
            oracle.opened && oracle.failed.is_none() && oracle.accepted() > 0
        };
        let before: Vec<_> = {
            let user = self.user();
            let files = user.files.iter().filter(healthy);
            files.map(|open| (open.fd, open.path)).collect()
        };
        self.hear();
        for (fd, path) in before {
            let user = self.user();
            let last = user.places[usize::from(path)].last.as_ref();
            let is_closed = user.files.iter().all(|open| open.fd != fd);
            let failed = last.and_then(|oracle| oracle.failed).filter(|_| is_closed);
            let told = report.failed.iter().find(|(other, _)| *other == fd);
            if let Some(failure) = failed {
                let told = told.map(|&(_, failure)| failure);
                assert_eq!(told, Some(failure), "a loss that nobody heard of (F84)");
            }
        }
        let user = self.user();
        for (fd, bytes) in &report.unfinished {
            let Some(open) = user.files.iter().find(|open| open.fd == *fd) else {
                let failed = report.failed.iter().any(|(other, _)| other == fd);
                assert!(failed, "an unfinished file is not closed");
                continue;
            };
            let inode = self.store.inode(&path(open.path));
            let taken = inode.map_or(0, |inode| look(&inode).taken());
            let most = open.oracle.accepted() - open.oracle.marks.written;
            assert!(*bytes <= most, "{bytes} left of {most}");
            if open.oracle.opened && open.oracle.failed.is_none() {
                let least = open.oracle.accepted() - taken;
                assert!(*bytes >= least, "{bytes} left, not {least} or more");
            }
        }
        for open in &user.files {
            let under_way = &open.oracle.under_way;
            assert!(under_way.is_empty(), "not completed: {under_way:?}");
        }
        let left = user.files.len();
        let open = |(fd, _): &&(Fd, u64)| user.files.iter().any(|open| open.fd == *fd);
        let named = report.unfinished.iter().filter(open).count();
        assert_eq!(named, left, "closed, or in the report");
        drop(user);
        self.kill();
    }
}

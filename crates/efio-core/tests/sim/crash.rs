//! Ends of an engine: the process dies, the power fails, or it is shut down with a deadline.

use super::client::{Open, lock, path};
use super::harness::Harness;
use efio_core::sim::Simulation;
use efio_core::{Fd, OpenOptions};
use std::time::Duration;

impl Harness<'_> {
    /// F52: the bytes that the kernel has stay, and are a prefix of the accepted ones.
    pub fn kill(&mut self) {
        self.restart(Simulation::kill);
        let mut client = self.client();
        let client = &mut *client;
        let paths: Vec<_> = client.files.iter().map(|open| open.path).collect();
        for open in client.files.drain(..) {
            let number = open.oracle.number;
            let state = &mut client.paths[usize::from(open.path)];
            let inode = self.store.inode(&path(open.path));
            let inode = inode.as_ref().map(|inode| lock(inode));
            let content = inode.as_ref().map(|inode| inode.current().to_vec());
            let is_alone = paths.iter().filter(|&&path| path == open.path).count() == 1;
            let is_known = inode.as_ref().and_then(|inode| inode.open(number));
            if open.is_overtaken {
                // Later opens have reached the file.
            } else if open.oracle.opened {
                let inode = inode.expect("an opened file exists");
                open.oracle.holds_a_prefix(&inode);
                state.record(content.clone(), open.oracle);
            } else if is_known.is_some() {
                state.is_touched = true;
            } else if is_alone {
                assert!(content == state.content, "an open that had no effect");
            }
            state.content = content;
        }
    }

    /// F34, F35: durable bytes stay, and no byte appears that was never written.
    pub fn power_cut(&mut self) {
        self.restart(Simulation::power_cut);
        let mut client = self.client();
        let client = &mut *client;
        // An open whose event was pending may have truncated the file, or created it.
        let mut touched = Vec::new();
        for open in client.files.drain(..) {
            let inode = self.store.inode(&path(open.path));
            let number = open.oracle.number;
            if open.oracle.opened && !open.is_overtaken {
                client.paths[usize::from(open.path)].record(None, open.oracle);
            } else if inode.is_some_and(|inode| lock(&inode).open(number).is_some()) {
                touched.push(open.path);
            }
        }
        for (number, state) in (0..).zip(&mut client.paths) {
            let inode = self.store.inode(&path(number));
            let content = inode.map(|inode| lock(&inode).current().to_vec());
            match state.last.take().filter(|_| !touched.contains(&number)) {
                Some(oracle) => oracle.survives(content.as_deref()),
                None if touched.contains(&number) || state.is_touched => {}
                None => assert!(content == state.content, "a file that was never opened"),
            }
            state.is_touched = false;
            state.content = content;
        }
    }

    /// Every file is closed, or named in the report at the deadline.
    pub fn shutdown(&mut self, ms: u64, room: Option<u32>) {
        if let Some(room) = room {
            self.simulation.fill_up(room.into());
        }
        let engine = &mut self.simulation;
        engine.begin_shutdown(Duration::from_millis(ms));
        let late = engine
            .engine()
            .open("/late", &OpenOptions::new().read(true));
        assert_eq!(late.unwrap_err().raw_os_error(), Some(libc::ESHUTDOWN));
        for open in &mut self.client().files {
            // The engine closes it: the handle is stale, or soon will be.
            (open.file, open.future) = (None, None);
        }
        self.client().inside.clear();
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
            let client = self.client();
            let files = client.files.iter().filter(healthy);
            files.map(|open| open.fd).collect()
        };
        self.handle_events();
        for fd in before {
            let client = self.client();
            let closed = client.closed.iter().find(|(other, _)| *other == fd);
            let failed = closed.and_then(|(_, failed)| *failed);
            let reported = report.failed.iter().find(|(other, _)| *other == fd);
            if let Some(failure) = failed {
                let reported = reported.map(|&(_, failure)| failure);
                assert_eq!(
                    reported,
                    Some(failure),
                    "a loss that was not reported (F84)"
                );
            }
        }
        let client = self.client();
        for (fd, bytes) in &report.unfinished {
            let Some(open) = client.files.iter().find(|open| open.fd == *fd) else {
                let failed = report.failed.iter().any(|(other, _)| other == fd);
                assert!(failed, "an unfinished file is not closed");
                continue;
            };
            let inode = self.store.inode(&path(open.path));
            let taken = inode.map_or(0, |inode| lock(&inode).taken(open.oracle.number));
            let most = open.oracle.accepted() - open.oracle.marks.written;
            assert!(*bytes <= most, "{bytes} left of {most}");
            if open.oracle.opened && open.oracle.failed.is_none() {
                let least = open.oracle.accepted() - taken;
                assert!(*bytes >= least, "{bytes} left, not {least} or more");
            }
        }
        for open in &client.files {
            let in_flight = &open.oracle.in_flight;
            assert!(in_flight.is_empty(), "not completed: {in_flight:?}");
        }
        let left = client.files.len();
        let open = |(fd, _): &&(Fd, u64)| client.files.iter().any(|open| open.fd == *fd);
        let named = report.unfinished.iter().filter(open).count();
        assert_eq!(named, left, "closed, or in the report");
        drop(client);
        self.kill();
    }
}

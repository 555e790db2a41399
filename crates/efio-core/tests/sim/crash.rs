//! Ends of an engine: the process dies, the power fails, or it is shut down with a deadline.

use super::world::{World, path};
use efio_core::OpenOptions;
use efio_core::sim::SimStore;
use std::time::Duration;

impl World<'_> {
    /// F52: what the kernel was given stays, and is a prefix of what was accepted.
    pub fn kill(&mut self) {
        let simulation = self.simulation.take().expect("an engine runs");
        let store = simulation.kill();
        self.find_prefixes(&store);
        self.begin_life(store);
    }

    fn find_prefixes(&mut self, store: &SimStore) {
        for open in self.files.drain(..) {
            let place = &mut self.places[usize::from(open.path)];
            let inode = store.inode(&path(open.path));
            let content = inode.as_ref().map(|inode| inode.current().to_vec());
            if open.oracle.opened {
                let inode = inode.expect("an opened file exists");
                open.oracle.is_prefix(inode.current(), inode.taken());
                place.last = Some(open.oracle);
            } else {
                assert!(content == place.content, "an open that did not happen");
            }
            place.content = content;
        }
    }

    /// F34, F35: what was durable stays, and there is nothing that nobody wrote.
    pub fn power_cut(&mut self) {
        let simulation = self.simulation.take().expect("an engine runs");
        let store = simulation.power_cut();
        for open in self.files.drain(..) {
            if open.oracle.opened {
                self.places[usize::from(open.path)].last = Some(open.oracle);
            }
        }
        for (number, place) in (0..).zip(&mut self.places) {
            let inode = store.inode(&path(number));
            let content = inode.map(|inode| inode.current().to_vec());
            match place.last.take() {
                Some(oracle) => oracle.survives(content.as_deref()),
                None => assert!(content == place.content, "a file that nobody opened"),
            }
            place.content = content;
        }
        self.begin_life(store);
    }

    /// Everything is closed, or named in the report at the deadline.
    pub fn shutdown(&mut self, ms: u64) {
        let patience = Duration::from_millis(ms);
        let simulation = self.simulation.as_mut().expect("an engine runs");
        simulation.begin_shutdown(patience);
        let late = simulation
            .engine()
            .open("/late", &OpenOptions::new().read(true));
        assert_eq!(late.unwrap_err().raw_os_error(), Some(libc::ESHUTDOWN));
        // By the time of the first turn; one more for the deadline itself.
        let mut report = None;
        for _ in 0..ms / 50 + 2 {
            simulation.turn(Duration::from_millis(50));
            report = simulation.report();
            if report.is_some() {
                break;
            }
        }
        let report = report.expect("a shutdown ends at its deadline (F45)");
        for open in &mut self.files {
            // Closed by the engine: the handle is stale.
            open.file = None;
        }
        self.hear();
        for (fd, bytes) in &report.unfinished {
            let open = self.files.iter().find(|open| open.fd == *fd);
            let open = open.expect("an unfinished file is not closed");
            let inode = self.simulation.as_mut().expect("an engine runs").store();
            let taken = inode
                .inode(&path(open.path))
                .map_or(0, |inode| inode.taken());
            let most = open.oracle.accepted() - open.oracle.marks.written;
            assert!(*bytes <= most, "{bytes} left of {most}");
            if open.oracle.opened && open.oracle.failed.is_none() {
                let least = open.oracle.accepted() - taken;
                assert!(*bytes >= least, "{bytes} left, not {least} or more");
            }
        }
        assert_eq!(
            report.unfinished.len(),
            self.files.len(),
            "each file is closed, or in the report"
        );
        self.kill();
    }
}

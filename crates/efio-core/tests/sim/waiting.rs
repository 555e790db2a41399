//! Two tasks on the same files: both wait for bytes to be written and to be durable, poll the
//! length, and read at the end, while the client writes on (F88, F89). Both polls complete (F93).

use super::client::Client;
use super::harness::Harness;
use super::history::{Call, Kind};
use efio_core::{AsyncFile, Fd};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Each poll completes within this many turns: the disk is quick by then, and the writes of a turn
/// are smaller than what the disk takes in one.
const TURNS: u32 = 300;

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Flush,
    /// The accepted bytes are durable, while the client requests syncs of its own writes as well.
    Sync,
    Size,
    /// A read at the end, after an append.
    End,
}

impl Client {
    /// Returns the bytes accepted through a descriptor, if it is open.
    fn accepted_by(&self, fd: Fd) -> Option<u64> {
        let mut open = self.files.iter().filter(|open| open.file.is_some());
        Some(open.find(|open| open.fd == fd)?.oracle.accepted())
    }

    /// Returns how many bytes below `mark` are written.
    fn written_of(&self, fd: Fd, mark: u64) -> u64 {
        let mut open = self.files.iter().filter(|open| open.fd == fd);
        let file = open.next().and_then(|open| open.file.as_ref());
        let file = file.map(AsyncFile::get_ref);
        let progress = file.and_then(|file| file.progress().ok());
        progress.map_or(mark, |progress| progress.written.min(mark))
    }

    fn write_to(&mut self, fd: Fd, len: usize, start: u32, about: About) {
        if let Some(index) = self.files.iter().position(|open| open.fd == fd) {
            self.write(index as u8, len, start);
            if about == About::Sync {
                self.sync(index as u8);
            }
        }
    }

    /// Polls; returns whether the poll completed. The bytes below `mark` are written by then.
    fn poll(&mut self, fd: Fd, about: About, mark: u64, waker: &Waker) -> bool {
        let Some(open) = self.files.iter_mut().find(|open| open.fd == fd) else {
            return true;
        };
        let Some(file) = &open.file else { return true };
        let file = file.get_ref();
        let mut cx = Context::from_waker(waker);
        let result: Poll<io::Result<u64>> = match about {
            About::Flush => file.poll_flush(&mut cx).map_ok(|()| u64::MAX),
            About::Sync => file.poll_sync(&mut cx, mark).map_ok(|()| u64::MAX),
            About::Size => file.poll_len(&mut cx),
            About::End if !open.readable || !open.oracle.may_be_at_end() => return true,
            About::End => file.poll_read(&mut cx, &mut [0]).map_ok(|n| n as u64),
        };
        match result {
            Poll::Pending => {
                open.oracle.others_may_sync();
                return false;
            }
            Poll::Ready(Ok(n)) if about == About::End => {
                assert_eq!(n, 0, "after an append is the end (F89)");
                open.oracle.read_end();
            }
            Poll::Ready(Ok(size)) => {
                let marks = file.progress().unwrap();
                let reached = match about {
                    About::Sync => marks.durable,
                    _ => marks.written,
                };
                assert!(reached >= mark, "{about:?} of {mark}, but {marks:?}");
                let history = &open.oracle.history;
                let appends = |call: &Call| call.kind == Kind::Stream;
                let grows = history.append && history.calls.iter().all(appends);
                assert!(
                    size >= mark || !grows,
                    "{size} bytes, but {mark} were appended"
                );
            }
            Poll::Ready(Err(error)) => {
                let failed = file.failure().unwrap().is_some();
                assert!(failed || error.raw_os_error() == Some(libc::EIO), "{error}");
            }
        }
        true
    }
}

impl Harness<'_> {
    /// The tasks wait while the client writes on.
    pub fn wait_during_writes(&mut self) {
        let open: Vec<Fd> = self.client().files.iter().map(|open| open.fd).collect();
        let interests = [About::Flush, About::Sync, About::Size, About::End];
        for (fd, about) in open
            .into_iter()
            .flat_map(|fd| interests.map(|about| (fd, about)))
        {
            let mut waiting = [(); 2]
                .map(|()| Arc::new(Woken(AtomicBool::new(true))))
                .to_vec();
            let Some(mark) = self.client().accepted_by(fd) else {
                continue;
            };
            if about == About::End {
                self.client().write_to(fd, 100, 2, about);
            }
            let (mut rounds, mut turns) = (0, 0);
            loop {
                waiting.retain(|woken| {
                    let waker = Waker::from(Arc::clone(woken));
                    let repeats = woken.0.swap(false, Ordering::SeqCst);
                    !repeats || !self.client().poll(fd, about, mark, &waker)
                });
                if waiting.is_empty() {
                    break;
                }
                assert!(
                    turns < TURNS,
                    "the poll does not complete (F88, F93): {about:?}"
                );
                let written = self.client().written_of(fd, mark);
                rounds += 1;
                self.client().write_to(fd, 100, rounds * 4 + 2, about);
                self.turn(10);
                self.handle_events();
                // A backlog of positional ops, one after the other, may take many turns.
                turns += u32::from(self.client().written_of(fd, mark) == written);
            }
        }
    }
}

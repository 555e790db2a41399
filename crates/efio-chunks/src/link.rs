//! The pointer from one node to the next, which also carries the end of the stream.
//!
//! | word | meaning | who leaves the state |
//! |---|---|---|
//! | null | nothing linked yet | writer: links or ends; reader: requests a wake-up |
//! | WAITING | the same, and the reader requested a wake-up | writer: links or ends |
//! | CLOSED | the writer closed the stream here | never left |
//! | ABORTED | the writer aborted the stream here | never left |
//! | other | the next node | never left |
//!
//! The writer leaves the first two states once and never touches the link (nor its node) again,
//! so the reader may free the node as soon as it sees one of the last three.

use core::ptr;

use efio_sync::shim::atomic::AtomicPtr;
use efio_sync::shim::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

const WAITING: usize = 1;
const CLOSED: usize = 2;
const ABORTED: usize = 3;

/// What follows a node `N`.
#[derive(Debug)]
pub(crate) enum Next<N> {
    Nothing,
    Node(*mut N),
    End(End),
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Closed = CLOSED as isize,
    Aborted = ABORTED as isize,
}

/// The link of a node `N`; see the module.
#[derive(Debug)]
pub(crate) struct Link<N>(AtomicPtr<N>);

impl<N> Link<N> {
    pub(crate) fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// Reader: returns what comes next, with everything that the writer did before it linked it.
    #[inline]
    pub(crate) fn get(&self) -> Next<N> {
        // Acquire: pairs with the Release in `set`; the node's fields are plain memory.
        let next = self.0.load(Acquire);
        match next.addr() {
            0 | WAITING => Next::Nothing,
            CLOSED => Next::End(End::Closed),
            ABORTED => Next::End(End::Aborted),
            _ => Next::Node(next),
        }
    }

    /// Writer, once per link: links the next node. With `watched` returns whether the reader waits.
    pub(crate) fn set(&self, node: *mut N, watched: bool) -> bool {
        if watched {
            // Release: pairs with `get`. Acquire: pairs with `request_wakeup`.
            self.0.swap(node, AcqRel).addr() == WAITING
        } else {
            self.0.store(node, Release);
            false
        }
    }

    /// Writer, once per link: ends the stream here. Returns as [`set`](Self::set).
    pub(crate) fn end(&self, end: End, watched: bool) -> bool {
        self.set(ptr::without_provenance_mut(end as usize), watched)
    }

    /// Reader: requests a wake-up for the link. `false`: there is a link already.
    pub(crate) fn request_wakeup(&self) -> bool {
        let waiting = ptr::without_provenance_mut(WAITING);
        // Release: pairs with the Acquire in `set`. A failure needs no ordering: the caller calls
        // `get` again.
        match self
            .0
            .compare_exchange(ptr::null_mut(), waiting, Release, Relaxed)
        {
            Ok(_) => true,
            Err(now) => now == waiting,
        }
    }
}

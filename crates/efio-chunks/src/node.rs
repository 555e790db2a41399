//! One chunk in the list, and the head of the list that both ends share.
//!
//! ```text
//!  Shared                 Node            Node            Node
//! ┌──────────┐  first   ┌───────┐ next  ┌───────┐ next  ┌───────┐ next
//! │ gone     ├─────────►│ spent ├──────►│ chunk ├──────►│ chunk ├──────► null, or the end
//! │ consumed │          └───────┘       └───────┘       └───────┘
//! └──────────┘              ▲ reader is here                ▲ writer: the tail, open or sealed
//! ```
//!
//! `published` says how many bytes of the chunk the reader may read and whether that number is
//! final. While it is not, the chunk is the *open tail* and the writer copies bytes after the
//! published ones. Once it is, the reader owns the chunk: it moves it out or drops it, and keeps
//! the spent node only until the writer has linked the next one to it.

use core::mem::MaybeUninit;

use efio_sync::shim::atomic::Ordering::{AcqRel, Acquire, Release};
use efio_sync::shim::atomic::{AtomicU8, AtomicUsize};
use efio_sync::shim::cell::UnsafeCell;

use crate::chunk::Chunk;
use crate::link::{Link, Next};
use crate::watched::Watched;

/// How much of a chunk is in the stream: the end of its published bytes, and whether it is final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) end: usize,
    pub(crate) sealed: bool,
}

impl Extent {
    #[inline(always)]
    fn pack(self) -> usize {
        self.end << 1 | usize::from(self.sealed)
    }

    #[inline(always)]
    fn unpack(word: usize) -> Self {
        Self {
            end: word >> 1,
            sealed: word & 1 != 0,
        }
    }
}

/// One chunk in the list.
#[derive(Debug)]
pub(crate) struct Node<C> {
    /// An [`Extent`]; its owner is the writer.
    published: Watched,
    pub(crate) next: Link<Node<C>>,
    /// Where in the chunk the stream's bytes start. Constant.
    pub(crate) begin: usize,
    /// Shared by both sides until sealed, then only the reader's; initialised until it takes it.
    chunk: UnsafeCell<MaybeUninit<C>>,
}

impl<C: Chunk> Node<C> {
    /// Returns the memory that `chunk` takes while it is in a stream, with its node, and about what
    /// allocators add to two allocations.
    pub(crate) fn memory(chunk: &C) -> usize {
        const ADDED: usize = 32;
        size_of::<Self>() + ADDED + chunk.memory()
    }
}

impl<C> Node<C> {
    /// Allocates a node that carries `chunk[begin..extent.end]`.
    pub(crate) fn new(chunk: C, begin: usize, extent: Extent) -> *mut Self {
        Box::into_raw(Box::new(Self {
            published: Watched::new(extent.pack()),
            next: Link::new(),
            begin,
            chunk: UnsafeCell::new(MaybeUninit::new(chunk)),
        }))
    }

    /// Reader: returns the bytes that it may read.
    #[inline(always)]
    pub(crate) fn extent(&self) -> Extent {
        Extent::unpack(self.published.get())
    }

    /// Writer: publishes bytes of an open chunk. Returns whether the reader was waiting, if
    /// `watched`.
    #[inline(always)]
    pub(crate) fn publish(&self, extent: Extent, watched: bool) -> bool {
        self.published.set(extent.pack(), watched)
    }

    /// Reader: requests a wake-up for a change. `false`: the extent is no longer `seen`.
    pub(crate) fn request_wakeup(&self, seen: Extent) -> bool {
        self.published.request_wakeup(seen.pack())
    }

    /// Returns the chunk in its place.
    ///
    /// # Safety
    /// The chunk has not been taken, and it is not taken while the reference lives: the caller is
    /// the reader, or the writer with the chunk still open.
    #[inline]
    pub(crate) unsafe fn chunk(&self) -> &C {
        // SAFETY: by contract the chunk is there and only shared access happens meanwhile.
        self.chunk
            .with(|chunk| unsafe { (*chunk).assume_init_ref() })
    }

    /// Moves the chunk out.
    ///
    /// # Safety
    /// The caller is the reader and has seen the chunk sealed (or no other end is left), and takes
    /// it once.
    pub(crate) unsafe fn take(&self) -> C {
        // SAFETY: only the reader uses a sealed chunk, and it is still there by contract.
        self.chunk
            .with_mut(|chunk| unsafe { (*chunk).assume_init_read() })
    }
}

/// A cache line of its own, for words that one side writes often.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Line<T>(pub(crate) T);

/// The state that both ends share: two cache lines, and all the heap memory of a new stream.
#[derive(Debug)]
pub(crate) struct Shared<C> {
    /// Written once or twice in the life of a stream.
    cold: Line<Cold<C>>,
    /// What the reader returned.
    pub(crate) returned: Line<Returned>,
}

/// What the reader returned of the bounded resources. Only the reader changes it.
#[derive(Debug)]
pub(crate) struct Returned {
    /// How many bytes it consumed, modulo the width of a [`Watched`].
    pub(crate) bytes: Watched,
    /// How much memory the chunks had that left the stream, modulo the word. Only in a bounded
    /// stream; published by the next `set` of `bytes`, be it to the same value.
    pub(crate) memory: AtomicUsize,
}

#[derive(Debug)]
struct Cold<C> {
    first: Link<Node<C>>,
    /// Which ends were dropped.
    gone: AtomicU8,
    /// The position of a reader that was dropped first; the writer frees from there.
    position: UnsafeCell<Position<C>>,
}

/// A place in the list. `node` is null before the first; `spent`: its chunk has been taken.
#[derive(Debug)]
pub(crate) struct Position<C> {
    pub(crate) node: *mut Node<C>,
    pub(crate) spent: bool,
}

/// The writer was dropped and touches nothing any more.
const WRITER: u8 = 1;
/// The reader was dropped.
const READER: u8 = 2;
/// The reader touches nothing any more.
const READER_DONE: u8 = 4;

impl<C> Shared<C> {
    pub(crate) fn new() -> *mut Self {
        let position = Position {
            node: core::ptr::null_mut(),
            spent: true,
        };
        Box::into_raw(Box::new(Self {
            cold: Line(Cold {
                first: Link::new(),
                gone: AtomicU8::new(0),
                position: UnsafeCell::new(position),
            }),
            returned: Line(Returned {
                bytes: Watched::new(0),
                memory: AtomicUsize::new(0),
            }),
        }))
    }

    #[inline]
    pub(crate) fn first(&self) -> &Link<Node<C>> {
        &self.cold.0.first
    }

    #[inline(always)]
    pub(crate) fn reader_gone(&self) -> bool {
        // Acquire: pairs with `leave`, so that a writer that sees the reader gone also sees what
        // the reader did before.
        self.cold.0.gone.load(Acquire) & READER != 0
    }

    #[inline]
    pub(crate) fn writer_gone(&self) -> bool {
        // Acquire: as in `reader_gone`.
        self.cold.0.gone.load(Acquire) & WRITER != 0
    }

    /// The writer's last step. Frees everything if the reader left before.
    ///
    /// # Safety
    /// Called once, by the writer, which has ended the list and touches neither it nor `this`
    /// again.
    pub(crate) unsafe fn writer_leaves(this: *mut Self) {
        // SAFETY: neither end has freed it: the one that leaves last does, and this one has not.
        let shared = unsafe { &*this };
        // AcqRel: each end releases what it did to the list; the last one acquires it and frees.
        if shared.cold.0.gone.fetch_or(WRITER, AcqRel) & READER_DONE != 0 {
            // SAFETY: the reader wrote `position` before it left and touches nothing since.
            let (node, spent) = shared
                .cold
                .0
                .position
                .with(|position| unsafe { ((*position).node, (*position).spent) });
            // SAFETY: only this end is left, and the list has ended.
            unsafe { Self::free(this, Position { node, spent }) };
        }
    }

    /// The reader's last step, like [`writer_leaves`](Self::writer_leaves). With `watched` returns
    /// whether the writer requested a wake-up. `consumed` counts the bytes that were consumed.
    ///
    /// # Safety
    /// Called once, by the reader, which is at `position` and touches nothing again.
    pub(crate) unsafe fn reader_leaves(
        this: *mut Self,
        position: Position<C>,
        consumed: usize,
        watched: bool,
    ) -> bool {
        // SAFETY: as in `writer_leaves`.
        let shared = unsafe { &*this };
        let Position { node, spent } = position;
        // SAFETY: only the reader writes here, and the writer reads only after the reader has left.
        shared
            .cold
            .0
            .position
            .with_mut(|position| unsafe { *position = Position { node, spent } });
        // First the word that the writer checks after its request, then the one that carries the
        // request: either the writer finds us gone, or we find its request. Release: pairs with
        // `reader_gone`.
        shared.cold.0.gone.fetch_or(READER, Release);
        let woken = watched && shared.returned.0.bytes.set(consumed, true);
        // AcqRel: as in `writer_leaves`. From here on the writer may free everything.
        if shared.cold.0.gone.fetch_or(READER_DONE, AcqRel) & WRITER != 0 {
            // SAFETY: only this end is left, and the writer ended the list before it left.
            unsafe { Self::free(this, Position { node, spent }) };
        }
        woken
    }

    /// Drops the chunks from `position` on, the nodes and the shared part.
    ///
    /// # Safety
    /// No other thread has the stream.
    unsafe fn free(this: *mut Self, position: Position<C>) {
        // SAFETY: it came from `Box::into_raw` and no other thread has it any more.
        let shared = unsafe { Box::from_raw(this) };
        let mut remains = Remains { shared, position };
        while remains.drop_one() {}
    }
}

/// A stream without ends: what remains of it.
struct Remains<C> {
    shared: Box<Shared<C>>,
    position: Position<C>,
}

impl<C> Remains<C> {
    /// Frees the current node with its chunk and moves to the next. `false`: the end.
    fn drop_one(&mut self) -> bool {
        let Position { node, spent } = self.position;
        // SAFETY: a node is freed by the end that moves past it, and only we are left.
        let owned = (!node.is_null()).then(|| unsafe { Box::from_raw(node) });
        let link = owned
            .as_ref()
            .map_or(self.shared.first(), |node| &node.next);
        let is_more = match link.get() {
            Next::Node(node) => {
                self.position = Position { node, spent: false };
                true
            }
            Next::Nothing | Next::End(_) => false,
        };
        if !is_more {
            self.shared.cold.0.first = Link::new();
            self.position = Position {
                node: core::ptr::null_mut(),
                spent: true,
            };
        }
        if let Some(node) = owned.filter(|_| !spent) {
            // SAFETY: it has not been taken. This may panic, so the position was moved before.
            drop(unsafe { node.take() });
        }
        is_more
    }
}

impl<C> Drop for Remains<C> {
    /// Only reached with nodes left when the drop of a chunk panicked: goes on with the others.
    fn drop(&mut self) {
        while self.drop_one() {}
    }
}

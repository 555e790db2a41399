//! One chunk in the list, and the head of the list that both ends share.
//!
//! ```text
//!  Shared                 Node            Node            Node
//! ┌──────────┐  first   ┌───────┐ next  ┌───────┐ next  ┌───────┐ next
//! │ gone     ├─────────►│ spent ├──────►│ chunk ├──────►│ chunk ├──────► null, or the end
//! │ consumed │          └───────┘       └───────┘       └───────┘
//! └──────────┘              ▲ reader stands here            ▲ writer: the tail, open or sealed
//! ```
//!
//! `published` says how many bytes of the chunk the reader may look at and whether that number is
//! final. While it is not, the chunk is the *open tail* and the writer copies bytes behind the
//! published ones. Once it is, the reader owns the chunk: it moves it out or drops it, and keeps the
//! spent node only until the writer has linked the next one to it.

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
    pub(crate) next: Link<C>,
    /// Where in the chunk the stream's bytes start. Constant.
    pub(crate) begin: usize,
    /// Shared by both sides until sealed, then the reader's alone; initialised until it takes it.
    chunk: UnsafeCell<MaybeUninit<C>>,
}

impl<C: Chunk> Node<C> {
    /// The memory that `chunk` takes while it is in a stream, with its node, and about what
    /// allocators add to two allocations.
    pub(crate) fn memory(chunk: &C) -> usize {
        const ADDED: usize = 32;
        size_of::<Self>() + ADDED + chunk.memory()
    }
}

impl<C> Node<C> {
    /// A node on the heap that carries `chunk[begin..extent.end]`.
    pub(crate) fn new(chunk: C, begin: usize, extent: Extent) -> *mut Self {
        Box::into_raw(Box::new(Self {
            published: Watched::new(extent.pack()),
            next: Link::new(),
            begin,
            chunk: UnsafeCell::new(MaybeUninit::new(chunk)),
        }))
    }

    /// Reader: the bytes that it may look at.
    #[inline(always)]
    pub(crate) fn extent(&self) -> Extent {
        Extent::unpack(self.published.get())
    }

    /// Writer, while the chunk is open. Returns whether the reader was waiting, if `watched`.
    #[inline(always)]
    pub(crate) fn publish(&self, extent: Extent, watched: bool) -> bool {
        self.published.set(extent.pack(), watched)
    }

    /// Reader: asks to hear of a change. False when the extent is no longer `seen`.
    pub(crate) fn ask(&self, seen: Extent) -> bool {
        self.published.ask(seen.pack())
    }

    /// The chunk, where it lies.
    ///
    /// # Safety
    /// The chunk has not been taken, and nobody takes it while the reference lives: the caller is
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
    /// The caller is the reader and has seen the chunk sealed (or is alone), and takes it once.
    pub(crate) unsafe fn take(&self) -> C {
        // SAFETY: a sealed chunk is the reader's alone, and it is still there by contract.
        self.chunk
            .with_mut(|chunk| unsafe { (*chunk).assume_init_read() })
    }
}

/// Keeps what one side writes often away from what both read.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Line<T>(pub(crate) T);

/// What both ends share: two cache lines, and all that a fresh stream has on the heap.
#[derive(Debug)]
pub(crate) struct Shared<C> {
    /// Written once or twice in the life of a stream.
    rare: Line<Rare<C>>,
    /// What the reader gave back.
    pub(crate) returned: Line<Returned>,
}

/// What the reader gave back of what is bounded. Its own to change.
#[derive(Debug)]
pub(crate) struct Returned {
    /// How many bytes it has consumed, modulo the width of a [`Watched`].
    pub(crate) bytes: Watched,
    /// How much memory the chunks had that left the stream, modulo the word. Only in a bounded
    /// stream; published by the next `set` of `bytes`, be it to the same value.
    pub(crate) memory: AtomicUsize,
}

#[derive(Debug)]
struct Rare<C> {
    first: Link<C>,
    /// Which ends have left.
    gone: AtomicU8,
    /// Where a reader that left first stood; the writer cleans up from there.
    rest: UnsafeCell<Rest<C>>,
}

/// A place in the list. `node` is null before the first; `spent`: its chunk has been taken.
#[derive(Debug)]
pub(crate) struct Rest<C> {
    pub(crate) node: *mut Node<C>,
    pub(crate) spent: bool,
}

/// The writer has left, and touches nothing any more.
const WRITER: u8 = 1;
/// The reader has left.
const READER: u8 = 2;
/// The reader touches nothing any more.
const READER_DONE: u8 = 4;

impl<C> Shared<C> {
    pub(crate) fn new() -> *mut Self {
        let rest = Rest {
            node: core::ptr::null_mut(),
            spent: true,
        };
        Box::into_raw(Box::new(Self {
            rare: Line(Rare {
                first: Link::new(),
                gone: AtomicU8::new(0),
                rest: UnsafeCell::new(rest),
            }),
            returned: Line(Returned {
                bytes: Watched::new(0),
                memory: AtomicUsize::new(0),
            }),
        }))
    }

    #[inline]
    pub(crate) fn first(&self) -> &Link<C> {
        &self.rare.0.first
    }

    #[inline(always)]
    pub(crate) fn reader_gone(&self) -> bool {
        // Acquire: pairs with `leave`, so that a writer who hears that the reader is gone also sees
        // what it did before.
        self.rare.0.gone.load(Acquire) & READER != 0
    }

    #[inline]
    pub(crate) fn writer_gone(&self) -> bool {
        // Acquire: as in `reader_gone`.
        self.rare.0.gone.load(Acquire) & WRITER != 0
    }

    /// The writer's last act. Frees everything if the reader has left before.
    ///
    /// # Safety
    /// Called once, by the writer, which has ended the list and touches neither it nor `this` again.
    pub(crate) unsafe fn writer_leaves(this: *mut Self) {
        // SAFETY: neither end has freed it: the one that leaves last does, and this one has not.
        let shared = unsafe { &*this };
        // AcqRel: each end releases what it did to the list; the last one acquires it and frees.
        if shared.rare.0.gone.fetch_or(WRITER, AcqRel) & READER_DONE != 0 {
            // SAFETY: the reader wrote `rest` before it left and touches nothing since.
            let (node, spent) = shared
                .rare
                .0
                .rest
                .with(|rest| unsafe { ((*rest).node, (*rest).spent) });
            // SAFETY: this end is alone now, and the list has ended.
            unsafe { Self::free(this, Rest { node, spent }) };
        }
    }

    /// The reader's last act, like [`writer_leaves`](Self::writer_leaves). Says whether the writer
    /// asked to hear of it, if `watched`; `consumed` is how many bytes were.
    ///
    /// # Safety
    /// Called once, by the reader, which stands at `rest` and touches nothing again.
    pub(crate) unsafe fn reader_leaves(
        this: *mut Self,
        rest: Rest<C>,
        consumed: usize,
        watched: bool,
    ) -> bool {
        // SAFETY: as in `writer_leaves`.
        let shared = unsafe { &*this };
        let Rest { node, spent } = rest;
        // SAFETY: only the reader writes here, and the writer reads only after the reader has left.
        shared
            .rare
            .0
            .rest
            .with_mut(|rest| unsafe { *rest = Rest { node, spent } });
        // First the word that the writer looks at after it asked, then the one that it asks with:
        // either it finds us gone, or we find that it asked. Release: pairs with `reader_gone`.
        shared.rare.0.gone.fetch_or(READER, Release);
        let woken = watched && shared.returned.0.bytes.set(consumed, true);
        // AcqRel: as in `writer_leaves`. From here on the writer may free everything.
        if shared.rare.0.gone.fetch_or(READER_DONE, AcqRel) & WRITER != 0 {
            // SAFETY: this end is alone now, and the writer ended the list before it left.
            unsafe { Self::free(this, Rest { node, spent }) };
        }
        woken
    }

    /// Drops the chunks from `rest` on, the nodes and the shared part.
    ///
    /// # Safety
    /// The caller is alone.
    unsafe fn free(this: *mut Self, rest: Rest<C>) {
        // SAFETY: it came from `Box::into_raw` and nobody else has it any more.
        let shared = unsafe { Box::from_raw(this) };
        let mut left = Left { shared, rest };
        while left.drop_one() {}
    }
}

/// A stream without ends: what is left of it.
struct Left<C> {
    shared: Box<Shared<C>>,
    rest: Rest<C>,
}

impl<C> Left<C> {
    /// Frees the node where it stands, with its chunk, and steps to the next. False at the end.
    fn drop_one(&mut self) -> bool {
        let Rest { node, spent } = self.rest;
        // SAFETY: a node is freed by the one that steps past it, which is us, alone.
        let owned = (!node.is_null()).then(|| unsafe { Box::from_raw(node) });
        let link = owned
            .as_ref()
            .map_or(self.shared.first(), |node| &node.next);
        let is_more = match link.get() {
            Next::Node(node) => {
                self.rest = Rest { node, spent: false };
                true
            }
            Next::Nothing | Next::End(_) => false,
        };
        if !is_more {
            self.shared.rare.0.first = Link::new();
            self.rest = Rest {
                node: core::ptr::null_mut(),
                spent: true,
            };
        }
        if let Some(node) = owned.filter(|_| !spent) {
            // SAFETY: it has not been taken. This may panic: we have moved on.
            drop(unsafe { node.take() });
        }
        is_more
    }
}

impl<C> Drop for Left<C> {
    /// Only reached with nodes left when the drop of a chunk panicked: goes on with the others.
    fn drop(&mut self) {
        while self.drop_one() {}
    }
}

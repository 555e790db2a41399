//! The blocks of all files of a peer: a fixed number. A file that finds none waits until one comes
//! back.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// Blocks of one length, for one thread.
///
/// A file that waits for one must hold none that only it could give back: it ends what it has in
/// flight first.
pub struct Pool<B> {
    spare: RefCell<Vec<B>>,
    /// How many may still be made.
    unmade: Cell<usize>,
    waiting: RefCell<VecDeque<Waker>>,
}

impl<B> Pool<B> {
    pub fn new(count: usize) -> Self {
        Self {
            spare: RefCell::default(),
            unmade: Cell::new(count),
            waiting: RefCell::default(),
        }
    }

    /// A block that is there, or that `make` makes; none if all are in use.
    pub fn try_take(&self, make: impl FnOnce() -> B) -> Option<B> {
        let spare = self.spare.borrow_mut().pop();
        spare.or_else(|| {
            let unmade = self.unmade.get().checked_sub(1)?;
            self.unmade.set(unmade);
            Some(make())
        })
    }

    /// A block, as soon as there is one.
    pub async fn take(&self, make: impl Fn() -> B) -> B {
        poll_fn(|cx| match self.try_take(&make) {
            Some(block) => Poll::Ready(block),
            None => {
                self.waiting.borrow_mut().push_back(cx.waker().clone());
                Poll::Pending
            }
        })
        .await
    }

    /// A block is free again.
    pub fn give(&self, block: B) {
        self.spare.borrow_mut().push(block);
        let first = self.waiting.borrow_mut().pop_front();
        if let Some(waker) = first {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;
    use futures::future::join;

    #[test]
    fn no_more_blocks_are_made_than_allowed_and_who_waits_gets_one_that_comes_back() {
        let (pool, made) = (Pool::new(2), Cell::new(0));
        let make = || made.replace(made.get() + 1);
        let (first, second) = (block_on(pool.take(make)), block_on(pool.take(make)));
        assert_eq!((first, second), (0, 1));
        assert_eq!(pool.try_take(make), None);
        let back = async { pool.give(second) };
        assert_eq!(block_on(join(pool.take(make), back)).0, 1);
        assert_eq!(made.get(), 2);
    }
}

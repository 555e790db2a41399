//! A value guarded by a [`CasLock`].

use core::fmt;
use core::num::NonZeroU32;

use crate::shim::cell::{MutPtr, UnsafeCell};
use crate::{CasGuard, CasLock};

/// A value that the holder of a [`CasLock`] may use. Fairness, progress and cost are those of the
/// lock.
///
/// ```
/// use efio_sync::CasCell;
/// use std::num::NonZeroU32;
///
/// let [mine, yours] = [1, 2].map(|tag| NonZeroU32::new(tag).unwrap());
/// let page = CasCell::new(Vec::new());
///
/// let mut bytes = page.acquire(mine);
/// bytes.extend_from_slice(b"efio");
/// assert_eq!(page.try_acquire(yours).unwrap_err(), mine);
///
/// bytes.hand_over(yours);
/// let bytes = page.adopt(yours).expect("handed over to us");
/// assert_eq!(*bytes, b"efio");
/// ```
pub struct CasCell<T: ?Sized> {
    lock: CasLock,
    value: UnsafeCell<T>,
}

// SAFETY: the lock hands the value to one holder at a time, so sharing the cell needs what moving
// the value between threads needs.
unsafe impl<T: ?Sized + Send> Sync for CasCell<T> {}
// SAFETY: a cell owns its value.
unsafe impl<T: ?Sized + Send> Send for CasCell<T> {}

impl<T> CasCell<T> {
    const_unless_loom! {
        /// Returns a free cell around `value`.
        #[inline]
        pub const fn new(value: T) -> Self {
            Self { lock: CasLock::new(), value: UnsafeCell::new(value) }
        }
    }

    /// Takes the value out.
    #[inline]
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> CasCell<T> {
    /// Attempts to take the cell for `tag`.
    ///
    /// # Errors
    ///
    /// The tag of the holder, which may have released the cell meanwhile.
    #[inline(always)]
    pub fn try_acquire(&self, tag: NonZeroU32) -> Result<CasCellGuard<'_, T>, NonZeroU32> {
        match self.lock.try_acquire(tag) {
            Ok(guard) => Ok(self.guard(guard)),
            Err(holder) => Err(holder),
        }
    }

    /// Waits until the cell is taken for `tag`: spins briefly, then sleeps.
    #[inline(always)]
    pub fn acquire(&self, tag: NonZeroU32) -> CasCellGuard<'_, T> {
        self.guard(self.lock.acquire(tag))
    }

    /// As [`CasLock::adopt`].
    #[inline]
    pub fn adopt(&self, tag: NonZeroU32) -> Option<CasCellGuard<'_, T>> {
        self.lock.adopt(tag).map(|guard| self.guard(guard))
    }

    /// Returns the tag of the holder; out of date when it returns.
    #[inline]
    pub fn holder(&self) -> Option<NonZeroU32> {
        self.lock.holder()
    }

    /// Returns the value without locking: `&mut self` shows that no other reference to it exists.
    #[inline]
    pub fn get_mut(&mut self) -> &mut T {
        let value = self.value.get_mut();
        // SAFETY: `&mut self`; no guard is alive, since it would borrow the cell. One that was
        // handed over and not adopted yet has no references.
        unsafe { &mut *core::ptr::from_mut(value.deref()) }
    }

    /// Makes the guard of the cell from that of its lock.
    #[inline(always)]
    fn guard<'a>(&'a self, lock: CasGuard<'a>) -> CasCellGuard<'a, T> {
        CasCellGuard {
            value: self.value.get_mut(),
            lock,
        }
    }
}

impl<T: Default> Default for CasCell<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized> fmt::Debug for CasCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CasCell")
            .field("holder", &self.holder())
            .finish_non_exhaustive()
    }
}

/// Access to the value of a [`CasCell`]; releases the cell when dropped.
#[must_use = "the cell is released when the guard is dropped"]
pub struct CasCellGuard<'a, T: ?Sized> {
    // Fields drop in this order: the access ends before the lock opens.
    value: MutPtr<T>,
    lock: CasGuard<'a>,
}

// SAFETY: a shared guard gives `&T` and the tag.
unsafe impl<T: ?Sized + Sync> Sync for CasCellGuard<'_, T> {}
// SAFETY: it gives `&mut T`; a tag holds the lock, not a thread.
unsafe impl<T: ?Sized + Send> Send for CasCellGuard<'_, T> {}

impl<T: ?Sized> CasCellGuard<'_, T> {
    /// Returns the tag that holds the cell.
    #[inline]
    pub fn tag(&self) -> NonZeroU32 {
        self.lock.tag()
    }

    /// As [`CasGuard::hand_over`]; [`CasCell::adopt`] gets the guard.
    #[inline]
    pub fn hand_over(self, new_tag: NonZeroU32) {
        let Self { value, lock } = self;
        // The access ends here, before another thread can get the lock.
        let _ = { value };
        lock.hand_over(new_tag);
    }
}

impl_guard!(mut CasCellGuard<'_>);

//! A value on cache lines of its own.

use core::fmt;
use core::ops::{Deref, DerefMut};

/// Pads and aligns a value so that no other value shares its cache lines: two threads that write
/// to neighbours do not slow each other down ("false sharing").
///
/// The alignment is 128 bytes on x86-64, aarch64 and powerpc64 (x86 prefetches lines in pairs, the
/// big arm cores have 128-byte lines), 256 on s390x, 64 elsewhere. A size is a multiple of the
/// alignment, so a `CachePadded<u8>` takes a whole one.
///
/// ```
/// use efio_sync::CachePadded;
/// use std::sync::atomic::AtomicUsize;
///
/// struct Indices {
///     head: CachePadded<AtomicUsize>,
///     tail: CachePadded<AtomicUsize>,
/// }
/// assert!(size_of::<Indices>() >= 2 * 64);
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "powerpc64"
    ),
    repr(align(128))
)]
#[cfg_attr(target_arch = "s390x", repr(align(256)))]
#[cfg_attr(
    not(any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "powerpc64",
        target_arch = "s390x"
    )),
    repr(align(64))
)]
pub struct CachePadded<T> {
    value: T,
}

impl<T> CachePadded<T> {
    /// Pads `value`.
    #[inline]
    pub const fn new(value: T) -> Self {
        Self { value }
    }

    /// Takes the value out.
    #[inline]
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> Deref for CachePadded<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for CachePadded<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for CachePadded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CachePadded").field(&self.value).finish()
    }
}

impl<T> From<T> for CachePadded<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

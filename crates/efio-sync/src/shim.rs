//! The one place where the workspace chooses between the real primitives and loom's.
//!
//! Every crate of efio takes its atomics, cells, `Arc` and spin hints from here, so that the
//! models in `loom-tests/` run the code that ships. Build with `RUSTFLAGS="--cfg loom"` for loom's
//! versions. Not part of the public API.

cfg_if::cfg_if! {
    if #[cfg(loom)] {
        pub use loom::sync::atomic;
        pub use loom::hint;
        pub use loom::cell;
        pub use loom::thread;
        pub use loom::sync::Arc;
    } else {
        pub use core::sync::atomic;
        pub use core::hint;
        #[cfg(feature = "std")]
        pub use std::thread;
        #[cfg(feature = "alloc")]
        pub use alloc::sync::Arc;

        /// Cells with loom's interface: access only through a closure that gets the raw pointer.
        pub mod cell {
            /// [`core::cell::UnsafeCell`] with loom's `with` and `with_mut`.
            #[derive(Debug, Default)]
            #[repr(transparent)]
            pub struct UnsafeCell<T: ?Sized>(core::cell::UnsafeCell<T>);

            impl<T> UnsafeCell<T> {
                /// Wraps `value`.
                #[inline]
                pub const fn new(value: T) -> Self {
                    Self(core::cell::UnsafeCell::new(value))
                }

                /// Takes the value out.
                #[inline]
                pub fn into_inner(self) -> T {
                    self.0.into_inner()
                }
            }

            impl<T: ?Sized> UnsafeCell<T> {
                /// Runs `f` with a pointer that it may read through.
                #[inline(always)]
                pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
                    f(self.0.get())
                }

                /// Runs `f` with a pointer that it may write through.
                #[inline(always)]
                pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
                    f(self.0.get())
                }
            }
        }
    }
}

/// Declares functions that are `const` except under loom, whose atomics have no `const fn new`.
///
/// Not part of the public API.
#[doc(hidden)]
#[macro_export]
macro_rules! const_unless_loom {
    ($($(#[$attr:meta])* $vis:vis const fn $name:ident($($arg:ident: $ty:ty),* $(,)?) -> $ret:ty $body:block)*) => {
        $(
            #[cfg(not(loom))]
            $(#[$attr])*
            $vis const fn $name($($arg: $ty),*) -> $ret $body

            #[cfg(loom)]
            $(#[$attr])*
            $vis fn $name($($arg: $ty),*) -> $ret $body
        )*
    };
}

//! What all guards are: references to a value, for as long as they hold its lock.

/// Implements `Deref` and `Debug` for a guard with the field `value`; for one that is `mut`, which
/// holds the lock alone, `DerefMut` too.
macro_rules! impl_guard {
    (mut $guard:ident<$($lifetime:lifetime),+>) => {
        impl_guard!($guard<$($lifetime),+>);

        impl<T: ?Sized> core::ops::DerefMut for $guard<$($lifetime),+, T> {
            #[inline(always)]
            fn deref_mut(&mut self) -> &mut T {
                // SAFETY: no other thread is inside for as long as the guard lives, and `&mut
                // self`.
                unsafe { self.value.deref() }
            }
        }
    };
    ($guard:ident<$($lifetime:lifetime),+>) => {
        impl<T: ?Sized> core::ops::Deref for $guard<$($lifetime),+, T> {
            type Target = T;

            #[inline(always)]
            fn deref(&self) -> &T {
                // SAFETY: no other thread writes for as long as the guard lives.
                unsafe { self.value.deref() }
            }
        }

        impl<T: ?Sized + fmt::Debug> fmt::Debug for $guard<$($lifetime),+, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }
    };
}

//! Dropping the items that are left, when any of their drops may panic.

/// Drops what `items` still yields, each exactly once, also if one of the drops panics.
#[cold]
pub(crate) fn drop_rest<I: Iterator>(items: &mut I) {
    struct Guard<'i, I: Iterator>(&'i mut I);

    impl<I: Iterator> Drop for Guard<'_, I> {
        fn drop(&mut self) {
            // Only reached with items left when one of them panicked: go on with the others.
            self.0.for_each(drop);
        }
    }

    let guard = Guard(items);
    guard.0.for_each(drop);
}

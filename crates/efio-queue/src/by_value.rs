//! Iteration by value and collecting, which both queues do by `push_mut` and `pop_mut`.

/// Implements them for `$queue<T, $size>` with the iterator `IntoIter`.
macro_rules! impl_by_value {
    ($queue:ident, $size:ident = $default:literal, $empty:ident) => {
        #[doc = concat!("The items of a [`", stringify!($queue), "`], front to back, without")]
        /// synchronization.
        pub struct IntoIter<T, const $size: usize = $default> {
            queue: $queue<T, $size>,
        }

        impl<T, const $size: usize> Iterator for IntoIter<T, $size> {
            type Item = T;

            #[inline]
            fn next(&mut self) -> Option<T> {
                self.queue.pop_mut()
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                let left = self.queue.len();
                (left, Some(left))
            }
        }

        impl<T, const $size: usize> ExactSizeIterator for IntoIter<T, $size> {}
        impl<T, const $size: usize> core::iter::FusedIterator for IntoIter<T, $size> {}

        impl<T, const $size: usize> core::fmt::Debug for IntoIter<T, $size> {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.debug_tuple("IntoIter").field(&self.queue).finish()
            }
        }

        impl<T, const $size: usize> IntoIterator for $queue<T, $size> {
            type Item = T;
            type IntoIter = IntoIter<T, $size>;

            fn into_iter(self) -> IntoIter<T, $size> {
                IntoIter { queue: self }
            }
        }

        impl<T, const $size: usize> Extend<T> for $queue<T, $size> {
            /// # Panics
            ///
            /// If the queue is full or closed, or no memory is available.
            fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
                for item in items {
                    if let Err(refused) = self.push_mut(item) {
                        panic!("extend: {refused}");
                    }
                }
            }
        }

        impl<T, const $size: usize> FromIterator<T> for $queue<T, $size> {
            /// Returns an unbounded queue.
            ///
            /// # Panics
            ///
            /// If no memory is available.
            fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
                let mut queue = Self::$empty();
                queue.extend(items);
                queue
            }
        }
    };
}

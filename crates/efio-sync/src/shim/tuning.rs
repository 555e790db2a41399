//! How long to spin. Under loom and shuttle every turn of a waiting loop is a schedule to explore,
//! so there each wait is as short as it can be.

const MODEL: bool = cfg!(any(loom, shuttle));

/// Exponent of the longest busy wait of [`Backoff`](crate::Backoff): `1 << SPIN_LIMIT` hints.
pub const SPIN_LIMIT: u32 = if MODEL { 0 } else { 6 };

/// Steps after which [`Backoff`](crate::Backoff) says that blocking is better.
pub const YIELD_LIMIT: u32 = if MODEL { 1 } else { 10 };

/// Busy turns of a waiter before it begins to yield, where each turn is one hint.
pub const HINT_LIMIT: u32 = if MODEL { 0 } else { 512 };

/// Turns of [`Backoff`](crate::Backoff) of a waiter before it goes to sleep: all of the busy ones,
/// and then yields for about 50 µs. A few times what falling asleep and being woken costs, because
/// the holder pays a part of that: see docs/benchmarks/primitives.md.
pub const PARK_LIMIT: u32 = if MODEL { 0 } else { SPIN_LIMIT + 120 };

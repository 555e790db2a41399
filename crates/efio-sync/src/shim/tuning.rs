//! How long to spin. Under loom every turn of a waiting loop is a schedule to explore, so there
//! each wait is as short as it can be.

/// Exponent of the longest busy wait of [`Backoff`](crate::Backoff): `1 << SPIN_LIMIT` hints.
pub const SPIN_LIMIT: u32 = if cfg!(loom) { 0 } else { 6 };

/// Steps after which [`Backoff`](crate::Backoff) says that blocking is better.
pub const YIELD_LIMIT: u32 = if cfg!(loom) { 1 } else { 10 };

/// Turns of the loop that waits for a lock before its thread goes to sleep.
pub const PARK_LIMIT: u32 = if cfg!(loom) { 0 } else { 12 };

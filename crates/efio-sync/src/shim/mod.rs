//! The one place where the workspace chooses between the real primitives, loom's and shuttle's.
//!
//! Every crate of efio takes its atomics, cells, `Arc` and spin hints from here, so that the models
//! in `loom-tests/` and the schedules in `shuttle-tests/` run the code that ships. Build with
//! `RUSTFLAGS="--cfg loom"` or `"--cfg shuttle"` for their versions, which also need the feature of
//! the same name: `loom-tests` and `shuttle-tests` turn it on. The crates above ask for the feature
//! `__shim`; without it this is private.
//!
//! ```text
//!             locks and doorbell of this crate · efio-queue · efio-chunks · efio-core
//!                                      │
//!   shim:  atomic  cell  hint  thread  Arc  │  Futex  barrier  yield_now  tuning
//!              │                            │         │
//!  core/alloc/std | loom | shuttle   platform (futex, membarrier, eventfd) | loom | shuttle
//! ```

#[cfg(all(loom, not(feature = "loom")))]
compile_error!("--cfg loom needs the feature `loom` of efio-sync");
#[cfg(all(shuttle, not(loom), not(feature = "shuttle")))]
compile_error!("--cfg shuttle needs the feature `shuttle` of efio-sync");

/// Declares functions that are `const` except under loom, whose atomics have no `const fn new`.
#[cfg_attr(feature = "__shim", macro_export, doc(hidden))]
macro_rules! const_unless_loom {
    ($(
        $(#[$attr:meta])*
        $vis:vis const fn $name:ident($($arg:ident: $ty:ty),* $(,)?) -> $ret:ty $body:block
    )*) => {
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

pub mod barrier;
#[cfg(feature = "std")]
pub mod deadline;
pub mod futex;
pub mod kernel_time;
pub mod platform;
pub mod prefetch;
pub mod tuning;

cfg_if::cfg_if! {
    if #[cfg(loom)] {
        pub use loom::sync::atomic;
        pub use loom::hint;
        pub use loom::cell;
        pub use loom::thread;
        pub use loom::sync::Arc;
        pub use loom::thread::yield_now;
        use loom::sync::{Condvar, Mutex};
    } else if #[cfg(shuttle)] {
        pub mod cell;

        pub use shuttle::sync::atomic;
        pub use shuttle::hint;
        pub use shuttle::thread;
        pub use shuttle::sync::Arc;
        pub use shuttle::thread::yield_now;
        use shuttle::sync::{Condvar, Mutex};
    } else {
        pub mod cell;

        pub use core::sync::atomic;
        pub use core::hint;
        #[cfg(feature = "std")]
        pub use std::thread;
        #[cfg(feature = "alloc")]
        pub use alloc::sync::Arc;
        pub use platform::yield_now;
    }
}

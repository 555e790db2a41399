//! What the crate needs from the operating system. The only place that names one.
//!
//! | | Linux, Android | another `std` target | without `std` |
//! |---|---|---|---|
//! | `futex_wait`, `futex_wake_one` | futex(2) | mutexes and condvars | a spin hint, nothing |
//! | `light_barrier` | compiler fence | fence | nothing |
//! | `heavy_barrier` | membarrier(2) | fence | nothing |
//! | `yield_now` | sched_yield(2) | `std::thread::yield_now` | a spin hint |
//! | `WakeFd` | eventfd(2) | a pipe (Unix) | – |
//!
//! `--cfg efio_portable` gives Linux what another target gets, so that it can be tested there.
//!
//! Without `std` a waiter never sleeps, so there is no thread to wake and no wake-up to lose.

cfg_if::cfg_if! {
    if #[cfg(all(
        feature = "std",
        any(target_os = "linux", target_os = "android"),
        not(efio_portable),
    ))] {
        mod linux;
        pub use linux::{WakeFd, futex_wait, futex_wake_one, heavy_barrier, light_barrier};
        pub use std::thread::yield_now;
        // Not used here, but tested.
        #[cfg(test)]
        #[allow(dead_code, reason = "the tests need a part of it")]
        mod portable;
    } else if #[cfg(feature = "std")] {
        mod portable;
        pub use portable::{futex_wait, futex_wake_one, heavy_barrier, light_barrier};
        pub use std::thread::yield_now;
        #[cfg(unix)]
        pub use portable::pipe::WakeFd;
    } else {
        mod bare;
        pub use bare::{futex_wait, futex_wake_one, heavy_barrier, light_barrier, yield_now};
    }
}

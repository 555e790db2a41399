//! Events of the driver for the `tracing` crate, with the feature `tracing`. Without it the calls
//! do nothing.
//!
//! | level | event | fields |
//! |---|---|---|
//! | info | `backend` | kind, reason |
//! | debug | `opening` | fd, path, mode |
//! | debug | `opened` | fd, size, dio_align: the alignment of direct IO, 0 where there is none |
//! | warn | `fell back` | fd: the kernel refused an IO mode or a cache mode, and another one is used |
//! | error | `failed` | fd, errno, offset: the lowest one that is lost |
//! | debug | `closed` | fd, error |
//! | info, warn | `shut down` | unfinished: files that were not closed at the deadline |
//!
//! The target is `efio`. The driver's thread emits the events, with no lock held: a slow subscriber
//! delays the files of its engine.

cfg_if::cfg_if! {
    if #[cfg(feature = "tracing")] {
        mod events;
        pub use events::*;
    } else {
        mod nothing;
        pub use nothing::*;
    }
}

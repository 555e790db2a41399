//! What the driver does, as events of the `tracing` crate: behind the feature of that name, and
//! nothing at all without it.
//!
//! | level | event | fields |
//! |---|---|---|
//! | info | `backend` | kind, reason |
//! | debug | `opening` | fd, path, mode |
//! | debug | `opened` | fd, size, block: the alignment of direct IO, 0 where there is none |
//! | warn | `fell back` | fd: the kernel refused a mode or a route, and another one was taken |
//! | error | `failed` | fd, errno, offset: the lowest one that is lost |
//! | debug | `closed` | fd, error |
//! | info, warn | `shut down` | unfinished: files that were not closed at the deadline |
//!
//! The target is `efio`. Events come from the driver's thread, with no lock held: a subscriber that
//! is slow holds up the files of its engine.

cfg_if::cfg_if! {
    if #[cfg(feature = "tracing")] {
        mod events;
        pub use events::*;
    } else {
        mod nothing;
        pub use nothing::*;
    }
}

//! What the machine says about itself: processors, the device, memory, the page cache.

pub mod cache;
pub mod system;

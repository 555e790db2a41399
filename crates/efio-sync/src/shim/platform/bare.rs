//! Without an operating system: waiting is spinning.

use core::hint::spin_loop;
use core::sync::atomic::AtomicU32;
use core::time::Duration;

pub fn futex_wait(_word: &AtomicU32, _expected: u32, _timeout: Option<Duration>) {
    spin_loop();
}

pub fn futex_wake_one(_word: &AtomicU32) {}

#[inline(always)]
pub fn light_barrier() {}

pub fn heavy_barrier() -> bool {
    true
}

pub fn yield_now() {
    spin_loop();
}

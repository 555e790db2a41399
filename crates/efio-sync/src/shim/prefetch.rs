//! A hint to the processor: which memory will be written soon.

/// Bytes that travel between caches and memory at once.
const LINE: usize = 64;

/// Prefetches `BYTES` bytes from `address` on for writing, so that stores to them need not wait for
/// memory. A hint: it changes nothing, and any address will do.
#[inline(always)]
pub fn prefetch_for_write<const BYTES: usize>(address: *const u8) {
    for at in (0..BYTES).step_by(LINE) {
        one(address.wrapping_add(at));
    }
}

cfg_if::cfg_if! {
    if #[cfg(all(target_arch = "x86_64", not(miri)))] {
        #[inline(always)]
        fn one(address: *const u8) {
            // SAFETY: it faults at no address and changes nothing. Every processor with 64 bits
            // takes it, the oldest ones as no operation.
            unsafe {
                core::arch::asm!(
                    "prefetchw [{}]",
                    in(reg) address,
                    options(nostack, preserves_flags, readonly),
                );
            }
        }
    } else if #[cfg(all(target_arch = "aarch64", not(miri)))] {
        #[inline(always)]
        fn one(address: *const u8) {
            // SAFETY: it faults at no address and changes nothing.
            unsafe {
                core::arch::asm!(
                    "prfm pstl1keep, [{}]",
                    in(reg) address,
                    options(nostack, preserves_flags, readonly),
                );
            }
        }
    } else {
        #[inline(always)]
        fn one(_: *const u8) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_address_will_do() {
        let bytes = [7u8; 64];
        for address in [core::ptr::null(), usize::MAX as *const u8, bytes.as_ptr()] {
            prefetch_for_write::<256>(address);
        }
        assert_eq!(bytes, [7; 64]);
    }
}

//! Times as the kernel accepts them.

use core::time::Duration;

/// The longest wait in one call of the kernel: 68 years, which does not overflow its arithmetic,
/// whatever the clock shows.
const LONGEST_WAIT: Duration = Duration::from_secs(i32::MAX as u64);

/// Seconds and nanoseconds of `time`, as the kernel's timespecs have them.
pub fn seconds_and_nanos(time: Duration) -> (i32, u32) {
    let time = time.min(LONGEST_WAIT);
    (time.as_secs() as i32, time.subsec_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F66.
    #[test]
    fn a_time_too_long_for_the_kernel_is_68_years() {
        for time in [Duration::MAX, Duration::from_secs(i64::MAX as u64)] {
            assert_eq!(seconds_and_nanos(time), (i32::MAX, 0));
        }
        assert_eq!(seconds_and_nanos(Duration::new(3, 7)), (3, 7));
    }
}

//! An asymmetric pair of full barriers: next to nothing on the side that runs often, a system call
//! on the side that is about to sleep anyway.
//!
//! ```text
//!   often:   write A    rarely:   write B
//!            light()              heavy()
//!            read B               read A
//! ```
//!
//! If [`heavy`] returns `true`, at least one of the two reads sees the other side's write.

/// The side that runs often. Pairs with [`heavy`].
#[inline(always)]
pub fn light() {
    cfg_if::cfg_if! {
        if #[cfg(any(loom, shuttle))] {
            super::atomic::fence(super::atomic::Ordering::SeqCst);
        } else {
            super::platform::light_barrier();
        }
    }
}

/// The side that runs rarely. Pairs with [`light`].
///
/// `false`: the platform has no such barrier, and the other side may miss our write for as long as
/// its store buffer holds back its own.
#[must_use]
pub fn heavy() -> bool {
    cfg_if::cfg_if! {
        if #[cfg(any(loom, shuttle))] {
            super::atomic::fence(super::atomic::Ordering::SeqCst);
            true
        } else {
            super::platform::heavy_barrier()
        }
    }
}

#[cfg(all(test, feature = "std", not(any(loom, shuttle))))]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    use super::{heavy, light};
    use crate::CachePadded;

    /// The picture of the module, many times over: never do both sides miss the other's write.
    #[test]
    fn one_of_two_sides_sees_the_other() {
        // The sides start after every combination of two delays, so that in some rounds the write
        // of each is in its store buffer while the other loads. (Without the system call in
        // `heavy`, 42 rounds failed on a machine that was idle otherwise; none when the two shared
        // a core.)
        const DELAYS: u32 = if cfg!(miri) { 6 } else { 128 };
        const ROUNDS: u32 = DELAYS * DELAYS;
        let delay = |steps: u32| (0..steps).for_each(|step| _ = std::hint::black_box(step));
        let line = || CachePadded::new(AtomicU32::new(0));
        let (a, b, arrived) = (line(), line(), line());
        if !heavy() {
            return; // Forbidden here, so nothing is promised.
        }
        // Both begin a round together; then each writes the round's number and looks for it.
        let meet = |round: u32| {
            arrived.fetch_add(1, Ordering::AcqRel);
            let mut turns = 0;
            while arrived.load(Ordering::Acquire) < 2 * round {
                turns += 1;
                if turns % 1024 == 0 {
                    thread::yield_now();
                }
                std::hint::spin_loop();
            }
        };
        let [seen_by_a, seen_by_b] = thread::scope(|scope| {
            let often = scope.spawn(|| {
                let round = |round| {
                    meet(round);
                    delay(round % DELAYS);
                    a.store(round, Ordering::Release);
                    light();
                    b.load(Ordering::Relaxed) == round
                };
                (1..=ROUNDS).map(round).collect::<Vec<_>>()
            });
            let rarely = scope.spawn(|| {
                let round = |round| {
                    meet(round);
                    delay(round / DELAYS);
                    b.store(round, Ordering::Release);
                    assert!(heavy());
                    a.load(Ordering::Relaxed) == round
                };
                (1..=ROUNDS).map(round).collect::<Vec<_>>()
            });
            [often.join().unwrap(), rarely.join().unwrap()]
        });
        let missed = seen_by_a
            .iter()
            .zip(&seen_by_b)
            .filter(|(a, b)| !**a && !**b)
            .count();
        assert_eq!(missed, 0, "of {ROUNDS}");
    }
}

//! The ring when there is no room for completions: the kernel keeps them, and nothing is lost (F39).

use super::doorbell::{DOORBELL, DoorbellPoll};
use super::ring::{EnterResult, Ring};
use efio_sync::{Alarm, EventFd};
use io_uring::{cqueue, opcode};
use std::time::Duration;

/// Entries of a small ring.
const DEPTH: u32 = 4;
/// Its places for completions.
const PLACES: u64 = 2 * DEPTH as u64;

/// A small ring; `None`, said aloud, where there is none.
fn ring() -> Option<Ring> {
    let ring = Ring::new(DEPTH);
    if let Err(why) = &ring {
        eprintln!("SKIPPED: io_uring: {why}");
    }
    ring.ok()
}

/// Ops that do nothing, by number; their completions are left where they are.
fn submit(ring: &mut Ring, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let nop = opcode::Nop::new().build().user_data(number);
        // SAFETY: it names no memory and no descriptor.
        unsafe { ring.push(&nop) };
        assert_eq!(ring.enter(false, None), EnterResult::Done);
    }
}

/// All completions, the way the backend takes them.
fn drain(ring: &mut Ring) -> Vec<cqueue::Entry> {
    let mut all = Vec::new();
    loop {
        all.extend(std::iter::from_fn(|| ring.pop()));
        if !ring.needs_enter() {
            return all;
        }
        assert_eq!(ring.enter(false, None), EnterResult::Done);
    }
}

fn numbers(completions: &[cqueue::Entry]) -> Vec<u64> {
    completions.iter().map(cqueue::Entry::user_data).collect()
}

#[test]
fn completions_without_a_place_are_told_later() {
    let Some(mut ring) = ring() else { return };
    let many = 10 * PLACES;
    submit(&mut ring, 0..many);
    assert!(ring.needs_enter(), "the queue did not overflow");
    let completions = numbers(&drain(&mut ring));
    assert_eq!(
        completions,
        (0..many).collect::<Vec<_>>(),
        "each once, in order"
    );
}

/// The kernel ends a multishot poll that finds no place for its completion. A bell that is rung then,
/// and later, is heard all the same.
#[test]
fn a_bell_that_the_kernel_stopped_watching_is_watched_again() {
    let Some(mut ring) = ring() else { return };
    let fd = EventFd::new().unwrap();
    let mut bell = DoorbellPoll::new(&fd);
    bell.arm(&mut ring);
    submit(&mut ring, 0..PLACES);
    assert!(!ring.needs_enter(), "full, and not more than that");
    fd.wake();
    // Here the kernel looks for a place.
    assert!(ring.needs_enter());
    assert_eq!(ring.enter(false, None), EnterResult::Done);
    let completions = drain(&mut ring);
    let rings: Vec<_> = completions
        .iter()
        .filter(|completions| completions.user_data() == DOORBELL)
        .collect();
    let [ended] = rings[..] else {
        panic!("rung once: {completions:?}");
    };
    assert!(!cqueue::more(ended.flags()), "the kernel ended the poll");
    bell.on_notified(ended);
    for _ in 0..3 {
        bell.arm(&mut ring);
        fd.wake();
        let entered = ring.enter(true, Some(Duration::from_secs(1)));
        assert_eq!(entered, EnterResult::Done);
        let completions = drain(&mut ring);
        assert!(numbers(&completions).contains(&DOORBELL), "{completions:?}");
        for completions in &completions {
            bell.on_notified(completions);
        }
    }
}

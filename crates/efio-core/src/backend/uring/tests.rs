//! The ring without room for completions: the kernel keeps them, and nothing is lost (F39).

use super::doorbell::{DOORBELL, DoorbellPoll};
use super::ring::{EnterResult, Ring};
use efio_sync::{Alarm, EventFd};
use io_uring::{cqueue, opcode};
use std::time::Duration;

/// Entries of a small ring.
const DEPTH: u32 = 4;
/// Its places for completions.
const PLACES: u64 = 2 * DEPTH as u64;

/// Creates a small ring; `None`, with a message, where io_uring is not available.
fn ring() -> Option<Ring> {
    let ring = Ring::new(DEPTH);
    if let Err(why) = &ring {
        eprintln!("SKIPPED: io_uring: {why}");
    }
    ring.ok()
}

/// Submits no-ops by number, and leaves their completions in the ring.
fn submit(ring: &mut Ring, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let nop = opcode::Nop::new().build().user_data(number);
        // SAFETY: it names no memory and no descriptor.
        unsafe { ring.push(&nop) };
        assert_eq!(ring.enter(false, None), EnterResult::Done);
    }
}

/// Takes all completions as the backend does.
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
fn completions_without_a_place_are_delivered_later() {
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

/// The kernel ends a multishot poll that finds no place for its completion. Notifications of that
/// moment and later ones still arrive.
#[test]
fn an_ended_poll_of_the_doorbell_starts_again() {
    let Some(mut ring) = ring() else { return };
    let fd = EventFd::new().unwrap();
    let mut poll = DoorbellPoll::new(&fd);
    poll.arm(&mut ring);
    submit(&mut ring, 0..PLACES);
    assert!(!ring.needs_enter(), "full, and not more than that");
    fd.wake();
    // Here the kernel looks for a place.
    assert!(ring.needs_enter());
    assert_eq!(ring.enter(false, None), EnterResult::Done);
    let completions = drain(&mut ring);
    let notified: Vec<_> = completions
        .iter()
        .filter(|completion| completion.user_data() == DOORBELL)
        .collect();
    let [ended] = notified[..] else {
        panic!("notified once: {completions:?}");
    };
    assert!(!cqueue::more(ended.flags()), "the kernel ended the poll");
    poll.on_notified(ended);
    for _ in 0..3 {
        poll.arm(&mut ring);
        fd.wake();
        let entered = ring.enter(true, Some(Duration::from_secs(1)));
        assert_eq!(entered, EnterResult::Done);
        let completions = drain(&mut ring);
        assert!(numbers(&completions).contains(&DOORBELL), "{completions:?}");
        for completion in &completions {
            poll.on_notified(completion);
        }
    }
}

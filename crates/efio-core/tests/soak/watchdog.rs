//! Detects stalls: prints what each actor waits for, and ends the process.
//!
//! A wait is a fault when its condition has held for [`DUE`] and the wait has not ended. The
//! condition is read from the state of the file: its marks, its failure, what a call would find. So
//! a slow disk or a busy machine is no fault. A wait without such a state may take [`LONGEST`].
//! Time on a frozen disk does not count.

use crate::session::Session;
use crate::tracker::{Call, CurrentCall};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How soon a call must return that must not wait, and a wait must end whose condition holds.
const DUE: Duration = Duration::from_secs(8);
/// How long any wait may take.
const LONGEST: Duration = Duration::from_secs(90);
/// Spurious wake-ups in one wait: more are a loop that spins.
const SPIN: u32 = 20_000;

/// The current scenario, and its title with the seed.
static WATCHED: Mutex<Option<(Arc<Session>, String)>> = Mutex::new(None);

pub fn watch(session: Option<(&Arc<Session>, String)>) {
    let session = session.map(|(session, title)| (Arc::clone(session), title));
    let before = std::mem::replace(&mut *watched(), session);
    drop(before);
}

fn watched() -> std::sync::MutexGuard<'static, Option<(Arc<Session>, String)>> {
    WATCHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What was seen of a call so far.
struct Seen {
    number: u64,
    /// What was accepted when it was first seen: the wait's mark is at most this.
    accepted: Option<u64>,
    due: Option<(Instant, String)>,
}

/// Starts the watchdog: this process ends when an actor stalls, and when anything panics.
pub fn start() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        report(info);
        give_up("a panic, see above");
    }));
    std::thread::spawn(|| {
        let mut seen: HashMap<String, Seen> = HashMap::new();
        loop {
            std::thread::sleep(Duration::from_millis(200));
            let session = watched().as_ref().map(|(session, _)| Arc::clone(session));
            match session {
                Some(session) => look(&session, &mut seen),
                None => seen.clear(),
            }
        }
    });
}

fn look(session: &Session, all: &mut HashMap<String, Seen>) {
    let (is_frozen, changed) = *session
        .frozen
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    for tracker in session.trackers.all() {
        let Some(current) = tracker.current_call() else {
            all.remove(&tracker.name);
            continue;
        };
        let seen = all.entry(tracker.name.clone()).or_insert(Seen {
            number: 0,
            accepted: None,
            due: None,
        });
        if seen.number != current.number {
            *seen = Seen {
                number: current.number,
                accepted: None,
                due: None,
            };
            continue;
        }
        let fault = |why: &str| give_up(&format!("{}: {:?}: {why}", tracker.name, current.call));
        if let Call::Now(_) = current.call {
            if current.since.elapsed() > DUE {
                fault("a call that must not wait does not return");
            }
            continue;
        }
        if current.wakeups > SPIN {
            fault("it is woken again and again, and finds nothing");
        }
        if is_frozen || current.call == Call::Internal {
            seen.due = None;
            continue;
        }
        if current.since.max(changed).elapsed() > LONGEST {
            fault("it does not end");
        }
        match due(session, &current, seen) {
            Some(why) => {
                let (since, why) = seen.due.get_or_insert((Instant::now(), why));
                if since.elapsed() > DUE {
                    fault(&format!("{why} for {:.1?}", since.elapsed()));
                }
            }
            None => seen.due = None,
        }
    }
}

/// Why a wait should have ended.
fn due(session: &Session, current: &CurrentCall, seen: &mut Seen) -> Option<String> {
    if session.is_over() {
        return Some("the engine has been gone".into());
    }
    if session.is_ending() {
        return None;
    }
    let fd = current.fd?;
    session.try_with(|engine| {
        let Ok(marks) = engine.file(fd).progress() else {
            // Closed: a close, and the end of positional calls, may still wait for the disk.
            let waits = matches!(current.call, Call::Close | Call::Completion(_));
            return (!waits).then(|| "the file has been closed".into());
        };
        if let Ok(Some(failure)) = engine.file(fd).failure() {
            return Some(format!("the file has failed, {failure:?},"));
        }
        let below = *seen.accepted.get_or_insert(marks.accepted);
        let why = match current.call {
            Call::Open => !matches!(engine.file(fd).open_status(), Ok(false)),
            Call::Flush | Call::Size => marks.written >= below,
            Call::Sync(mark) => marks.durable >= mark,
            Call::Read => engine
                .file(fd)
                .readiness()
                .is_ok_and(|ready| ready.readable),
            Call::Write => {
                let nothing_pending = marks.written == marks.accepted;
                nothing_pending
                    && engine
                        .file(fd)
                        .readiness()
                        .is_ok_and(|ready| ready.writable)
            }
            _ => false,
        };
        why.then(|| format!("its condition holds, {below} were accepted and now {marks:?},"))
    })?
}

/// Prints what each actor waits for, and ends the process.
pub fn give_up(why: &str) -> ! {
    // Ends the process even if a lock is never released.
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_secs(5));
        std::process::abort();
    });
    eprintln!("\nsoak: FAULT: {why}");
    let current = WATCHED.try_lock();
    let current = current.as_ref().ok().and_then(|current| current.as_ref());
    let Some((session, title)) = current else {
        std::process::abort();
    };
    eprintln!("soak: {title}");
    if session.frozen.try_lock().is_ok_and(|frozen| frozen.0) {
        eprintln!("  the disk is frozen");
    }
    for tracker in session.trackers.all() {
        match tracker.current_call() {
            None => eprintln!("  {}: in no call", tracker.name),
            Some(current) => eprintln!(
                "  {}: {:?} for {:.1?}, woken {} times{}",
                tracker.name,
                current.call,
                current.since.elapsed(),
                current.wakeups,
                current.fd.map_or(String::new(), |fd| describe(session, fd))
            ),
        }
    }
    if session
        .try_with(|engine| eprintln!("  {:?}", engine.stats()))
        .is_none()
    {
        eprintln!("  the engine is gone, or is going");
    }
    std::process::abort();
}

fn describe(session: &Session, fd: efio_core::Fd) -> String {
    let file = session.try_with(|engine| {
        let (marks, failure) = (engine.file(fd).progress(), engine.file(fd).failure());
        format!("; {fd:?}: {marks:?}, failure {failure:?}")
    });
    file.unwrap_or_default()
}

//! F73, F74: what code of the program finds where the engine runs it, in a callback or in a waker:
//! handlers of faults run, a child that it starts has the mask of the program, and the stack is
//! what `pthread_create(3)` gives.

use crate::common::child::{child_arg, run_in_child};
use crate::common::fixtures::backends;
use crate::common::{Dir, TIMEOUT};
use efio_core::{Engine, EventKind, OpenOptions};
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::task::{Context, Wake, Waker};

const FAULTS: [i32; 7] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGSYS,
    libc::SIGTRAP,
    libc::SIGABRT,
];

static HANDLED: AtomicU32 = AtomicU32::new(0);

extern "C" fn handler(_: i32) {
    HANDLED.fetch_add(1, Ordering::Relaxed);
}

/// How many of the faults that this thread raises are handled before the next one.
fn handled() -> usize {
    let is_handled = |&signal: &i32| {
        let before = HANDLED.load(Ordering::Relaxed);
        // SAFETY: the handler counts. A blocked signal waits, and is of this thread only.
        unsafe { libc::raise(signal) };
        HANDLED.load(Ordering::Relaxed) == before + 1
    };
    FAULTS.iter().filter(|signal| is_handled(signal)).count()
}

/// The signals that the calling thread blocks.
fn blocked() -> Vec<i32> {
    let mut set = MaybeUninit::uninit();
    // SAFETY: it only asks for the mask, which is there then.
    let set = unsafe {
        libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), set.as_mut_ptr());
        set.assume_init()
    };
    // SAFETY: a set that is initialised.
    let is_in = |&signal: &i32| unsafe { libc::sigismember(&raw const set, signal) == 1 };
    (1..32).filter(is_in).collect()
}

/// Uses that much of the stack.
fn deep(bytes: usize) -> usize {
    const FRAME: usize = 64 << 10;
    let mut frame = [1_u8; FRAME];
    black_box(&mut frame);
    let below = if bytes > FRAME {
        deep(bytes - FRAME)
    } else {
        0
    };
    below + usize::from(frame[bytes % FRAME])
}

/// Three quarters of the first thread's stack, which is the size that other threads get.
fn most_of_the_stack() -> usize {
    let mut limit = MaybeUninit::<libc::rlimit>::uninit();
    // SAFETY: room for the answer, which is there then.
    let limit = unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_STACK, limit.as_mut_ptr()), 0);
        limit.assume_init()
    };
    // Without a limit it is the C library's own 2 MiB.
    let size = if limit.rlim_cur == libc::RLIM_INFINITY {
        2 << 20
    } else {
        limit.rlim_cur
    };
    (size.clamp(2 << 20, 64 << 20) / 4 * 3) as usize
}

struct Raises(Sender<usize>);

impl Wake for Raises {
    fn wake(self: Arc<Self>) {
        self.0.send(handled()).unwrap();
    }
}

#[test]
fn handlers_masks_and_stacks() {
    if child_arg().is_none() {
        return run_in_child("code_of_the_program::handlers_masks_and_stacks", "");
    }
    for signal in FAULTS {
        // SAFETY: this process exists for this test; the handler only counts.
        unsafe { libc::signal(signal, handler as extern "C" fn(i32) as libc::sighandler_t) };
    }
    let dir = Dir::new();
    let program = blocked();
    for &backend in backends() {
        let (sender, receiver) = channel();
        let callback = move |event: efio_core::Event| {
            if event.kind == EventKind::Opened {
                sender
                    .send((handled(), blocked(), deep(most_of_the_stack())))
                    .unwrap();
            }
        };
        let engine = Engine::builder().backend(backend).on_event(callback);
        let engine = engine.start().unwrap();
        let options = OpenOptions::new().write(true).create(true);
        let _file = engine.open(dir.join("file"), &options).unwrap();
        let (handled, blocked, _) = receiver.recv_timeout(TIMEOUT).unwrap();
        assert_eq!((handled, &blocked), (FAULTS.len(), &program), "{backend:?}");

        let engine = Engine::builder().backend(backend).start().unwrap();
        let (sender, receiver) = channel();
        let waker = Waker::from(Arc::new(Raises(sender)));
        let file = engine
            .open(dir.join("file"), &options.events(false))
            .unwrap();
        if file
            .poll_open(&mut Context::from_waker(&waker))
            .is_pending()
        {
            assert_eq!(
                receiver.recv_timeout(TIMEOUT),
                Ok(FAULTS.len()),
                "{backend:?}"
            );
        }
    }
}

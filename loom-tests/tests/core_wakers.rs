//! Tasks that wait for a file: a registered waker against the driver that publishes, the file that
//! is closed and the engine that ends meanwhile.
#![cfg(loom)]

mod core_engine;

use core_engine::{check, close, engine, events, open, read, settle, write};
use efio_core::model::{Interest, Notify, Shared, Slot, channel};
use efio_core::{Fd, OpenOptions};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering as Plain};
use std::task::{Poll, Wake, Waker};
use std::time::Duration;

/// Counts its wake-ups. The counter is not part of the model.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, Plain::SeqCst);
    }
}

fn task() -> (std::sync::Arc<Count>, Waker) {
    let count = std::sync::Arc::new(Count::default());
    (count.clone(), Waker::from(count))
}

fn poll_read(shared: &Shared, fd: Fd, waker: &Waker, buf: &mut [u8]) -> Poll<io::Result<usize>> {
    shared.poll(fd, waker, |file, notify| file.read(buf, notify))
}

/// The protocol only: a task that returned pending is woken, or it saw what was published.
#[test]
fn a_registered_waker_is_woken_or_its_task_sees() {
    loom::model(|| {
        let slot = Arc::new(Slot::new());
        let published = Arc::new(AtomicBool::new(false));
        let (count, waker) = task();
        let driver = {
            let (slot, published) = (slot.clone(), published.clone());
            thread::spawn(move || {
                published.store(true, Ordering::Relaxed);
                let mut wakers = Vec::new();
                slot.take_waiters(Interest::DATA, 0, &mut wakers);
                wakers.into_iter().for_each(Waker::wake);
            })
        };
        let notify = Notify::Waker(&waker);
        let registration = slot.register(Interest::DATA, notify);
        let seen = published.load(Ordering::Relaxed);
        if seen {
            slot.deregister(registration);
        }
        driver.join().unwrap();
        assert!(seen || count.0.load(Plain::SeqCst) == 1, "a lost wake-up");
    });
}

/// A task's read against the turn that publishes its data, with the callers' code and the driver.
#[test]
fn a_task_finds_its_data_or_is_woken() {
    check(2, || {
        let (shared, mut driver) = engine(1, b"A");
        let fd = open(&shared, &mut driver);
        // Begins the run.
        assert!(read(&shared, fd, &mut [0]).is_err());
        let (count, waker) = task();
        let turning = thread::spawn(move || {
            settle(&mut driver, Duration::ZERO);
            driver
        });
        let mut byte = [0];
        let first = poll_read(&shared, fd, &waker, &mut byte);
        let mut driver = turning.join().unwrap();
        settle(&mut driver, Duration::ZERO);
        if first.is_pending() {
            assert_eq!(count.0.load(Plain::SeqCst), 1, "a lost wake-up");
            assert!(matches!(
                poll_read(&shared, fd, &waker, &mut byte),
                Poll::Ready(Ok(1))
            ));
        }
        assert_eq!(byte, *b"A");
        drop(events(&shared));
    });
}

/// Two tasks wait for one file: the first that returns leaves the other's registration in place.
#[test]
fn two_tasks_are_woken_both() {
    check(2, || {
        let (shared, mut driver) = engine(1, b"");
        let fd = open(&shared, &mut driver);
        assert_eq!(write(&shared, fd, b"x").unwrap(), 1);
        let polling = [(); 2].map(|()| {
            let shared = shared.clone();
            thread::spawn(move || {
                let (count, waker) = task();
                let flushed = shared.poll(fd, &waker, |file, notify| file.flush(notify));
                (flushed.is_pending(), count)
            })
        });
        settle(&mut driver, Duration::ZERO);
        for thread in polling {
            let (waits, count) = thread.join().unwrap();
            settle(&mut driver, Duration::ZERO);
            assert!(!waits || count.0.load(Plain::SeqCst) == 1, "a lost wake-up");
        }
    });
}

/// The file is closed while a task begins to wait for it.
#[test]
fn a_close_wakes_the_waiting_task() {
    check(2, || {
        let (shared, mut driver) = engine(1, b"");
        let options = OpenOptions::new().write(true);
        let fd = shared.open(Path::new("/file"), &options, None).unwrap();
        let closing = {
            let shared = shared.clone();
            thread::spawn(move || {
                close(&shared, fd).unwrap();
                settle(&mut driver, Duration::ZERO);
            })
        };
        let (count, waker) = task();
        let opened = shared.poll(fd, &waker, |file, notify| file.opened(notify));
        let waits = opened.is_pending();
        closing.join().unwrap();
        assert!(!waits || count.0.load(Plain::SeqCst) > 0, "a lost wake-up");
    });
}

/// The driver ends while a task begins to wait for it.
#[test]
fn the_end_of_the_engine_wakes_the_waiting_tasks() {
    check(2, || {
        let (shared, driver) = engine(1, b"");
        let options = OpenOptions::new().write(true);
        let fd = shared.open(Path::new("/file"), &options, None).unwrap();
        let ending = thread::spawn(move || drop(driver));
        let (count, waker) = task();
        let opened = shared.poll(fd, &waker, |file, notify| file.opened(notify));
        let waits = opened.is_pending();
        let closed = shared.lock(fd).unwrap().close_with_result();
        let closing = shared.poll_oneshot(&closed, &waker).is_pending();
        ending.join().unwrap();
        let woken = count.0.load(Plain::SeqCst);
        let due = usize::from(waits) + usize::from(closing);
        assert!(woken >= due, "{woken} of {due} wake-ups");
    });
}

/// A oneshot's value against the task that polls for it.
#[test]
fn a_sent_value_is_found_or_its_task_woken() {
    loom::model(|| {
        let (sender, receiver) = channel::<u64>();
        let (count, waker) = task();
        let sending = thread::spawn(move || {
            if let Some(waker) = sender.send(Ok(7)) {
                waker.wake();
            }
        });
        let first = receiver.get(&waker);
        sending.join().unwrap();
        match first {
            Some(result) => assert_eq!(result, Ok(7)),
            None => {
                assert_eq!(count.0.load(Plain::SeqCst), 1);
                assert_eq!(receiver.get(&waker), Some(Ok(7)));
            }
        }
    });
}

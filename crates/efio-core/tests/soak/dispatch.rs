//! Dispatches events: each goes to the one task that waits for it, whichever thread takes it from
//! the engine.

use efio_core::{Completed, Event, EventKind, Fd, File};
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};

/// The events that were not taken yet, and the waker of the task that waits for the next one.
struct EventQueue<T> {
    items: VecDeque<T>,
    waker: Option<Waker>,
}

impl<T> Default for EventQueue<T> {
    fn default() -> Self {
        Self {
            items: VecDeque::new(),
            waker: None,
        }
    }
}

impl<T> EventQueue<T> {
    fn put(&mut self, item: T) {
        self.items.push_back(item);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn poll(&mut self, cx: &Context<'_>) -> Poll<T> {
        match self.items.pop_front() {
            Some(item) => Poll::Ready(item),
            None => {
                self.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[derive(Default)]
struct Queues {
    files: HashMap<Fd, EventQueue<EventKind>>,
    completions: HashMap<u64, EventQueue<Completed>>,
}

/// The events of one engine.
#[derive(Default)]
pub struct Dispatcher(Mutex<Queues>);

impl Dispatcher {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.0.lock().unwrap()
    }

    /// Opens a file and makes its queue before its first event can come.
    pub fn open(&self, open: impl FnOnce() -> io::Result<File>) -> io::Result<File> {
        let mut queues = self.lock();
        let file = open()?;
        queues.files.insert(file.fd(), EventQueue::default());
        Ok(file)
    }

    /// Queues an event of the engine for its task. Events of files without a queue are dropped.
    pub fn deliver(&self, event: Event) {
        let mut queues = self.lock();
        match event.kind {
            EventKind::Completed(completed) => {
                let token = completed.token;
                queues.completions.entry(token).or_default().put(completed);
            }
            kind => {
                if let Some(queue) = queues.files.get_mut(&event.fd) {
                    queue.put(kind);
                }
            }
        }
    }

    /// The next event of a file.
    pub async fn event(&self, fd: Fd) -> EventKind {
        poll_fn(|cx| {
            let mut queues = self.lock();
            let queue = queues.files.get_mut(&fd).expect("its events are wanted");
            queue.poll(cx)
        })
        .await
    }

    /// Drops the file's queue: its further events are dropped.
    pub fn forget(&self, fd: Fd) {
        self.lock().files.remove(&fd);
    }

    /// How a positional call ended.
    pub async fn completion(&self, token: u64) -> Completed {
        let completed = poll_fn(|cx| {
            let mut queues = self.lock();
            queues.completions.entry(token).or_default().poll(cx)
        })
        .await;
        self.lock().completions.remove(&token);
        completed
    }

    /// Wakes all tasks: the engine has ended, and no further completion will come.
    pub fn wake_all(&self) {
        let mut queues = self.lock();
        let files = queues.files.values_mut().map(|queue| &mut queue.waker);
        let mut wakers: Vec<Waker> = files.filter_map(Option::take).collect();
        let completions = queues.completions.values_mut();
        wakers.extend(completions.filter_map(|queue| queue.waker.take()));
        drop(queues);
        wakers.into_iter().for_each(Waker::wake);
    }
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A task on the thread that takes the events.
struct Task {
    work: Mutex<Option<Work>>,
    is_queued: AtomicBool,
    executor: Arc<Executor>,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::SeqCst) {
            let executor = Arc::clone(&self.executor);
            executor.queue.lock().unwrap().push_back(self);
        }
    }
}

/// Runs the tasks of an event loop, or of a callback, on the calling thread.
#[derive(Default)]
pub struct Executor {
    queue: Mutex<VecDeque<Arc<Task>>>,
    tasks: Mutex<Vec<Arc<Task>>>,
    left: AtomicUsize,
}

impl Executor {
    pub fn spawn(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        let task = Arc::new(Task {
            work: Mutex::new(Some(Box::pin(work))),
            is_queued: AtomicBool::new(false),
            executor: Arc::clone(self),
        });
        self.left.fetch_add(1, Ordering::SeqCst);
        self.tasks.lock().unwrap().push(Arc::clone(&task));
        task.wake();
    }

    /// Runs what can go on, until nothing can.
    pub fn run(&self) {
        loop {
            let Some(task) = self.queue.lock().unwrap().pop_front() else {
                return;
            };
            task.is_queued.store(false, Ordering::SeqCst);
            let waker = Waker::from(Arc::clone(&task));
            let mut work = task.work.lock().unwrap();
            let Some(future) = work.as_mut() else {
                continue;
            };
            if future
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_ready()
            {
                *work = None;
                self.left.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }

    /// Whether every task has ended.
    pub fn is_done(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }

    /// Drops what did not end.
    pub fn clear(&self) {
        self.queue.lock().unwrap().clear();
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap());
        for task in tasks {
            drop(task.work.lock().unwrap().take());
        }
    }
}

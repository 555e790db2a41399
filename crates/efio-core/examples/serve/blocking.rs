//! The blocking pool: a few threads for calls that may wait for a disk and are not reads or writes:
//! look-ups, renames, removals, listings. The loop sends jobs; a worker sends the answer and wakes
//! the loop, which never waits for one.

use crate::json;
use crate::page_cache;
use crate::root::{Found, Root};
use mio::Waker;
use std::ffi::CString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

const THREADS: usize = 4;
/// Files whose pages are counted at most, and their bytes together.
const SURVEYED: (usize, u64) = (256, 64 << 30);

/// A job of the pool.
pub enum Job {
    Look(PathBuf),
    CheckTarget(PathBuf),
    Publish { upload: CString, path: PathBuf },
    Discard(CString),
    Remove(PathBuf),
    List(PathBuf),
    Survey,
}

/// The result of a job.
pub enum Answer {
    Found(io::Result<Found>),
    Target(io::Result<()>),
    Published(io::Result<bool>),
    Removed(io::Result<()>),
    /// As JSON.
    Listed(io::Result<String>),
    /// Pages of the root's files in the page cache, and all.
    Surveyed(u64, u64),
    Discarded,
}

/// The loop's handle of the pool.
pub struct BlockingPool {
    /// `None` once the threads shall end.
    jobs: Option<Sender<(usize, Job)>>,
    answers: Receiver<(usize, Answer)>,
    threads: Vec<JoinHandle<()>>,
}

impl BlockingPool {
    pub fn start(root: Root, path: &Path, waker: Waker) -> io::Result<Self> {
        let (jobs, inbox) = channel();
        let (outbox, answers) = channel();
        let worker = Arc::new(Worker {
            root,
            path: path.to_owned(),
            inbox: Mutex::new(inbox),
            waker,
        });
        let threads = (0..THREADS).map(|number| {
            let (worker, outbox) = (Arc::clone(&worker), outbox.clone());
            thread::Builder::new()
                .name(format!("blocking pool-{number}"))
                .spawn(move || worker.work(&outbox))
        });
        Ok(Self {
            jobs: Some(jobs),
            answers,
            threads: threads.collect::<io::Result<_>>()?,
        })
    }

    /// Submits a job; its answer carries `id`.
    pub fn ask(&self, id: usize, job: Job) {
        if let Some(jobs) = &self.jobs {
            // The receiving threads live as long as this handle.
            let _ = jobs.send((id, job));
        }
    }

    pub fn answers(&self) -> impl Iterator<Item = (usize, Answer)> + '_ {
        self.answers.try_iter()
    }
}

impl Drop for BlockingPool {
    /// Waits for the pending jobs.
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has printed so already.
            let _ = thread.join();
        }
    }
}

struct Worker {
    root: Root,
    path: PathBuf,
    inbox: Mutex<Receiver<(usize, Job)>>,
    waker: Waker,
}

impl Worker {
    fn work(&self, outbox: &Sender<(usize, Answer)>) {
        loop {
            // The holder of the lock waits for the next job; the others wait for the lock.
            let next = self
                .inbox
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .recv();
            let Ok((id, job)) = next else { return };
            let answer = self.answer(job);
            if outbox.send((id, answer)).is_err() || self.waker.wake().is_err() {
                return;
            }
        }
    }

    fn answer(&self, job: Job) -> Answer {
        match job {
            Job::Look(path) if path.as_os_str().is_empty() => Answer::Found(Ok(Found::Directory)),
            Job::Look(path) => Answer::Found(self.root.look(&path)),
            Job::CheckTarget(path) => Answer::Target(self.root.check_target(&path)),
            Job::Publish { upload, path } => {
                let result = self.root.publish(&upload, &path);
                if result.is_err() {
                    self.discard(&upload);
                }
                Answer::Published(result)
            }
            Job::Discard(upload) => {
                self.discard(&upload);
                Answer::Discarded
            }
            Job::Remove(path) => Answer::Removed(self.root.remove(&path)),
            Job::List(path) => Answer::Listed(self.root.list(&path).map(|list| json::list(&list))),
            Job::Survey => {
                let (resident, total) = self.survey();
                Answer::Surveyed(resident, total)
            }
        }
    }

    fn discard(&self, upload: &CString) {
        match self.root.discard(upload) {
            // It was never made: the open failed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => eprintln!("serve: removing {upload:?}: {error}"),
            Ok(()) => {}
        }
    }

    /// Counts the pages of the root's files that are in the page cache, and all.
    fn survey(&self) -> (u64, u64) {
        let (files, mut bytes) = SURVEYED;
        let mut sum = (0, 0);
        let entries = self.root.list(Path::new("")).unwrap_or_default();
        for entry in entries
            .iter()
            .filter(|entry| !entry.is_directory)
            .take(files)
        {
            let Some(rest) = bytes.checked_sub(entry.size) else {
                break;
            };
            bytes = rest;
            let name = String::from_utf8_lossy(&entry.name);
            if let Ok(pages) = page_cache::resident_pages(&self.path.join(&*name)) {
                sum.0 += pages.resident as u64;
                sum.1 += pages.total as u64;
            }
        }
        sum
    }
}

//! BlockingPool: a few threads for what may wait for a disk and is not reading or writing: looking names
//! up, renaming, removing, listing. The loop hands them jobs and finds their answers behind a
//! waker; it never waits for one.

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

/// Something to do.
pub enum Job {
    Look(PathBuf),
    CheckTarget(PathBuf),
    Publish { upload: CString, path: PathBuf },
    Discard(CString),
    Remove(PathBuf),
    List(PathBuf),
    Survey,
}

/// What came of it.
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

/// The loop's end.
pub struct BlockingPool {
    /// `None` once they are told to go.
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

    /// Gives a job away; the answer comes with `id`.
    pub fn ask(&self, id: usize, job: Job) {
        if let Some(jobs) = &self.jobs {
            // They are there as long as this end is.
            let _ = jobs.send((id, job));
        }
    }

    pub fn answers(&self) -> impl Iterator<Item = (usize, Answer)> + '_ {
        self.answers.try_iter()
    }
}

impl Drop for BlockingPool {
    /// Waits for what they were told to do.
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // One that panicked has said so already.
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
            // Whoever has the lock waits for the next job; the others wait for the lock.
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

    /// How much of the files in the root is in the page cache.
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

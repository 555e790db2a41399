//! Questions whose answer takes time, kept from the call that asked to the calls that repeat it:
//! whether the kernel has every accepted byte (a flush), and how long the file is.
//!
//! A question belongs to whoever asked, a thread or a task, and covers what was accepted when it
//! was asked first: its *mark*. So it is answered whatever others write meanwhile. A write of the
//! same thread or task voids it, for who writes and asks again means the new bytes too.
//!
//! ```text
//!  flush ─► WouldBlock (mark 100) ── others write ──► flush ─► Ok, once 100 bytes are written
//!  flush ─► WouldBlock (mark 100) ── own write ─────► flush ─► a new question (mark 150)
//! ```

use super::interest::Notify;
use super::slot::Slot;
use crate::error::Errno;
use crate::oneshot::Receiver;
use std::task::Waker;

/// The most questions of a file that are kept; who asks one more repeats the oldest as a new one.
const MAX_QUESTIONS: usize = 256;

/// A question is void when it was answered and so many bytes were accepted since: nobody comes for
/// the answer, and writes look for questions only while there are some.
const EXPIRES_AFTER: u64 = 64 << 20;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// Whether the kernel has every byte accepted before.
    Flush,
    /// How long the file is, with every byte accepted before.
    Size,
    /// Where it ends, for a position that is there.
    End,
}

/// Who asks.
enum Who {
    Thread(u64),
    Task(Waker),
}

impl Who {
    fn of(notify: Notify<'_>) -> Self {
        match notify {
            Notify::Event => Self::Thread(this_thread()),
            Notify::Waker(waker) => Self::Task(waker.clone()),
        }
    }

    fn is(&self, notify: Notify<'_>) -> bool {
        match (self, notify) {
            (Self::Thread(id), Notify::Event) => *id == this_thread(),
            (Self::Task(mine), Notify::Waker(waker)) => mine.will_wake(waker),
            _ => false,
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Thread(mine), Self::Thread(other)) => mine == other,
            (Self::Task(mine), Self::Task(other)) => mine.will_wake(other),
            _ => false,
        }
    }
}

/// A question that was asked and whose answer nobody has fetched.
pub struct Question {
    about: About,
    who: Who,
    /// The accepted mark when it was asked; `None` once it is void.
    mark: Option<u64>,
    /// Of a size: the answer to come.
    size: Option<Receiver<u64>>,
}

impl Question {
    /// `asker` asks when `mark` bytes are accepted.
    pub fn new(about: About, notify: Notify<'_>, mark: u64, size: Option<Receiver<u64>>) -> Self {
        Self {
            about,
            who: Who::of(notify),
            mark: Some(mark),
            size,
        }
    }

    /// What it covers, unless it is void.
    pub fn mark(&self) -> Option<u64> {
        self.mark
    }

    /// Of a size: the answer to come.
    pub fn size(&self) -> Option<&Receiver<u64>> {
        self.size.as_ref()
    }
}

/// All questions of a file, oldest first. Whatever leaves it is for the caller to drop: a waker's
/// drop is somebody else's code.
#[derive(Default)]
pub struct Questions(Vec<Question>);

impl Questions {
    fn take(&mut self, about: About, notify: Notify<'_>) -> Option<Question> {
        let mut all = self.0.iter();
        let at = all.position(|kept| kept.about == about && kept.who.is(notify))?;
        Some(self.0.remove(at))
    }

    /// A question that `asker` asked, or anybody when `accepted` was what it is now.
    fn valid(&self, about: About, notify: Notify<'_>, accepted: u64) -> Option<&Question> {
        let of = |kept: &&Question| kept.about == about;
        let mine = |kept: &&Question| kept.mark.is_some() && kept.who.is(notify);
        let same = |kept: &&Question| kept.mark == Some(accepted);
        let all = || self.0.iter().filter(of);
        all().find(mine).or_else(|| all().find(same))
    }

    /// Keeps a question; one that has to go for it comes back: what the same asked before, if it
    /// is void by now and was passed over, or the oldest of too many.
    fn keep(&mut self, question: Question) -> Option<Question> {
        let same =
            |kept: &Question| kept.about == question.about && kept.who.is_same(&question.who);
        if let Some(at) = self.0.iter().position(same) {
            return Some(std::mem::replace(&mut self.0[at], question));
        }
        let full = self.0.len() >= MAX_QUESTIONS;
        let void = self.0.iter().position(|kept| kept.mark.is_none());
        let old = full.then(|| self.0.remove(void.unwrap_or(0)));
        self.0.push(question);
        old
    }

    /// Voids the questions of `asker`, who wrote, and those that nobody comes for. Whether any is
    /// left that is not void.
    fn void(&mut self, notify: Notify<'_>, written: u64, accepted: u64) -> bool {
        let mut left = false;
        for kept in &mut self.0 {
            let expired = kept
                .mark
                .is_some_and(|mark| mark <= written && mark + EXPIRES_AFTER < accepted);
            if expired || kept.who.is(notify) {
                kept.mark = None;
            }
            left |= kept.mark.is_some();
        }
        left
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// With custody, all of them.
impl Slot {
    /// Takes out the question of `asker`, if it asked one.
    pub fn take_question(&self, about: About, notify: Notify<'_>) -> Option<Question> {
        self.with_questions(|questions| questions.take(about, notify))
    }

    /// Takes out all questions about this.
    #[must_use = "their wakers are dropped without custody"]
    pub fn take_questions(&self, about: About) -> Vec<Question> {
        self.with_questions(|questions| {
            let all = std::mem::take(&mut questions.0);
            let (taken, rest) = all.into_iter().partition(|kept| kept.about == about);
            questions.0 = rest;
            taken
        })
    }

    /// Whether this is asked, by `asker` or since the last byte was accepted.
    pub fn is_asked(&self, about: About, notify: Notify<'_>, accepted: u64) -> bool {
        self.with_questions(|questions| questions.valid(about, notify, accepted).is_some())
    }

    /// The answer to what [`is_asked`](Self::is_asked), if it is there, and the mark that it
    /// covers.
    pub fn on_answer(
        &self,
        about: About,
        notify: Notify<'_>,
        accepted: u64,
    ) -> Option<(u64, Result<u64, Errno>)> {
        self.with_questions(|questions| {
            let question = questions.valid(about, notify, accepted)?;
            let len = question.size()?.get(Waker::noop())?;
            Some((question.mark()?, len))
        })
    }

    /// Keeps a question until its asker comes back; one that has to go for it, to be dropped
    /// without custody.
    #[must_use = "its waker is dropped without custody"]
    pub fn keep_question(&self, question: Question) -> Option<Question> {
        self.with_questions(|questions| questions.keep(question))
    }

    /// `asker` wrote: its questions are void. Whether any is left that is not.
    pub fn void_questions(&self, notify: Notify<'_>) -> bool {
        let marks = self.marks.progress();
        self.with_questions(|questions| questions.void(notify, marks.written, marks.accepted))
    }
}

/// A number that no other thread has or had.
fn this_thread() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    std::thread_local! {
        // Relaxed: only the number counts.
        static ID: u64 = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
    ID.with(|id| *id)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::task::Wake;

    struct Nobody;

    impl Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }

    /// F88: a question that is void is passed over while no other is left, so its asker asks anew.
    /// Of two that were kept the older mark would answer a later question too early.
    #[test]
    fn who_asks_anew_has_one_question() {
        let mut questions = Questions::default();
        let waker = Waker::from(Arc::new(Nobody));
        let task = Notify::Waker(&waker);
        let ask = |mark| Question::new(About::Flush, task, mark, None);
        assert!(questions.keep(ask(10)).is_none());
        assert!(!questions.void(task, 10, 20), "none is left");
        let void = questions.keep(ask(20)).expect("it goes for the new one");
        assert_eq!(void.mark(), None);
        let size = Question::new(About::Size, task, 20, None);
        assert!(questions.keep(size).is_none());
        let taken = questions.take(About::Flush, task).expect("the new one");
        assert_eq!(taken.mark(), Some(20));
        assert!(questions.take(About::Flush, task).is_none());
        assert!(questions.take(About::Size, Notify::Event).is_none());
        assert!(questions.take(About::Size, task).is_some() && questions.is_empty());
    }
}

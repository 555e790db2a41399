//! Questions whose answer takes time, kept from the call that asks to the calls that retry it:
//! whether the kernel has every accepted byte (a flush), and how long the file is.
//!
//! A question belongs to the thread or task that asked, and covers what was accepted at its first
//! call: its *mark*. So it is answered whatever others write meanwhile. A write of the same thread
//! or task voids it, because a later call has to cover the new bytes, too. A truncation voids all:
//! no later call of anybody may return the length before it.
//!
//! ```text
//!  flush ─► WouldBlock (mark 100) ── others write ──► flush ─► Ok, once 100 bytes are written
//!  flush ─► WouldBlock (mark 100) ── own write ─────► flush ─► a new question (mark 150)
//! ```

use super::Slot;
use super::interest::Notify;
use crate::error::Errno;
use crate::oneshot::Receiver;
use std::task::Waker;

/// The most questions of a file that are kept. One more replaces the oldest, whose next call then
/// asks anew.
const MAX_QUESTIONS: usize = 256;

/// A question expires when it is answered and this many bytes were accepted since: its answer is
/// not taken any more, and writes check for questions only while there are some.
const EXPIRES_AFTER: u64 = 64 << 20;

/// What a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// Whether the kernel has every byte accepted before.
    Flush,
    /// How long the file is, with every byte accepted before.
    Size,
    /// Where the file ends, for a position that is there.
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

    /// Whether both are event loops, or both are tasks.
    fn is_like(&self, notify: Notify<'_>) -> bool {
        matches!(self, Self::Task(_)) == matches!(notify, Notify::Waker(_))
    }

    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Thread(mine), Self::Thread(other)) => mine == other,
            (Self::Task(mine), Self::Task(other)) => mine.will_wake(other),
            _ => false,
        }
    }
}

/// A question whose answer was not taken yet.
pub struct Question {
    about: About,
    who: Who,
    /// The accepted mark when it was asked; `None` once it is void.
    mark: Option<u64>,
    /// The receiver of the answer, if the question is about a size.
    size: Option<Receiver<u64>>,
    /// A call that only waits has returned: the call that it waited for may be anybody's.
    for_all: bool,
}

impl Question {
    /// Creates the question of `notify` when `mark` bytes are accepted.
    pub fn new(about: About, notify: Notify<'_>, mark: u64, size: Option<Receiver<u64>>) -> Self {
        Self {
            about,
            who: Who::of(notify),
            mark: Some(mark),
            size,
            for_all: false,
        }
    }

    /// Returns the number of accepted bytes that it covers, unless it is void.
    pub fn mark(&self) -> Option<u64> {
        self.mark
    }

    fn answer(&self) -> Option<Result<u64, Errno>> {
        self.size.as_ref()?.get(Waker::noop())
    }

    /// Whether anybody may take the answer.
    fn is_shared(&self) -> bool {
        self.for_all && self.mark.is_some()
    }

    /// Returns the receiver of the answer, if the question is about a size.
    pub fn size(&self) -> Option<&Receiver<u64>> {
        self.size.as_ref()
    }
}

/// All questions of a file, oldest first. Removed questions are returned for the caller to drop: a
/// waker's drop runs foreign code.
#[derive(Default)]
pub struct Questions(Vec<Question>);

impl Questions {
    fn take(&mut self, about: About, notify: Notify<'_>) -> Option<Question> {
        let mut all = self.0.iter();
        let at = all.position(|kept| kept.about == about && kept.who.is(notify))?;
        Some(self.0.remove(at))
    }

    /// Returns the questions whose answer `notify` may take, the best one first: its own that is
    /// not void; one with the mark `accepted` of its kind, because an event loop may ask on one
    /// thread and retry on another, a task with one waker and then with another; one that is left
    /// to anybody. What a task asked for, and may have dropped since, is not for an event loop
    /// (F86); what it waited for is, so that a blocking wait and then a read end.
    fn valid(
        &self,
        about: About,
        notify: Notify<'_>,
        accepted: u64,
    ) -> impl Iterator<Item = usize> + '_ {
        let mine = |kept: &Question| kept.mark.is_some() && kept.who.is(notify);
        let like = |kept: &Question| kept.mark == Some(accepted) && kept.who.is_like(notify);
        let find = |is: &dyn Fn(&Question) -> bool| {
            let mut all = self.0.iter();
            all.position(|kept| kept.about == about && is(kept))
        };
        let best = [find(&mine), find(&like), find(&Question::is_shared)];
        best.into_iter().flatten()
    }

    /// Returns the best one that is answered.
    fn answered(&self, about: About, notify: Notify<'_>, accepted: u64) -> Option<usize> {
        let mut valid = self.valid(about, notify, accepted);
        valid.find(|&at| self.0[at].answer().is_some())
    }

    /// Leaves what `notify` asked for to the next call of anybody.
    fn share(&mut self, about: About, notify: Notify<'_>) {
        let all = self.0.iter_mut().filter(|kept| kept.about == about);
        for mine in all.filter(|kept| kept.who.is(notify)) {
            mine.for_all = true;
        }
    }

    /// Keeps a question, and returns the one that it replaces:
    ///
    /// 1. the question of the same caller about the same, which is void by now, or
    /// 2. if there are [`MAX_QUESTIONS`], a void one, or else the oldest.
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

    /// Voids the questions of `notify`, which wrote, and those that expired. Returns whether any is
    /// left that is not void.
    ///
    /// With 64 MiB to expiry, 100 bytes written and 64 MiB + 120 bytes accepted, a question with
    /// the mark 50 expires, one with the mark 150 does not: it is not answered yet.
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

/// The holder of the file's lock calls all of these.
impl Slot {
    /// Takes out the question of `notify`, if there is one.
    pub fn take_question(&self, about: About, notify: Notify<'_>) -> Option<Question> {
        self.with_questions(|questions| questions.take(about, notify))
    }

    /// Takes out all questions about this.
    #[must_use = "their wakers are dropped without the file's lock"]
    pub fn take_questions(&self, about: About) -> Vec<Question> {
        self.with_questions(|questions| {
            let all = std::mem::take(&mut questions.0);
            let (taken, rest) = all.into_iter().partition(|kept| kept.about == about);
            questions.0 = rest;
            taken
        })
    }

    /// Whether there is such a question, of `notify` or with the mark `accepted`.
    pub fn is_asked(&self, about: About, notify: Notify<'_>, accepted: u64) -> bool {
        self.with_questions(|questions| questions.valid(about, notify, accepted).next().is_some())
    }

    /// Returns the mark and the answer of a question that [`is_asked`](Self::is_asked), if one is
    /// answered.
    pub fn on_answer(
        &self,
        about: About,
        notify: Notify<'_>,
        accepted: u64,
    ) -> Option<(u64, Result<u64, Errno>)> {
        self.with_questions(|questions| {
            let at = questions.answered(about, notify, accepted)?;
            let question = &questions.0[at];
            Some((question.mark()?, question.answer()?))
        })
    }

    /// Takes out the question that has this [answer](Self::on_answer).
    pub fn take_answer(&self, about: About, notify: Notify<'_>, accepted: u64) -> Option<Question> {
        self.with_questions(|questions| {
            let at = questions.answered(about, notify, accepted)?;
            Some(questions.0.remove(at))
        })
    }

    /// Leaves the answer that `notify` waited for to the next call of anybody, whatever is accepted
    /// until then.
    pub fn share_answer(&self, about: About, notify: Notify<'_>) {
        self.with_questions(|questions| questions.share(about, notify));
    }

    /// Keeps a question until its caller retries. Returns the one that it replaces, to be dropped
    /// without the file's lock.
    #[must_use = "its waker is dropped without the file's lock"]
    pub fn keep_question(&self, question: Question) -> Option<Question> {
        self.with_questions(|questions| questions.keep(question))
    }

    /// Voids the questions of `notify`, which wrote. Returns whether any is left that is not void.
    pub fn void_questions(&self, notify: Notify<'_>) -> bool {
        let marks = self.marks.progress();
        self.with_questions(|questions| questions.void(notify, marks.written, marks.accepted))
    }

    /// Voids all questions: the file is truncated.
    pub fn void_all_questions(&self) {
        self.with_questions(|questions| questions.0.iter_mut().for_each(|kept| kept.mark = None));
    }
}

/// Returns a number that no other thread has or had.
fn this_thread() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    std::thread_local! {
        // Relaxed: it orders nothing, and only has to be unique.
        static ID: u64 = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
    ID.with(|id| *id)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::waiters::tests::waker;
    use super::*;

    /// F88: a caller whose question is void asks anew. If both were kept, the older mark would
    /// answer a later call too early.
    #[test]
    fn a_new_question_replaces_the_void_one() {
        let mut questions = Questions::default();
        let task = waker();
        let task = Notify::Waker(&task);
        let ask = |mark| Question::new(About::Flush, task, mark, None);
        assert!(questions.keep(ask(10)).is_none());
        assert!(!questions.void(task, 10, 20), "none is left");
        let void = questions.keep(ask(20)).expect("the replaced one");
        assert_eq!(void.mark(), None);
        let size = Question::new(About::Size, task, 20, None);
        assert!(questions.keep(size).is_none());
        let taken = questions.take(About::Flush, task).expect("the new one");
        assert_eq!(taken.mark(), Some(20));
        assert!(questions.take(About::Flush, task).is_none());
        assert!(questions.take(About::Size, Notify::Event).is_none());
        assert!(questions.take(About::Size, task).is_some() && questions.is_empty());
    }

    /// F86: an answer that a task asked for, and dropped, may be old by the time that an event loop
    /// asks.
    #[test]
    fn an_event_loop_has_no_answer_of_a_task() {
        let mut questions = Questions::default();
        let [one, other] = [(); 2].map(|()| waker());
        let question = Question::new(About::End, Notify::Waker(&one), 10, None);
        assert!(questions.keep(question).is_none());
        let valid = |notify, mark| questions.valid(About::End, notify, mark).next().is_some();
        assert!(
            valid(Notify::Waker(&other), 10),
            "its task with another waker"
        );
        assert!(!valid(Notify::Waker(&other), 11) && !valid(Notify::Event, 10));
    }

    /// A wait with a waker that has returned promises that a read returns at once, whoever reads.
    #[test]
    fn an_event_loop_has_the_answer_that_a_wait_returned_for() {
        let mut questions = Questions::default();
        let waiting = waker();
        let question = Question::new(About::End, Notify::Waker(&waiting), 10, None);
        assert!(questions.keep(question).is_none());
        questions.share(About::Size, Notify::Waker(&waiting));
        let valid = |questions: &Questions, mark| {
            let mut found = questions.valid(About::End, Notify::Event, mark);
            found.next().is_some()
        };
        assert!(!valid(&questions, 10));
        questions.share(About::End, Notify::Waker(&waiting));
        assert!(valid(&questions, 10) && valid(&questions, 11));
    }
}

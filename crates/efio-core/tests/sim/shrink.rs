//! From a seed that fails to a short list of steps that fail in the same way.
//!
//! Trouble that is not needed is switched off, steps that are not needed are left out (Zeller &
//! Hildebrandt, "Simplifying and isolating failure-inducing input", IEEE TSE 28(2), 2002), and what
//! is left is made smaller.

use super::steps::{Plan, Step};
use super::{SimMemory, carry_out};
use efio_core::sim::SimOptions;
use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;
use std::time::{Duration, Instant};

/// How a plan failed: what was said, and where. The place tells one failure from another.
#[derive(Clone, Debug)]
pub struct Failure {
    pub place: String,
    pub message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

thread_local! {
    /// What the last panic of this thread said, while somebody asks for it.
    static HEARD: RefCell<Option<Option<Failure>>> = const { RefCell::new(None) };
}

/// Panics of threads that try plans out are kept instead of printed.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let default = take_hook();
        set_hook(Box::new(move |info| {
            let asked = HEARD.with_borrow_mut(|heard| {
                let asked = heard.is_some();
                if let Some(None) = heard {
                    let place = info.location().map(ToString::to_string);
                    let payload = info.payload();
                    let message = payload.downcast_ref::<String>().map(String::as_str);
                    let message = message.or_else(|| payload.downcast_ref::<&str>().copied());
                    *heard = Some(Some(Failure {
                        place: place.unwrap_or_default(),
                        message: message.unwrap_or("panicked").to_owned(),
                    }));
                }
                asked
            });
            if !asked {
                default(info);
            }
        }));
    });
}

/// Carries out a plan.
///
/// # Errors
///
/// How it failed, if it did.
pub fn try_out(plan: &Plan, memory: &SimMemory) -> Result<(), Failure> {
    listen();
    HEARD.set(Some(None));
    let result = catch_unwind(AssertUnwindSafe(|| carry_out(plan, memory)));
    let heard = HEARD.take();
    result.map_err(|_| heard.flatten().expect("a panic was heard"))
}

/// A smaller plan that fails at the same place, found within `time`.
pub fn shrink(plan: Plan, failure: &Failure, memory: &SimMemory, time: Duration) -> Plan {
    let mut shrinker = Shrinker {
        plan,
        failure,
        memory,
        deadline: Instant::now() + time,
    };
    let mut before = usize::MAX;
    while shrinker.size() < before {
        before = shrinker.size();
        shrinker.calm();
        shrinker.leave_out();
        shrinker.make_smaller();
    }
    shrinker.plan
}

struct Shrinker<'a> {
    plan: Plan,
    failure: &'a Failure,
    memory: &'a SimMemory,
    deadline: Instant,
}

impl Shrinker<'_> {
    fn size(&self) -> usize {
        let sizes = self.plan.steps.iter().map(|step| step.size() as usize);
        self.plan.steps.len() * 1_000_000 + sizes.sum::<usize>()
    }

    /// Takes `plan` if it fails as well.
    fn accept(&mut self, plan: Plan) -> bool {
        let fails = Instant::now() < self.deadline
            && try_out(&plan, self.memory).is_err_and(|other| other.place == self.failure.place);
        if fails {
            self.plan = plan;
        }
        fails
    }

    fn calm(&mut self) {
        for switch_off in TROUBLES {
            let mut plan = self.plan.clone();
            switch_off(&mut plan.trouble);
            self.accept(plan);
        }
    }

    fn leave_out(&mut self) {
        self.without_callback();
        let mut chunk = self.plan.steps.len() / 2;
        while chunk > 0 {
            let mut at = 0;
            while at < self.plan.steps.len() {
                let mut plan = self.plan.clone();
                let end = (at + chunk).min(plan.steps.len());
                plan.steps.drain(at..end);
                if !self.accept(plan) {
                    at += chunk;
                }
            }
            chunk /= 2;
        }
    }

    /// The queue instead of callbacks, or callbacks that call less.
    fn without_callback(&mut self) {
        let mut plan = self.plan.clone();
        plan.inside = None;
        self.accept(plan);
        while self
            .plan
            .inside
            .as_ref()
            .is_some_and(|inside| !inside.is_empty())
        {
            let mut plan = self.plan.clone();
            if let Some(inside) = &mut plan.inside {
                inside.truncate(inside.len() / 2);
            }
            if !self.accept(plan) {
                break;
            }
        }
    }

    fn make_smaller(&mut self) {
        for at in 0..self.plan.steps.len() {
            loop {
                let mut plan = self.plan.clone();
                let before = plan.steps[at].size();
                plan.steps[at].make_smaller();
                if plan.steps[at].size() >= before || !self.accept(plan) {
                    break;
                }
            }
        }
    }
}

/// Switches every kind of trouble off, one at a time.
const TROUBLES: [fn(&mut SimOptions); 18] = [
    |trouble| trouble.short = 0,
    |trouble| trouble.transient = 0,
    |trouble| trouble.open_errors = 0,
    |trouble| trouble.read_errors = 0,
    |trouble| trouble.write_errors = 0,
    |trouble| trouble.sync_errors = 0,
    |trouble| trouble.close_errors = 0,
    |trouble| trouble.lasting = 0,
    |trouble| trouble.duplicates = 0,
    |trouble| trouble.refusals = 0,
    |trouble| trouble.aborted = 0,
    |trouble| trouble.stalls = 0,
    |trouble| trouble.no_memory = 0,
    |trouble| trouble.cached = 0,
    |trouble| trouble.early_ends = 0,
    |trouble| trouble.vague_sizes = false,
    |trouble| trouble.capacity = u64::MAX,
    |trouble| trouble.latency = 1,
];

impl Step {
    /// What can be made smaller about it.
    fn sizes(&mut self) -> Vec<&mut u32> {
        match self {
            Self::Write { len, .. } | Self::Read { len, .. } => vec![len],
            Self::ReadAt { at, len, .. } | Self::WriteAt { at, len, .. } => vec![at, len],
            Self::Seek { to, .. } => vec![to],
            Self::Truncate { len, .. } => vec![len],
            Self::Open(opening) => opening.exists.iter_mut().map(|(len, _)| len).collect(),
            _ => Vec::new(),
        }
    }

    fn size(&self) -> u32 {
        let mut step = self.clone();
        step.sizes().into_iter().map(|size| *size).sum()
    }

    fn make_smaller(&mut self) {
        for size in self.sizes() {
            *size = size.div_ceil(2);
        }
    }
}

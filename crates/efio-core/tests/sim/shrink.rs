//! Shrinks a failing plan to a short list of steps that fail in the same way.
//!
//! 1. Faults that the failure does not need are switched off.
//! 2. Steps that it does not need are removed (Zeller & Hildebrandt, "Simplifying and isolating
//!    failure-inducing input", IEEE TSE 28(2), 2002).
//! 3. The sizes of the remaining steps are halved.

use super::steps::{Plan, Step};
use super::{SimMemory, run};
use efio_core::sim::SimOptions;
use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;
use std::time::{Duration, Instant};

/// How a plan failed: the panic's message and location. The location identifies the failure.
#[derive(Clone, Debug)]
pub struct Failure {
    pub location: String,
    pub message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location, self.message)
    }
}

thread_local! {
    /// The last panic of this thread; `Some` while a plan is tried.
    static CAPTURED: RefCell<Option<Option<Failure>>> = const { RefCell::new(None) };
}

/// Installs a hook that captures the panics of threads that try plans, instead of printing them.
fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let default = take_hook();
        set_hook(Box::new(move |info| {
            let asked = CAPTURED.with_borrow_mut(|captured| {
                let asked = captured.is_some();
                if let Some(None) = captured {
                    let location = info.location().map(ToString::to_string);
                    let payload = info.payload();
                    let message = payload.downcast_ref::<String>().map(String::as_str);
                    let message = message.or_else(|| payload.downcast_ref::<&str>().copied());
                    *captured = Some(Some(Failure {
                        location: location.unwrap_or_default(),
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

/// Tries a plan.
///
/// # Errors
///
/// The failure, if there was one.
pub fn try_plan(plan: &Plan, memory: &SimMemory) -> Result<(), Failure> {
    install_hook();
    CAPTURED.set(Some(None));
    let result = catch_unwind(AssertUnwindSafe(|| run(plan, memory)));
    let captured = CAPTURED.take();
    result.map_err(|_| captured.flatten().expect("the panic was captured"))
}

/// Returns a smaller plan that fails at the same location, found within `time`.
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
        shrinker.switch_off_faults();
        shrinker.remove_steps();
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

    /// Adopts `plan` if it fails in the same way.
    fn accept(&mut self, plan: Plan) -> bool {
        let fails = Instant::now() < self.deadline
            && try_plan(&plan, self.memory)
                .is_err_and(|other| other.location == self.failure.location);
        if fails {
            self.plan = plan;
        }
        fails
    }

    fn switch_off_faults(&mut self) {
        for switch_off in FAULTS {
            let mut plan = self.plan.clone();
            switch_off(&mut plan.faults);
            self.accept(plan);
        }
    }

    fn remove_steps(&mut self) {
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

    /// Replaces callbacks by the queue, or lets them make fewer calls.
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

/// Switches off one kind of fault each.
const FAULTS: [fn(&mut SimOptions); 18] = [
    |faults| faults.short = 0,
    |faults| faults.transient = 0,
    |faults| faults.open_errors = 0,
    |faults| faults.read_errors = 0,
    |faults| faults.write_errors = 0,
    |faults| faults.sync_errors = 0,
    |faults| faults.close_errors = 0,
    |faults| faults.lasting = 0,
    |faults| faults.duplicates = 0,
    |faults| faults.refusals = 0,
    |faults| faults.aborted = 0,
    |faults| faults.stalls = 0,
    |faults| faults.no_memory = 0,
    |faults| faults.cached = 0,
    |faults| faults.early_ends = 0,
    |faults| faults.vague_sizes = false,
    |faults| faults.capacity = u64::MAX,
    |faults| faults.latency = 1,
];

impl Step {
    /// Returns the sizes that can be halved.
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

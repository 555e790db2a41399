//! Any operations on two chunk streams, against the model of the proptest.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/efio-chunks/tests/common/model.rs"]
mod model;
#[path = "../../crates/efio-chunks/tests/common/page.rs"]
mod page;

use model::{Machine, Op};

type Step = (bool, u8, u16, u64);

fuzz_target!(|input: ([Option<u16>; 2], bool, Vec<Step>)| {
    let (limits, hooks, steps) = input;
    let limits = limits.map(|limit| limit.map(|limit| usize::from(limit % 600)));
    let mut machine = Machine::new(limits, hooks);
    for (second, kind, a, b) in steps {
        machine.step(second, Op::from_numbers(kind, a, b));
    }
    machine.finish();
});

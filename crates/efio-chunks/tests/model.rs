//! Any interleaving of any operations, beside a naive model.

use proptest::prelude::*;

#[path = "common/model.rs"]
mod model;
#[path = "common/page.rs"]
mod page;

use model::{Machine, Op};

fn op() -> impl Strategy<Value = (bool, Op)> {
    (any::<bool>(), any::<u8>(), any::<u16>(), any::<u64>())
        .prop_map(|(second, kind, a, b)| (second, Op::from_numbers(kind, a, b)))
}

fn limit() -> impl Strategy<Value = Option<usize>> {
    prop_oneof![Just(None), (0usize..600).prop_map(Some)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn gives_the_bytes_of_the_model(
        limits in [limit(), limit()],
        hooks: bool,
        ops in prop::collection::vec(op(), 0..120),
    ) {
        let mut machine = Machine::new(limits, hooks);
        for (second, op) in ops {
            machine.step(second, op);
        }
        machine.finish();
    }
}

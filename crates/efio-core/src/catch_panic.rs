//! Panics of the program's code.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs code of the program, and catches its panic (F53).
pub fn catch_panic(code: impl FnOnce()) -> Result<(), CaughtPanic> {
    // Unwind safe: the code has no borrow of the engine's state.
    catch_unwind(AssertUnwindSafe(code)).map_err(CaughtPanic::new)
}

/// A panic was caught.
pub struct CaughtPanic(());

impl CaughtPanic {
    fn new(payload: Box<dyn Any + Send>) -> Self {
        // Its drop is code of the program too. If it panics, the second payload is leaked.
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(second);
        }
        Self(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_that_panics_again_is_contained() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("again");
            }
        }
        assert!(catch_panic(|| std::panic::panic_any(Bomb)).is_err());
        assert!(catch_panic(|| ()).is_ok());
    }
}

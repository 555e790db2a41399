//! Page memory for simulated engines: reused from one engine to the next, and sometimes refused.

use super::random::Random;
use crate::page::SlabSource;
use crate::sys::memory::Mapping;
use efio_sync::SpinLock;
use std::io;
use std::sync::Arc;

/// Slabs that simulated engines use one after the other: mapping and touching them would take
/// longer than most engines live. A slab still has the bytes of its last engine.
#[derive(Clone, Default)]
pub struct SimMemory(Arc<SpinLock<Vec<Mapping>>>);

impl SimMemory {
    /// Creates a store without slabs.
    pub fn new() -> Self {
        Self::default()
    }
}

/// The memory of one engine.
pub struct Memory {
    spare: SimMemory,
    faults: SpinLock<Faults>,
}

/// Which slabs are refused. The first one never is: without it there is no engine.
struct Faults {
    random: Random,
    refused: u32,
    given: usize,
}

impl Memory {
    /// Takes slabs from `spare`, and refuses `refused` requests of a thousand.
    pub fn new(spare: &SimMemory, seed: u64, refused: u32) -> Arc<Self> {
        Arc::new(Self {
            spare: spare.clone(),
            faults: SpinLock::new(Faults {
                random: Random::new(seed),
                refused,
                given: 0,
            }),
        })
    }

    /// Refuses no slab from now on.
    pub fn stop_faults(&self) {
        self.faults.lock().refused = 0;
    }
}

impl SlabSource for Memory {
    fn map(&self, len: usize) -> io::Result<Mapping> {
        let mut faults = self.faults.lock();
        let Faults {
            random,
            refused,
            given,
        } = &mut *faults;
        if *given > 0 && random.happens(*refused) {
            return Err(io::Error::from_raw_os_error(libc::ENOMEM));
        }
        *given += 1;
        match self.spare.0.lock().pop() {
            Some(slab) => Ok(slab),
            None => Mapping::huge(len),
        }
    }

    fn take_back(&self, slab: Mapping) {
        self.spare.0.lock().push(slab);
    }
}

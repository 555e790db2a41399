//! Page memory for simulated engines: kept from one to the next, and refused now and then.

use super::random::Random;
use crate::page::SlabSource;
use crate::sys::memory::Mapping;
use efio_sync::SpinLock;
use std::io;
use std::sync::Arc;

/// Slabs that one simulated engine after the other uses: mapping and touching them would take
/// longer than what most engines do. They come back full of what the last one left in them.
#[derive(Clone, Default)]
pub struct SimMemory(Arc<SpinLock<Vec<Mapping>>>);

impl SimMemory {
    /// No slab yet.
    pub fn new() -> Self {
        Self::default()
    }
}

/// The memory of one engine.
pub struct Memory {
    spare: SimMemory,
    /// None of the first slab is refused: without it there is no engine.
    trouble: SpinLock<Trouble>,
}

struct Trouble {
    random: Random,
    refused: u32,
    given: usize,
}

impl Memory {
    /// Slabs of `spare`, of which `refused` of a thousand are not to be had.
    pub fn new(spare: &SimMemory, seed: u64, refused: u32) -> Arc<Self> {
        Arc::new(Self {
            spare: spare.clone(),
            trouble: SpinLock::new(Trouble {
                random: Random::new(seed),
                refused,
                given: 0,
            }),
        })
    }

    /// From now on the kernel has enough.
    pub fn stop_faults(&self) {
        self.trouble.lock().refused = 0;
    }
}

impl SlabSource for Memory {
    fn map(&self, len: usize) -> io::Result<Mapping> {
        let mut trouble = self.trouble.lock();
        let Trouble {
            random,
            refused,
            given,
        } = &mut *trouble;
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

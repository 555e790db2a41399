//! One face for all locks.

use std::num::NonZeroU32;

use efio_sync::{CasCell, McsLock, RwSpinLock, SpinLock};

/// What the critical sections work on.
pub type Data = u64;

/// A lock with exclusive access.
pub trait Exclusive: Sync + Send + 'static {
    fn new() -> Self;
    fn with(&self, f: impl FnOnce(&mut Data));
}

/// A lock with shared access too.
pub trait Shared: Exclusive {
    fn read(&self, f: impl FnOnce(&Data));
}

impl Exclusive for SpinLock<Data> {
    fn new() -> Self {
        Self::new(0)
    }
    #[inline]
    fn with(&self, f: impl FnOnce(&mut Data)) {
        f(&mut self.lock());
    }
}

const TAG: NonZeroU32 = NonZeroU32::MIN;

impl Exclusive for CasCell<Data> {
    fn new() -> Self {
        Self::new(0)
    }
    #[inline]
    fn with(&self, f: impl FnOnce(&mut Data)) {
        f(&mut self.acquire(TAG));
    }
}

impl Exclusive for McsLock<Data> {
    fn new() -> Self {
        Self::new(0)
    }
    #[inline]
    fn with(&self, f: impl FnOnce(&mut Data)) {
        McsLock::with(self, f);
    }
}

impl Exclusive for std::sync::Mutex<Data> {
    fn new() -> Self {
        Self::new(0)
    }
    #[inline]
    fn with(&self, f: impl FnOnce(&mut Data)) {
        f(&mut self.lock().unwrap());
    }
}

impl Exclusive for parking_lot::Mutex<Data> {
    fn new() -> Self {
        Self::new(0)
    }
    #[inline]
    fn with(&self, f: impl FnOnce(&mut Data)) {
        f(&mut self.lock());
    }
}

impl Exclusive for spin::Mutex<Data> {
    fn new() -> Self {
        Self::new(0)
    }
    #[inline]
    fn with(&self, f: impl FnOnce(&mut Data)) {
        f(&mut self.lock());
    }
}

impl Exclusive for parking_lot::FairMutex<Data> {
    fn new() -> Self {
        Self::new(0)
    }
    #[inline]
    fn with(&self, f: impl FnOnce(&mut Data)) {
        f(&mut self.lock());
    }
}

impl Exclusive for spin::mutex::TicketMutex<Data> {
    fn new() -> Self {
        Self::new(0)
    }
    #[inline]
    fn with(&self, f: impl FnOnce(&mut Data)) {
        f(&mut self.lock());
    }
}

macro_rules! rwlock {
    ($lock:ty $(, $unwrap:ident)?) => {
        impl Exclusive for $lock {
            fn new() -> Self {
                Self::new(0)
            }
            #[inline]
            fn with(&self, f: impl FnOnce(&mut Data)) {
                f(&mut self.write()$(.$unwrap())?);
            }
        }
        impl Shared for $lock {
            #[inline]
            fn read(&self, f: impl FnOnce(&Data)) {
                f(&self.read()$(.$unwrap())?);
            }
        }
    };
}

rwlock!(RwSpinLock<Data>);
rwlock!(std::sync::RwLock<Data>, unwrap);
rwlock!(parking_lot::RwLock<Data>);
rwlock!(spin::RwLock<Data>);

//! Who may cross threads, exactly: a bound that is loosened or tightened fails to compile here.

use std::cell::Cell;
use std::rc::Rc;

use efio_sync::{
    CachePadded, CasCell, CasCellGuard, CasGuard, CasLock, Doorbell, EventFd, McsGuard, McsLock,
    McsNode, Parker, RwSpinLock, RwSpinReadGuard, RwSpinUpgradableGuard, RwSpinWriteGuard,
    SpinLock, SpinLockGuard,
};
use static_assertions::{assert_impl_all, assert_not_impl_any};

/// `Send`, not `Sync`.
type Moves = Cell<u8>;
/// `Sync`, not `Send`.
type Shows = std::sync::MutexGuard<'static, u8>;
/// Neither.
type Stays = Rc<u8>;

// A lock that gives exclusive access is as good as a channel for its value.
assert_impl_all!(SpinLock<Moves>: Send, Sync);
assert_not_impl_any!(SpinLock<Shows>: Send, Sync);
assert_not_impl_any!(SpinLock<Stays>: Send, Sync);
assert_impl_all!(CasCell<Moves>: Send, Sync);
assert_not_impl_any!(CasCell<Shows>: Send, Sync);
assert_not_impl_any!(CasCell<Stays>: Send, Sync);
assert_impl_all!(McsLock<Moves>: Send, Sync);
assert_not_impl_any!(McsLock<Shows>: Send, Sync);
assert_not_impl_any!(McsLock<Stays>: Send, Sync);
assert_impl_all!(CasLock: Send, Sync);

// Readers share the value as well.
assert_impl_all!(RwSpinLock<u8>: Send, Sync);
assert_impl_all!(RwSpinLock<Moves>: Send);
assert_not_impl_any!(RwSpinLock<Moves>: Sync);
assert_not_impl_any!(RwSpinLock<Shows>: Send, Sync);
assert_not_impl_any!(RwSpinLock<Stays>: Send, Sync);

// A guard is a `&mut T` (or `&T`), which may be dropped on any thread.
assert_impl_all!(SpinLockGuard<'static, u8>: Send, Sync);
assert_impl_all!(SpinLockGuard<'static, Moves>: Send);
assert_not_impl_any!(SpinLockGuard<'static, Moves>: Sync);
assert_impl_all!(SpinLockGuard<'static, Shows>: Sync);
assert_not_impl_any!(SpinLockGuard<'static, Shows>: Send);
assert_impl_all!(CasGuard<'static>: Send, Sync);
assert_impl_all!(CasCellGuard<'static, Moves>: Send);
assert_not_impl_any!(CasCellGuard<'static, Moves>: Sync);
assert_impl_all!(CasCellGuard<'static, Shows>: Sync);
assert_not_impl_any!(CasCellGuard<'static, Shows>: Send);
assert_impl_all!(RwSpinReadGuard<'static, Shows>: Send, Sync);
assert_not_impl_any!(RwSpinReadGuard<'static, Moves>: Send, Sync);
assert_impl_all!(RwSpinWriteGuard<'static, u8>: Send, Sync);
assert_not_impl_any!(RwSpinWriteGuard<'static, Moves>: Send, Sync);
assert_not_impl_any!(RwSpinWriteGuard<'static, Shows>: Send);
assert_impl_all!(RwSpinUpgradableGuard<'static, u8>: Send, Sync);
assert_not_impl_any!(RwSpinUpgradableGuard<'static, Moves>: Send, Sync);
assert_not_impl_any!(RwSpinUpgradableGuard<'static, Shows>: Send);

// The node of an MCS guard is the thread's own: only its owner releases with it, and it is pinned.
assert_not_impl_any!(McsGuard<'static, 'static, u8>: Send);
assert_not_impl_any!(McsGuard<'static, 'static, Moves>: Sync);
assert_not_impl_any!(McsNode<'static>: Sync, Unpin);

assert_impl_all!(Doorbell<Parker>: Send, Sync);
assert_impl_all!(Doorbell<EventFd>: Send, Sync);
assert_not_impl_any!(Doorbell<Moves>: Sync);
assert_not_impl_any!(CachePadded<Stays>: Send, Sync);

/// Everything can be a static.
#[test]
fn everything_is_made_at_compile_time() {
    static SPIN: SpinLock<u8> = SpinLock::new(1);
    static CAS: CasLock = CasLock::new();
    static CELL: CasCell<u8> = CasCell::new(2);
    static MCS: McsLock<u8> = McsLock::new(3);
    static RW: RwSpinLock<u8> = RwSpinLock::new(4);
    static BELL: Doorbell<Parker> = Doorbell::new(Parker::new());
    assert_eq!(*SPIN.lock() + *RW.read(), 5);
    assert!(CAS.holder().is_none() && CELL.holder().is_none());
    assert!(!MCS.is_locked());
    assert!(!BELL.notify());
}

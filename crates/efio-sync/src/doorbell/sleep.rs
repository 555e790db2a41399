//! Sleeping at the doorbell itself, for sleepers that have nothing else to wait for.

use std::time::Duration;

use super::{Alarm, Doorbell};
use crate::shim::deadline::Deadline;

/// An [`Alarm`] that the sleeper can wait for.
pub trait Sleep: Alarm {
    /// Sleeps until [`wake`](Alarm::wake), at most `timeout`. May return early, spuriously.
    fn sleep(&self, timeout: Option<Duration>);
}

impl<S: Sleep + ?Sized> Sleep for &S {
    fn sleep(&self, timeout: Option<Duration>) {
        (**self).sleep(timeout);
    }
}

impl<S: Sleep + ?Sized> Sleep for crate::shim::Arc<S> {
    fn sleep(&self, timeout: Option<Duration>) {
        (**self).sleep(timeout);
    }
}

impl<S: Sleep> Doorbell<S> {
    /// Sleeper: waits until it is notified, at most `timeout` (`None`: for ever). Returns whether
    /// it was notified; a notification since the last check ends the wait at once.
    ///
    /// Everything that a notifier wrote before its `notify` is visible when this returns `true`.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        if !self.arm() {
            return true;
        }
        let deadline = Deadline::within(timeout);
        loop {
            let left = deadline.left();
            self.alarm().sleep(left);
            if self.is_notified() || left.is_some_and(|left| left.is_zero()) {
                return self.disarm();
            }
        }
    }
}

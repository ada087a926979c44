//! The end of an instance, as those see it who wait for something.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Says once, and for good, that the instance stops.
#[derive(Debug, Default)]
pub struct Stop {
    is_raised: AtomicBool,
    raised: Notify,
}

impl Stop {
    /// Tells everybody.
    pub fn raise(&self) {
        self.is_raised.store(true, Ordering::Release);
        self.raised.notify_waiters();
    }

    /// Ends once the instance stops.
    pub async fn raised(&self) {
        let mut raised = pin!(self.raised.notified());
        // In this order, so that nothing is missed in between.
        raised.as_mut().enable();
        if !self.is_raised.load(Ordering::Acquire) {
            raised.await;
        }
    }
}

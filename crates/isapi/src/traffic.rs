//! How much the gateway was asked, and how long it took: what budgets and metrics are made of.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Requests to the gateway, each attempt of a call counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// HTTP requests sent, or tried to be.
    pub requests: u64,
    /// The longest wait for the headers of an answer, or for the error in their place.
    pub slowest: Duration,
}

impl Traffic {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            slowest: self.slowest.max(other.slowest),
        }
    }
}

/// The traffic so far.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Traffic>);

impl Tally {
    pub(crate) fn note(&self, took: Duration) {
        let mut traffic = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *traffic = traffic.and(Traffic {
            requests: 1,
            slowest: took,
        });
    }

    pub(crate) fn take(&self) -> Traffic {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

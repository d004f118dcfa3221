//! Runs loops by hand, so that one can be dropped between any two calls.

use futures::task::noop_waker;
use std::pin::pin;
use std::task::{Context, Poll};

/// Runs a loop to its end, or drops it after `budget` turns as a crash would.
pub(crate) fn drive<F: Future>(future: F, budget: Option<u64>) -> Option<F::Output> {
    let mut future = pin!(future);
    let waker = noop_waker();
    let mut context = Context::from_waker(&waker);
    for turn in 0..1_000_000 {
        if budget.is_some_and(|budget| turn >= budget) {
            return None;
        }
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
    }
    panic!("a loop did not end");
}

//! Runs loops by hand, so that one can be dropped between any two calls.

use futures::task::noop_waker;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};

/// Runs a loop to its end, or drops it after `budget` turns as a crash would.
pub(crate) fn drive<F: Future>(future: F, budget: Option<u64>) -> Option<F::Output> {
    let mut future = pin!(mortal(future, budget));
    let waker = noop_waker();
    let mut context = Context::from_waker(&waker);
    for _ in 0..1_000_000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
    panic!("a loop did not end");
}

/// A loop that dies after `budget` turns: `None` when it did.
pub(crate) async fn mortal<F: Future>(future: F, budget: Option<u64>) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut turns = 0;
    poll_fn(|context| {
        if budget.is_some_and(|budget| turns >= budget) {
            return Poll::Ready(None);
        }
        turns += 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

//! Where disks are asked: on threads of the asker's own, so many at once.
//!
//! The idea: a share that hangs keeps a thread for as long as it hangs, and nothing ends that thread. On threads that
//! are shared with others, a few such calls stop the others, who write to a disk that is well. So whoever asks has its
//! own, and while as many hang as it may have, it asks nothing more: who calls waits, and may give up.

use domain::ports::PortError;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use tokio::sync::{Semaphore, oneshot};

/// At most so many threads at once. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Threads {
    free: Arc<Semaphore>,
}

impl Threads {
    /// None runs yet.
    pub(crate) fn new(at_once: NonZeroUsize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(at_once.get())),
        }
    }

    /// Does `work` on a thread, once one is free; `named` says what its failure means to a caller who was `doing` it.
    ///
    /// Dropping this before the thread has begun undoes it; afterwards the work goes on, and keeps its thread until it
    /// is done.
    pub(crate) async fn run<R, F>(
        &self,
        doing: String,
        work: impl FnOnce() -> Result<R, F> + Send + 'static,
        named: impl FnOnce(F, String) -> PortError,
    ) -> Result<R, PortError>
    where
        R: Send + 'static,
        F: Send + 'static,
    {
        let free = Arc::clone(&self.free).acquire_owned().await;
        let free = free.expect("nobody closes the semaphore");
        let (answer, answered) = oneshot::channel();
        let begun = thread::Builder::new().name("disk".to_owned()).spawn(move || {
            let result = work();
            drop(free);
            // Who gave up is not there to hear it.
            _ = answer.send(result);
        });
        if let Err(error) = begun {
            return Err(PortError::throttled(doing, error));
        }
        match answered.await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(failure)) => Err(named(failure, doing)),
            // It panicked.
            Err(lost) => Err(PortError::unknown(doing, lost)),
        }
    }
}

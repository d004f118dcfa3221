//! Waking less often while nothing is urgent.
//!
//! The one idea: a camera sends 25 small pictures a second, and waking up for each costs more than recording it. So
//! while every channel records steadily, the event loop sleeps a moment before it waits, and then takes what has
//! come in one go. It costs up to that moment of delay, which nothing in a steady recording notices: frames wait in
//! the socket's buffer, and the clock model ignores whatever arrives late.
//!
//! Whoever is in a hurry says so with [`Calm::urgent`]: connecting, transforming, uploading, stopping.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How long the loop sleeps: 3 or 4 pictures, a twentieth of what a crash may lose, and less than the 128 KiB that a
/// socket holds by default (tcp(7), `tcp_rmem`) at 10 Mbit/s.
const NAP: Duration = Duration::from_millis(100);

/// How many are in a hurry. Clones share the count.
#[derive(Debug, Clone, Default)]
pub struct Calm(Arc<AtomicUsize>);

/// Somebody is in a hurry as long as this lives.
#[derive(Debug)]
pub(crate) struct Urgent(Calm);

impl Calm {
    /// Sleeps a moment if nobody is in a hurry. For the runtime's `on_thread_park`; blocks the thread.
    pub fn nap(&self) {
        if self.0.load(Ordering::Relaxed) == 0 {
            std::thread::sleep(NAP);
        }
    }

    /// The loop turns without delay until the answer is dropped.
    pub(crate) fn urgent(&self) -> Urgent {
        self.0.fetch_add(1, Ordering::Relaxed);
        Urgent(self.clone())
    }
}

impl Drop for Urgent {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn nobody_naps_while_somebody_is_in_a_hurry() {
        let calm = Calm::default();
        let (one, another) = (calm.urgent(), calm.clone().urgent());
        drop(one);
        assert_eq!(calm.0.load(Ordering::Relaxed), 1);
        drop(another);
        let before = Instant::now();
        calm.nap();
        assert!(before.elapsed() >= NAP);
    }
}

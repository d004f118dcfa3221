//! One door to the gateway's credentials: a wrong password must not be tried once per channel, because the
//! gateway locks the account after a few tries.
//!
//! What an attempt teaches is decided in [`domain::recorder::Trust`]; here attempts wait for their turn.

use crate::channel::machine::Failure;
use domain::GapCause;
use domain::recorder::Trust;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Mutex as AsyncMutex;

/// The door, per gateway (`host:port`).
#[derive(Debug, Default)]
pub(crate) struct Gate(Mutex<BTreeMap<String, Arc<AsyncMutex<Trust>>>>);

impl Gate {
    /// Runs `attempt` when its turn comes, or fails without an attempt when the credentials are known to be
    /// rejected. Cancel-safe: a dropped attempt taught nothing.
    ///
    /// # Errors
    /// The attempt's own, or [`GapCause::CredentialsRejected`].
    pub(crate) async fn attempt<T>(
        &self,
        gateway: &str,
        attempt: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let door = self.door(gateway);
        let mut trust = door.lock().await;
        let result = match *trust {
            Trust::Rejected => return Err(barred(gateway)),
            Trust::Unproven | Trust::Doubted => attempt.await,
            Trust::Proven => {
                drop(trust);
                let result = attempt.await;
                trust = door.lock().await;
                result
            }
        };
        *trust = trust.learn(result.as_ref().err().map(|failure| failure.cause));
        result
    }

    /// Somebody changed something: rejected credentials may be tried again, once.
    pub(crate) fn reopen(&self, gateway: &str) {
        // A door that is held has an attempt in it, so it is not closed.
        if let Ok(mut trust) = self.door(gateway).try_lock() {
            *trust = trust.reopened();
        }
    }

    /// The same for all gateways.
    pub(crate) fn reopen_all(&self) {
        let doors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let gateways: Vec<String> = doors.keys().cloned().collect();
        drop(doors);
        for gateway in gateways {
            self.reopen(&gateway);
        }
    }

    fn door(&self, gateway: &str) -> Arc<AsyncMutex<Trust>> {
        let mut doors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(doors.entry(gateway.to_owned()).or_default())
    }
}

fn barred(gateway: &str) -> Failure {
    Failure::new(
        GapCause::CredentialsRejected,
        format!("not tried: {gateway} has rejected the user or password already"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    async fn answer(tries: &AtomicU32, result: Result<(), GapCause>) -> Result<(), Failure> {
        tries.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        result.map_err(|cause| Failure::new(cause, "as told"))
    }

    async fn hundred_channels(gate: &Gate, result: Result<(), GapCause>) -> u32 {
        let tries = AtomicU32::new(0);
        let attempts = (0..100).map(|_| gate.attempt("gateway:554", answer(&tries, result)));
        futures::future::join_all(attempts).await;
        tries.into_inner()
    }

    #[tokio::test]
    async fn a_hundred_channels_never_try_a_wrong_password_more_than_twice() {
        let gate = Gate::default();
        assert_eq!(
            hundred_channels(&gate, Err(GapCause::CredentialsRejected)).await,
            2
        );
        assert_eq!(hundred_channels(&gate, Ok(())).await, 0);
        gate.reopen("gateway:554");
        assert_eq!(hundred_channels(&gate, Ok(())).await, 100);
    }

    #[tokio::test]
    async fn one_rejected_channel_does_not_bar_the_others() {
        let gate = Gate::default();
        let tries = AtomicU32::new(0);
        let rejected = gate.attempt("gateway:554", answer(&tries, Err(GapCause::CredentialsRejected)));
        rejected.await.unwrap_err();
        assert_eq!(hundred_channels(&gate, Ok(())).await, 100);
    }

    #[tokio::test]
    async fn a_gateway_that_was_away_must_prove_itself_again() {
        let gate = Gate::default();
        assert_eq!(hundred_channels(&gate, Ok(())).await, 100);
        assert_eq!(hundred_channels(&gate, Err(GapCause::GatewayDown)).await, 100);
        assert_eq!(
            hundred_channels(&gate, Err(GapCause::CredentialsRejected)).await,
            2
        );
    }
}

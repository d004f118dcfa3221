//! Lambda's runtime, as far as handlers see it.

use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::Instant;

/// One invocation: when it began, and how long it may take.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// When it began, by the wall clock.
    pub now: Timestamp,
    /// When it must have ended, by the wall clock.
    pub deadline: Timestamp,
    /// The same by the clock that timers use.
    pub until: Instant,
}

/// What an invocation keeps back for writing to the tables and telling people.
const FOR_WRITES: Duration = Duration::from_secs(10);

impl Invocation {
    /// When to stop asking others, so that there is time to write what they said. In an invocation that is shorter
    /// than what is kept back, half of it.
    pub fn until_the_writes(&self) -> Instant {
        let left = self.until.saturating_duration_since(Instant::now());
        self.until - FOR_WRITES.min(left / 2)
    }

    fn of(context: &lambda_runtime::Context) -> Self {
        let now = Timestamp::now();
        // Milliseconds of the Runtime API's header; one that cannot be read leaves no time, and so no second round.
        let deadline = i64::try_from(context.deadline)
            .ok()
            .and_then(|ms| Timestamp::from_millisecond(ms).ok())
            .unwrap_or(now);
        let left = Duration::try_from(deadline.duration_since(now)).unwrap_or_default();
        Self {
            now,
            deadline,
            until: Instant::now() + left,
        }
    }
}

/// Handles events until the environment ends. Events come as they are: what a handler cannot read it must still
/// answer, or a stream would be blocked by it.
///
/// # Errors
/// The Runtime API is gone.
pub async fn run<H>(handler: H) -> anyhow::Result<()>
where
    H: AsyncFn(Value, Invocation) -> anyhow::Result<Value>,
{
    let handler = &handler;
    let service = service_fn(|event: LambdaEvent<Value>| async move {
        let invocation = Invocation::of(&event.context);
        // Erased: the runtime wraps handlers into many layers of types, and ours is deep already.
        let handling: Pin<Box<dyn Future<Output = _> + '_>> = Box::pin(handler(event.payload, invocation));
        let answer = handling.await;
        answer.map_err(|error| Error::from(format!("{error:#}")))
    });
    lambda_runtime::run(service)
        .await
        .map_err(|error| anyhow::anyhow!(error))
}

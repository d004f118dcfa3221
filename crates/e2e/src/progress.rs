//! What the harness says while it works, and how it waits.

use anyhow::bail;
use jiff::Timestamp;
use std::io::Write;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Between two looks at something awaited.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Says a line, with the seconds since `start` before it. A terminal that is gone is no reason to stop.
pub(crate) fn say(start: Instant, text: &str) {
    let seconds = start.elapsed().as_secs();
    let _gone = writeln!(std::io::stderr(), "{seconds:>5} s  {text}");
}

/// Looks again and again until there is something to see.
///
/// # Errors
/// When there is nothing within that time, with the last reason; or when looking fails.
pub(crate) async fn until<T>(
    what: &str,
    within: Duration,
    mut look: impl AsyncFnMut() -> anyhow::Result<Result<T, String>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + within;
    loop {
        let why_not = match look().await? {
            Ok(seen) => return Ok(seen),
            Err(why_not) => why_not,
        };
        if Instant::now() >= deadline {
            bail!(
                "{what}: not within {} s, at {}: {why_not}",
                within.as_secs(),
                Timestamp::now()
            );
        }
        sleep(LOOK_EVERY).await;
    }
}

//! A loop's memory of what people were told, kept in its control item.

use crate::alert::{Alert, Trouble, Watch};
use crate::ports::{Alerts, ControlTable, PortError};
use jiff::Timestamp;

/// Tells people what is news about `troubles` and remembers it in the control item `name`. An alert that could
/// not be delivered is told again at the next look; one that was delivered, but not remembered, too.
///
/// # Errors
/// The table's; alerts were delivered then all the same.
pub(crate) async fn tell<T: ControlTable, L: Alerts>(
    table: &T,
    alerts: &L,
    name: &str,
    troubles: &[Trouble],
    now: Timestamp,
) -> Result<(), PortError> {
    let read = table.get_control(name).await;
    let (before, version) = match &read {
        Ok(Some(item)) => (
            serde_json::from_value(item.value.clone()).unwrap_or_default(),
            Some(item.version),
        ),
        Ok(None) | Err(_) => (Watch::default(), None),
    };
    let (mut after, news) = before.look(troubles, now);
    let mut undelivered = None;
    for alert in &news {
        if let Err(error) = alerts.send(alert).await {
            after.untold(&before, &alert.subject);
            undelivered = Some(error);
        }
    }
    read?;
    if after != before {
        let value = serde_json::to_value(&after)
            .map_err(|error| PortError::refused("writing what people were told as JSON", error))?;
        // Stale: another invocation told people at the same time; its memory is as good as ours.
        let _ = table.put_control(name, &value, version).await?;
    }
    undelivered.map_or(Ok(()), Err)
}

/// Delivers what waits in `outbox`; what could not be delivered stays there, and why is returned.
pub(crate) async fn deliver<L: Alerts>(alerts: &L, outbox: &mut Vec<Alert>) -> Vec<String> {
    let mut failures = Vec::new();
    for alert in std::mem::take(outbox) {
        if let Err(error) = alerts.send(&alert).await {
            failures.push(error.chain());
            outbox.push(alert);
        }
    }
    failures
}

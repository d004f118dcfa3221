//! A loop's memory of what people were told, kept in its control item.

use crate::alert::{Alert, Severity, Trouble, UNREMEMBERED, Watch};
use crate::control;
use crate::ports::{Alerts, ControlTable, PortError, Put};
use jiff::Timestamp;

/// Tries of the conditional write that remembers what was told.
const TRIES: u32 = 3;

/// Tells people what is news about `troubles` and remembers it in the control item `name`: that they are being told
/// before the alerts are sent, and that they were told after it. So whatever people may have been told of, they are told
/// of its end. An alert that could not be delivered is told again at the next look; one that was delivered, but not
/// remembered, too, and all of them where the item does not read.
///
/// # Errors
/// The table's; alerts were delivered then all the same, and say that they are [`UNREMEMBERED`].
pub(crate) async fn tell<T: ControlTable, L: Alerts>(
    table: &T,
    alerts: &L,
    name: &str,
    troubles: &[Trouble],
    now: Timestamp,
) -> Result<(), PortError> {
    let (before, version) = match control::read_or_default::<T, Watch>(table, name).await {
        Ok(found) => found,
        Err(error) => {
            let (_, news) = Watch::default().look(troubles, now);
            send_unremembered(alerts, news).await?;
            return Err(error);
        }
    };
    let (after, news) = before.look(troubles, now);
    let claimed = before.claim(&after, &news, now);
    let version = if claimed == before {
        version
    } else {
        match control::write(table, name, &claimed, version).await {
            Ok(Put::Written) => Some(version.unwrap_or(0) + 1),
            // Another invocation has looked at the same time: the next look tells what it did not.
            Ok(Put::Stale) => return Ok(()),
            Err(error) => {
                send_unremembered(alerts, news).await?;
                return Err(error);
            }
        }
    };
    let (told, undelivered) = send(alerts, news).await;
    let look = Look { before, after, told };
    settle(table, name, (claimed, version), &look).await?;
    undelivered.map_or(Ok(()), Err)
}

/// A look, and the alerts of it that were delivered.
struct Look {
    before: Watch,
    after: Watch,
    told: Vec<Alert>,
}

/// The alerts that were delivered, and the error of one that was not.
async fn send<L: Alerts>(alerts: &L, news: Vec<Alert>) -> (Vec<Alert>, Option<PortError>) {
    let mut told = Vec::new();
    let mut undelivered = None;
    for alert in news {
        match alerts.send(&alert).await {
            Ok(()) => told.push(alert),
            Err(error) => undelivered = Some(error),
        }
    }
    (told, undelivered)
}

async fn send_unremembered<L: Alerts>(alerts: &L, mut news: Vec<Alert>) -> Result<(), PortError> {
    for alert in &mut news {
        if alert.severity != Severity::Resolved {
            alert.text.push_str(UNREMEMBERED);
        }
    }
    let (_, undelivered) = send(alerts, news).await;
    undelivered.map_or(Ok(()), Err)
}

/// Remembers what was told, whatever others have remembered meanwhile. Where that cannot be done the next look finds
/// that somebody set out to tell.
async fn settle<T: ControlTable>(
    table: &T,
    name: &str,
    (mut watch, mut version): (Watch, Option<u64>),
    look: &Look,
) -> Result<(), PortError> {
    if look.told.is_empty() {
        return Ok(());
    }
    for _ in 0..TRIES {
        for alert in &look.told {
            watch.settle(&look.before, &look.after, alert);
        }
        match control::write(table, name, &watch, version).await? {
            Put::Written => return Ok(()),
            Put::Stale => (watch, version) = control::read_or_default(table, name).await?,
        }
    }
    Ok(())
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

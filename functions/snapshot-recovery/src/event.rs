//! What an event asks for: as a rule nothing but another round.

use domain::ports::{ControlTable, PortError};
use domain::recover::{Asked, Request, request};
use jiff::Timestamp;
use serde_json::Value;

/// Asks for a drill if the event does.
///
/// # Errors
/// The table's.
pub(crate) async fn ask<T: ControlTable>(table: &T, event: &Value, now: Timestamp) -> Result<(), PortError> {
    if event["drill"] != Value::Bool(true) {
        return Ok(());
    }
    let drill = Request {
        at: now,
        since: now,
        reason: "a drill was asked for".to_owned(),
        drill: true,
    };
    match request(table, &drill).await? {
        Asked::Waits => {}
        Asked::NotAfter(before) => {
            let Request { at, reason, .. } = before;
            tracing::warn!(%at, reason, "no drill is asked for so soon after the last request");
        }
    }
    Ok(())
}

//! The last words about a channel that has ended: how far it is recorded, and why it is recorded no further.

use super::within;
use crate::board::Which;
use crate::channel::driver::Ended;
use crate::context::Context;
use domain::ports::{PortError, TasksTable};
use domain::{AssignmentRow, GapCause};
use jiff::Timestamp;

/// Writes the last heartbeat, and notes the row that says why recording ends, unless somebody else records on.
pub(super) async fn bid_farewell<T: TasksTable>(context: &Context, table: &T, mut ended: Ended) {
    let call = table.assignment(&ended.key);
    let (row, ()) = tokio::join!(
        within("reading an assignment", call),
        last_heartbeat(context, table, &ended)
    );
    if let Some(gap) = cause(context, &ended, row).and_then(|cause| ended.coverage.ends(cause)) {
        context.journal.note(gap);
    }
}

/// A row that is somebody else's by now stays as it is.
async fn last_heartbeat<T: TasksTable>(context: &Context, table: &T, ended: &Ended) {
    let (board, task) = (&context.board, &context.config.task);
    let beat = board.beat(table, task, Which::Only(&ended.key), Timestamp::now());
    if let Err(error) = beat.await {
        tracing::warn!(channel = %ended.key, error = error.chain(), "last heartbeat not written");
    }
}

fn cause(
    context: &Context,
    ended: &Ended,
    row: Result<Option<AssignmentRow>, PortError>,
) -> Option<GapCause> {
    match row {
        Ok(None) => Some(GapCause::NotWanted),
        Ok(Some(row)) if row.assignment.generation != ended.generation => {
            ended.gave_up.then_some(GapCause::RecorderMoved)
        }
        Ok(Some(_)) | Err(_) => context
            .hurry
            .is_cancelled()
            .then_some(GapCause::RecorderRestarted),
    }
}

//! Naming a launch, so that asking twice starts one task.

use super::plan::Placement;
use crate::task::{Launch, TaskKind};
use sha2::{Digest, Sha256};

/// The launch of one task for these placements. Its token is a function of the decision and of nothing else:
/// whoever decides the same thing again, in another process or after a crash, names the same task, and a new
/// generation, or a channel that left and came back, is a new decision. 32 hex digits, within ECS's 64.
pub(super) fn launch(kind: TaskKind, placements: &[Placement]) -> Launch {
    let mut hash = Sha256::new();
    hash.update(format!("{kind:?}"));
    for placement in placements {
        let prefix = placement.assignment.key.prefix();
        let wanted_since = placement.wanted_since.as_millisecond();
        hash.update(format!(
            "\n{prefix} {wanted_since} {}",
            placement.assignment.generation
        ));
    }
    Launch {
        token: hex::encode(&hash.finalize()[..16]),
        kind,
        channels: placements
            .iter()
            .map(|placement| placement.assignment.key.clone())
            .collect(),
    }
}

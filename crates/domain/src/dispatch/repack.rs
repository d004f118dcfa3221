//! Repacking: recorders that are emptier than need be are emptied into others, and then stopped.
//!
//! ```text
//!   four channels a task:   [A B · ·] [C · · ·] [D E F ·]   ──▶   [A B · ·] [D E F C]     one task less to pay for
//! ```
//! Only whole recorders are emptied, the emptiest first, and only into room of recorders that run. So repacking starts none, each
//! round of it ends some, and after a bounded number of rounds nothing moves any more: of each build ⌈channels ÷ channels a task⌉
//! tasks are left, if all of them are well.

use crate::id::TaskArn;
use crate::task::TaskKind;
use std::collections::{BTreeMap, BTreeSet};

/// A recorder that is well.
#[derive(Debug, Clone)]
pub(super) struct Berth {
    pub(super) task: TaskArn,
    pub(super) kind: TaskKind,
    /// How many channels it has, by the build they need.
    pub(super) channels: BTreeMap<TaskKind, usize>,
    /// How many more it may have.
    pub(super) room: usize,
    /// It and its channels have been where they are for long enough to be moved.
    pub(super) settled: bool,
}

/// The recorders to empty now, at most `max`, and how many could be but for that.
pub(super) fn to_empty(mut berths: Vec<Berth>, max: usize) -> (BTreeSet<TaskArn>, usize) {
    let mut room: BTreeMap<TaskKind, usize> = BTreeMap::new();
    for berth in &berths {
        *room.entry(berth.kind).or_default() += berth.room;
    }
    berths.retain(|berth| berth.settled);
    berths.sort_by_key(|berth| (berth.channels.values().sum::<usize>(), berth.task.clone()));
    let (mut emptied, mut in_turn) = (BTreeSet::new(), 0);
    for berth in berths {
        let Some(left) = without(&room, &berth) else {
            continue;
        };
        room = left;
        if emptied.len() < max {
            emptied.insert(berth.task);
        } else {
            in_turn += 1;
        }
    }
    (emptied, in_turn)
}

/// The room that is left when this recorder's channels are in others; `None` if they do not fit.
fn without(room: &BTreeMap<TaskKind, usize>, berth: &Berth) -> Option<BTreeMap<TaskKind, usize>> {
    let mut left = room.clone();
    for (kind, taken) in berth.channels.iter().chain([(&berth.kind, &berth.room)]) {
        let of_kind = left.get_mut(kind)?;
        *of_kind = of_kind.checked_sub(*taken)?;
    }
    Some(left)
}

//! What to do about one pull: a pure comparison of what runs and what is assigned.

use crate::id::{ChannelKey, Generation};
use crate::task::{Assignment, AssignmentRow};
use std::collections::BTreeMap;

/// A channel that runs, as far as the plan needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Running {
    /// What it was last told.
    pub(super) assignment: Assignment,
    /// It is another recorder's by now, and recorded until that one does.
    pub(super) succeeded: bool,
    /// It is draining; nothing can be told to it any more.
    pub(super) stopping: bool,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Record a channel.
    Start(AssignmentRow),
    /// Tell a channel what changed; the others are not touched.
    Tell(Assignment),
    /// Ask the channel's own row: by the list it is not ours any more, or ours in another generation (it starts again when
    /// drained). See [`super::Roster::judge`].
    Doubt(ChannelKey, Generation),
}

/// Compares; the order is that of the keys, doubts first.
pub(super) fn plan(running: &BTreeMap<ChannelKey, Running>, rows: &[AssignmentRow]) -> Vec<Action> {
    let assigned: BTreeMap<&ChannelKey, &AssignmentRow> =
        rows.iter().map(|row| (&row.assignment.key, row)).collect();
    let ours = |key: &ChannelKey, generation: Generation| {
        assigned
            .get(key)
            .is_some_and(|row| row.assignment.generation == generation)
    };
    let doubts = running
        .iter()
        .filter(|(key, channel)| !channel.stopping && !ours(key, channel.assignment.generation))
        .map(|(key, channel)| Action::Doubt(key.clone(), channel.assignment.generation));
    let others = assigned.iter().filter_map(|(key, row)| match running.get(*key) {
        None => Some(Action::Start((*row).clone())),
        Some(channel) if channel.stopping => None,
        Some(channel) if channel.assignment.generation != row.assignment.generation => None,
        Some(channel) if channel.assignment == row.assignment => None,
        Some(_) => Some(Action::Tell(row.assignment.clone())),
    });
    doubts.chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::rows;
    use crate::task::Heartbeat;
    use proptest::prelude::*;

    fn row(channel: u8, generation: u64, url: u8) -> AssignmentRow {
        AssignmentRow {
            assignment: Assignment {
                generation: Generation(generation),
                media_url: format!("rtsp://gateway/{url}"),
                ..rows::assignment(
                    ChannelKey::new("A", channel.to_string().as_str()),
                    "task",
                    "2026-11-21T09:00:00Z".parse().unwrap(),
                )
            },
            heartbeat: Heartbeat::default(),
        }
    }

    fn rows() -> impl Strategy<Value = Vec<AssignmentRow>> {
        prop::collection::btree_map(0_u8..6, (0_u64..3, 0_u8..2), 0..6).prop_map(|rows| {
            rows.into_iter()
                .map(|(channel, (generation, url))| row(channel, generation, url))
                .collect()
        })
    }

    /// Applies a plan as a recorder does whose lists do not lag; a drained channel is gone.
    fn apply(running: &mut BTreeMap<ChannelKey, Running>, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Start(row) => {
                    let channel = Running {
                        assignment: row.assignment.clone(),
                        succeeded: false,
                        stopping: false,
                    };
                    assert!(
                        running.insert(row.assignment.key, channel).is_none(),
                        "never twice"
                    );
                }
                Action::Tell(told) => running.get_mut(&told.key).unwrap().assignment = told.clone(),
                Action::Doubt(key, _) => running.get_mut(&key).unwrap().stopping = true,
            }
        }
    }

    proptest! {
        #[test]
        fn two_looks_at_the_same_rows_reach_them_and_a_third_does_nothing(before in rows(), after in rows()) {
            let mut running = BTreeMap::new();
            for rows in [&before, &after, &after] {
                let actions = plan(&running, rows);
                apply(&mut running, actions);
                running.retain(|_, channel: &mut Running| !channel.stopping);
            }
            prop_assert_eq!(plan(&running, &after), vec![]);
            let recorded: Vec<_> = running.into_values().map(|channel| channel.assignment).collect();
            let wanted: Vec<_> = after.into_iter().map(|row| row.assignment).collect();
            prop_assert_eq!(recorded, wanted);
        }

        #[test]
        fn a_channel_whose_row_did_not_change_is_never_touched(rows in rows(), other in rows()) {
            let mut running = BTreeMap::new();
            let actions = plan(&running, &rows);
            apply(&mut running, actions);
            for action in plan(&running, &other) {
                let key = match &action {
                    Action::Start(row) => &row.assignment.key,
                    Action::Tell(assignment) => &assignment.key,
                    Action::Doubt(key, _) => key,
                };
                let find = |rows: &[AssignmentRow]| rows.iter().find(|row| row.assignment.key == *key).cloned();
                prop_assert_ne!(find(&rows), find(&other));
            }
        }
    }
}

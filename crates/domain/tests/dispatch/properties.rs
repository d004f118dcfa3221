//! What holds of every plan.

use super::{assigned, at, channel, live, packed, planned};
use domain::TaskArn;
use domain::channel::ChannelRow;
use domain::dispatch::{Action, DispatchPolicy};
use domain::task::{AssignmentRow, LiveTask};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

type World = (Vec<ChannelRow>, Vec<AssignmentRow>, Vec<LiveTask>);

fn worlds() -> impl Strategy<Value = World> {
    let rows = prop::collection::btree_set("[A-J]", 0..10);
    let assignments = prop::collection::btree_map(
        "[A-J]",
        ("t[1-5]", -900_i64..0, prop::option::of(-300_i64..0)),
        0..10,
    );
    let tasks = prop::collection::btree_map("t[1-5]", -900_i64..0, 0..5);
    (rows, assignments, tasks).prop_map(|(rows, assignments, tasks)| {
        let assignments = assignments.iter().map(|(device, (task, started, reported))| {
            assigned(device, task, *started, reported.map(|at| at.max(*started)))
        });
        let tasks = tasks.iter().map(|(arn, started)| live(arn, *started)).collect();
        (
            rows.iter().map(|device| channel(device)).collect(),
            assignments.collect(),
            tasks,
        )
    })
}

proptest! {
    #[test]
    fn never_stops_the_only_healthy_recorder((rows, assignments, tasks) in worlds(), per_task in 1_usize..4) {
        for action in planned(&packed(per_task), &rows, &assignments, &tasks).actions {
            let Action::Stop { task, .. } = action else { continue };
            for row in assignments.iter().filter(|row| row.assignment.task.as_ref() == Some(&task)) {
                let wanted = rows.iter().any(|channel| channel.key == row.assignment.key);
                let fresh = row.heartbeat.heartbeat_at.is_some_and(|at_| at(0).duration_since(at_) < DispatchPolicy::default().heartbeat_stale);
                prop_assert!(!(wanted && fresh), "stopped {task} of {}", row.assignment.key);
            }
        }
    }

    #[test]
    fn never_packs_more_than_allowed_nor_places_a_channel_twice((rows, assignments, tasks) in worlds(), per_task in 1_usize..4) {
        let mut placed = BTreeSet::new();
        let mut load: BTreeMap<TaskArn, usize> = BTreeMap::new();
        let plan = planned(&packed(per_task), &rows, &assignments, &tasks);
        for action in &plan.actions {
            let (Action::Adopt { placements, .. } | Action::Start { placements, .. }) = action else { continue };
            prop_assert!(placements.len() <= per_task);
            for placement in placements {
                prop_assert!(placed.insert(placement.assignment.key.clone()), "{plan}");
            }
            if let Action::Adopt { task, placements } = action {
                load.insert(task.clone(), placements.len());
            }
        }
        for row in &assignments {
            let (Some(task), key) = (&row.assignment.task, &row.assignment.key) else { continue };
            let stays = rows.iter().any(|channel| channel.key == *key) && !placed.contains(key) && !plan.waiting.contains_key(key);
            if stays && load.contains_key(task) {
                *load.entry(task.clone()).or_default() += 1;
                prop_assert!(load[task] <= per_task, "{plan}");
            }
        }
    }

    #[test]
    fn every_wanted_channel_is_kept_placed_or_waits_for_a_stated_time((rows, assignments, tasks) in worlds()) {
        let plan = planned(&packed(1), &rows, &assignments, &tasks);
        let placed: BTreeSet<_> = plan
            .actions
            .iter()
            .flat_map(|action| match action {
                Action::Adopt { placements, .. } | Action::Start { placements, .. } => placements.as_slice(),
                Action::Forget { .. } | Action::Update(_) | Action::Stop { .. } => &[],
            })
            .map(|placement| &placement.assignment.key)
            .collect();
        for row in &rows {
            let kept = assignments.iter().any(|kept| {
                kept.assignment.key == row.key && !placed.contains(&row.key) && !plan.waiting.contains_key(&row.key)
            });
            prop_assert!(kept || placed.contains(&row.key) || plan.waiting.contains_key(&row.key));
        }
    }
}

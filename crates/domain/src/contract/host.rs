//! What a host of recorders, [`Tasks`], promises. Each function takes a host without tasks.

use super::samples;
use crate::ports::Tasks;
use crate::{Launch, LiveTask, TaskArn, TaskKind};

fn launch(token: &str, kind: TaskKind) -> Launch {
    Launch {
        token: token.into(),
        kind,
        channels: samples::keys(),
    }
}

async fn start(host: &impl Tasks, token: &str, kind: TaskKind) -> TaskArn {
    let started = host.start_task(&launch(token, kind)).await;
    started.expect("the host answers")
}

async fn list(host: &impl Tasks) -> Vec<LiveTask> {
    host.list_tasks().await.expect("the host answers")
}

async fn recording(host: &impl Tasks) -> Vec<TaskArn> {
    let live = list(host).await;
    let recording = live.into_iter().filter(|task| !task.stopping);
    recording.map(|task| task.arn).collect()
}

/// By the name its start gave, and not as one that stops.
pub async fn a_started_task_is_listed(host: &impl Tasks) {
    assert_eq!(list(host).await, []);
    let task = start(host, "token", TaskKind::Copy).await;
    assert_eq!(recording(host).await, [task]);
}

/// A dispatcher that lost the answer, or a second one, does not make a second task.
pub async fn the_same_launch_again_names_the_same_task(host: &impl Tasks) {
    let first = start(host, "token", TaskKind::Copy).await;
    let again = start(host, "token", TaskKind::Copy).await;
    assert_eq!(first, again);
    assert_eq!(recording(host).await, [first]);
}

/// Each under its own name.
pub async fn another_launch_is_another_task(host: &impl Tasks) {
    let mut started = [
        start(host, "token-1", TaskKind::Copy).await,
        start(host, "token-2", TaskKind::Copy).await,
    ];
    started.sort();
    let mut recording = recording(host).await;
    recording.sort();
    assert_eq!(recording, started);
}

/// The list says which of the recorder's builds each task runs.
pub async fn the_two_builds_are_told_apart(host: &impl Tasks) {
    let copy = start(host, "token-1", TaskKind::Copy).await;
    let transform = start(host, "token-2", TaskKind::Transform).await;
    for task in list(host).await {
        let expected = if task.arn == transform {
            TaskKind::Transform
        } else {
            TaskKind::Copy
        };
        assert!(task.arn == copy || task.arn == transform);
        assert_eq!(task.kind, expected, "{}", task.arn);
    }
}

/// It is gone, or listed as one that stops.
pub async fn a_stopped_task_is_not_taken_for_a_recorder(host: &impl Tasks) {
    let stays = start(host, "token-1", TaskKind::Copy).await;
    let goes = start(host, "token-2", TaskKind::Copy).await;
    let stopped = host.stop_task(&goes, "the test says so").await;
    stopped.expect("the host answers");
    assert_eq!(recording(host).await, [stays]);
}

/// Of a task that was stopped before, and of one that never was.
pub async fn a_stop_of_what_is_gone_is_no_error(host: &impl Tasks) {
    let task = start(host, "token", TaskKind::Copy).await;
    for task in [&task, &task, &TaskArn::new("never-was")] {
        let stopped = host.stop_task(task, "the test says so").await;
        stopped.expect("what is gone is stopped");
    }
}

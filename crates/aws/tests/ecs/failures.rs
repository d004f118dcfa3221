//! What a caller is told when ECS does not start, list or stop.

use crate::service::{FakeEcs, launch};
use crate::service_state::{Answer, error};
use aws::ecs::LaunchMode;
use domain::TaskArn;
use domain::ports::{PortError, Tasks};
use serde_json::{Value, json};

fn all_on_spot() -> LaunchMode {
    LaunchMode::Fargate {
        spot_percent: 100,
        on_demand_base: 0,
    }
}

fn is_throttled<R>(result: &Result<R, PortError>) -> bool {
    matches!(result, Err(PortError::Throttled { .. }))
}

fn is_unknown<R>(result: &Result<R, PortError>) -> bool {
    matches!(result, Err(PortError::Unknown { .. }))
}

fn is_refused<R>(result: &Result<R, PortError>) -> bool {
    matches!(result, Err(PortError::Refused { .. }))
}

#[tokio::test]
async fn spot_without_room_never_costs_a_recording() {
    let ecs = FakeEcs::default();
    ecs.fill(&["FARGATE_SPOT"]);
    let tasks = ecs.tasks_on(all_on_spot());
    let first = tasks.start_task(&launch("token")).await.unwrap();
    let again = tasks.start_task(&launch("token")).await.unwrap();
    assert_eq!((first, ecs.running()), (again, 1));
}

#[tokio::test]
async fn no_room_anywhere_is_tried_again_later() {
    let ecs = FakeEcs::default();
    ecs.fill(&["FARGATE_SPOT", "FARGATE"]);
    let started = ecs.tasks_on(all_on_spot()).start_task(&launch("token")).await;
    assert!(is_throttled(&started), "{started:?}");
    assert!(started.unwrap_err().chain().contains("Capacity is unavailable"));
}

#[tokio::test]
async fn a_failure_in_a_good_answer_is_a_failure() {
    for (reason, throttled) in [
        ("RESOURCE:CPU", true),
        ("AGENT", true),
        ("ATTRIBUTE", false),
        ("something new", false),
    ] {
        let ecs = FakeEcs::default();
        ecs.answer_next(
            "RunTask",
            (
                200,
                json!({"tasks": [], "failures": [{"arn": "x", "reason": reason}]}),
            ),
        );
        let started = ecs.tasks().start_task(&launch("token")).await;
        assert_eq!(is_throttled(&started), throttled, "{reason}: {started:?}");
        assert_eq!(is_refused(&started), !throttled, "{reason}: {started:?}");
    }
}

#[tokio::test]
async fn a_lost_answer_is_unknown_and_the_next_try_names_the_same_task() {
    let (ecs, launch) = (FakeEcs::default(), launch("token"));
    ecs.lose_answers(true);
    let lost = ecs.tasks().start_task(&launch).await;
    assert!(is_unknown(&lost), "{lost:?}");
    ecs.lose_answers(false);
    ecs.tasks().start_task(&launch).await.unwrap();
    assert_eq!(ecs.running(), 1);
}

#[tokio::test]
async fn a_decision_tried_again_on_other_capacity_names_the_same_task() {
    let ecs = FakeEcs::default();
    let first = ecs
        .tasks_on(all_on_spot())
        .start_task(&launch("token"))
        .await
        .unwrap();
    let on_demand = LaunchMode::Fargate {
        spot_percent: 0,
        on_demand_base: 0,
    };
    let again = ecs
        .tasks_on(on_demand)
        .start_task(&launch("token"))
        .await
        .unwrap();
    assert_eq!((first, ecs.running()), (again, 1));
}

/// What ECS answers to a token that made a task three days ago.
fn made_before(task: &TaskArn) -> Answer {
    let task = json!({"taskArn": task.as_str(), "createdAt": 1_795_000_000.25, "lastStatus": "PROVISIONING",
        "desiredStatus": "RUNNING"});
    (200, json!({"tasks": [task], "failures": []}))
}

#[tokio::test]
async fn a_task_that_has_ended_is_never_taken_for_started_and_all_go_on_under_the_same_token() {
    let (ecs, launch) = (FakeEcs::default(), launch("token"));
    let mut ended = Vec::new();
    for life in 0..3 {
        let first = ecs.tasks().start_task(&launch).await.unwrap();
        // Another dispatcher that decides the same.
        assert_eq!(ecs.tasks().start_task(&launch).await.unwrap(), first);
        assert_eq!(ecs.running(), 1, "life {life}");
        assert!(!ended.contains(&first));
        ecs.tasks().stop_task(&first, "the test says so").await.unwrap();
        ended.push(first);
    }
}

#[tokio::test]
async fn an_answer_as_old_as_its_task_is_not_believed() {
    for (state, runs) in [
        (vec![], true),
        (vec![("desiredStatus", json!("STOPPED"))], false),
        (
            vec![
                ("desiredStatus", json!("STOPPED")),
                ("lastStatus", json!("STOPPED")),
            ],
            false,
        ),
    ] {
        let (ecs, old) = (FakeEcs::default(), TaskArn::new("old"));
        ecs.put_task("old", &state);
        ecs.answer_next("RunTask", made_before(&old));
        let started = ecs.tasks().start_task(&launch("token")).await.unwrap();
        assert_eq!(started == old, runs, "{state:?}");
        assert_eq!(ecs.running(), 1);
    }
    let ecs = FakeEcs::default();
    ecs.answer_next("RunTask", made_before(&TaskArn::new("forgotten")));
    ecs.tasks().start_task(&launch("token")).await.unwrap();
    assert_eq!(
        ecs.running(),
        1,
        "of a task that ECS knows no more nothing is left"
    );
}

#[tokio::test]
async fn a_conflict_about_a_task_that_has_ended_is_no_start() {
    let (ecs, launch) = (FakeEcs::default(), launch("token"));
    let first = ecs.tasks_on(all_on_spot()).start_task(&launch).await.unwrap();
    ecs.tasks().stop_task(&first, "the test says so").await.unwrap();
    let on_demand = LaunchMode::Fargate {
        spot_percent: 0,
        on_demand_base: 0,
    };
    let again = ecs.tasks_on(on_demand).start_task(&launch).await.unwrap();
    assert!(again != first);
    assert_eq!(ecs.running(), 1);
}

#[tokio::test]
async fn a_decision_whose_tasks_all_end_at_once_is_left_to_the_next_dispatch() {
    let ecs = FakeEcs::default();
    for life in 0..20 {
        ecs.answer_next("RunTask", made_before(&TaskArn::new(format!("task-{life}"))));
    }
    let started = ecs.tasks().start_task(&launch("token")).await;
    assert!(is_throttled(&started), "{started:?}");
    assert_eq!(ecs.requests("RunTask").len(), 5);
}

#[tokio::test]
async fn a_conflict_that_names_no_task_is_refused_so_that_the_next_generation_starts_anew() {
    let ecs = FakeEcs::default();
    ecs.answer_next("RunTask", error("ConflictException", "in use"));
    let started = ecs.tasks().start_task(&launch("token")).await;
    assert!(is_refused(&started), "{started:?}");
}

#[tokio::test]
async fn errors_say_whether_to_wait_to_look_or_to_ask_a_person() {
    for (code, check) in [
        ("ThrottlingException", is_throttled as fn(&Result<_, _>) -> bool),
        ("AccessDeniedException", is_refused),
        ("ClusterNotFoundException", is_refused),
        ("ClientException", is_refused),
        ("BlockedException", is_refused),
        ("PlatformUnknownException", is_refused),
    ] {
        let ecs = FakeEcs::default();
        ecs.answer_next("RunTask", error(code, "a message"));
        let started = ecs.tasks().start_task(&launch("token")).await;
        assert!(check(&started), "{code}: {started:?}");
        assert!(started.unwrap_err().chain().contains("a message"));
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_believed_is_never_taken_for_a_task() {
    for answer in [
        (200, json!({})),
        (200, json!({"tasks": [{}], "failures": []})),
        (200, json!("<html>")),
        (200, Value::Null),
        (500, json!({"__type": "ServerException"})),
    ] {
        let ecs = FakeEcs::default();
        ecs.answer_next("RunTask", answer.clone());
        let started = ecs.tasks().start_task(&launch("token")).await;
        assert!(is_unknown(&started), "{answer:?}: {started:?}");
    }
}

#[tokio::test]
async fn a_stop_that_failed_is_never_taken_for_one_that_was_not_needed() {
    for (answer, check) in [
        (
            error("InvalidParameterException", "Long arn format must be used"),
            is_refused as fn(&Result<_, _>) -> bool,
        ),
        (
            error("ClusterNotFoundException", "Cluster not found."),
            is_refused,
        ),
        (error("ThrottlingException", "Rate exceeded"), is_throttled),
        ((500, json!({"__type": "ServerException"})), is_unknown),
    ] {
        let ecs = FakeEcs::default();
        ecs.answer_next("StopTask", answer);
        let stopped = ecs.tasks().stop_task(&"task".into(), "why").await;
        assert!(check(&stopped), "{stopped:?}");
    }
}

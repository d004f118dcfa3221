//! `millrace aws` as people call it, on stacks in an emulator of AWS.
#![allow(clippy::unwrap_used)]

mod cell;

use cell::Cell;
use domain::fakes::rows;
use domain::ladder::{Outcome, Rung, Symptom, Try};
use domain::ports::{ChannelsTable, Put};
use domain::recover::{Request, Role, Saga, Step};
use domain::{ChannelKey, InstanceId, ladder, recover};
use jiff::Timestamp;
use serde_json::Value;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn role() -> Role {
    Role {
        instance_id: InstanceId::new("i-0123"),
        endpoint: "https://10.0.0.5".into(),
    }
}

/// Its API has been silent since second 0, and a restart did not help.
fn ill() -> ladder::Memory {
    ladder::Memory {
        instance: Some(InstanceId::new("i-0123")),
        ill_since: Some(at(0)),
        symptom: Some(Symptom::Silent),
        tried: vec![Try {
            rung: Rung::Restart,
            at: at(180),
            outcome: Outcome::Failed("no connection".into()),
        }],
        ..ladder::Memory::default()
    }
}

fn request(drill: bool) -> Request {
    Request {
        at: at(0),
        since: at(0),
        reason: "it burns".into(),
        drill,
    }
}

fn saga() -> Saga {
    Saga {
        request: request(false),
        started_at: at(10),
        old: Some(InstanceId::new("i-0123")),
        attempt: 1,
        image: None,
        image_taken_at: None,
        new: None,
        step: Step::Boot,
        step_since: at(20),
        answered_at: None,
        lost_devices: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateways_of_several_stacks_are_shown_with_what_is_wrong_what_was_tried_and_what_is_next() {
    let (well, sick) = (
        Cell::create(true, "replace").await,
        Cell::create(true, "reboot").await,
    );
    well.remember(recover::ROLE, &role()).await;
    sick.remember(recover::ROLE, &role()).await;
    sick.remember(ladder::MEMORY, &ill()).await;

    let shown = well
        .millrace(
            &["gateway", "status"],
            &[&well.name, "no-such-stack", &sick.name],
            "",
        )
        .await;
    assert_eq!(shown.code, 1);
    assert!(
        shown.out.contains(&format!("{}  well", well.name)),
        "{}",
        shown.out
    );
    for line in [
        "i-0123, its API at https://10.0.0.5",
        "its API does not answer, for",
        "restart its software (08:03:00, failed: no connection)",
        "if it stays ill, reboot its instance",
    ] {
        assert!(shown.out.contains(line), "{line}\n{}", shown.out);
    }
    assert!(
        shown
            .err
            .contains("no-such-stack: refused while describing the stack"),
        "{}",
        shown.err
    );
    assert!(
        shown.err.contains(&format!("{}: the gateway is ill", sick.name)),
        "{}",
        shown.err
    );

    sick.remember(
        ladder::MEMORY,
        &ladder::Memory {
            tried: vec![Try {
                rung: Rung::Reboot,
                at: at(180),
                outcome: Outcome::Taken,
            }],
            ..ill()
        },
    )
    .await;
    let exhausted = sick.millrace(&["gateway", "status"], &[&sick.name], "").await;
    assert!(exhausted.out.contains("a person must look"), "{}", exhausted.out);

    let json = well
        .millrace(&["gateway", "status", "--json"], &[&well.name], "")
        .await;
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(
        (&json["verdict"], &json["stack"]),
        (&"well".into(), &well.name.as_str().into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_nobody_has_looked_at_is_not_called_well() {
    let cell = Cell::create(true, "replace").await;
    let shown = cell.millrace(&["gateway", "status"], &[&cell.name], "").await;
    assert_eq!(shown.code, 1);
    assert!(shown.out.contains("not known"), "{}", shown.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_is_asked_for_only_when_its_name_was_typed_or_confirmed_by_flag() {
    let cell = Cell::create(true, "replace").await;
    cell.remember(recover::ROLE, &role()).await;
    cell.remember(ladder::MEMORY, &ill()).await;
    let recover = ["gateway", "recover", "--reason", "it burns"];

    let dry = cell
        .millrace(&[&recover[..], &["--dry-run"]].concat(), &[&cell.name], "")
        .await;
    assert_eq!(dry.code, 0, "{}", dry.err);
    assert!(dry.out.contains("replaces i-0123, which is ill"), "{}", dry.out);
    for typed in ["", "y\n", "yes\n"] {
        let unsure = cell.millrace(&recover, &[&cell.name], typed).await;
        assert_eq!(unsure.code, 1, "{}", unsure.out);
        assert!(unsure.err.contains("not asked"), "{}", unsure.err);
    }
    assert_eq!(cell.request().await, None);

    let typed = format!("{}\n", cell.name);
    let asked = cell.millrace(&recover, &[&cell.name], &typed).await;
    assert_eq!(asked.code, 0, "{}", asked.err);
    let request = cell.request().await.unwrap();
    assert_eq!(
        (request.since, request.reason.as_str()),
        (at(0), "it burns"),
        "since the first symptom"
    );
    assert!(!request.drill);
    let waiting = cell.millrace(&["gateway", "status"], &[&cell.name], "").await;
    assert!(waiting.out.contains("a replacement at"), "{}", waiting.out);

    let memory = recover::Memory {
        saga: Some(saga()),
        begun: Some(request.at),
        ..recover::Memory::default()
    };
    cell.remember(recover::MEMORY, &memory).await;
    let again = cell
        .millrace(&["gateway", "recover", "--yes"], &[&cell.name], "")
        .await;
    assert_eq!(again.code, 1);
    assert!(again.err.contains("recovery is under way since"), "{}", again.err);
    let under_way = cell.millrace(&["gateway", "status"], &[&cell.name], "").await;
    assert!(under_way.out.contains("being replaced"), "{}", under_way.out);
    assert!(
        under_way.out.contains("waiting for its checks since"),
        "{}",
        under_way.out
    );
    assert!(!under_way.out.contains("a replacement at"), "{}", under_way.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_is_asked_for_once() {
    let cell = Cell::create(true, "replace").await;
    cell.remember(recover::ROLE, &role()).await;
    let drill = ["gateway", "drill", "--yes"];
    let asked = cell.millrace(&drill, &[&cell.name], "").await;
    assert_eq!(asked.code, 0, "{}", asked.err);
    let request = cell.request().await.unwrap();
    assert!(request.drill);
    let again = cell.millrace(&drill, &[&cell.name], "").await;
    assert_eq!(again.code, 1);
    assert!(again.err.contains("another request waits since"), "{}", again.err);
    assert_eq!(cell.request().await.as_ref(), Some(&request));
    let memory = recover::Memory {
        begun: Some(request.at),
        ..recover::Memory::default()
    };
    cell.remember(recover::MEMORY, &memory).await;
    let too_soon = cell.millrace(&drill, &[&cell.name], "").await;
    assert_eq!(too_soon.code, 1);
    assert!(
        too_soon.err.contains("no drill so soon after"),
        "{}",
        too_soon.err
    );
    let needed = cell
        .millrace(&["gateway", "recover", "--yes"], &[&cell.name], "")
        .await;
    assert_eq!(needed.code, 0, "a drill makes way: {}", needed.err);
    assert!(!cell.request().await.unwrap().drill);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_others_run_is_not_replaced() {
    let cell = Cell::create(false, "replace").await;
    let refused = cell
        .millrace(&["gateway", "recover", "--yes"], &[&cell.name], "")
        .await;
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("not the stack's own"), "{}", refused.err);
    assert_eq!(cell.request().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_channels_of_a_stack_are_shown_and_one_without_a_recorder_is_a_failure() {
    let cell = Cell::create(true, "replace").await;
    let empty = cell.millrace(&["status"], &[&cell.name], "").await;
    assert_eq!(
        (empty.code, empty.out.contains("0 wanted channels")),
        (1, true),
        "{}",
        empty.err
    );
    assert!(empty.err.contains("has a poll succeeded?"), "{}", empty.err);
    let row = rows::channel(ChannelKey::new("A", "1"), at(0));
    assert_eq!(cell.tables.put_channel(&row, None).await.unwrap(), Put::Written);
    let shown = cell.millrace(&["status"], &[&cell.name], "").await;
    assert_eq!(shown.code, 1);
    assert!(shown.out.contains("no recorder yet"), "{}", shown.out);
    assert!(
        shown
            .err
            .contains("1 of 1 wanted channels are not being recorded"),
        "{}",
        shown.err
    );
}

//! How instances are read from what EC2 says.

use crate::service::{FakeEc2, instance, instances, tag_set};
use domain::ports::{Instances, PortError, Power};
use domain::{InstanceState, StatusCheck};

const ATTACHED: &str = "<networkInterfaceSet><item><attachment><deviceIndex>0</deviceIndex>\
    <attachTime>2026-10-01T00:00:00.000Z</attachTime></attachment></item></networkInterfaceSet>";

fn status(id: &str, system: &str, software: &str) -> String {
    format!(
        "<item><instanceId>{id}</instanceId><systemStatus><status>{system}</status></systemStatus>\
         <instanceStatus><status>{software}</status></instanceStatus></item>"
    )
}

fn statuses(statuses: &[String]) -> String {
    format!("<instanceStatusSet>{}</instanceStatusSet>", statuses.concat())
}

#[tokio::test]
async fn a_list_is_of_the_stack_and_of_all_its_pages() {
    let ec2 = FakeEc2::default();
    let page = |id| instances(&[instance(id, "running", "")]);
    ec2.answer(
        "DescribeInstances",
        &(page("i-1") + "<nextToken>more</nextToken>"),
    );
    ec2.answer("DescribeInstances", &page("i-2"));
    let listed = ec2.machines().list_instances().await.unwrap();
    assert_eq!(listed.len(), 2);
    let requests = ec2.requests("DescribeInstances");
    for request in &requests {
        assert_eq!(request["Filter.1.Name"], "tag:millrace:stack");
        assert_eq!(request["Filter.1.Value.1"], "north");
    }
    assert_eq!(requests[1]["NextToken"], "more");
}

#[tokio::test]
async fn a_list_without_an_end_is_no_list() {
    let ec2 = FakeEc2::default();
    for _ in 0..200 {
        ec2.answer("DescribeInstances", "<nextToken>more</nextToken>");
    }
    let listed = ec2.machines().list_instances().await;
    assert!(matches!(listed, Err(PortError::Unknown { .. })), "{listed:?}");
}

#[tokio::test]
async fn every_state_and_check_has_its_meaning() {
    let ec2 = FakeEc2::default();
    let states = [
        "pending",
        "running",
        "stopping",
        "stopped",
        "shutting-down",
        "terminated",
    ];
    let described: Vec<String> = states.map(|state| instance(state, state, "")).into();
    ec2.answer("DescribeInstances", &instances(&described));
    let checks = [
        status("pending", "initializing", "initializing"),
        status("running", "ok", "impaired"),
        status("stopping", "impaired", "insufficient-data"),
        status("stopped", "not-applicable", "not-applicable"),
    ];
    ec2.answer("DescribeInstanceStatus", &statuses(&checks));
    let listed = ec2.machines().list_instances().await.unwrap();
    let read: Vec<_> = listed
        .iter()
        .map(|it| (it.state, it.system, it.software))
        .collect();
    use StatusCheck::{Failed, Passed, Pending};
    assert_eq!(
        read,
        [
            (InstanceState::Starting, Pending, Pending),
            (InstanceState::Running, Passed, Failed),
            (InstanceState::Stopping, Failed, Pending),
            (InstanceState::Stopped, Pending, Pending),
            (InstanceState::Gone, Pending, Pending),
            (InstanceState::Gone, Pending, Pending),
        ]
    );
    let asked = &ec2.requests("DescribeInstanceStatus")[0];
    assert_eq!(asked["IncludeAllInstances"], "true");
    assert!(!asked.values().any(|value| value == "terminated"));
}

#[tokio::test]
async fn an_instance_is_as_old_as_its_first_start() {
    let ec2 = FakeEc2::default();
    let more = format!("{ATTACHED}{}", tag_set(&[("millrace:token", "a")]));
    let more = more + "<privateIpAddress>10.0.0.5</privateIpAddress>";
    ec2.answer(
        "DescribeInstances",
        &instances(&[instance("i-1", "running", &more)]),
    );
    let listed = ec2.machines().list_instances().await.unwrap();
    assert_eq!(listed[0].launched_at, "2026-10-01T00:00:00Z".parse().unwrap());
    assert_eq!(listed[0].token.as_deref(), Some("a"));
    assert_eq!(listed[0].endpoint.as_deref(), Some("https://10.0.0.5"));
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_no_list() {
    for odd in [
        instance("i-1", "on holiday", ""),
        "<item><instancesSet><item/></instancesSet></item>".into(),
    ] {
        let ec2 = FakeEc2::default();
        ec2.answer("DescribeInstances", &instances(&[odd]));
        let listed = ec2.machines().list_instances().await;
        assert!(matches!(listed, Err(PortError::Unknown { .. })), "{listed:?}");
    }
}

#[tokio::test]
async fn an_instance_too_new_to_be_known_everywhere_is_looked_at_later() {
    let ec2 = FakeEc2::default();
    ec2.answer("DescribeInstances", &instances(&[instance("i-1", "pending", "")]));
    ec2.fail("DescribeInstanceStatus", 400, "InvalidInstanceID.NotFound");
    let listed = ec2.machines().list_instances().await;
    assert!(matches!(listed, Err(PortError::Throttled { .. })), "{listed:?}");
}

#[tokio::test]
async fn between_two_states_power_waits_and_after_the_last_it_is_refused() {
    let power = async |state: &str, power: Power, action: &'static str| {
        let ec2 = FakeEc2::default();
        ec2.fail(action, 400, "IncorrectInstanceState");
        ec2.answer("DescribeInstances", &instances(&[instance("i-1", state, "")]));
        ec2.machines().power(&"i-1".into(), power).await
    };
    for (asked, action) in [
        (Power::Start, "StartInstances"),
        (Power::Stop, "StopInstances"),
        (Power::Reboot, "RebootInstances"),
    ] {
        let between = power("stopping", asked, action).await;
        assert!(matches!(between, Err(PortError::Throttled { .. })), "{between:?}");
        let after = power("shutting-down", asked, action).await;
        assert!(matches!(after, Err(PortError::Refused { .. })), "{after:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_unprotected_is_not_terminated() {
    let ec2 = FakeEc2::default();
    ec2.fail("TerminateInstances", 400, "OperationNotPermitted");
    ec2.fail("ModifyInstanceAttribute", 403, "UnauthorizedOperation");
    let ended = ec2.machines().terminate_instance(&"i-1".into()).await;
    assert!(matches!(ended, Err(PortError::Refused { .. })), "{ended:?}");
    assert_eq!(ec2.requests("TerminateInstances").len(), 1);
}

//! A health check, what it checks, and what it remembers of earlier looks.

use domain::InstanceId;
use domain::ladder::{MEMORY, Memory, Symptom};
use domain::ports::{ControlTable, Put};
use jiff::{SignedDuration, Timestamp};
use lambda::harness::{Cloud, Function};
use serde_json::{Value, json};
use simulator::scenario::{DeviceSpec, DeviceStatus};
use simulator::{Scenario, Simulator};
use url::Url;

/// The call that restarts the software. A client that is new asks for a challenge first, so one restart is two requests.
pub(crate) const REBOOT: &str = "PUT /ISAPI/System/reboot";

/// A gateway with two cameras of this status.
pub(crate) async fn gateway(status: DeviceStatus) -> Simulator {
    let camera = |index: &str| DeviceSpec::camera(index, index).with_status(status, None);
    let cameras = [
        camera("A0000000-0000-0000-0000-000000000001"),
        camera("A0000000-0000-0000-0000-000000000002"),
    ];
    let scenario = Scenario::with_devices(cameras).api_only();
    Simulator::start(scenario).await.unwrap()
}

/// The health check of a gateway that others run.
pub(crate) async fn elsewhere(cloud: &Cloud, endpoint: &str, more: &[(&'static str, String)]) -> Function {
    let mut environment = cloud.environment();
    environment.extend([
        ("MILLRACE_GATEWAY_ENDPOINT", endpoint.to_owned()),
        ("MILLRACE_GATEWAY_PASSWORD_PARAMETER", cloud.parameter()),
    ]);
    environment.extend(more.iter().cloned());
    Function::start(env!("CARGO_BIN_EXE_health-check"), &environment).await
}

/// Checks once.
pub(crate) async fn check(checker: &Function) -> Value {
    let event = json!({"detail-type": "Scheduled Event"});
    checker.report(event, "check").await.pop().unwrap()
}

/// Writes into the ladder's memory that the gateway at `endpoint` has been ill for so many looks, a minute each.
pub(crate) async fn remember_looks(cloud: &Cloud, endpoint: &str, looks: u32) {
    let ago = |minutes: u32| Timestamp::now() - SignedDuration::from_mins(i64::from(minutes));
    let endpoint = Url::parse(endpoint).unwrap();
    let memory = Memory {
        instance: Some(InstanceId::new(endpoint)),
        ill_since: Some(ago(looks)),
        symptom: Some(Symptom::AllOffline),
        symptom_looks: looks,
        ill_looks: looks,
        looked_at: Some(ago(1)),
        ..Memory::default()
    };
    let memory = serde_json::to_value(memory).unwrap();
    let put = cloud.tables.put_control(MEMORY, &memory, None).await;
    assert_eq!(put.unwrap(), Put::Written);
}

//! A stack that keeps a gateway: its passwords, what the function is told of it, and how time passes there.

use aws::ec2::MachinesConfig;
use domain::ports::{ControlTable, Put};
use jiff::Timestamp;
use lambda::harness::Cloud;
use serde_json::json;

/// The password of a gateway fresh from the base image, and the one that gateways shall have.
pub(crate) const INITIAL: &str = "Initial-1";
pub(crate) const WANTED: &str = "Wanted-2026";

/// The control item in which setup remembers the restarts it waits for.
pub(crate) const SETUP: &str = "setup";

/// A stack that knows both passwords.
pub(crate) async fn start() -> Cloud {
    let cloud = Cloud::start().await;
    cloud.put_password(WANTED).await;
    cloud.put_secret(&initial_parameter(&cloud), INITIAL).await;
    cloud
}

fn initial_parameter(cloud: &Cloud) -> String {
    format!("/{}/initial-password", cloud.stack)
}

/// What the function must be told, but for where EC2 is.
pub(crate) fn environment(cloud: &Cloud, machines: &MachinesConfig) -> Vec<(&'static str, String)> {
    let recovery = machines.recovery.as_ref().expect("a site has it");
    let port = machines.endpoints.port.expect("it was chosen");
    let mut environment = cloud.environment();
    environment.extend([
        ("MILLRACE_GATEWAY_PASSWORD_PARAMETER", cloud.parameter()),
        (
            "MILLRACE_GATEWAY_INITIAL_PASSWORD_PARAMETER",
            initial_parameter(cloud),
        ),
        (
            "MILLRACE_GATEWAY_LAUNCH_TEMPLATE",
            recovery.launch_template.clone(),
        ),
        ("MILLRACE_GATEWAY_ADDRESS", recovery.address.to_string()),
        (
            "MILLRACE_GATEWAY_DRILL_SECURITY_GROUP",
            recovery.drill_security_group.clone(),
        ),
        ("MILLRACE_GATEWAY_SCHEME", "http".to_owned()),
        ("MILLRACE_GATEWAY_PORT", port.to_string()),
        ("MILLRACE_GATEWAY_NAME", "Millrace".to_owned()),
    ]);
    environment
}

/// Lets setup believe that the time of every restart it waits for is over: a simulated gateway restarts faster than
/// a real one is given. What came of the write, if there was one.
pub(crate) async fn let_restarts_be_over(cloud: &Cloud) -> Option<Put> {
    let mut item = cloud.tables.get_control(SETUP).await.unwrap()?;
    let before = item.value.clone();
    for tries in item.value.as_object_mut().unwrap().values_mut() {
        if tries["restart"]["until"].is_string() {
            tries["restart"]["until"] = json!(Timestamp::now());
        }
    }
    if item.value == before {
        return None;
    }
    let put = cloud.tables.put_control(SETUP, &item.value, Some(item.version));
    Some(put.await.unwrap())
}

//! Subscribing to events, and the other way: a host that devices send their alarms to.

use super::Request;
use super::devices::device_index;
use crate::reply::{Outcome, Refusal, Reply, parse};
use crate::world::{Effect, World};
use serde::Deserialize;
use serde_json::Value;

/// Hosts a device takes.
const ALARM_HOSTS_MAX: usize = 8;

#[derive(Deserialize)]
struct SubscribeRequest {
    #[serde(rename = "SubscribeDeviceMgmt")]
    subscribe: Subscribe,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subscribe {
    event_mode: String,
}

#[derive(Deserialize)]
struct AlarmHostRequest {
    #[serde(rename = "HttpHostNotification")]
    host: Value,
}

/// `subscribeDeviceMgmt`.
pub(super) fn subscribe(world: &mut World, request: &Request<'_>) -> Outcome {
    let mode = parse::<SubscribeRequest>(request.body)?.subscribe.event_mode;
    if mode != "all" {
        return Err(Refusal::bad_parameters(format!("no eventMode `{mode}`")));
    }
    world.subscribe().map(Reply::Events)
}

/// `unSubscribeDeviceMgmt/<id>`.
pub(super) fn unsubscribe(world: &mut World, id: &str) -> Outcome {
    let known = id.parse().ok().filter(|id| world.subscriptions.remove(id));
    let Some(id) = known else {
        return Err(Refusal::bad_parameters("no such subscription"));
    };
    world.cause(Effect::EndSubscription(id));
    Ok(Reply::Done)
}

/// `httpHosts`: the device sends its alarms to a host from now on, until it is deleted.
pub(super) fn set_alarm_host(world: &mut World, request: &Request<'_>) -> Outcome {
    let index = device_index(request)?;
    world.fleet.find(&index)?;
    let host = parse::<AlarmHostRequest>(request.body)?.host;
    if host["url"].as_str().is_none_or(|url| !url.starts_with("http://")) {
        return Err(Refusal::bad_parameters("url must be an http url"));
    }
    if !world.subscriptions.is_empty() {
        return Err(Refusal::forbidden("events are subscribed to"));
    }
    let hosts = world.alarm_hosts.entry(index).or_default();
    if hosts.len() >= ALARM_HOSTS_MAX {
        return Err(Refusal::too_many("alarm hosts"));
    }
    hosts.push(host);
    Ok(Reply::Done)
}

//! The gateway itself: name, password, time, port maps, reboot.

use super::Request;
use crate::clock::LocalTime;
use crate::ports::PortMap;
use crate::reply::{Outcome, Refusal, Reply, parse};
use crate::world::{Effect, World};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

/// The longest name and password taken.
const TEXT_CHARS_MAX: usize = 64;
/// The shortest password taken, as Hikvision's activation asks for.
const PASSWORD_CHARS_MIN: usize = 8;

#[derive(Deserialize)]
struct InfoRequest {
    #[serde(rename = "DeviceInfo")]
    info: Info,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    device_name: String,
}

#[derive(Deserialize)]
struct UsersRequest {
    #[serde(rename = "UserList")]
    users: Vec<UserEntry>,
}

#[derive(Deserialize)]
struct UserEntry {
    #[serde(rename = "User")]
    user: User,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct User {
    id: u32,
    user_name: String,
    password: String,
    login_password: String,
}

#[derive(Deserialize)]
struct TimeRequest {
    #[serde(rename = "Time")]
    time: Time,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Time {
    local_time: Option<String>,
    time_mode: String,
}

/// `GET deviceInfo`.
pub(super) fn info(world: &World) -> Outcome {
    Ok(Reply::Document(json!({"DeviceInfo": {
        "deviceName": world.gateway.name,
        "deviceID": "a9a1c0a5-9a2b-4a5e-8f2c-1f0d6419a101",
        "model": "DS-GWAS0101",
        "serialNumber": "DS-GWAS010120200101000064190",
        "firmwareVersion": "V1.8.0",
        "firmwareReleasedDate": "build 230315",
        "deviceType": "DeviceGateway",
    }})))
}

/// `PUT deviceInfo`.
pub(super) fn set_info(world: &mut World, request: &Request<'_>) -> Outcome {
    let name = parse::<InfoRequest>(request.body)?.info.device_name;
    if !(1..=TEXT_CHARS_MAX).contains(&name.chars().count()) {
        return Err(Refusal::bad_parameters("deviceName must be 1 to 64 characters"));
    }
    world.gateway.name = name;
    Ok(Reply::Done)
}

/// `PUT users`: a new password.
pub(super) fn set_users(world: &mut World, request: &Request<'_>) -> Outcome {
    let users = parse::<UsersRequest>(request.body)?.users;
    let [UserEntry { user }] = users.as_slice() else {
        return Err(Refusal::bad_parameters("UserList must have one entry"));
    };
    let (username, password) = world.account.login();
    if user.id != 1 || user.user_name != username {
        return Err(Refusal::bad_parameters("no such user"));
    }
    if user.login_password != password {
        return Err(Refusal::bad_authorization());
    }
    if !(PASSWORD_CHARS_MIN..=TEXT_CHARS_MAX).contains(&user.password.chars().count()) {
        return Err(Refusal::bad_parameters("a password must be 8 to 64 characters"));
    }
    world.set_password(&user.password);
    Ok(Reply::Done)
}

/// `GET time`.
pub(super) fn time(world: &World, now: Timestamp) -> Outcome {
    Ok(Reply::Document(json!({"Time": {
        "timeMode": world.clock.mode(),
        "localTime": world.clock.local_time(now),
    }})))
}

/// `PUT time`.
pub(super) fn set_time(world: &mut World, request: &Request<'_>, now: Timestamp) -> Outcome {
    let time = parse::<TimeRequest>(request.body)?.time;
    let local = match time.local_time {
        None => None,
        Some(text) => Some(
            LocalTime::parse(&text)
                .ok_or_else(|| Refusal::bad_parameters("localTime is no time with a UTC offset"))?,
        ),
    };
    match (time.time_mode.as_str(), local) {
        ("manual", Some(local)) => world.clock.set_manually(local, now),
        ("manual", None) => return Err(Refusal::bad_parameters("localTime is missing")),
        ("NTP", local) => world.clock.follow_ntp(local),
        (other, _) => return Err(Refusal::bad_parameters(format!("no timeMode `{other}`"))),
    }
    Ok(Reply::Done)
}

/// `GET` of a port map.
pub(super) fn port_map(world: &World, map: PortMap) -> Outcome {
    Ok(Reply::Document(world.ports.get(map).clone()))
}

/// `PUT` of a port map.
pub(super) fn set_port_map(world: &mut World, request: &Request<'_>, map: PortMap) -> Outcome {
    world.ports.put(map, parse::<Value>(request.body)?)?;
    if world.gateway.reboot_required {
        return Ok(Reply::DoneAfterReboot);
    }
    Ok(Reply::Done)
}

/// `PUT reboot`.
pub(super) fn reboot(world: &mut World) -> Outcome {
    world.cause(Effect::Reboot);
    Ok(Reply::Done)
}

/// `GET userCheck`.
pub(super) fn user_check() -> Outcome {
    Ok(Reply::Document(json!({"UserCheck": {
        "statusValue": 200, "statusString": "OK", "isActivated": true, "lockStatus": "unlock",
    }})))
}

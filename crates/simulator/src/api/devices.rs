//! The device list and the channels of a device.

use super::Request;
use crate::fleet::Device;
use crate::operation::ListFault;
use crate::reply::{Outcome, Refusal, Reply, parse};
use crate::scenario::{DeviceKind, DeviceStatus, EmptyList, Protocol};
use crate::world::World;
use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(Deserialize)]
struct ListRequest {
    #[serde(rename = "SearchDescription")]
    search: Search,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Search {
    position: usize,
    max_result: usize,
    #[serde(rename = "searchID")]
    search_id: Option<String>,
    #[serde(rename = "Filter")]
    filter: Option<Filter>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Filter {
    #[serde(default)]
    key: String,
    #[serde(default)]
    dev_type: String,
    protocol_type: Option<Vec<Protocol>>,
    dev_status: Option<Vec<DeviceStatus>>,
}

/// `deviceList`.
pub(super) fn list(world: &mut World, request: &Request<'_>, fault: Option<ListFault>) -> Outcome {
    let search = parse::<ListRequest>(request.body)?.search;
    check_habits(world, &search)?;
    if search.position == 0 {
        world.fleet.begin_list();
    }
    let filter = search.filter.unwrap_or_default();
    let matching: Vec<&Device> = world
        .fleet
        .devices()
        .iter()
        .filter(|device| filter.matches(device))
        .collect();
    let most = search.max_result.min(world.gateway.page_max as usize);
    let page = page(&matching, search.position, most, fault);
    let entries: Vec<Value> = page.into_iter().map(entry).collect();
    let mut result = Map::new();
    result.insert(
        "numOfMatches".to_owned(),
        json!(shown_count(entries.len(), fault)),
    );
    let total = shown_total(matching.len(), search.position, fault);
    result.insert("totalMatches".to_owned(), json!(total));
    put_list(&mut result, "MatchList", &entries, world.gateway.empty_list);
    Ok(Reply::Document(json!({ "SearchResult": result })))
}

fn check_habits(world: &World, search: &Search) -> Result<(), Refusal> {
    let habits = &world.gateway;
    if search.max_result == 0 {
        return Err(Refusal::bad_parameters("maxResult must be at least 1"));
    }
    if habits.require_search_id && search.search_id.as_ref().is_none_or(String::is_empty) {
        return Err(Refusal::bad_parameters("searchID is missing"));
    }
    let Some(filter) = &search.filter else {
        return if habits.require_filter {
            Err(Refusal::bad_parameters("Filter is missing"))
        } else {
            Ok(())
        };
    };
    if habits.require_filter_protocols && filter.protocol_type.is_none() {
        return Err(Refusal::bad_parameters("Filter.protocolType is missing"));
    }
    Ok(())
}

impl Filter {
    fn matches(&self, device: &Device) -> bool {
        let spec = &device.spec;
        let key = spec.name.contains(&self.key) || spec.index.contains(&self.key);
        let kind = self.dev_type.is_empty() || self.dev_type == kind_name(spec.kind);
        let protocol = self
            .protocol_type
            .as_ref()
            .is_none_or(|wanted| wanted.contains(&spec.protocol));
        let status = self
            .dev_status
            .as_ref()
            .is_none_or(|wanted| wanted.contains(&device.listed_status()));
        key && kind && protocol && status
    }
}

/// The devices of a page, with whatever is wrong with it.
fn page<'a>(
    matching: &[&'a Device],
    position: usize,
    most: usize,
    fault: Option<ListFault>,
) -> Vec<&'a Device> {
    let (most, end) = match fault {
        Some(ListFault::ShortPages { devices }) => (most.min(devices as usize), matching.len()),
        Some(ListFault::EndsEarly { position }) => (most, matching.len().min(position as usize)),
        Some(ListFault::EmptyWithTotal) => (0, 0),
        Some(ListFault::ChangingTotal | ListFault::DuplicateAcrossPages | ListFault::WrongCount) | None => {
            (most, matching.len())
        }
    };
    let start = position.min(end);
    let mut page = matching[start..end.min(start.saturating_add(most))].to_vec();
    if fault == Some(ListFault::DuplicateAcrossPages)
        && let (Some(first), Some(before)) = (page.first_mut(), start.checked_sub(1))
    {
        *first = matching[before];
    }
    page
}

fn shown_count(entries: usize, fault: Option<ListFault>) -> usize {
    if fault == Some(ListFault::WrongCount) {
        return entries + 1;
    }
    entries
}

fn shown_total(devices: usize, position: usize, fault: Option<ListFault>) -> usize {
    if fault == Some(ListFault::ChangingTotal) {
        return devices + position % 7 + usize::from(position > 0);
    }
    devices
}

fn entry(device: &Device) -> Value {
    let spec = &device.spec;
    let mut fields = json!({
        "activeStatus": true,
        "devIndex": spec.index,
        "devMode": "DS-2CD2385G1",
        "devName": spec.name,
        "devStatus": device.listed_status(),
        "devType": kind_name(spec.kind),
        "protocolType": spec.protocol,
        "videoChannelNum": device.channels.len(),
    });
    match spec.protocol {
        Protocol::Ehome | Protocol::EhomeV5 => {
            fields["EhomeParams"] = json!({"EhomeID": spec.index.get(..9).unwrap_or(&spec.index)});
            fields["ISAPIPortBound"] = json!(false);
            fields["ISAPIUserBound"] = json!(false);
        }
        Protocol::Isapi => {
            fields["ISAPIParams"] =
                json!({"addressingFormatType": "IPV4Address", "address": "192.0.2.10", "portNo": 80});
        }
    }
    if let (DeviceStatus::Offline, Some(hint)) = (device.listed_status(), spec.offline_hint) {
        fields["offlineHint"] = json!(hint);
    }
    json!({ "Device": fields })
}

fn kind_name(kind: DeviceKind) -> &'static str {
    match kind {
        DeviceKind::Encoder => "encodingDev",
        DeviceKind::AccessControl => "AccessControl",
    }
}

/// `channelInfo`. The gateway answers from its own memory, also for a device that is offline.
pub(super) fn channels(world: &World, request: &Request<'_>) -> Outcome {
    let device = world.fleet.find(&device_index(request)?)?;
    let entries: Vec<_> = device
        .channels
        .iter()
        .map(|channel| json!({"Channel": {"id": channel.spec.id, "name": channel.spec.name}}))
        .collect();
    let mut info = Map::new();
    put_list(&mut info, "VideoChannel", &entries, world.gateway.empty_list);
    Ok(Reply::Document(json!({ "ChannelInfo": info })))
}

/// The `devIndex` of a request.
pub(super) fn device_index(request: &Request<'_>) -> Result<String, Refusal> {
    request
        .parameter("devIndex")
        .ok_or_else(|| Refusal::bad_parameters("devIndex is missing"))
}

fn put_list(object: &mut Map<String, Value>, name: &str, entries: &[Value], empty: EmptyList) {
    let list = match (entries.is_empty(), empty) {
        (true, EmptyList::Absent) => return,
        (true, EmptyList::Null) => Value::Null,
        (true, EmptyList::Empty) | (false, _) => json!(entries),
    };
    object.insert(name.to_owned(), list);
}

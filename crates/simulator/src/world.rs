//! The whole simulated gateway as one value. Calls and operations change it; what must happen outside of it
//! (sessions cut, events sent, listeners closed) is left behind as effects for whoever holds it.

use crate::account::Account;
use crate::alarm::Alarm;
use crate::clock::GatewayClock;
use crate::fleet::{Device, Fleet, QUERY, Stream, StreamType};
use crate::ports::PortMaps;
use crate::reply::{Refusal, StatusStyle};
use crate::requests::RequestCounts;
use crate::rtsp::StreamFault;
use crate::scenario::{DeviceStatus, GatewaySpec, Scenario, WireId};
use crate::weather::Weather;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// The gateway and everything behind it.
#[derive(Debug)]
pub(crate) struct World {
    /// Habits that never change; the name and the switches that do are read from here too.
    pub(crate) gateway: GatewaySpec,
    pub(crate) fleet: Fleet,
    pub(crate) account: Account,
    pub(crate) weather: Weather,
    pub(crate) ports: PortMaps,
    pub(crate) clock: GatewayClock,
    pub(crate) requests: RequestCounts,
    pub(crate) subscriptions: BTreeSet<u64>,
    pub(crate) alarm_hosts: BTreeMap<String, Vec<Value>>,
    /// Paths of the streams that somebody plays, as of the last look.
    pub(crate) played: BTreeSet<String>,
    rtsp: SocketAddr,
    subscriptions_opened: u64,
    heartbeats_silent: bool,
    rebooting: bool,
    effects: Vec<Effect>,
}

/// Something that must happen outside of the world.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// The streams to serve are others.
    Streams,
    /// The password is another.
    Login,
    /// The listeners must close and open again.
    Reboot,
    /// Subscribers must be told.
    Event(Value),
    /// A device sends an alarm to a host by itself.
    Alarm(Alarm),
    /// One subscriber must be let go.
    EndSubscription(u64),
    /// All subscribers must be cut off.
    CutEvents,
}

/// The world as the control endpoint shows it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct State {
    /// `deviceName` of the gateway.
    pub gateway_name: String,
    /// Whether a reboot is under way.
    pub rebooting: bool,
    /// Seconds until a lock of the account ends; none = not locked.
    pub locked_seconds: Option<i64>,
    /// The devices in the order of the list.
    pub devices: Vec<DeviceView>,
    /// All streams by path.
    pub streams: BTreeMap<String, Stream>,
    /// Streams that cannot be served, and why.
    pub stream_errors: BTreeMap<String, String>,
    /// API faults in force.
    pub api_faults: Value,
    /// Event subscribers now.
    pub subscriptions: usize,
    /// Alarm hosts set by clients, by device.
    pub alarm_hosts: BTreeMap<String, Vec<Value>>,
    /// Port maps refused because unknown fields did not come back.
    pub port_maps_refused: u64,
    /// What reached the API.
    pub requests: RequestCounts,
}

/// A device as the control endpoint shows it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct DeviceView {
    /// `devIndex`.
    pub index: String,
    /// `devName`.
    pub name: String,
    /// The true status; a flap does not show.
    pub status: DeviceStatus,
    /// Its channels.
    pub channels: Vec<ChannelView>,
}

/// A channel as the control endpoint shows it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ChannelView {
    /// Its id.
    pub id: WireId,
    /// The URL of its live main stream.
    pub url: String,
    /// What its stream suffers from.
    pub fault: Option<StreamFault>,
}

/// Event subscribers at once.
const SUBSCRIPTIONS_MAX: usize = 32;

impl World {
    /// The world of a validated scenario.
    pub(crate) fn new(scenario: &Scenario, api: SocketAddr, rtsp: SocketAddr) -> Self {
        let gateway = scenario.gateway.clone();
        Self {
            fleet: Fleet::new(scenario.all_devices()),
            account: Account::new(&gateway),
            weather: Weather::default(),
            ports: PortMaps::new(api, rtsp),
            clock: GatewayClock::new(gateway.utc_offset_minutes),
            requests: RequestCounts::default(),
            subscriptions: BTreeSet::new(),
            alarm_hosts: BTreeMap::new(),
            played: BTreeSet::new(),
            rtsp,
            subscriptions_opened: 0,
            heartbeats_silent: false,
            rebooting: false,
            effects: vec![Effect::Streams],
            gateway,
        }
    }

    /// What must happen outside since the last time this was asked.
    pub(crate) fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Leaves something to be done outside.
    pub(crate) fn cause(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// The full URL of a stream path. The query is part of what the gateway hands out and wants back.
    pub(crate) fn stream_url(&self, path: &str) -> String {
        let authority = self.ports.rtsp_authority(self.rtsp);
        format!("rtsp://{authority}{path}?{QUERY}")
    }

    /// Another password, for the API and for RTSP.
    pub(crate) fn set_password(&mut self, password: &str) {
        self.account.set_password(password);
        self.cause(Effect::Login);
    }

    /// Switches the heartbeats.
    pub(crate) fn silence_heartbeats(&mut self, on: bool) {
        self.heartbeats_silent = on;
    }

    /// Opens an event subscription and returns its number.
    ///
    /// # Errors
    /// When alarm forwarding is off, alarms go to a host directly, or too many listen already.
    pub(crate) fn subscribe(&mut self) -> Result<u64, Refusal> {
        if !self.gateway.alarm_forwarding {
            return Err(Refusal::forbidden("alarm forwarding is off"));
        }
        if self.alarm_hosts.values().any(|hosts| !hosts.is_empty()) {
            return Err(Refusal::forbidden("devices send their alarms to a host"));
        }
        if self.subscriptions.len() >= SUBSCRIPTIONS_MAX {
            return Err(Refusal::too_many("subscriptions"));
        }
        self.subscriptions_opened += 1;
        self.subscriptions.insert(self.subscriptions_opened);
        Ok(self.subscriptions_opened)
    }

    /// Tells all subscribers of an event of a device, or the hosts it sends its alarms to; `fields` go beside
    /// index and time.
    pub(crate) fn tell(&mut self, now: Timestamp, device: &str, fields: Value) {
        let mut alert = json!({"devIndex": device, "dateTime": self.clock.local_time(now)});
        if let (Value::Object(alert), Value::Object(fields)) = (&mut alert, fields) {
            alert.extend(fields);
        }
        let event = json!({ "EventNotificationAlert": alert });
        for host in self.alarm_hosts.get(device).into_iter().flatten() {
            let url = host["url"].as_str().unwrap_or_default().to_owned();
            let event = event.clone();
            self.effects.push(Effect::Alarm(Alarm { url, event }));
        }
        self.cause(Effect::Event(event));
    }

    /// The heartbeat due now; none while they are silenced.
    pub(crate) fn heartbeat(&self, now: Timestamp) -> Option<Value> {
        if self.heartbeats_silent {
            return None;
        }
        Some(json!({"EventNotificationAlert": {
            "dateTime": self.clock.local_time(now), "eventType": "heartBeat", "eventState": "active",
            "eventDescription": "heartBeat",
        }}))
    }

    /// Forgets what a reboot forgets; false when one is under way already.
    pub(crate) fn begin_reboot(&mut self) -> bool {
        if self.rebooting {
            return false;
        }
        self.rebooting = true;
        self.account.forget_nonces();
        self.subscriptions.clear();
        true
    }

    /// The listeners are open again.
    pub(crate) fn end_reboot(&mut self) {
        self.rebooting = false;
        self.ports.apply();
    }

    /// How refusals and writes are answered.
    pub(crate) fn status_style(&self) -> StatusStyle {
        StatusStyle {
            bare: self.gateway.bare_response_status,
        }
    }

    /// A picture of everything that can change.
    pub(crate) fn state(&self, now: Timestamp) -> State {
        State {
            gateway_name: self.gateway.name.clone(),
            rebooting: self.rebooting,
            locked_seconds: self.account.locked_seconds(now),
            devices: self
                .fleet
                .devices()
                .iter()
                .map(|device| self.view(device))
                .collect(),
            streams: self.fleet.streams(),
            stream_errors: BTreeMap::new(),
            api_faults: json!(self.weather.faults()),
            subscriptions: self.subscriptions.len(),
            alarm_hosts: self.alarm_hosts.clone(),
            port_maps_refused: self.ports.lost_fields(),
            requests: self.requests.clone(),
        }
    }

    fn view(&self, device: &Device) -> DeviceView {
        let channels = device.channels.iter().map(|channel| ChannelView {
            id: channel.spec.id.clone(),
            url: self.stream_url(&device.live_path(channel, StreamType::Main)),
            fault: channel.fault,
        });
        DeviceView {
            index: device.spec.index.clone(),
            name: device.spec.name.clone(),
            status: device.spec.status,
            channels: channels.collect(),
        }
    }
}

use crate::ports::PortMap;

/// A documented call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Call {
    DeviceList,
    ChannelInfo,
    StreamMedia,
    Search,
    DeviceInfo,
    SetDeviceInfo,
    SetUsers,
    Time,
    SetTime,
    PortMap(PortMap),
    SetPortMap(PortMap),
    Reboot,
    UserCheck,
    Subscribe,
    /// With the text of the subscription id.
    Unsubscribe(String),
    AlarmHost,
}

const UNSUBSCRIBE: &str = "/ISAPI/Event/notification/unSubscribeDeviceMgmt";

const DEVICE_INFO: &str = "/ISAPI/System/deviceInfo";
const TIME: &str = "/ISAPI/System/time";
const PLATFORM_PORTS: &str = "/ISAPI/System/Network/PortMaps/contentMgmt";
const DEVICE_PORTS: &str = "/ISAPI/System/Network/PortMaps/devMgmt";

/// Every call with a fixed path.
const FIXED: [(&str, &str, Call); 17] = [
    (
        "POST",
        "/ISAPI/ContentMgmt/DeviceMgmt/deviceList",
        Call::DeviceList,
    ),
    (
        "GET",
        "/ISAPI/ContentMgmt/DeviceMgmt/channelInfo",
        Call::ChannelInfo,
    ),
    ("POST", "/ISAPI/System/streamMedia", Call::StreamMedia),
    ("POST", "/ISAPI/ContentMgmt/search", Call::Search),
    ("GET", DEVICE_INFO, Call::DeviceInfo),
    ("PUT", DEVICE_INFO, Call::SetDeviceInfo),
    ("PUT", "/ISAPI/Security/users", Call::SetUsers),
    ("GET", "/ISAPI/Security/userCheck", Call::UserCheck),
    ("GET", TIME, Call::Time),
    ("PUT", TIME, Call::SetTime),
    ("GET", PLATFORM_PORTS, Call::PortMap(PortMap::Platform)),
    ("PUT", PLATFORM_PORTS, Call::SetPortMap(PortMap::Platform)),
    ("GET", DEVICE_PORTS, Call::PortMap(PortMap::Devices)),
    ("PUT", DEVICE_PORTS, Call::SetPortMap(PortMap::Devices)),
    ("PUT", "/ISAPI/System/reboot", Call::Reboot),
    (
        "POST",
        "/ISAPI/Event/notification/subscribeDeviceMgmt",
        Call::Subscribe,
    ),
    ("POST", "/ISAPI/Event/notification/httpHosts", Call::AlarmHost),
];

impl Call {
    /// The call of a method and path; none when there is no such call.
    pub(super) fn of(method: &str, path: &str) -> Option<Self> {
        if let Some(id) = path
            .strip_prefix(UNSUBSCRIBE)
            .and_then(|rest| rest.strip_prefix('/'))
        {
            return (method == "DELETE").then(|| Self::Unsubscribe(id.to_owned()));
        }
        FIXED
            .iter()
            .find(|entry| entry.0 == method && entry.1 == path)
            .map(|entry| entry.2.clone())
    }

    /// Method and path without anything that varies, for counting.
    pub(super) fn name(&self) -> String {
        FIXED.iter().find(|entry| entry.2 == *self).map_or_else(
            || format!("DELETE {UNSUBSCRIBE}"),
            |entry| format!("{} {}", entry.0, entry.1),
        )
    }
}

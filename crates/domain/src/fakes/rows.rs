//! Rows as most of them are, for tests that are about something else.

use crate::channel::{ChannelRow, DeviceState, Revision};
use crate::episode::{Episode, EpisodeOrigin};
use crate::id::{ChannelKey, Generation, TaskArn};
use crate::settings::RecordingSettings;
use crate::task::Assignment;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The only channel of a device that is online; recorded as by default, and nobody named anything.
pub fn channel(key: ChannelKey, wanted_since: Timestamp) -> ChannelRow {
    ChannelRow {
        media_url: media_url(&key),
        key,
        device_name: String::new(),
        channel_name: String::new(),
        state: DeviceState::Present,
        device_channels: 1,
        listed_channels: 1,
        wanted_since,
        settings: RecordingSettings::default(),
        revision: Revision(1),
    }
}

/// The first assignment of such a channel.
pub fn assignment(key: ChannelKey, task: impl Into<TaskArn>, started_at: Timestamp) -> Assignment {
    Assignment {
        media_url: media_url(&key),
        key,
        task: Some(task.into()),
        generation: Generation(1),
        settings: RecordingSettings::default(),
        device_state: DeviceState::Present,
        started_at,
        attempts: 0,
        predecessor: None,
    }
}

/// An episode that a person made, to be kept until somebody deletes it.
pub fn episode(key: ChannelKey, start: Timestamp, end: Option<Timestamp>) -> Episode {
    Episode {
        key,
        start,
        end,
        reason: "break-in".into(),
        labels: BTreeMap::new(),
        expires_at: None,
        preview: None,
        origin: EpisodeOrigin::Person,
        revision: Revision(1),
    }
}

fn media_url(key: &ChannelKey) -> String {
    format!("rtsp://gateway/{}{}", key.device, key.channel)
}

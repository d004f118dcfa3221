//! A channel's own settings, and those of all channels.
#![allow(clippy::unwrap_used)]

use domain::ChannelKey;
use domain::settings::{Audio, Overrides, OwnSettings, RecordingSettings, Transcode, Video, VideoCodec};
use serde_json::json;
use std::num::NonZeroU32;

fn all() -> RecordingSettings {
    RecordingSettings {
        segment_seconds: NonZeroU32::new(60).unwrap(),
        stills_every_seconds: NonZeroU32::new(10),
        retention_days: 30,
        ..RecordingSettings::default()
    }
}

/// Says everything, and everything otherwise than [`all`].
fn everything() -> OwnSettings {
    OwnSettings {
        segment_seconds: NonZeroU32::new(10),
        video: Some(Video::Transcode(Transcode {
            codec: VideoCodec::H265,
            bit_rate_kbps: None,
            size: None,
            frame_rate: NonZeroU32::new(5),
        })),
        audio: Some(Audio::Off),
        stills_every_seconds: Some(5),
        retention_days: Some(7),
        backfill: Some(true),
    }
}

#[test]
fn where_nothing_was_said_the_settings_of_all_channels_hold() {
    assert_eq!(OwnSettings::default().over(&all()), all());
    let own = OwnSettings {
        backfill: Some(true),
        ..OwnSettings::default()
    };
    let expected = RecordingSettings {
        backfill: true,
        ..all()
    };
    assert_eq!(own.over(&all()), expected);
}

#[test]
fn what_was_said_holds_also_where_it_is_none_or_off() {
    let own = OwnSettings {
        stills_every_seconds: Some(0),
        retention_days: Some(0),
        backfill: Some(false),
        ..OwnSettings::default()
    };
    let base = RecordingSettings {
        backfill: true,
        ..all()
    };
    let in_force = own.over(&base);
    assert_eq!(
        (
            in_force.stills_every_seconds,
            in_force.retention_days,
            in_force.backfill
        ),
        (None, 0, false)
    );
}

#[test]
fn what_was_said_before_stays_until_it_is_said_anew_or_taken_back() {
    let retention = OwnSettings {
        retention_days: Some(30),
        ..OwnSettings::default()
    };
    let backfill = OwnSettings {
        backfill: Some(true),
        ..OwnSettings::default()
    };
    let both = retention.clone().and(backfill);
    assert_eq!((both.retention_days, both.backfill), (Some(30), Some(true)));
    assert_eq!(both.and(everything()), everything());
    assert_eq!(everything().and(OwnSettings::default()), everything());
}

#[test]
fn every_setting_can_be_taken_back_by_the_name_it_is_written_with() {
    let written = serde_json::to_value(everything()).unwrap();
    let names: Vec<&String> = written.as_object().unwrap().keys().collect();
    assert_eq!(names.len(), 6, "everything() says everything");
    for name in names {
        let mut own = everything();
        assert!(own.forget(name), "{name}");
        let mut expected = written.clone();
        expected.as_object_mut().unwrap().remove(name);
        assert_eq!(serde_json::to_value(own).unwrap(), expected);
    }
    assert!(!everything().forget("segments"));
}

#[test]
fn all_that_a_row_of_an_older_program_holds_counts_as_said() {
    let stored = json!({"A/1": RecordingSettings { audio: Audio::Aac, ..RecordingSettings::default() }});
    let overrides: Overrides = serde_json::from_value(stored).unwrap();
    let expected = RecordingSettings {
        segment_seconds: RecordingSettings::default().segment_seconds,
        audio: Audio::Aac,
        // Such rows do not say what is off or none.
        ..all()
    };
    assert_eq!(overrides.settings(&ChannelKey::new("A", "1"), &all()), expected);
    assert_eq!(overrides.settings(&ChannelKey::new("A", "2"), &all()), all());
}

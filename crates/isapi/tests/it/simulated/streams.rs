use super::{CAMERA, DOOR, NVR, start, usual_world};
use domain::id::ChannelKey;
use domain::ports::{Footage, Gateway, PortError};
use isapi::{IsapiError, Method, StreamType};
use jiff::{SignedDuration, Timestamp};
use simulator::scenario::{ChannelSpec, DeviceSpec, Protocol, RecordedSpan};
use simulator::{Operation, Scenario};

const SEARCH: &str = "POST /ISAPI/ContentMgmt/search";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A camera with so many five-minute files from midnight on, one that cannot play back, and an odd id.
fn recorded_world(files: i64) -> Scenario {
    let midnight = at("2026-01-01T00:00:00Z");
    let minutes = |n: i64| midnight + SignedDuration::from_mins(n);
    let recorded = (0..files)
        .map(|n| RecordedSpan {
            start: minutes(5 * n),
            end: minutes(5 * n + 5),
        })
        .collect();
    let camera = DeviceSpec {
        recorded,
        ..DeviceSpec::camera(CAMERA, "DASHCAM")
    };
    let old = DeviceSpec {
        protocol: Protocol::Ehome,
        ..DeviceSpec::camera(NVR, "OLD")
    };
    let channels = [ChannelSpec::new(1), ChannelSpec::new("odd")];
    Scenario::with_devices([
        camera.with_channels(channels.clone()),
        old.with_channels(channels),
    ])
    .api_only()
}

#[tokio::test]
async fn a_live_url_names_device_and_channel_and_no_credentials() {
    let (gateway, client) = start(usual_world()).await;
    let url = client.live_url(&ChannelKey::new(NVR, "5")).await.unwrap();
    let expected = format!(
        "rtsp://{}/dac/realplay/{NVR}5/MAIN/TCP?streamform=rtp",
        gateway.rtsp_addr()
    );
    assert_eq!(url, expected);
    let sub = client
        .stream_url(&ChannelKey::new(NVR, "5"), StreamType::Sub, Method::Preview)
        .await
        .unwrap();
    assert_eq!(sub, expected.replace("MAIN", "SUB"));
}

#[tokio::test]
async fn a_device_that_is_offline_is_busy_and_one_that_is_gone_is_unknown() {
    let (gateway, client) = start(usual_world()).await;
    let offline = client.live_url(&ChannelKey::new(DOOR, "1")).await;
    assert!(matches!(offline, Err(PortError::Throttled { .. })), "{offline:?}");
    gateway
        .control()
        .apply(Operation::RemoveDevice {
            device: NVR.to_owned(),
        })
        .unwrap();
    let gone = client.live_url(&ChannelKey::new(NVR, "5")).await;
    assert!(matches!(gone, Err(PortError::Unknown { .. })), "{gone:?}");
    let no_channel = client.live_url(&ChannelKey::new(CAMERA, "7")).await;
    assert!(
        matches!(no_channel, Err(PortError::Refused { .. })),
        "{no_channel:?}"
    );
}

#[tokio::test]
async fn a_url_that_moves_is_seen_at_the_next_question() {
    let (gateway, client) = start(usual_world()).await;
    let key = ChannelKey::new(CAMERA, "1");
    let before = client.live_url(&key).await.unwrap();
    gateway
        .control()
        .apply(Operation::MoveStream {
            device: CAMERA.to_owned(),
            channel: 1.into(),
        })
        .unwrap();
    let after = client.live_url(&key).await.unwrap();
    assert_ne!(before, after);
    assert_eq!(client.live_url(&key).await.unwrap(), after);
}

#[tokio::test]
async fn footage_is_had_by_time_from_devices_that_keep_some() {
    let (_gateway, client) = start(recorded_world(3)).await;
    let method = Method::Playback {
        start: at("2026-01-01T00:02:00Z"),
        end: at("2026-01-01T00:12:00Z"),
    };
    let url = client
        .stream_url(&ChannelKey::new(CAMERA, "1"), StreamType::Main, method)
        .await
        .unwrap();
    assert!(url.contains("/dac/playback/"), "{url}");
    let old = client
        .stream_url(&ChannelKey::new(NVR, "1"), StreamType::Main, method)
        .await;
    assert!(matches!(old, Err(IsapiError::Refused { .. })), "{old:?}");
}

#[tokio::test]
async fn a_search_reads_all_pages_and_only_what_was_asked_for() {
    let (gateway, client) = start(recorded_world(100)).await;
    let key = ChannelKey::new(CAMERA, "1");
    let all = client
        .search_recordings(&key, at("2025-12-31T00:00:00Z"), at("2026-01-02T00:00:00Z"))
        .await
        .unwrap();
    assert_eq!(
        (all.len(), gateway.requests().of(SEARCH)),
        (100, 4),
        "three pages and one challenge"
    );
    assert!(all.windows(2).all(|pair| pair[0].end == pair[1].start));
    assert_eq!(all[0].start, at("2026-01-01T00:00:00Z"));
    assert!(all[0].playback_url.starts_with("rtsp://"));

    let some = client
        .search_recordings(&key, at("2026-01-01T01:01:00Z"), at("2026-01-01T01:07:00Z"))
        .await
        .unwrap();
    assert_eq!((some.len(), some[0].start), (2, at("2026-01-01T01:00:00Z")));
    let none = client
        .search_recordings(&key, at("2026-02-01T00:00:00Z"), at("2026-02-02T00:00:00Z"))
        .await
        .unwrap();
    assert_eq!(none, []);
}

#[tokio::test]
async fn a_full_last_page_needs_no_further_one() {
    let (gateway, client) = start(recorded_world(80)).await;
    let key = ChannelKey::new(CAMERA, "1");
    let all = client
        .search_recordings(&key, at("2025-12-31T00:00:00Z"), at("2026-01-02T00:00:00Z"))
        .await
        .unwrap();
    assert_eq!((all.len(), gateway.requests().of(SEARCH)), (80, 3));
}

#[tokio::test]
async fn a_channel_without_a_number_has_no_track_and_is_not_asked_for() {
    let (gateway, client) = start(recorded_world(1)).await;
    let key = ChannelKey::new(CAMERA, "odd");
    let result = client
        .search_recordings(&key, at("2026-01-01T00:00:00Z"), at("2026-01-02T00:00:00Z"))
        .await;
    assert!(
        matches!(&result, Err(IsapiError::NoTrack { channel }) if channel == "odd"),
        "{result:?}"
    );
    assert_eq!(gateway.requests().total(), 0);
}

#[tokio::test]
async fn no_file_of_that_time_is_an_answer_and_a_device_that_cannot_be_asked_is_a_failure() {
    let (gateway, client) = start(recorded_world(12)).await;
    let key = ChannelKey::new(CAMERA, "1");
    let (from, to) = (at("2026-01-01T00:10:00Z"), at("2026-01-01T00:20:00Z"));
    let found = client.find_footage(&key, from, to).await.unwrap();
    assert_eq!((found.len(), found[0].start, found[1].end), (2, from, to));
    assert!(client.playback_url(&key, from, to).await.unwrap().is_some());

    let (from, to) = (at("2026-01-01T05:10:00Z"), at("2026-01-01T05:20:00Z"));
    assert_eq!(client.find_footage(&key, from, to).await.unwrap(), []);
    assert_eq!(client.playback_url(&key, from, to).await.unwrap(), None);

    gateway
        .control()
        .apply(Operation::SetStatus {
            device: CAMERA.to_owned(),
            status: simulator::scenario::DeviceStatus::Offline,
            hint: Some(3),
        })
        .unwrap();
    let busy = client.find_footage(&key, from, to).await;
    assert!(matches!(busy, Err(PortError::Throttled { .. })), "{busy:?}");
    let busy = client.playback_url(&key, from, to).await;
    assert!(matches!(busy, Err(PortError::Throttled { .. })), "{busy:?}");
}

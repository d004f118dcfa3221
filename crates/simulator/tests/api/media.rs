use crate::client::{Answer, Client, start};
use jiff::{SignedDuration, Timestamp};
use reqwest::StatusCode;
use serde_json::{Value, json};
use simulator::rtsp::{Kind, StreamFault};
use simulator::scenario::{ChannelSpec, DeviceSpec, DeviceStatus, Protocol, RecordedSpan, generated_index};
use simulator::{Operation, Scenario};

async fn stream(client: &mut Client, device: &str, info: Value) -> Answer {
    let uri = format!("/ISAPI/System/streamMedia?format=json&devIndex={device}");
    client.post(&uri, json!({ "StreamInfo": info })).await
}

async fn preview(client: &mut Client, device: &str, id: Value) -> Answer {
    stream(
        client,
        device,
        json!({"id": id, "streamType": "main", "method": "preview"}),
    )
    .await
}

fn url(answer: &Answer) -> String {
    answer.json()["MediaAccessInfo"]["URL"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn set_status(status: DeviceStatus) -> Operation {
    Operation::SetStatus {
        device: generated_index(1),
        status,
        hint: None,
    }
}

#[tokio::test]
async fn a_live_url_ends_in_index_and_channel_and_carries_no_credentials() {
    let (simulator, mut client) = start(Scenario::generated(1, 2)).await;
    let device = generated_index(1);
    let main = url(&preview(&mut client, &device, json!("2")).await);
    let rtsp = simulator.rtsp_addr();
    assert_eq!(
        main,
        format!("rtsp://{rtsp}/dac/realplay/{device}2/MAIN/TCP?streamform=rtp")
    );
    let sub = json!({"id": 2, "streamType": "sub", "method": "preview"});
    let sub = url(&stream(&mut client, &device, sub).await);
    assert_eq!(sub, main.replace("MAIN", "SUB"));
}

#[tokio::test]
async fn a_device_that_is_not_online_is_busy() {
    let (simulator, mut client) = start(Scenario::generated(1, 1)).await;
    let device = generated_index(1);
    for status in [DeviceStatus::Offline, DeviceStatus::Sleep] {
        simulator.control().apply(set_status(status)).unwrap();
        let answer = preview(&mut client, &device, json!("1")).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.status_field("errorMsg"), "Device Busy");
        assert_eq!(answer.status_field("subStatusCode"), "networkError");
        let state = simulator.control().state();
        assert!(
            state
                .streams
                .values()
                .all(|stream| stream.fault == Some(StreamFault::Drop))
        );
    }
    simulator
        .control()
        .apply(set_status(DeviceStatus::Online))
        .unwrap();
    assert_eq!(
        preview(&mut client, &device, json!("1")).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn what_cannot_be_streamed_is_refused() {
    let (_simulator, mut client) = start(Scenario::generated(1, 1)).await;
    let device = generated_index(1);
    for (id, kind, method, code) in [
        ("9", "main", "preview", 6),
        ("1", "fourth", "preview", 6),
        ("1", "main", "record", 6),
        ("1", "main", "twoWayAudio", 4),
        ("1", "main", "playback", 6),
    ] {
        let info = json!({"id": id, "streamType": kind, "method": method});
        let answer = stream(&mut client, &device, info).await;
        assert_eq!(answer.status_field("statusCode"), code, "{id} {kind} {method}");
    }
    let answer = preview(&mut client, "nobody", json!("1")).await;
    assert_eq!(answer.status_field("subStatusCode"), "theDeviceIdDoesNotExist");
}

#[tokio::test]
async fn a_moved_stream_has_another_url_and_its_neighbour_has_not() {
    let (simulator, mut client) = start(Scenario::generated(1, 2)).await;
    let device = generated_index(1);
    let before = url(&preview(&mut client, &device, json!("1")).await);
    let neighbour = url(&preview(&mut client, &device, json!("2")).await);
    let moved = Operation::MoveStream {
        device: device.clone(),
        channel: 1.into(),
    };
    simulator.control().apply(moved).unwrap();
    let after = url(&preview(&mut client, &device, json!("1")).await);
    assert_ne!(before, after);
    assert_eq!(neighbour, url(&preview(&mut client, &device, json!("2")).await));
    let streams = simulator.control().state().streams;
    let served = |url: &str| streams.keys().any(|path| url.contains(path.as_str()));
    assert!(served(&after) && !served(&before));
}

/// Ten minutes at noon, ten more right after, and ten at one o'clock.
fn with_footage() -> DeviceSpec {
    let file = |start: &str, end: &str| RecordedSpan {
        start: at(start),
        end: at(end),
    };
    DeviceSpec {
        recorded: vec![
            file("2026-05-01T12:00:00Z", "2026-05-01T12:10:00Z"),
            file("2026-05-01T12:10:00Z", "2026-05-01T12:20:00Z"),
            file("2026-05-01T13:00:00Z", "2026-05-01T13:10:00Z"),
        ],
        ..DeviceSpec::camera("NVR", "nvr").with_channels([ChannelSpec::new(1), ChannelSpec::new(3)])
    }
}

async fn search(client: &mut Client, device: &str, from: Timestamp, to: Timestamp, position: usize) -> Value {
    let uri = format!("/ISAPI/ContentMgmt/search?format=json&devIndex={device}");
    let body = json!({"CMSearchDescription": {
        "searchID": "C1", "trackIDList": [{"trackID": 301}], "maxResults": 2,
        "timeSpanList": [{"startTime": from, "endTime": to}], "searchResultPostion": position,
        "metadataList": [],
    }});
    client.post(&uri, body).await.json()["CMSearchResult"].clone()
}

#[tokio::test]
async fn a_search_finds_the_files_page_by_page() {
    let (_simulator, mut client) = start(Scenario::with_devices([with_footage()])).await;
    let (from, to) = (at("2026-05-01T12:05:00Z"), at("2026-05-01T14:00:00Z"));
    let first = search(&mut client, "NVR", from, to, 0).await;
    assert_eq!(first["responseStatusStrg"], "MORE");
    assert_eq!(first["numOfMatches"], 2);
    let item = &first["matchList"][0]["searchMatchItem"];
    assert_eq!(item["timeSpan"]["startTime"], "2026-05-01T12:00:00Z");
    assert_eq!(item["mediaSegmentDescriptor"]["lockStatus"], "unlock");
    let last = search(&mut client, "NVR", from, to, 2).await;
    assert_eq!(last["responseStatusStrg"], "OK");
    let item = &last["matchList"][0]["searchMatchItem"];
    assert_eq!(item["timeSpan"]["endTime"], "2026-05-01T13:10:00Z");
    let none = search(&mut client, "NVR", to, at("2026-05-01T15:00:00Z"), 0).await;
    assert_eq!(none["responseStatusStrg"], "NO MATCH");
}

#[tokio::test]
async fn a_search_for_more_than_forty_is_refused() {
    let (_simulator, mut client) = start(Scenario::with_devices([with_footage()])).await;
    let body = json!({"CMSearchDescription": {
        "searchID": "C1", "trackIDList": [{"trackID": 301}], "maxResults": 41,
        "timeSpanList": [{"startTime": "2026-05-01T12:00:00Z", "endTime": "2026-05-01T13:00:00Z"}],
    }});
    let answer = client
        .post("/ISAPI/ContentMgmt/search?format=json&devIndex=NVR", body)
        .await;
    assert_eq!(answer.status_field("statusCode"), 6);
}

#[tokio::test]
async fn footage_until_now_is_found_without_holes_and_never_in_the_future() {
    let mut scenario = Scenario::generated(1, 3);
    scenario.generated.as_mut().unwrap().recorded_hours = 1;
    let (_simulator, mut client) = start(scenario).await;
    let now = Timestamp::now();
    let from = now - SignedDuration::from_hours(3);
    let mut spans = Vec::new();
    loop {
        let to = now + SignedDuration::from_hours(1);
        let page = search(&mut client, &generated_index(1), from, to, spans.len()).await;
        for item in page["matchList"].as_array().unwrap() {
            let time = |name: &str| at(item["searchMatchItem"]["timeSpan"][name].as_str().unwrap());
            spans.push((time("startTime"), time("endTime")));
        }
        if page["responseStatusStrg"] != "MORE" {
            break;
        }
    }
    assert!(spans.windows(2).all(|pair| pair[0].1 == pair[1].0), "{spans:?}");
    let (first, last) = (spans[0].0, spans[spans.len() - 1].1);
    let hour = last.duration_since(first).as_secs();
    assert!((3595..=3605).contains(&hour), "{hour} s");
    assert!(last <= Timestamp::now());
}

async fn playback(client: &mut Client, start: &str, end: &str) -> Answer {
    let times = json!({"startTime": start, "endTime": end});
    let info = json!({"id": "1", "streamType": "main", "method": "playback", "PlayBackParams": times});
    stream(client, "NVR", info).await
}

#[tokio::test]
async fn a_playback_url_plays_the_footage_that_exists_in_the_interval() {
    let (simulator, mut client) = start(Scenario::with_devices([with_footage()])).await;
    let answer = playback(&mut client, "2026-05-01T12:05:00Z", "2026-05-01T13:30:00Z").await;
    let url = url(&answer);
    assert!(
        url.contains("/dac/playback/") && url.contains("/NVR1/MAIN/"),
        "{url}"
    );
    let streams = simulator.control().state().streams;
    let (_path, stream) = streams
        .iter()
        .find(|(path, _)| url.contains(path.as_str()))
        .unwrap();
    let unbroken = Kind::Playback {
        start: at("2026-05-01T12:05:00Z"),
        end: at("2026-05-01T12:20:00Z"),
    };
    assert_eq!(stream.spec.kind, unbroken);
}

#[tokio::test]
async fn playback_is_refused_where_there_is_nothing_to_play() {
    let old = DeviceSpec {
        protocol: Protocol::Ehome,
        ..with_footage()
    };
    let (_simulator, mut client) = start(Scenario::with_devices([old])).await;
    let answer = playback(&mut client, "2026-05-01T12:00:00Z", "2026-05-01T12:01:00Z").await;
    assert_eq!(
        answer.status_field("subStatusCode"),
        "notSupport",
        "only ISUP 5.0 plays back"
    );

    let (_simulator, mut client) = start(Scenario::with_devices([with_footage()])).await;
    for (start, end, code) in [
        ("2026-05-01T12:30:00Z", "2026-05-01T12:40:00Z", 3),
        ("2026-05-01T12:10:00Z", "2026-05-01T12:10:00Z", 6),
        ("2026-05-01T12:00:00Z", "2026-05-03T12:00:00Z", 6),
    ] {
        let answer = playback(&mut client, start, end).await;
        assert_eq!(answer.status_field("statusCode"), code, "{start} to {end}");
    }
    let answer = playback(&mut client, "2026-05-01T12:30:00Z", "2026-05-01T12:40:00Z").await;
    assert_eq!(answer.status_field("subStatusCode"), "taskNoRecFile");
}

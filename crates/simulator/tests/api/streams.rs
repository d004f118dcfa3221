//! From the API's URL to moving pictures: what is handed out can be played, and ends when it should.

use crate::client::Client;
use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, StatusCode};
use retina::client::{
    Credentials, Demuxed, PlayOptions, Session, SessionOptions, SetupOptions, TcpTransportOptions, Transport,
};
use retina::codec::CodecItem;
use serde_json::json;
use simulator::media::{Codec, LoopSpec};
use simulator::rtsp::StreamFault;
use simulator::scenario::{ChannelSpec, DeviceSpec, DeviceStatus, WireId};
use simulator::{Operation, Scenario, Simulator};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use url::Url;

/// Far more than any answer takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Two seconds of stamp-sized video: encoded in no time.
fn tiny(codec: Codec) -> LoopSpec {
    LoopSpec {
        codec,
        width: 128,
        height: 96,
        frames: 50,
        ..LoopSpec::default()
    }
}

fn nvr() -> Scenario {
    let channel = |id: u32, codec| ChannelSpec::new(id).with_video(tiny(codec));
    let device =
        DeviceSpec::camera("NVR", "nvr").with_channels([channel(1, Codec::H264), channel(7, Codec::H265)]);
    let mut scenario = Scenario::with_devices([DeviceSpec {
        recorded_hours: 1,
        ..device
    }]);
    scenario.gateway.reboot_seconds = 2.0;
    scenario
}

async fn start(scenario: Scenario) -> (Simulator, Client) {
    let simulator = Simulator::start(scenario).await.expect("ffmpeg is installed");
    let client = Client::of(&simulator);
    (simulator, client)
}

async fn ask(client: &mut Client, info: serde_json::Value) -> Url {
    let uri = "/ISAPI/System/streamMedia?format=json&devIndex=NVR";
    let answer = client.post(uri, json!({ "StreamInfo": info })).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()["MediaAccessInfo"]["URL"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

async fn live_url(client: &mut Client, channel: u32) -> Url {
    ask(
        client,
        json!({"id": channel, "streamType": "main", "method": "preview"}),
    )
    .await
}

async fn open(client: &Client, url: &Url) -> Result<Demuxed, retina::Error> {
    let login = Credentials {
        username: client.username.clone(),
        password: client.password.clone(),
    };
    let options = SessionOptions::default().creds(Some(login));
    let mut session = Session::describe(url.clone(), options).await?;
    for index in 0..session.streams().len() {
        let transport = Transport::Tcp(TcpTransportOptions::default());
        session
            .setup(index, SetupOptions::default().transport(transport))
            .await?;
    }
    session.play(PlayOptions::default()).await?.demuxed()
}

/// Waits for so many frames; an error when the stream ends or fails before.
async fn watch(session: &mut Demuxed, frames: usize) -> Result<(), String> {
    let watching = async {
        let mut seen = 0;
        while seen < frames {
            match session.next().await {
                Some(Ok(CodecItem::VideoFrame(_))) => seen += 1,
                Some(Ok(_other)) => {}
                Some(Err(error)) => return Err(error.to_string()),
                None => return Err("the stream ended".to_owned()),
            }
        }
        Ok(())
    };
    tokio::time::timeout(PATIENCE, watching)
        .await
        .expect("the stream goes on or ends")
}

async fn ends(session: &mut Demuxed) {
    watch(session, usize::MAX).await.expect_err("an end");
}

async fn plays(client: &Client, url: &Url) {
    let mut session = open(client, url).await.expect("the stream can be had");
    watch(&mut session, 30).await.expect("frames");
}

async fn refused(client: &Client, url: &Url, status: &str) {
    let error = open(client, url).await.err().expect("no stream");
    assert!(error.to_string().contains(status), "{error}");
}

fn set_status(status: DeviceStatus) -> Operation {
    Operation::SetStatus {
        device: "NVR".to_owned(),
        status,
        hint: None,
    }
}

fn fault(channel: u32, fault: Option<StreamFault>) -> Operation {
    Operation::StreamFault {
        device: "NVR".to_owned(),
        channel: Some(WireId::from(channel)),
        fault,
    }
}

#[tokio::test]
async fn the_urls_handed_out_play_and_only_with_their_query_and_the_right_password() {
    let (_simulator, mut client) = start(nvr()).await;
    for channel in [1, 7] {
        let url = live_url(&mut client, channel).await;
        plays(&client, &url).await;
    }
    let mut bare = live_url(&mut client, 1).await;
    bare.set_query(None);
    refused(&client, &bare, "404").await;
    let url = live_url(&mut client, 1).await;
    client.password = "wrong".to_owned();
    assert!(open(&client, &url).await.is_err());
}

#[tokio::test]
async fn streams_end_with_their_device_and_return_with_it() {
    let (simulator, mut client) = start(nvr()).await;
    let control = simulator.control();
    let url = live_url(&mut client, 1).await;
    let mut session = open(&client, &url).await.unwrap();
    watch(&mut session, 5).await.unwrap();
    control.apply(set_status(DeviceStatus::Offline)).unwrap();
    ends(&mut session).await;
    refused(&client, &url, "503").await;
    control.apply(set_status(DeviceStatus::Online)).unwrap();
    plays(&client, &url).await;
    let device = "NVR".to_owned();
    control.apply(Operation::RemoveDevice { device }).unwrap();
    refused(&client, &url, "404").await;
}

#[tokio::test]
async fn a_flap_leaves_running_streams_alone() {
    let (simulator, mut client) = start(nvr()).await;
    let url = live_url(&mut client, 1).await;
    let mut session = open(&client, &url).await.unwrap();
    let device = "NVR".to_owned();
    simulator
        .control()
        .apply(Operation::Flap { device, lists: 1 })
        .unwrap();
    let page = client.page(0, 10).await;
    assert_eq!(page["MatchList"][0]["Device"]["devStatus"], "offline");
    watch(&mut session, 30).await.expect("frames during the flap");
}

#[tokio::test]
async fn a_moved_stream_dies_at_its_old_url_and_plays_at_its_new_one() {
    let (simulator, mut client) = start(nvr()).await;
    let old = live_url(&mut client, 1).await;
    let mut session = open(&client, &old).await.unwrap();
    let moved = Operation::MoveStream {
        device: "NVR".to_owned(),
        channel: 1.into(),
    };
    simulator.control().apply(moved).unwrap();
    ends(&mut session).await;
    refused(&client, &old, "404").await;
    let new = live_url(&mut client, 1).await;
    plays(&client, &new).await;
}

#[tokio::test]
async fn a_fault_of_one_channel_spares_the_other() {
    let (simulator, mut client) = start(nvr()).await;
    let control = simulator.control();
    let (first, seventh) = (live_url(&mut client, 1).await, live_url(&mut client, 7).await);
    control.apply(fault(1, Some(StreamFault::NotFound))).unwrap();
    refused(&client, &first, "404").await;
    plays(&client, &seventh).await;
    control.apply(fault(1, None)).unwrap();
    plays(&client, &first).await;
}

#[tokio::test]
async fn another_picture_comes_without_a_new_url() {
    let (simulator, mut client) = start(nvr()).await;
    let url = live_url(&mut client, 1).await;
    let control = simulator.control();
    let wider = LoopSpec {
        width: 192,
        ..tiny(Codec::H264)
    };
    let change = Operation::SetVideo {
        device: "NVR".to_owned(),
        channel: 1.into(),
        video: wider,
    };
    control.apply(change).unwrap();
    tokio::time::timeout(PATIENCE, control.settle()).await.unwrap();
    let options = SessionOptions::default().creds(Some(Credentials {
        username: client.username.clone(),
        password: client.password.clone(),
    }));
    let session = Session::describe(url, options).await.unwrap();
    let Some(retina::codec::ParametersRef::Video(video)) = session.streams()[0].parameters() else {
        panic!("parameters of the video");
    };
    assert_eq!(video.pixel_dimensions(), (192, 96));
}

#[tokio::test]
async fn a_new_password_is_asked_for_by_rtsp_too() {
    let (simulator, mut client) = start(nvr()).await;
    let url = live_url(&mut client, 1).await;
    let mut running = open(&client, &url).await.unwrap();
    let password = "Another-1".to_owned();
    simulator
        .control()
        .apply(Operation::SetPassword {
            password: password.clone(),
        })
        .unwrap();
    assert!(open(&client, &url).await.is_err(), "the old password is refused");
    client.password = password;
    plays(&client, &url).await;
    watch(&mut running, 30).await.expect("running sessions go on");
}

#[tokio::test]
async fn playback_plays_an_interval_of_the_past_and_ends() {
    let (_simulator, mut client) = start(nvr()).await;
    let end = Timestamp::now() - SignedDuration::from_secs(60);
    let start = end - SignedDuration::from_secs(1);
    let times = json!({"startTime": start, "endTime": end});
    let info = json!({"id": 1, "streamType": "main", "method": "playback", "PlayBackParams": times});
    let url = ask(&mut client, info).await;
    let mut session = open(&client, &url).await.unwrap();
    watch(&mut session, 25).await.expect("a second of footage");
    ends(&mut session).await;
}

#[tokio::test]
async fn a_reboot_closes_rtsp_too_and_the_streams_return_at_their_urls() {
    let (simulator, mut client) = start(nvr()).await;
    let url = live_url(&mut client, 1).await;
    let mut session = open(&client, &url).await.unwrap();
    simulator.control().apply(Operation::Reboot).unwrap();
    ends(&mut session).await;
    let rtsp = simulator.rtsp_addr();
    let deadline = Instant::now() + PATIENCE;
    let mut refused = false;
    while !refused {
        assert!(Instant::now() < deadline, "RTSP never refused a connection");
        refused = TcpStream::connect(rtsp).is_err();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    while simulator.control().state().rebooting || TcpStream::connect(rtsp).is_err() {
        assert!(Instant::now() < deadline, "the gateway does not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    plays(&client, &url).await;
    let answer = client.call(Method::GET, crate::client::TIME, None).await;
    assert_eq!(answer.status, StatusCode::OK);
}

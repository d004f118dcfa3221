//! Every fault does what it says, to the streams it is meant for.

use crate::studio::Studio;
use crate::viewer::{Viewer, assert_consecutive};
use futures::future::join_all;
use retina::client::Credentials;
use simulator::frames::absolute;
use simulator::rtsp::{StreamFault, StreamSpec};
use std::time::Duration;
use tempfile::tempdir;

const TARGET: &str = "/dac/realplay/X1/MAIN/TCP?streamform=rtp";
const OTHER: &str = "/dac/realplay/X2/MAIN/TCP?streamform=rtp";

/// Two streams, one of which will suffer, each with a viewer.
async fn two_streams() -> (Studio, Viewer, Viewer) {
    let studio = Studio::showing(TARGET, &StreamSpec::default()).await;
    studio
        .catalog
        .publish(OTHER, StreamSpec::default())
        .await
        .unwrap();
    let mut one = Viewer::connect(studio.url(TARGET)).await.unwrap();
    let mut other = Viewer::connect(studio.url(OTHER)).await.unwrap();
    one.watch(1).await.unwrap();
    other.watch(1).await.unwrap();
    (studio, one, other)
}

/// The RTSP status with which a stream is refused.
async fn refusal(studio: &Studio, target: &str) -> String {
    let error = Viewer::connect(studio.url(target))
        .await
        .err()
        .expect("it is refused");
    error.to_string()
}

#[tokio::test]
async fn a_frozen_stream_is_silent_but_connected_and_resumes_with_what_is_on_air_then() {
    let (studio, mut one, mut other) = two_streams().await;
    studio.catalog.fault(TARGET, Some(StreamFault::Freeze)).unwrap();
    // What was sent before the fault may still arrive.
    one.watch_for(Duration::from_millis(500)).await.unwrap();
    let (pictures, reports) = (one.pictures.len(), one.reports.len());
    one.watch_for(Duration::from_secs(6)).await.unwrap();
    assert_eq!((one.pictures.len(), one.reports.len()), (pictures, reports));
    assert_eq!(studio.catalog.sessions(TARGET), 1);
    other.watch(100).await.unwrap();

    studio.catalog.fault(TARGET, None).unwrap();
    one.watch(pictures + 30).await.unwrap();
    let hole = one.pictures[pictures].rtp - one.pictures[pictures - 1].rtp;
    assert!(hole > 6 * 90_000, "the hole is {hole} ticks long");
    assert_eq!(
        one.pictures[pictures].lost_before, 0,
        "no packet was lost on the way"
    );
}

#[tokio::test]
async fn a_dropped_stream_is_cut_and_refused_until_it_is_well() {
    let (studio, mut one, mut other) = two_streams().await;
    studio.catalog.fault(TARGET, Some(StreamFault::Drop)).unwrap();
    let _how_it_ends = one.watch_to_the_end().await;
    studio.sessions_become(TARGET, 0).await;
    let refused = refusal(&studio, TARGET).await;
    assert!(refused.contains("503"), "{refused}");

    studio.catalog.fault(TARGET, None).unwrap();
    let mut again = Viewer::connect(studio.url(TARGET)).await.unwrap();
    again.watch(10).await.unwrap();
    other.watch(30).await.unwrap();
}

#[tokio::test]
async fn refusing_faults_leave_running_sessions_alone() {
    let refuse = async |(fault, status)| {
        let (studio, mut one, _other) = two_streams().await;
        studio.catalog.fault(TARGET, Some(fault)).unwrap();
        let refused = refusal(&studio, TARGET).await;
        assert!(refused.contains(status), "{refused}");
        Viewer::connect(studio.url(OTHER)).await.unwrap();
        let seen = one.pictures.len();
        one.watch(seen + 10).await.unwrap();
    };
    join_all([(StreamFault::NotFound, "404"), (StreamFault::Unauthorized, "401")].map(refuse)).await;
}

#[tokio::test]
async fn a_stuttering_stream_loses_whole_frames_and_the_client_can_tell() {
    let (studio, mut one, _other) = two_streams().await;
    studio
        .catalog
        .fault(TARGET, Some(StreamFault::Stutter { loss: 0.5 }))
        .unwrap();
    let seen = one.pictures.len();
    one.watch(seen + 30).await.unwrap();
    let lost: u64 = one
        .pictures
        .iter()
        .map(|picture| u64::from(picture.lost_before))
        .sum();
    assert!(lost > 0);
    let frame = 90_000 / 25;
    for pair in one.pictures.windows(2) {
        let frames = (pair[1].rtp - pair[0].rtp) / frame;
        assert_eq!(frames > 1, pair[1].lost_before > 0, "a hole of {frames} frames");
    }
}

#[tokio::test]
async fn garbage_is_not_taken_for_video() {
    let (studio, mut one, mut other) = two_streams().await;
    studio
        .catalog
        .fault(TARGET, Some(StreamFault::GarbageRtp))
        .unwrap();
    let error = one.watch(1_000).await.expect_err("garbage is an error");
    assert!(error.to_string().contains("RTP"), "{error}");
    other.watch(30).await.unwrap();
}

#[tokio::test]
async fn a_withdrawn_stream_ends_and_is_unknown() {
    let (studio, mut one, mut other) = two_streams().await;
    studio.catalog.withdraw(TARGET);
    let _how_it_ends = one.watch_to_the_end().await;
    let refused = refusal(&studio, TARGET).await;
    assert!(refused.contains("404"), "{refused}");
    other.watch(30).await.unwrap();
    assert!(studio.catalog.fault(TARGET, None).is_err());
}

#[tokio::test]
async fn after_a_disconnect_a_client_may_come_back_at_once() {
    let (studio, mut one, mut other) = two_streams().await;
    studio.catalog.disconnect(TARGET).unwrap();
    let _how_it_ends = one.watch_to_the_end().await;
    let seen = other.pictures.len();
    other.watch(seen + 5).await.unwrap();
    studio.catalog.disconnect_all();
    let _how_it_ends = other.watch_to_the_end().await;
    Viewer::connect(studio.url(TARGET))
        .await
        .unwrap()
        .watch(5)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_outage_cuts_everyone_and_lets_nobody_in() {
    let (studio, mut one, mut other) = two_streams().await;
    studio.catalog.set_accepting(false);
    let _how_it_ends = one.watch_to_the_end().await;
    let _how_it_ends = other.watch_to_the_end().await;
    assert!(Viewer::connect(studio.url(TARGET)).await.is_err());

    studio.catalog.set_accepting(true);
    Viewer::connect(studio.url(TARGET))
        .await
        .unwrap()
        .watch(5)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_a_new_one_counts_at_once() {
    let (studio, mut one, _other) = two_streams().await;
    let with = |password: &str| Credentials {
        username: "admin".to_owned(),
        password: password.to_owned(),
    };
    let refused = Viewer::connect_as(studio.url(TARGET), with("wrong")).await;
    assert!(refused.err().expect("it is refused").to_string().contains("401"));

    studio.catalog.set_credentials("admin", "another".into());
    assert!(refusal(&studio, TARGET).await.contains("401"));
    Viewer::connect_as(studio.url(TARGET), with("another"))
        .await
        .unwrap();
    let seen = one.pictures.len();
    one.watch(seen + 10).await.unwrap();
}

#[tokio::test]
async fn a_hole_in_the_stream_is_the_same_hole_in_the_pictures() {
    let (studio, mut one, _other) = two_streams().await;
    let spec = StreamSpec::default().video;
    one.watch(30).await.unwrap();
    studio.catalog.disconnect(TARGET).unwrap();
    let _how_it_ends = one.watch_to_the_end().await;
    let mut again = Viewer::connect(studio.url(TARGET)).await.unwrap();
    again.watch(60).await.unwrap();

    let folder = tempdir().unwrap();
    let now = jiff::Timestamp::now();
    let (_, before) = one.decode(folder.path());
    let (_, after) = again.decode(folder.path());
    assert_consecutive(&before, spec.frames);
    assert_consecutive(&after, spec.frames);
    let last = absolute(*before.last().unwrap(), now, &spec);
    let next = absolute(after[0], now, &spec);
    assert!(next > last, "nothing is seen twice");
    assert!(spec.is_key(next), "decoding begins at a key frame");
}

#[tokio::test]
async fn shutting_down_ends_sessions_and_frees_the_port() {
    let (studio, mut one, _other) = two_streams().await;
    let address = studio.server.addr();
    studio.server.shutdown().await;
    let _how_it_ends = one.watch_to_the_end().await;
    let again = simulator::rtsp::RtspServer::start(address, studio.catalog).unwrap();
    assert_eq!(again.addr(), address);
}

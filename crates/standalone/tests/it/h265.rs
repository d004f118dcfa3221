//! H.265 all the way: recorded, told of in playlists, exported frame by frame.

use crate::archive::{exports_exactly, say, segments, within};
use crate::support::rig::Rig;
use simulator::Scenario;
use simulator::media::{Codec, LoopSpec};
use simulator::scenario::{ChannelSpec, DeviceSpec};
use std::time::Duration;
use tokio::time::sleep;

#[tokio::test(flavor = "multi_thread")]
async fn h265_is_exported_frame_by_frame_and_its_playlist_names_it() {
    let picture = LoopSpec {
        codec: Codec::H265,
        ..LoopSpec::default()
    };
    let channel = ChannelSpec {
        video: picture.clone(),
        ..ChannelSpec::new(1)
    };
    let camera = DeviceSpec::camera("A", "A").with_channels([channel]);
    let config = "[recording]\nsegment-seconds = 2\n";
    let mut rig = Rig::start(
        Scenario::with_devices([camera]),
        &["--pull-interval", "1s"],
        config,
    )
    .await;
    rig.wait_until_recording(&["A"]).await;
    sleep(Duration::from_secs(8)).await;
    rig.stop().await;

    let segments = segments(&rig).await;
    assert!(segments.len() >= 3, "{segments:?}\n{}", rig.logs());
    exports_exactly(&rig, &segments, within(&segments), &picture).await;
    names_its_codec(&rig, &segments[0].start.to_string()).await;
}

async fn names_its_codec(rig: &Rig, from: &str) {
    let [media, master] = ["day.m3u8", "master.m3u8"].map(|name| rig.archive().join(name));
    let (output, over) = (media.to_str().unwrap(), master.to_str().unwrap());
    let playlist = [
        "playlist", "A", "1", "--from", from, "--output", output, "--master", over,
    ];
    say(rig, &playlist).await;
    let text = std::fs::read_to_string(&master).unwrap();
    let parsed = m3u8_rs::parse_master_playlist_res(text.as_bytes()).unwrap();
    let variant = &parsed.variants[0];
    assert_eq!(variant.uri, "day.m3u8");
    let codecs = variant.codecs.as_deref().unwrap_or_default();
    assert!(codecs.starts_with("hvc1.1."), "{text}");
    let size = variant.resolution.unwrap();
    assert_eq!((size.width, size.height), (320, 180));
    let media = std::fs::read(&media).unwrap();
    let media = m3u8_rs::parse_media_playlist_res(&media).unwrap();
    assert!(media.end_list && media.segments.iter().all(|segment| segment.duration > 0.0));
}

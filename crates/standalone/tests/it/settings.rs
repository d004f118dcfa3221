//! Settings of single channels, as people give them and take them back.

use crate::support::rig::Rig;
use crate::support::shelf::Shelf;
use domain::fakes::rows;
use domain::ports::{ChannelsTable, Put};
use domain::settings::{Audio, Overrides, OwnSettings};
use domain::{ChannelKey, Generation, SegmentKey};
use jiff::{SignedDuration, Timestamp};
use simulator::Scenario;
use simulator::scenario::{ChannelSpec, DeviceSpec};
use std::time::Duration;

async fn said(shelf: &Shelf, key: &ChannelKey) -> OwnSettings {
    Overrides::load(&shelf.tables).await.unwrap().0.said(key)
}

#[tokio::test]
async fn what_is_set_adds_to_what_was_set_before_and_is_taken_back_one_by_one() {
    let (shelf, key) = (Shelf::new().await, ChannelKey::new("A", "1"));
    let now = Timestamp::now();
    let put = shelf
        .tables
        .put_channel(&rows::channel(key.clone(), now), None)
        .await;
    assert_eq!(put.unwrap(), Put::Written);
    shelf
        .say(&["channels", "set", "A", "1", "retention-days=30"])
        .await;
    shelf.say(&["channels", "set", "A", "1", "backfill=true"]).await;
    let own = said(&shelf, &key).await;
    assert_eq!((own.retention_days, own.backfill), (Some(30), Some(true)));

    // The keep loop goes by it.
    let old = now - SignedDuration::from_hours(24 * 20);
    let segment = SegmentKey::new(key.clone(), old, SignedDuration::from_secs(30), Generation(1));
    let object = segment.object_key().0;
    let why = shelf.say(&["why", &object]).await;
    assert!(why.contains("its retention lasts until"), "{why}");

    shelf.say(&["channels", "unset", "A", "1", "backfill"]).await;
    let own = said(&shelf, &key).await;
    assert_eq!((own.retention_days, own.backfill), (Some(30), None));
    let misspelt = shelf.run(&["channels", "unset", "A", "1", "retention"]).await;
    assert!(
        !misspelt.well && misspelt.err.contains("`retention`"),
        "{misspelt:?}"
    );
    shelf.say(&["channels", "unset", "A", "1"]).await;
    assert_eq!(said(&shelf, &key).await, OwnSettings::default());
    let why = shelf.say(&["why", &object]).await;
    assert!(why.contains("keeps all"), "{why}");

    std::fs::write(shelf.file("millrace.toml"), "[recording]\nretention-days = 7\n").unwrap();
    shelf.say(&["channels", "set", "A", "1", "audio='aac'"]).await;
    let why = shelf.say(&["why", &object]).await;
    assert!(why.contains("past its retention"), "that of all channels: {why}");
}

#[tokio::test]
async fn settings_of_a_channel_that_is_not_known_are_kept_and_that_is_said() {
    let (shelf, key) = (Shelf::new().await, ChannelKey::new("B", "1"));
    let told = shelf.say(&["channels", "set", "B", "1", "audio='aac'"]).await;
    assert!(told.contains("B/1 is not known yet"), "{told}");
    assert_eq!(said(&shelf, &key).await.audio, Some(Audio::Aac));
}

const CONFIG: &str = "
[recording]
segment-seconds = 60
[channel.'A/1']
audio = 'aac'
";

#[tokio::test(flavor = "multi_thread")]
async fn a_section_of_the_file_leaves_a_channel_what_all_have_and_so_do_settings_by_command() {
    let camera = |name: &str| DeviceSpec::camera(name, name).with_channels([ChannelSpec::new(1)]);
    let scenario = Scenario::with_devices([camera("A"), camera("B")]).api_only();
    let flags = ["--poll-interval", "1s", "--pull-interval", "1s"];
    let mut rig = Rig::start(scenario, &flags, CONFIG).await;
    let settings = async |device: &str| {
        let channel = rig.channel(device).await.unwrap_or_default();
        let settings = &channel["settings"];
        (
            settings["segment-seconds"].as_u64(),
            settings["audio"].as_str().map(str::to_owned),
        )
    };
    let expected = |audio: &str| (Some(60), Some(audio.to_owned()));
    let patience = Duration::from_secs(20);
    rig.wait_until("the file's settings are in force", patience, async || {
        settings("A").await == expected("aac") && settings("B").await == expected("copy")
    })
    .await;

    let set = rig
        .command("channels")
        .args(["set", "B", "1", "audio='aac'"])
        .output()
        .await;
    assert!(set.unwrap().status.success());
    rig.wait_until("the command's are", patience, async || {
        settings("B").await == expected("aac")
    })
    .await;
    rig.stop().await;
}

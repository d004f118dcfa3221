//! A machine whose power was cut and whose archive's share is not mounted yet when it starts again.

use crate::support::archive::Recording;
use crate::support::rig::{EVERY_TWO_SECONDS, Rig, signal};
use domain::ChannelKey;
use rustix::process::Signal;
use simulator::Scenario;
use simulator::media::LoopSpec;
use simulator::scenario::{ChannelSpec, DeviceSpec};
use std::path::Path;
use std::time::Duration;

const CONFIG: &str = "[recording]\nsegment-seconds = 2";

/// How many files with this ending are below a folder.
fn count(folder: &Path, ending: &str) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths
        .map(|path| {
            if path.is_dir() {
                count(&path, ending)
            } else {
                usize::from(path.extension().is_some_and(|found| found == ending))
            }
        })
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_starts_before_its_archive_is_mounted_keeps_everything_until_it_is() {
    let camera = DeviceSpec::camera("A", "A").with_channels([ChannelSpec::new(1)]);
    let mut rig = Rig::start(Scenario::with_devices([camera]), &EVERY_TWO_SECONDS, CONFIG).await;
    let (mount_point, share, spool) = (rig.archive(), rig.data().join("share"), rig.data().join("spool"));
    let patience = Duration::from_secs(40);
    rig.wait_until("the archive has something", patience, async || {
        count(&mount_point, "mp4") > 0
    })
    .await;

    let recorder = rig.recorder_pid("A").await;
    rig.kill_millrace().await;
    signal(recorder, Signal::KILL);
    std::fs::rename(&mount_point, &share).unwrap();
    std::fs::create_dir(&mount_point).unwrap();
    rig.run();
    rig.wait_until("recordings wait", patience, async || count(&spool, "mp4") >= 3)
        .await;
    assert!(
        rig.logs().contains("recordings wait in the spool"),
        "{}",
        rig.logs()
    );

    std::fs::remove_dir(&mount_point).expect("nothing was made in the share's place");
    std::fs::rename(&share, &mount_point).unwrap();
    rig.wait_until("everything is archived", patience, async || {
        count(&spool, "mp4") == 0
    })
    .await;
    rig.stop().await;
    let (key, picture) = (ChannelKey::new("A", "1"), LoopSpec::default());
    let state = rig.data().join("state.sqlite");
    let recording = Recording::read(&mount_point, &state, &key, &picture).await;
    let missing = recording.missing(&key, &picture);
    assert_eq!(missing.len(), 1, "only what the kill cost: {missing:?}");
}

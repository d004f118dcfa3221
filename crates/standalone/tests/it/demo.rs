//! The demo, as a newcomer runs it: its summary, and an archive that other programs can read.

use crate::support::rig::signal;
use rustix::process::Signal;
use serde_json::Value;
use simulator::frames;
use std::fs::TryLockError;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_records_every_online_channel_and_names_every_loss() {
    let folder = tempfile::tempdir().unwrap();
    let (data, json) = (folder.path().join("data"), folder.path().join("summary.json"));
    let output = Command::new(env!("CARGO_BIN_EXE_millrace"))
        .args(["demo", "--seconds", "45", "--data"])
        .arg(&data)
        .arg("--json")
        .arg(&json)
        .output()
        .await
        .unwrap();
    let (said, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{said}\n{complained}");

    let summary: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let channels = summary["channels"].as_object().unwrap();
    assert_eq!(
        channels.len(),
        8,
        "six at the start, three of them on an NVR, one that came, none that is offline"
    );
    let mut segments = Vec::new();
    for (key, channel) in channels {
        let keys: Vec<PathBuf> = channel["segments"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| data.join("archive").join(key.as_str().unwrap()))
            .collect();
        assert!(keys.len() >= 2, "{key}");
        segments.extend(keys);
    }
    for segment in &segments {
        assert!(
            !frames::read(segment).unwrap().is_empty(),
            "{}",
            segment.display()
        );
        assert!(probe(segment).await > 0.0, "{}", segment.display());
    }
    let troubles = summary["troubles"].as_array().unwrap();
    assert!(
        troubles.len() == 4 && troubles.iter().all(|trouble| !trouble["found"].is_null()),
        "{troubles:?}"
    );

    plays_in_a_browser(&segments, &data).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_that_is_ended_leaves_no_recorder_behind() {
    for ending in [Signal::TERM, Signal::HUP] {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let mut demo = Command::new(env!("CARGO_BIN_EXE_millrace"))
            .args(["demo", "--seconds", "120", "--data"])
            .arg(&data)
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let pid = i32::try_from(demo.id().unwrap()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while recorders(&data) < 3 {
            assert!(Instant::now() < deadline && demo.try_wait().unwrap().is_none());
            sleep(Duration::from_millis(100)).await;
        }
        signal(pid, ending);
        let ended = timeout(Duration::from_secs(60), demo.wait()).await;
        assert!(ended.expect("it ends").unwrap().success(), "{ending:?}");
        assert_eq!(recorders(&data), 0, "{ending:?}");
    }
}

/// How many recorders live: each holds the lock of its task's file.
fn recorders(data: &Path) -> usize {
    let tasks = std::fs::read_dir(data.join("tasks"))
        .into_iter()
        .flatten()
        .flatten();
    let is_locked = |file: std::fs::File| matches!(file.try_lock(), Err(TryLockError::WouldBlock));
    tasks
        .filter(|task| std::fs::File::open(task.path()).is_ok_and(is_locked))
        .count()
}

/// The length ffprobe sees, in seconds.
async fn probe(file: &Path) -> f64 {
    let output = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-show_entries",
            "format=duration",
            "-of",
            "csv=p=0",
        ])
        .arg(file)
        .output()
        .await
        .unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

async fn plays_in_a_browser(segments: &[PathBuf], data: &Path) {
    let gate = data.join("archive/38941127-49B5-44B3-84FC-219747AFF04E/1");
    let segment = segments
        .iter()
        .filter(|segment| segment.starts_with(&gate))
        .nth(1)
        .unwrap();
    let expected = frames::read(segment).unwrap().len();
    let length = probe(segment).await;
    let (folder, name) = (segment.parent().unwrap(), segment.file_name().unwrap());
    let played = crate::support::browser::play(folder, name.to_str().unwrap()).await;
    assert_eq!(played.error, None, "{played:?}");
    assert_eq!((played.width, played.height), (640, 360));
    assert!((played.duration - length).abs() < 0.1, "{played:?}, {length}");
    assert!(
        usize::try_from(played.frames).unwrap() * 10 >= expected * 9,
        "{played:?} of {expected} frames"
    );
}

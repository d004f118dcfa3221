//! The demo, as a newcomer runs it: its summary, and an archive that other programs can read.

use serde_json::Value;
use simulator::frames;
use std::path::{Path, PathBuf};
use tokio::process::Command;

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
    println!("{said}");

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

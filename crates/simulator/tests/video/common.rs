//! What the tests of video share.

use simulator::media::{Library, Loop, LoopSpec};
use std::path::Path;
use std::process::Command;

/// A library whose cache outlives the test, so that the many test programs encode each loop once.
pub(crate) fn library() -> Library {
    Library::new(Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("loops")))
}

/// Writes `count` frames of a loop, from absolute number `from`, as a raw byte stream.
pub(crate) fn write_stream(video: &Loop, from: u64, count: u64, to: &Path) {
    let mut stream = Vec::new();
    for number in from..from + count {
        for nal in &video.unit(number).nals {
            stream.extend_from_slice(&[0, 0, 0, 1]);
            stream.extend_from_slice(nal);
        }
    }
    std::fs::write(to, stream).unwrap();
}

/// Runs ffmpeg and expects it to succeed.
pub(crate) fn ffmpeg(args: &[&str]) {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-y"])
        .args(args)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "ffmpeg {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The frame rate of a spec as an argument for ffmpeg.
pub(crate) fn fps(spec: &LoopSpec) -> String {
    spec.fps.to_string()
}

/// A path as an argument for ffmpeg.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

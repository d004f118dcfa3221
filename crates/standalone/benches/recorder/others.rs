//! The other ways to record the same streams: a process or more for each camera.

use crate::rig::Rig;
use crate::store::Store;
use std::path::Path;
use std::process::Stdio;
use tokio::process::{Child, Command};

/// One ffmpeg a camera, which cuts and uploads nothing.
pub(crate) async fn ffmpegs(rig: &Rig, folder: &Path) -> Vec<Child> {
    let mut children = Vec::new();
    for (device, url) in streams(rig).await {
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(arguments(&url));
        ffmpeg.arg(folder.join(format!("{device}_%03d.mp4")));
        children.push(start(ffmpeg));
    }
    children
}

/// The container of 2020: a shell with an ffmpeg, an inotifywait, and an upload process for each file. curl is the least
/// that can upload; what was used then has to start an interpreter too.
const CONTAINER_2020: &str = r#"
ffmpeg "$@" "$FOLDER/%03d.mp4" &
inotifywait -q -m -e close_write --format %f "$FOLDER" | while read -r file; do
    curl -sf --cacert "$CERTIFICATE" -T "$FOLDER/$file" "$STORE/$file" && rm "$FOLDER/$file"
done
"#;

/// One such container's processes a camera.
pub(crate) async fn containers_of_2020(rig: &Rig, store: &Store, folder: &Path) -> Vec<Child> {
    let mut children = Vec::new();
    for (device, url) in streams(rig).await {
        let own = folder.join(&device);
        std::fs::create_dir(&own).unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", CONTAINER_2020, "sh"]).args(arguments(&url));
        shell.env("FOLDER", own).env("CERTIFICATE", &store.certificate);
        shell.env("STORE", format!("{}/bucket/{device}", store.url));
        children.push(start(shell));
    }
    children
}

/// Each device and its stream's URL with credentials.
async fn streams(rig: &Rig) -> Vec<(String, String)> {
    let (username, password) = (rig.simulator.username(), rig.simulator.password());
    let credentials = format!("rtsp://{username}:{password}@");
    let stream = |channel: &serde_json::Value| {
        let url = channel["mediaUrl"].as_str().unwrap();
        let device = channel["key"]["device"].as_str().unwrap().to_owned();
        (device, url.replacen("rtsp://", &credentials, 1))
    };
    rig.status().await.iter().map(stream).collect()
}

/// Everything but where to.
fn arguments(url: &str) -> Vec<&str> {
    let (input, output) = (
        "-v error -nostdin -rtsp_transport tcp -i",
        "-c copy -f segment -segment_time 30 -reset_timestamps 1",
    );
    input.split(' ').chain([url]).chain(output.split(' ')).collect()
}

/// In a process group of its own, which [`end`] ends.
fn start(mut command: Command) -> Child {
    command.process_group(0).stdout(Stdio::null()).spawn().unwrap()
}

/// Ends them with all that descends from them.
pub(crate) async fn end(children: Vec<Child>) {
    for mut child in children {
        let group = rustix::process::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
        child.wait().await.unwrap();
    }
}

//! Plays a segment or a playlist in headless Chromium's `<video>` and says what the browser made of it.

use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::mpsc;

/// What the page reports once the video has ended, or failed.
#[derive(Debug, Deserialize)]
pub(crate) struct Played {
    pub(crate) error: Option<String>,
    pub(crate) duration: f64,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Stretches that have pictures, on the player's own time: what it could not decode is between them.
    pub(crate) ranges: u32,
    /// Frames the compositor was handed.
    pub(crate) frames: u32,
}

const PAGE: &str = r#"<!doctype html><video id=v muted src="/archive/SOURCE"></video><script>
const v = document.getElementById('v');
const report = error => fetch('/result', {method: 'POST', headers: {'content-type': 'application/json'},
  body: JSON.stringify({error, duration: Number.isFinite(v.duration) ? v.duration : -1, width: v.videoWidth,
    height: v.videoHeight, ranges: v.buffered.length, frames: v.getVideoPlaybackQuality().totalVideoFrames})});
v.onerror = () => report(v.error.message);
v.onended = () => report(null);
v.playbackRate = 4;
v.play().catch(e => report(String(e)));
</script>"#;

/// Plays a file below `root` to its end.
pub(crate) async fn play(root: &Path, name: &str) -> Played {
    let (results, mut result) = mpsc::channel(4);
    let page = PAGE.replace("SOURCE", name);
    let root = root.to_owned();
    let app = Router::new()
        .route("/", get(|| async { Html(page) }))
        .route(
            "/archive/{*name}",
            get(move |UrlPath(name): UrlPath<String>, headers: HeaderMap| {
                let file = root.join(name);
                async move { serve(&file, &headers).await }
            }),
        )
        .route(
            "/result",
            post(
                |State(results): State<mpsc::Sender<Played>>, Json(played): Json<Played>| async move {
                    _ = results.send(played).await;
                },
            ),
        )
        .with_state(results);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let profile = tempfile::tempdir().unwrap();
    let mut browser = chromium(&url, profile.path())
        .spawn()
        .expect("chromium: apt-get install chromium");
    let played = tokio::time::timeout(Duration::from_secs(90), result.recv()).await;
    browser.kill().await.unwrap();
    server.abort();
    played
        .expect("chromium played it to its end")
        .expect("the page reported")
}

/// A file, or the part of it that was asked for, as any web server gives it.
async fn serve(file: &Path, headers: &HeaderMap) -> Response {
    let kind = match file.extension().and_then(|extension| extension.to_str()) {
        Some("m3u8") => "application/vnd.apple.mpegurl",
        _ => "video/mp4",
    };
    let Ok(bytes) = tokio::fs::read(file).await else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let asked = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    let Some((start, end)) = asked.and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) else {
        return ([(header::CONTENT_TYPE, kind)], bytes).into_response();
    };
    let start: usize = start.parse().unwrap();
    let end = end
        .parse()
        .map_or(bytes.len(), |last: usize| (last + 1).min(bytes.len()));
    let told = format!("bytes {start}-{}/{}", end - 1, bytes.len());
    let part = bytes[start..end].to_vec();
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_RANGE, told),
    ];
    (StatusCode::PARTIAL_CONTENT, headers, part).into_response()
}

fn chromium(url: &str, profile: &Path) -> Command {
    let mut command = Command::new("chromium");
    command
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ])
        .args(["--autoplay-policy=no-user-gesture-required", "--mute-audio"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(url)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true);
    command
}

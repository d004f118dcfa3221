//! What people are told, and what nobody may learn.

use crate::support::rig::{EVERY_SECOND, Rig};
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::Value;
use simulator::rtsp::StreamFault;
use simulator::scenario::{ChannelSpec, DeviceSpec};
use simulator::{Operation, Scenario};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::sleep;

/// Unlike anything else in a log.
const SECRET: &str = "xyzzy-s3cret-47";

fn one_camera() -> Scenario {
    let camera = DeviceSpec {
        channels: vec![ChannelSpec::new(1)],
        ..DeviceSpec::camera("A", "A")
    };
    let mut scenario = Scenario::with_devices([camera]);
    scenario.gateway.password = SECRET.into();
    scenario
}

type Received = Arc<Mutex<Vec<Value>>>;

/// A webhook that keeps what it is told.
async fn webhook() -> (String, Received) {
    let received = Received::default();
    let keep = |State(received): State<Received>, Json(alert): Json<Value>| async move {
        received.lock().unwrap().push(alert);
    };
    let app = Router::new()
        .route("/hook", post(keep))
        .with_state(received.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, received)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_hears_from_the_poll_and_from_the_recorders_and_no_secret_leaves_them() {
    let (url, received) = webhook().await;
    let flags = [&EVERY_SECOND[..], &["--alert-webhook", &url]].concat();
    let mut rig = Rig::start(one_camera(), &flags, "").await;
    rig.wait_until_recording(&["A"]).await;
    let recorder = rig.recorder_pid("A").await;
    let argv = std::fs::read(format!("/proc/{recorder}/cmdline")).unwrap();
    assert!(!contains(&argv, SECRET), "argv");
    let heard = |subject: &str, severity: &str| {
        let received = received.lock().unwrap();
        received.iter().any(|alert| {
            alert["severity"] == severity && alert["subject"].as_str().unwrap().contains(subject)
        })
    };
    let patience = Duration::from_secs(40);

    rig.apply(Operation::StreamFault {
        device: "A".into(),
        channel: None,
        fault: Some(StreamFault::Drop),
    });
    rig.apply(Operation::StreamFault {
        device: "A".into(),
        channel: None,
        fault: Some(StreamFault::Unauthorized),
    });
    rig.wait_until("the recorder's alert", patience, async || {
        heard("gateway", "critical")
    })
    .await;
    rig.apply(Operation::SetPassword {
        password: "another".into(),
    });
    rig.wait_until("the poll's alert", patience, async || heard("poll", "critical"))
        .await;
    sleep(Duration::from_secs(5)).await;
    let polls = received
        .lock()
        .unwrap()
        .iter()
        .filter(|alert| alert["subject"] == "poll")
        .count();
    assert_eq!(polls, 1, "told once: {received:?}");

    rig.stop().await;
    assert!(!rig.logs().contains(SECRET), "logs");
    assert!(!format!("{received:?}").contains(SECRET), "alerts");
    search(&rig.data());
}

fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle.as_bytes())
}

/// No file of the data folder holds the secret: tables, journals, spool, archive, logs.
fn search(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            search(&path);
        } else {
            assert!(
                !contains(&std::fs::read(&path).unwrap(), SECRET),
                "{}",
                path.display()
            );
        }
    }
}

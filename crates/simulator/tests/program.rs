//! The program `millrace-simulator` as a person or a script meets it.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use serde_json::{Value, json};
use simulator::Scenario;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Ends the program when a test ends, however it ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_millrace-simulator"))
}

fn scenarios() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

/// Starts the program and reads what it announces.
fn start(arguments: &[&str]) -> (Running, BTreeMap<String, String>) {
    announced(program().args(arguments))
}

fn announced(program: &mut Command) -> (Running, BTreeMap<String, String>) {
    let mut child = program.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let running = Running(child);
    let mut announced = BTreeMap::new();
    while !announced.contains_key("user") {
        let line = lines.next().expect("more lines").unwrap();
        let (name, value) = line.split_once(' ').unwrap();
        announced.insert(name.to_owned(), value.trim().to_owned());
    }
    (running, announced)
}

#[test]
fn every_example_scenario_is_valid() {
    let files: Vec<_> = std::fs::read_dir(scenarios())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        Scenario::load(&file).unwrap_or_else(|error| panic!("{error:#}"));
    }
}

#[test]
fn a_scenario_survives_being_written_and_read() {
    let demo = Scenario::load(&scenarios().join("demo.toml")).unwrap();
    let again: Scenario = toml::to_string(&demo).unwrap().parse().unwrap();
    assert_eq!(demo, again);
}

#[test]
fn a_misspelt_or_impossible_scenario_is_refused_with_its_name() {
    for (text, complaint) in [
        ("[gateway]\nreboot-secs = 1", "reboot-secs"),
        ("[gateway]\nreboot-seconds = -1", "reboot-seconds"),
        ("[gateway]\ncontrol-listen = \"0.0.0.0:80\"", "loopback"),
        ("[[devices]]\nindex = \"a b\"\nname = \"\"", "`a b`"),
        ("[generated]\ndevices = 4000000000", "devices"),
        (
            "[[timeline]]\nat-seconds = 1\noperation = { op = \"explode\" }",
            "explode",
        ),
        (
            "[[timeline]]\nat-seconds = -1\noperation = { op = \"reboot\" }",
            "-1",
        ),
    ] {
        let error = text.parse::<Scenario>().unwrap_err();
        assert!(format!("{error:#}").contains(complaint), "{complaint}: {error:#}");
    }
}

#[test]
fn it_announces_where_everything_is_and_not_the_password() {
    let file = scenarios().join("thousand.toml");
    let (_running, announced) = start(&["--scenario", file.to_str().unwrap()]);
    let names: Vec<&str> = announced.keys().map(String::as_str).collect();
    assert_eq!(names, ["api", "control", "rtsp", "user"]);
    assert!(announced.values().all(|value| !value.contains("Millrace-2020")));
    let api = announced["api"].strip_prefix("http://").unwrap();
    TcpStream::connect(api).expect("the API listens");
    let control = announced["control"].strip_prefix("http://").unwrap();
    TcpStream::connect(control).expect("the control endpoint listens");
}

#[test]
fn its_help_says_how_to_use_it() {
    let output = program().arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    for word in ["--scenario", "--api-only", "gateway.password", "control"] {
        assert!(help.contains(word), "{word} is missing from {help}");
    }
}

#[test]
fn a_scenario_that_does_not_exist_is_an_error_with_its_path() {
    let output = program().args(["--scenario", "/nowhere.toml"]).output().unwrap();
    assert!(!output.status.success());
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("/nowhere.toml")
    );
}

#[test]
fn it_ends_in_peace_when_told_to() {
    let (mut running, announced) = start(&["--api-only", "--devices", "2"]);
    let id = running.0.id().to_string();
    let told = Command::new("kill").args(["-TERM", &id]).status().unwrap();
    assert!(told.success());
    assert!(running.0.wait().unwrap().success());
    let api = announced["api"].strip_prefix("http://").unwrap();
    assert!(TcpStream::connect(api).is_err(), "nothing listens any more");
}

#[test]
fn without_ffmpeg_it_does_not_start_and_says_what_to_install() {
    let output = program().env("PATH", "/nowhere").output().unwrap();
    assert!(!output.status.success());
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains("apt-get install ffmpeg"), "{complaint}");
}

#[tokio::test]
async fn a_stream_that_cannot_be_encoded_is_reported_until_its_device_is_gone() {
    let (_running, announced) = announced(program().args(["--devices", "0"]).env("PATH", "/nowhere"));
    rustls::crypto::ring::default_provider().install_default().ok();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let control = &announced["control"];
    let apply = async |operation: Value| {
        let sent = http.post(format!("{control}/control")).json(&operation).send();
        assert!(sent.await.unwrap().status().is_success());
        let state = http.get(format!("{control}/state")).send().await.unwrap();
        state.json::<Value>().await.unwrap()["stream-errors"].clone()
    };
    let device = json!({"index": "NVR", "name": "nvr", "channels": [{"id": 1}]});
    let errors = apply(json!({"op": "add-device", "device": device})).await;
    let error = errors["/dac/realplay/NVR1/MAIN/TCP"].as_str().unwrap();
    assert!(error.contains("ffmpeg"), "{error}");
    let errors = apply(json!({"op": "remove-device", "device": "NVR"})).await;
    assert_eq!(errors, json!({}));
}

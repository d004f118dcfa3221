//! A running `millrace` in a folder of its own.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use simulator::{Operation, Scenario, Simulator};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// The program under test.
const MILLRACE: &str = env!("CARGO_BIN_EXE_millrace");

/// Flags for a millrace that polls and pulls every two seconds, and dispatches every second.
pub(crate) const EVERY_TWO_SECONDS: [&str; 6] = flags("2s");
/// The same with every loop every second.
pub(crate) const EVERY_SECOND: [&str; 6] = flags("1s");

const fn flags(look: &'static str) -> [&'static str; 6] {
    [
        "--poll-interval",
        look,
        "--dispatch-interval",
        "1s",
        "--pull-interval",
        look,
    ]
}

/// A simulated gateway and a millrace that records it.
pub(crate) struct Rig {
    pub(crate) simulator: Simulator,
    folder: TempDir,
    millrace: Option<Child>,
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
}

impl Rig {
    /// Starts both. `arguments` are further flags of `millrace run`; `config` is its configuration file.
    pub(crate) async fn start(scenario: Scenario, arguments: &[&str], config: &str) -> Self {
        Self::start_in(scenario, arguments, config, Vec::new()).await
    }

    /// Likewise, with further environment variables for every command.
    pub(crate) async fn start_in(
        scenario: Scenario,
        arguments: &[&str],
        config: &str,
        environment: Vec<(&'static str, String)>,
    ) -> Self {
        let simulator = Simulator::start(scenario).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("millrace.toml"), config).unwrap();
        let mut rig = Self {
            simulator,
            folder,
            millrace: None,
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            environment,
        };
        rig.run();
        rig
    }

    /// Further flags for `millrace run` from its next start on.
    pub(crate) fn add_flags(&mut self, flags: &[&str]) {
        self.arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
    }

    /// Starts `millrace run`.
    pub(crate) fn run(&mut self) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("run.log"))
            .unwrap();
        let millrace = self
            .command("run")
            .args(&self.arguments)
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        self.millrace = Some(millrace);
    }

    /// A `millrace` command on this rig's folder.
    pub(crate) fn command(&self, command: &str) -> Command {
        let mut millrace = Command::new(MILLRACE);
        millrace
            .arg(command)
            .current_dir(self.folder.path())
            .env("MILLRACE_DATA", self.data())
            .env("TZ", noon())
            .env("MILLRACE_GATEWAY_URL", self.simulator.api_url())
            .env("MILLRACE_GATEWAY_USERNAME", self.simulator.username())
            .env("MILLRACE_GATEWAY_PASSWORD", self.simulator.password())
            .envs(self.environment.iter().map(|(name, value)| (*name, value)));
        millrace
    }

    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The archive.
    pub(crate) fn archive(&self) -> PathBuf {
        self.data().join("archive")
    }

    /// Does something to the gateway.
    pub(crate) fn apply(&self, operation: Operation) {
        self.simulator.control().apply(operation).unwrap();
    }

    /// The channels that `millrace status --json` shows; none while there are no tables yet.
    pub(crate) async fn status(&self) -> Vec<Value> {
        let output = self.command("status").arg("--json").output().await.unwrap();
        let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        status["channels"].as_array().cloned().unwrap_or_default()
    }

    /// The channel of a device in the status.
    pub(crate) async fn channel(&self, device: &str) -> Option<Value> {
        self.status()
            .await
            .into_iter()
            .find(|channel| channel["key"]["device"] == device)
    }

    /// Waits until every one of the devices is being recorded.
    pub(crate) async fn wait_until_recording(&self, devices: &[&str]) {
        let recording = async || {
            let status = self.status().await;
            devices.iter().all(|device| {
                status.iter().any(|channel| {
                    channel["key"]["device"] == *device && channel["standing"]["is"] == "recording"
                })
            })
        };
        self.wait_until("all channels are recorded", Duration::from_secs(20), recording)
            .await;
    }

    /// Waits until something is so; says what was not, with the log, when it takes too long.
    pub(crate) async fn wait_until(&self, what: &str, patience: Duration, so: impl AsyncFn() -> bool) {
        let deadline = Instant::now() + patience;
        while !so().await {
            if Instant::now() >= deadline {
                let status = self.command("status").output().await.unwrap();
                let status =
                    [status.stdout, status.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
                panic!(
                    "waited {patience:?} in vain until {what}\n{}\n{}",
                    status.concat(),
                    self.logs()
                );
            }
            sleep(Duration::from_millis(250)).await;
        }
    }

    /// The process of the task that records a device.
    pub(crate) async fn recorder_pid(&self, device: &str) -> i32 {
        let channel = self.channel(device).await.unwrap();
        let task = channel["task"].as_str().unwrap();
        let record = std::fs::read_to_string(self.data().join("tasks").join(task)).unwrap();
        let record: Value = serde_json::from_str(&record).unwrap();
        i32::try_from(record["pid"].as_i64().unwrap()).unwrap()
    }

    /// Kills `millrace run` itself as `kill -9` does.
    pub(crate) async fn kill_millrace(&mut self) {
        self.millrace.take().unwrap().kill().await.unwrap();
    }

    /// Ends `millrace run` as SIGTERM does, and waits for it.
    pub(crate) async fn stop(&mut self) -> Timestamp {
        let mut millrace = self.millrace.take().unwrap();
        let stopped_at = Timestamp::now();
        let pid = i32::try_from(millrace.id().unwrap()).unwrap();
        signal(pid, rustix::process::Signal::TERM);
        let ended = tokio::time::timeout(Duration::from_secs(90), millrace.wait()).await;
        assert!(
            ended.expect("millrace drains in time").unwrap().success(),
            "{}",
            self.logs()
        );
        stopped_at
    }

    /// Everything the programs of this rig wrote into logs.
    pub(crate) fn logs(&self) -> String {
        let mut text = read(&self.folder.path().join("run.log"));
        for entry in std::fs::read_dir(self.data().join("logs"))
            .into_iter()
            .flatten()
            .flatten()
        {
            text.push_str(&format!(
                "--- {}\n{}",
                entry.file_name().display(),
                read(&entry.path())
            ));
        }
        text
    }
}

/// A failed test leaves no recorder behind: they outlive `millrace run` by design.
impl Drop for Rig {
    fn drop(&mut self) {
        for entry in std::fs::read_dir(self.data().join("tasks"))
            .into_iter()
            .flatten()
            .flatten()
        {
            // A file whose lock is free belongs to a recorder that has ended, and its number perhaps to another.
            if std::fs::File::open(entry.path()).is_ok_and(|task| task.try_lock().is_ok()) {
                continue;
            }
            let record: Value = serde_json::from_str(&read(&entry.path())).unwrap_or_default();
            let pid = record["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
            if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
                // It may have ended meanwhile.
                _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

/// A time zone in which it is noon: what a test records today is not half yesterday's.
pub(crate) fn noon() -> String {
    let hour = Timestamp::now().to_zoned(TimeZone::UTC).hour();
    format!("<NOON>{:+}", hour - 12)
}

/// Sends a signal to a process this test started.
pub(crate) fn signal(pid: i32, signal: rustix::process::Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// The children of a process that run a program.
pub(crate) fn children(parent: i32, program: &str) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else {
            continue;
        };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // proc(5): pid (comm) state ppid …
        let Some((name, rest)) = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(") ")) else {
            continue;
        };
        if name == program && rest.split(' ').nth(1) == Some(parent.to_string().as_str()) {
            found.push(pid);
        }
    }
    found
}

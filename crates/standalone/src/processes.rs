//! Recorders as child processes.
//!
//! A task is a child and a file `{tasks}/{task}`: the child's standard input. The file is locked before the child
//! starts and the lock lives as long as the child does, whatever becomes of `millrace run`; who finds the lock free
//! knows that the task has ended. The file's content says which process to signal.

use crate::alerts::WEBHOOK_ENV;
use crate::config::{Config, Gateway, PASSWORD_ENV};
use crate::log::LOG_ENV;
use anyhow::Context;
use domain::ports::{PortError, Tasks};
use domain::{Launch, LiveTask, TaskArn, TaskKind};
use jiff::Timestamp;
use recorder::RECORDINGS;
use rustix::process::{Pid, Signal, kill_process};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::Notify;
use url::Url;

/// The host of recorders on one machine. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Processes {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    program: PathBuf,
    tasks: PathBuf,
    logs: PathBuf,
    arguments: Vec<String>,
    build: String,
    gateway: Gateway,
    webhook: Option<Url>,
    log_filter: String,
    ended: Notify,
}

/// Logs of ended recorders are removed so long after their last line.
const LOG_KEEP: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// What a task's file says.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    pid: i32,
    kind: TaskKind,
    started_at: Timestamp,
    /// What was started: see [`build`].
    #[serde(default)]
    build: String,
}

impl Processes {
    /// Recorders that run `program recorder …` as the configuration says.
    pub(crate) fn new(program: PathBuf, config: &Config, gateway: &Gateway) -> anyhow::Result<Self> {
        let (tasks, logs) = (config.data.join("tasks"), config.data.join("logs"));
        for folder in [&tasks, &logs] {
            std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        sweep(&logs, &tasks).with_context(|| format!("removing old logs from {}", logs.display()))?;
        let arguments = arguments(config, gateway);
        let inner = Inner {
            build: build(&program, &arguments)
                .with_context(|| format!("looking at {}", program.display()))?,
            program,
            tasks,
            logs,
            arguments,
            gateway: gateway.clone(),
            webhook: config.alert_webhook.clone(),
            log_filter: std::env::var(LOG_ENV)
                .unwrap_or_else(|_| format!("info,retina=warn,mp4_atom=error,{RECORDINGS}=warn")),
            ended: Notify::new(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Waits until a child ends.
    pub(crate) async fn ended(&self) {
        self.inner.ended.notified().await;
    }

    /// Asks a recorder to close, upload and exit at once: nobody takes its channels over.
    pub(crate) fn drain(&self, task: &TaskArn) -> Result<(), PortError> {
        tracing::info!(%task, "draining recorder");
        self.inner.signal(task, Signal::INT, "draining a recorder")
    }

    /// Kills a task that did not stop when asked to.
    pub(crate) fn kill(&self, task: &TaskArn) -> Result<(), PortError> {
        self.inner.signal(task, Signal::KILL, "killing a recorder")
    }
}

fn arguments(config: &Config, gateway: &Gateway) -> Vec<String> {
    let recorder = &config.recorder;
    let pairs = [
        ("--state", format!("sqlite:{}", config.state_file().display())),
        ("--archive", config.archive.to_string()),
        ("--spool", config.spool().display().to_string()),
        ("--spool-max", recorder.spool_max.to_string()),
        ("--pull-interval", recorder.pull_interval.to_string()),
        ("--orphan-grace", recorder.orphan_grace.to_string()),
        ("--hand-over-within", recorder.hand_over_within.to_string()),
        ("--stop-deadline", recorder.stop_deadline.to_string()),
        ("--gateway-username", gateway.username.clone()),
    ];
    pairs
        .into_iter()
        .flat_map(|(flag, value)| [flag.to_owned(), value])
        .collect()
}

/// Names what a start starts: the program, as its file was changed last, and its options. Recorders of another
/// build are outdated.
fn build(program: &Path, arguments: &[String]) -> std::io::Result<String> {
    let file = std::fs::metadata(program)?;
    let changed = Timestamp::try_from(file.modified()?).unwrap_or(Timestamp::MIN);
    let mut hash = Sha256::new();
    hash.update(format!("{}\n{changed}\n{}", program.display(), file.len()));
    for argument in arguments {
        hash.update(format!("\n{argument}"));
    }
    let digest = hash.finalize();
    let (first, _) = digest.split_first_chunk().expect("a digest has 32 bytes");
    Ok(format!("{:016x}", u64::from_be_bytes(*first)))
}

fn sweep(logs: &Path, tasks: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(logs)? {
        let entry = entry?;
        let silent_for = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
        let ended = entry
            .path()
            .file_stem()
            .is_none_or(|task| !tasks.join(task).exists());
        if ended && silent_for > LOG_KEEP {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

impl Tasks for Processes {
    async fn list_tasks(&self) -> Result<Vec<LiveTask>, PortError> {
        let doing = "listing recorder processes";
        let entries =
            std::fs::read_dir(&self.inner.tasks).map_err(|error| PortError::unknown(doing, error))?;
        let mut live = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| PortError::unknown(doing, error))?.path();
            let found =
                examine(&path, &self.inner.build).map_err(|error| PortError::unknown(doing, error))?;
            live.extend(found);
        }
        live.sort_by(|a, b| a.arn.cmp(&b.arn));
        Ok(live)
    }

    async fn start_task(&self, launch: &Launch) -> Result<TaskArn, PortError> {
        let arn = TaskArn::new(format!("local-{}", launch.token));
        let doing = || format!("starting {arn}");
        let path = self.inner.tasks.join(arn.as_str());
        let mut file = open(&path).map_err(|error| PortError::unknown(doing(), error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(arn),
            Err(TryLockError::Error(error)) => return Err(PortError::unknown(doing(), error)),
        }
        let mut child = self
            .inner
            .command(&arn, &file)
            .map_err(|error| PortError::unknown(doing(), error))?;
        let mut child = child
            .spawn()
            .map_err(|error| PortError::refused(doing(), error))?;
        let pid = child
            .id()
            .and_then(|pid| i32::try_from(pid).ok())
            .unwrap_or_default();
        let record = Record {
            pid,
            kind: launch.kind,
            started_at: Timestamp::now(),
            build: self.inner.build.clone(),
        };
        write(&mut file, &record).map_err(|error| PortError::unknown(doing(), error))?;
        let inner = Arc::clone(&self.inner);
        let task = arn.clone();
        tokio::spawn(async move {
            match child.wait().await {
                Ok(status) if status.success() => tracing::info!(%task, "recorder ended"),
                Ok(status) => tracing::warn!(%task, %status, "recorder died"),
                Err(error) => tracing::error!(%task, %error, "waiting for a recorder failed"),
            }
            inner.ended.notify_one();
        });
        Ok(arn)
    }

    async fn stop_task(&self, task: &TaskArn, reason: &str) -> Result<(), PortError> {
        tracing::info!(%task, reason, "stopping recorder");
        self.inner.signal(task, Signal::TERM, "stopping a recorder")
    }
}

impl Inner {
    fn command(&self, task: &TaskArn, lock: &File) -> std::io::Result<Command> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.logs.join(format!("{task}.log")))?;
        let mut command = Command::new(&self.program);
        command
            .arg("recorder")
            .args(["--task-arn", task.as_str()])
            .args(&self.arguments)
            .env(PASSWORD_ENV, self.gateway.password.expose_secret())
            .env(LOG_ENV, &self.log_filter)
            .envs(self.webhook.as_ref().map(|url| (WEBHOOK_ENV, url.as_str())))
            .stdin(Stdio::from(lock.try_clone()?))
            .stdout(Stdio::null())
            .stderr(Stdio::from(log))
            // Ctrl-C on a terminal reaches its whole process group; recorders are drained one by one instead.
            .process_group(0);
        Ok(command)
    }

    fn signal(&self, task: &TaskArn, signal: Signal, doing: &str) -> Result<(), PortError> {
        let path = self.tasks.join(task.as_str());
        if !path.exists()
            || examine(&path, &self.build)
                .map_err(|error| PortError::unknown(doing, error))?
                .is_none()
        {
            return Ok(());
        }
        let record = read(&path).map_err(|error| PortError::unknown(doing, error))?;
        let pid = record.and_then(|record| Pid::from_raw(record.pid));
        let pid = pid.ok_or_else(|| PortError::unknown(doing, "its process id is not known"))?;
        match kill_process(pid, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(PortError::unknown(doing, error)),
        }
    }
}

/// The task of a file, if it lives; the file of one that has ended is removed. What `build` did not start is outdated.
fn examine(path: &Path, build: &str) -> std::io::Result<Option<LiveTask>> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return Ok(None);
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        Ok(()) => {
            std::fs::remove_file(path)?;
            return Ok(None);
        }
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let (kind, started_at, outdated) = match read(path)? {
        Some(record) => (record.kind, record.started_at, record.build != build),
        // Its starter was killed between the start and the record.
        None => (
            TaskKind::Transform,
            Timestamp::try_from(file.metadata()?.modified()?).unwrap_or(Timestamp::MIN),
            false,
        ),
    };
    Ok(Some(LiveTask {
        arn: TaskArn::new(name),
        started_at,
        kind,
        // It tells by its heartbeats.
        stopping: false,
        outdated,
    }))
}

fn open(path: &Path) -> std::io::Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
}

fn write(file: &mut File, record: &Record) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&serde_json::to_vec(record)?)?;
    file.sync_data()
}

fn read(path: &Path) -> std::io::Result<Option<Record>> {
    let mut text = String::new();
    File::open(path)?.take(4096).read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text).ok())
}

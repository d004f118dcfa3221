//! Programs that live as long as the harness: scripts that end, with all they started, when their input does.

use anyhow::{Context, ensure};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a script may take to put everything away. An engine gives its containers five seconds.
const END_TIMEOUT: Duration = Duration::from_secs(30);

/// A running script. It ends when this is dropped, and also when the harness dies: its input closes either way.
#[derive(Debug)]
pub(crate) struct Script {
    input: Option<ChildStdin>,
    child: Child,
}

impl Script {
    /// Starts it with its messages, and its output if `first_line` is not asked for, in `log`.
    pub(crate) fn start(mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let log = File::create(log).with_context(|| format!("creating {}", log.display()))?;
        let both = log.try_clone().context("sharing a log")?;
        command.stdin(Stdio::piped()).stdout(log).stderr(both);
        Self::spawn(&mut command)
    }

    /// The same, but waits for its first line of output.
    pub(crate) fn start_for_line(mut command: Command, log: &Path) -> anyhow::Result<(Self, String)> {
        let log_file = File::create(log).with_context(|| format!("creating {}", log.display()))?;
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log_file);
        let mut script = Self::spawn(&mut command)?;
        let mut line = String::new();
        if let Some(output) = script.child.stdout.take() {
            BufReader::new(output)
                .read_line(&mut line)
                .context("reading its first line")?;
        }
        ensure!(
            !line.trim().is_empty(),
            "{command:?} ended early; see {}",
            log.display()
        );
        Ok((script, line.trim().to_owned()))
    }

    fn spawn(command: &mut Command) -> anyhow::Result<Self> {
        let mut child = command.spawn().with_context(|| format!("starting {command:?}"))?;
        let input = child.stdin.take();
        Ok(Self { input, child })
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        drop(self.input.take());
        let deadline = Instant::now() + END_TIMEOUT;
        while self.runs() && Instant::now() < deadline {
            sleep(Duration::from_millis(100));
        }
        // Whatever of it is left has had its time. Both fail only when it is gone already.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// Runs a command to its end, its output in `log`.
///
/// # Errors
/// When it fails, with the end of that log.
pub(crate) async fn run(command: Command, log: &Path) -> anyhow::Result<()> {
    let file = File::create(log).with_context(|| format!("creating {}", log.display()))?;
    let both = file.try_clone().context("sharing a log")?;
    let mut command = tokio::process::Command::from(command);
    command
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(both)
        .kill_on_drop(true);
    let status = command
        .status()
        .await
        .with_context(|| format!("starting {command:?}"))?;
    if !status.success() {
        let said = std::fs::read_to_string(log).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        let end = lines[lines.len().saturating_sub(30)..].join("\n");
        anyhow::bail!("{command:?} failed ({status}):\n{end}");
    }
    Ok(())
}

/// What a command prints.
///
/// # Errors
/// When it fails, with what it said.
pub(crate) async fn output(command: Command) -> anyhow::Result<String> {
    let mut command = tokio::process::Command::from(command);
    let done = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
    let done = done.with_context(|| format!("starting {command:?}"))?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{command:?} failed: {said}");
    Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
}

//! Runs ffmpeg as a filter: bytes in, bytes out, and its log.

use anyhow::{Context, bail};
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::process::{ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;

/// More log than this is not kept: room for the line per frame `frames` asks for, over hours of video.
const LOG_MAX: u64 = 64 << 20;

/// What a successful run left.
pub(crate) struct Finished<T> {
    /// What `read` made of the standard output.
    pub(crate) output: T,
    /// The standard error.
    pub(crate) log: String,
}

/// Runs ffmpeg, feeding it and reading from it at the same time. Blocks.
///
/// # Errors
/// When ffmpeg is not installed, fails (its log is in the message), or `read` fails.
pub(crate) fn run<T>(
    args: &[impl AsRef<OsStr>],
    feed: impl FnOnce(ChildStdin) -> io::Result<()> + Send,
    read: impl FnOnce(&mut ChildStdout) -> anyhow::Result<T>,
) -> anyhow::Result<Finished<T>> {
    let mut child = Command::new("ffmpeg")
        .args(["-hide_banner", "-nostats"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(explain_spawn)?;
    let stdin = child.stdin.take().expect("it was asked to be piped");
    let mut stdout = child.stdout.take().expect("it was asked to be piped");
    let stderr = child.stderr.take().expect("it was asked to be piped");
    let (fed, read, log) = thread::scope(|scope| {
        let feeder = scope.spawn(|| feed(stdin));
        let logger = scope.spawn(|| read_log(stderr));
        let read = read(&mut stdout);
        // A reader that gave up early must not leave ffmpeg blocked on a full pipe.
        drop(stdout);
        let fed = feeder.join().expect("feeding returns errors, it does not panic");
        let log = logger
            .join()
            .expect("reading the log returns errors, it does not panic");
        (fed, read, log)
    });
    let status = child.wait().context("waiting for ffmpeg")?;
    let output = read?;
    let log = log.context("reading ffmpeg's log")?;
    check(status, &log)?;
    fed.context("feeding ffmpeg")?;
    Ok(Finished { output, log })
}

/// Feeds nothing: the input is a file.
pub(crate) fn nothing(stdin: ChildStdin) -> io::Result<()> {
    drop(stdin);
    Ok(())
}

/// Feeds all of `bytes`.
pub(crate) fn all_of(bytes: &[u8]) -> impl FnOnce(ChildStdin) -> io::Result<()> + Send {
    move |mut stdin| stdin.write_all(bytes)
}

fn read_log(stderr: ChildStderr) -> io::Result<String> {
    let mut log = Vec::new();
    let mut stderr = stderr.take(LOG_MAX);
    stderr.read_to_end(&mut log)?;
    io::copy(&mut stderr.into_inner(), &mut io::sink())?;
    Ok(String::from_utf8_lossy(&log).into_owned())
}

fn explain_spawn(error: io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::NotFound => {
            anyhow::anyhow!("ffmpeg is not installed: `apt-get install ffmpeg` installs it")
        }
        _ => anyhow::Error::new(error).context("starting ffmpeg"),
    }
}

fn check(status: ExitStatus, log: &str) -> anyhow::Result<()> {
    if status.success() {
        return Ok(());
    }
    /// Characters of the log that go into an error.
    const TAIL: usize = 600;
    let tail: String = {
        let skip = log.chars().count().saturating_sub(TAIL);
        log.chars().skip(skip).collect()
    };
    bail!("ffmpeg failed ({status}): {}", tail.trim())
}

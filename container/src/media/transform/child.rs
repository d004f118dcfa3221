//! One ffmpeg process: fragments in on its standard input, samples out from its standard output.
//!
//! The one idea: three small tasks own the three pipes, so neither side ever waits for the other, and all of
//! them end when the child does. Dropping the handle kills the child.

use crate::media::demux::{Demuxer, Item};
use bytes::Bytes;
use std::process::{ExitStatus, Stdio};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// Fragments on their way into the child: one each, so a third of a second at 25 a second.
const FEED_MAX: usize = 8;
/// Samples on their way out.
const OUTPUT_MAX: usize = 32;
/// Bytes read at once: a pipe's capacity (pipe(7)).
const READ_BYTES: usize = 64 * 1024;
/// What is kept of the child's messages: some lines.
const MESSAGES_BYTES_MAX: usize = 1_000;

/// Why a transform ended.
#[derive(Debug, thiserror::Error)]
pub enum TransformError {
    /// The program could not be started; as a rule it is not installed.
    #[error("while starting {program}; is it installed?")]
    Start {
        /// Which program.
        program: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The child ended by itself or was killed.
    #[error("ffmpeg ended ({status}){messages}")]
    Ended {
        /// Exit code or signal.
        status: String,
        /// The last lines it wrote, after a colon.
        messages: String,
    },
    /// The child lives and does nothing.
    #[error("ffmpeg put out nothing for {seconds} s")]
    Stuck {
        /// How long it was waited for.
        seconds: u64,
    },
    /// What the child put out is not what was asked for.
    #[error("while reading ffmpeg's output")]
    Output(#[source] crate::media::demux::DemuxError),
    /// Frames cannot be written for the child.
    #[error("while writing for ffmpeg")]
    Feed(#[from] crate::media::mux::MuxError),
}

/// Takes fragments for a child.
pub(crate) type Feed = mpsc::Sender<Vec<Bytes>>;
/// What comes out of a child; ends after a clean end, and after an error.
pub(crate) type Outputs = mpsc::Receiver<Result<Item, TransformError>>;

/// A running child.
#[derive(Debug)]
pub(crate) struct Running {
    feed: Option<Feed>,
    output: Outputs,
    _tasks: [AbortOnDropHandle<()>; 2],
}

impl Running {
    /// Starts the child.
    pub(crate) fn start(program: &str, args: &[String]) -> Result<Self, TransformError> {
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| TransformError::Start {
                program: program.to_owned(),
                source,
            })?;
        let stdin = child.stdin.take().expect("standard input is piped");
        let stdout = child.stdout.take().expect("standard output is piped");
        let stderr = child.stderr.take().expect("standard error is piped");
        let (feed, fragments) = mpsc::channel(FEED_MAX);
        let (items, output) = mpsc::channel(OUTPUT_MAX);
        let writer = tokio::spawn(write(stdin, fragments));
        let reader = tokio::spawn(async move {
            let end = read(child, stdout, stderr, &items).await;
            if let Err(error) = end {
                // The receiver is gone only when nobody wants to know.
                let _ = items.send(Err(error)).await;
            }
        });
        Ok(Self {
            feed: Some(feed),
            output,
            _tasks: [AbortOnDropHandle::new(writer), AbortOnDropHandle::new(reader)],
        })
    }

    /// Its input, `None` when that was closed, and its output.
    pub(crate) fn ends(&mut self) -> (Option<&Feed>, &mut Outputs) {
        (self.feed.as_ref(), &mut self.output)
    }

    /// No more input: it puts out what it holds and ends.
    pub(crate) fn close_input(&mut self) {
        self.feed = None;
    }
}

async fn write(mut stdin: ChildStdin, mut fragments: mpsc::Receiver<Vec<Bytes>>) {
    while let Some(chunks) = fragments.recv().await {
        for chunk in chunks {
            // A closed pipe means that the child has ended; the reader says why.
            if stdin.write_all(&chunk).await.is_err() {
                return;
            }
        }
    }
}

/// Reads until the child ends. An end that was not asked for is an error.
async fn read(
    mut child: Child,
    mut stdout: ChildStdout,
    stderr: ChildStderr,
    items: &mpsc::Sender<Result<Item, TransformError>>,
) -> Result<(), TransformError> {
    let messages = tokio::spawn(last_messages(stderr));
    let mut demuxer = Demuxer::default();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = stdout.read(&mut buffer).await.unwrap_or(0);
        if read == 0 {
            break;
        }
        demuxer.push(&buffer[..read]).map_err(TransformError::Output)?;
        while let Some(item) = demuxer.take() {
            if items.send(Ok(item)).await.is_err() {
                return Ok(());
            }
        }
    }
    let status = child.wait().await;
    if status.as_ref().is_ok_and(ExitStatus::success) {
        return Ok(());
    }
    let messages = messages.await.unwrap_or_default();
    Err(TransformError::Ended {
        status: status.map_or_else(|error| error.to_string(), |status| status.to_string()),
        messages: if messages.is_empty() {
            String::new()
        } else {
            format!(": {messages}")
        },
    })
}

/// The last [`MESSAGES_BYTES_MAX`] of what the child said, in one line.
async fn last_messages(mut stderr: ChildStderr) -> String {
    let mut tail = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
        tail.extend_from_slice(&buffer[..read]);
        tail.drain(..tail.len().saturating_sub(MESSAGES_BYTES_MAX));
    }
    let text = String::from_utf8_lossy(&tail);
    text.trim().replace('\n', " | ")
}

//! What it takes to look after a month of many channels: calls, seconds and memory, for a quarter, a half and all of them.
//!
//! `cargo run -p aws --features dynamodb,harness,s3 --example month -- 50 30 600`: channels, days and the
//! length of a segment in seconds. It fills emulated S3 (`scripts/ministack.sh install`) with channels × days × 86,400 /
//! length objects first.

#[path = "../tests/archive/month.rs"]
mod month;

use month::{Month, RETENTION_DAYS, Size};
use std::io::Write;
use std::time::Instant;

type Outcome = Result<(), Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u32>());
    let mut next = |default| arguments.next().unwrap_or(Ok(default));
    let (channels, days, segment_seconds) = (next(50)?, next(30)?, next(600)?);
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{days} days of segments of {segment_seconds} s, retention {RETENTION_DAYS} days"
    )?;
    writeln!(
        out,
        "| channels | objects | what | calls | formula | seconds | peak memory |"
    )?;
    writeln!(out, "| --- | --- | --- | --- | --- | --- | --- |")?;
    for part in [4, 2, 1] {
        let size = Size {
            channels: (channels / part).max(1).into(),
            days: days.into(),
            segment_seconds,
        };
        look(&mut out, size).await?;
    }
    Ok(())
}

async fn look(out: &mut impl Write, size: Size) -> Outcome {
    let begin = Instant::now();
    let month = Month::fill(size).await;
    let filled_seconds = begin.elapsed().as_secs();
    let mut line = |what: &str, begin: Instant, calls: i64, most: i64| {
        let (channels, objects) = (size.channels, size.objects());
        let (seconds, memory) = (begin.elapsed().as_secs_f64(), peak_memory());
        writeln!(
            out,
            "| {channels} | {objects} | {what} | {calls} | ≤ {most} | {seconds:.1} | {memory} |"
        )
    };
    let begin = Instant::now();
    line(
        "coverage of an hour",
        begin,
        month.hour().await,
        size.hour_calls_max(),
    )?;
    let begin = Instant::now();
    line("picture of a day", begin, month.day().await, size.day_calls_max())?;
    month.keep().await;
    let begin = Instant::now();
    let (calls, report) = month.keep().await;
    let what = format!("keep run that deletes {}", report.deleted);
    line(&what, begin, calls, size.keep_calls_max())?;
    let begin = Instant::now();
    let (calls, _) = month.keep().await;
    line(
        "keep run with nothing to delete",
        begin,
        calls,
        size.keep_calls_max(),
    )?;
    writeln!(out, "filling it took {filled_seconds} s")?;
    Ok(())
}

/// Of this process so far (`VmHWM`, proc(5)).
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |size| size.trim().to_owned())
}

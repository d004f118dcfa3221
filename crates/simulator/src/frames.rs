//! Reads recordings back: decodes a file and says which frames of the simulator's video are in it.

use crate::media::{LoopSpec, code, ffmpeg};
use anyhow::{Context, bail, ensure};
use jiff::Timestamp;
use std::io::Read;
use std::path::Path;

/// Size in pixels to which frames are scaled before their code is read: 8 x 4 for each of its blocks.
const WIDTH: usize = 64;
const HEIGHT: usize = 48;

/// One decoded frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadFrame {
    /// The index in its loop that is drawn in the picture; `None` when it is unreadable.
    pub index: Option<u32>,
    /// When it is shown, in milliseconds on the file's own time line.
    pub pts_ms: i64,
}

/// Decodes all video of a file, in the order in which it is shown. What its edit list leaves out is only decoded. Blocks while ffmpeg decodes.
///
/// # Errors
/// When ffmpeg is missing, or the file is unreadable, cut off or damaged in any way ffmpeg notices.
pub fn read(path: &Path) -> anyhow::Result<Vec<ReadFrame>> {
    let path_text = path.to_str().context("the path is not UTF-8")?;
    let finished = ffmpeg::run(&args(path_text), ffmpeg::nothing, read_indexes)
        .with_context(|| format!("decoding {}", path.display()))?;
    let times = read_times(&finished.log).with_context(|| format!("decoding {}", path.display()))?;
    ensure!(
        times.len() == finished.output.len(),
        "{} has {} frames but {} times",
        path.display(),
        finished.output.len(),
        times.len()
    );
    let frames = finished.output.into_iter().zip(times);
    Ok(frames
        .filter_map(|(index, pts_ms)| {
            Some(ReadFrame {
                index,
                pts_ms: pts_ms?,
            })
        })
        .collect())
}

/// The absolute number of the frame with `index` that is on air nearest to `near`, counted from the Unix
/// epoch as [`LoopSpec::on_air`] does. Right as long as `near` is wrong by less than half a loop.
pub fn absolute(index: u32, near: Timestamp, spec: &LoopSpec) -> u64 {
    let frames = u64::from(spec.frames);
    let around = spec.on_air(near);
    let half = frames / 2;
    let from = around.saturating_sub(half);
    from + (u64::from(index) + frames - from % frames) % frames
}

/// One decode, two outputs: the scaled pictures on standard output, and a line with each one's time on
/// standard error (the `framecrc` format), where anything else is a complaint.
fn args(path: &str) -> Vec<&str> {
    let mut args = vec![
        "-v",
        "error",
        "-xerror",
        "-err_detect",
        "explode",
        "-copyts",
        "-i",
        path,
    ];
    args.extend([
        "-filter_complex",
        "[0:v:0]scale=64:48:flags=area,format=gray,split[pictures][times]",
    ]);
    for (map, format, to) in [
        ("[pictures]", "rawvideo", "pipe:1"),
        ("[times]", "framecrc", "pipe:2"),
    ] {
        // Without its time base, ffmpeg would round times to whole frames of a constant rate.
        args.extend(["-map", map, "-c:v", "rawvideo", "-fps_mode", "passthrough"]);
        args.extend(["-enc_time_base", "-1", "-f", format, to]);
    }
    args
}

fn read_indexes(stdout: &mut impl Read) -> anyhow::Result<Vec<Option<u32>>> {
    let mut indexes = Vec::new();
    let mut picture = [0; WIDTH * HEIGHT];
    loop {
        match stdout.read_exact(&mut picture) {
            Ok(()) => indexes.push(code::read(&picture, WIDTH, HEIGHT).map(u32::from)),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(indexes),
            Err(error) => return Err(error).context("reading decoded pictures"),
        }
    }
}

/// Reads the `framecrc` lines: `#tb 0: 1/12800` once, then `stream, dts, pts, duration, size, checksum`. A picture before
/// the file's time line has no time: of a fragmented file, ffmpeg decodes what the edit list leaves out.
fn read_times(log: &str) -> anyhow::Result<Vec<Option<i64>>> {
    let mut time_base = None;
    let mut times = Vec::new();
    for line in log.lines() {
        if let Some(text) = line.strip_prefix("#tb 0: ") {
            time_base = Some(parse_time_base(text).context("an unreadable time base")?);
        } else if let Some(pts) = line.strip_prefix("0,").and_then(|rest| rest.split(',').nth(1)) {
            let pts: i128 = pts.trim().parse().context("an unreadable time")?;
            let (numerator, denominator) = time_base.context("a time before its time base")?;
            let ms = (pts * 1_000 * numerator * 2 + denominator).div_euclid(denominator * 2);
            let ms = i64::try_from(ms).context("a time out of range")?;
            times.push((pts >= 0).then_some(ms));
        } else if !line.starts_with('#') {
            bail!("ffmpeg complains: {line}");
        }
    }
    Ok(times)
}

fn parse_time_base(text: &str) -> Option<(i128, i128)> {
    let (numerator, denominator) = text.split_once('/')?;
    let denominator = denominator.trim().parse().ok().filter(|value| *value > 0)?;
    Some((numerator.parse().ok()?, denominator))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_and_a_rough_time_tell_the_frame() {
        let spec = LoopSpec::default();
        let now: Timestamp = "2026-11-21T09:08:07Z".parse().unwrap();
        let number = spec.on_air(now);
        for seconds_off in [-81, -10, 0, 10, 81] {
            let near = now + jiff::SignedDuration::from_secs(seconds_off);
            assert_eq!(absolute(spec.index_of(number), near, &spec), number);
        }
    }

    #[test]
    fn times_are_milliseconds_whatever_the_time_base() {
        let log =
            "#software: Lavf59\n#tb 0: 1/90000\n0,  0,  0, 1, 3072, 0x1\n0,  3600,  3645, 1, 3072, 0x2\n";
        assert_eq!(read_times(log).unwrap(), [Some(0), Some(41)]);
    }

    #[test]
    fn what_is_before_the_files_time_line_is_not_shown() {
        let log = "#tb 0: 1/90000\n0, -1, -1, 1, 3072, 0x1\n0, 0, 0, 1, 3072, 0x2\n";
        assert_eq!(read_times(log).unwrap(), [None, Some(0)]);
    }

    #[test]
    fn a_complaint_among_the_times_is_an_error() {
        let log = "#tb 0: 1/1000\n0, 0, 0, 1, 3072, 0x1\n[h264 @ 0x55] error while decoding MB 3 4\n";
        let message = read_times(log).unwrap_err().to_string();
        assert_eq!(
            message,
            "ffmpeg complains: [h264 @ 0x55] error while decoding MB 3 4"
        );
        assert!(read_times("0, 0, 0, 1, 3072, 0x1\n").is_err());
        assert!(read_times("#tb 0: 1/0\n").is_err());
    }
}

//! Encodes loops and tones with ffmpeg. Everything here blocks.

use super::picture::Picture;
use super::{Codec, LoopSpec, audio, ffmpeg};
use anyhow::Context;
use bytes::Bytes;
use std::io::{BufWriter, Read, Write};

/// More output than this is not a loop: a minute at the largest bit rate is 150 MB.
const STREAM_MAX: u64 = 1 << 30;

/// Counts changes to what a loop shows or how it is encoded, so that older files in a cache are not used.
pub(super) const GENERATOR: u32 = 1;

/// Encodes a loop as an Annex B stream with delimiters.
///
/// # Errors
/// When the spec is out of bounds, or ffmpeg is missing or fails.
pub(super) fn video(spec: &LoopSpec) -> anyhow::Result<Bytes> {
    spec.validate()?;
    let feed = |stdin: std::process::ChildStdin| {
        let mut stdin = BufWriter::new(stdin);
        let mut picture = Picture::new(spec.width as usize, spec.height as usize);
        for index in 0..spec.frames {
            stdin.write_all(picture.draw(index as u16))?;
        }
        stdin.flush()
    };
    let finished = ffmpeg::run(&video_args(spec), feed, read_all)
        .with_context(|| format!("encoding a loop of {}x{}", spec.width, spec.height))?;
    Ok(finished.output)
}

fn video_args(spec: &LoopSpec) -> Vec<String> {
    let LoopSpec {
        codec,
        width,
        height,
        fps,
        gop_frames: gop,
        bit_rate_kbps: kbps,
        ..
    } = spec;
    let input = format!("-v error -f rawvideo -pix_fmt yuv420p -s {width}x{height} -r {fps} -i pipe:0");
    // Closed groups of pictures of exactly the asked length; delimiters to split at; parameter sets with
    // every key frame, as cameras send them.
    let common =
        format!("keyint={gop}:min-keyint={gop}:scenecut=0:open-gop=0:bframes=0:repeat-headers=1:aud=1");
    let rate = format!("-b:v {kbps}k -maxrate {kbps}k -bufsize {kbps}k");
    let output = match codec {
        Codec::H264 => format!(
            "-c:v libx264 -preset ultrafast -tune zerolatency -forced-idr 1 {rate} -x264-params \
             {common}:sliced-threads=0 -f h264 pipe:1"
        ),
        Codec::H265 => format!(
            "-c:v libx265 -preset ultrafast -tune zerolatency -forced-idr 1 {rate} -x265-params \
             {common}:info=0:log-level=error -f hevc pipe:1"
        ),
    };
    format!("{input} {output}")
        .split(' ')
        .map(str::to_owned)
        .collect()
}

/// Encodes a tone as AAC-LC in ADTS.
///
/// # Errors
/// When ffmpeg is missing or fails.
pub(super) fn aac(samples: &[u8]) -> anyhow::Result<Bytes> {
    let rate = audio::AAC_RATE;
    let args = format!(
        "-v error -f s16le -ar {rate} -ac 1 -i pipe:0 -c:a aac -profile:a aac_low -b:a 32k -f adts pipe:1"
    );
    let args: Vec<&str> = args.split(' ').collect();
    let finished = ffmpeg::run(&args, ffmpeg::all_of(samples), read_all).context("encoding a tone")?;
    Ok(finished.output)
}

fn read_all(stdout: &mut impl Read) -> anyhow::Result<Bytes> {
    let mut stream = Vec::new();
    stdout
        .take(STREAM_MAX)
        .read_to_end(&mut stream)
        .context("reading ffmpeg's output")?;
    Ok(stream.into())
}

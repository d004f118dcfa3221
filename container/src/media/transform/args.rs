//! ffmpeg's arguments. They hold no address and no credential: media goes through pipes.

use crate::media::frame::MediaTime;
use domain::settings::{Transcode, VideoCodec};
use std::num::NonZeroU32;
use std::time::Duration;

/// What a child does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// Encodes pictures anew.
    Pictures(Transcode),
    /// Encodes 16-bit PCM as AAC-LC of the same rate and channels.
    Sound {
        /// Samples a second.
        sample_rate: NonZeroU32,
        /// Channels.
        channels: u16,
    },
    /// Makes one JPEG of every so many seconds.
    Stills(NonZeroU32),
}

/// Ticks a second of encoded pictures: RTP's, so that times survive exactly (RFC 6184 section 8.2.1).
pub(crate) const PICTURE_RATE: NonZeroU32 = NonZeroU32::new(90_000).expect("90,000 is not zero");
/// A child's zero is so many seconds before the session's: encoders put priming before the first sample, and MP4
/// has no time before zero.
pub(super) const HEAD_START_SECONDS: i64 = 10;
/// Key frames are at most this far apart, in seconds, so that segments can be cut.
const KEY_EVERY_SECONDS: u32 = 2;
/// Bits a second and channel of AAC-LC: speech at 8 kHz cannot use more than 48 kbit/s (6,144 bits a frame).
const SOUND_BITS_NARROW: u32 = 32_000;
const SOUND_BITS_WIDE: u32 = 64_000;

/// A child that was given frames and puts out none for so long is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(10);

impl Job {
    /// How long a child may be silent.
    pub(crate) fn patience(&self) -> Duration {
        match self {
            Self::Pictures(_) | Self::Sound { .. } => STUCK_AFTER,
            Self::Stills(every) => STUCK_AFTER + Duration::from_secs(u64::from(every.get()) * 2),
        }
    }

    /// Whether what a dead child was given goes to the next one. A still that is missed is not worth the memory.
    pub(crate) fn loses_nothing(&self) -> bool {
        match self {
            Self::Pictures(_) | Self::Sound { .. } => true,
            Self::Stills(_) => false,
        }
    }

    /// The arguments. Nothing at or before `after` is put out again.
    pub(crate) fn args(&self, after: Option<MediaTime>) -> Vec<String> {
        let output = match self {
            Self::Pictures(transcode) => pictures(transcode, after),
            Self::Sound {
                sample_rate,
                channels,
            } => sound(*sample_rate, *channels),
            Self::Stills(every) => stills(*every),
        };
        // Our header says everything there is to probe; probing longer would hold frames back. One decoder
        // thread: frame threads would hold back one frame each. (`-fflags nobuffer` loses what was probed.)
        let input = "-hide_banner -loglevel warning -nostats -f mp4 -probesize 32 -analyzeduration 0 \
                     -fpsprobesize 0 -threads 1 -copyts -i pipe:0";
        // `frag_discont` keeps the first time, the rest keeps ffmpeg from touching times or holding frames.
        let muxer = "-avoid_negative_ts disabled -use_editlist 0 -flush_packets 1 \
                     -movflags frag_every_frame+empty_moov+default_base_moof+frag_discont -f mp4 pipe:1";
        words(input).chain(output).chain(words(muxer)).collect()
    }
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split_ascii_whitespace().map(str::to_owned)
}

fn pictures(transcode: &Transcode, after: Option<MediaTime>) -> Vec<String> {
    let mut args: Vec<String> = words("-map 0:v:0").collect();
    args.extend(filter(&picture_filters(transcode, after)));
    args.extend(words(match transcode.codec {
        VideoCodec::H264 => "-c:v libx264 -preset veryfast -tune zerolatency",
        VideoCodec::H265 => {
            "-c:v libx265 -preset ultrafast -tune zerolatency -tag:v hvc1 -x265-params log-level=error"
        }
    }));
    if let Some(kbps) = transcode.bit_rate_kbps {
        let buffer = u64::from(kbps.get()) * 2;
        args.extend(words(&format!(
            "-b:v {kbps}k -maxrate {kbps}k -bufsize {buffer}k"
        )));
    }
    args.extend(words(&format!(
        "-pix_fmt yuv420p -bf 0 -threads 2 -forced-idr 1 \
         -force_key_frames expr:if(isnan(prev_forced_t),1,gte(t,prev_forced_t+{KEY_EVERY_SECONDS}))"
    )));
    args.extend(times());
    args
}

fn picture_filters(transcode: &Transcode, after: Option<MediaTime>) -> Vec<String> {
    let mut filters = Vec::new();
    match (transcode.frame_rate, after) {
        (Some(rate), after) => filters.push(first_of_each(rate, after)),
        (None, Some(after)) => filters.push(format!("select=gt(pts\\,{})", after.ticks_at(PICTURE_RATE))),
        (None, None) => {}
    }
    if let Some(size) = transcode.size {
        filters.push(format!("scale={}:{},setsar=1", size.width, size.height));
    }
    filters
}

/// Lets the first picture of each period through, `rate` of them a second. Pictures are left out, never repeated
/// or moved, so every one that is stored has its own exact time.
fn first_of_each(rate: NonZeroU32, after: Option<MediaTime>) -> String {
    let last = after.map_or_else(|| "-1e9".to_owned(), seconds);
    format!(
        "select=gt(floor(t*{rate}+0.5)\\,floor(if(isnan(prev_selected_t)\\,{last}\\,prev_selected_t)*{rate}+0.5))"
    )
}

fn seconds(time: MediaTime) -> String {
    let nanos = time.since_start().as_nanos();
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    format!("{sign}{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
}

fn filter(filters: &[String]) -> Vec<String> {
    if filters.is_empty() {
        return Vec::new();
    }
    vec!["-vf".to_owned(), filters.join(",")]
}

/// Every picture keeps its own time.
fn times() -> Vec<String> {
    let text = format!(
        "-fps_mode passthrough -enc_time_base 1:{PICTURE_RATE} -video_track_timescale {PICTURE_RATE}"
    );
    words(&text).collect()
}

/// `aresample=async=1` fills holes with silence: an encoder only counts samples, and sound after a hole would
/// come too early.
fn sound(sample_rate: NonZeroU32, channels: u16) -> Vec<String> {
    let bits = if sample_rate.get() <= 16_000 {
        SOUND_BITS_NARROW
    } else {
        SOUND_BITS_WIDE
    };
    words(&format!(
        "-map 0:a:0 -af aresample=async=1 -c:a aac -profile:a aac_low -ar {sample_rate} -ac {channels} -b:a {}",
        bits * u32::from(channels.max(1))
    ))
    .collect()
}

/// The first *two* pictures of each period: ffmpeg's muxer holds every packet back until the next one comes, and
/// the next period is too long to wait for. The second of the two is not used.
fn stills(every: NonZeroU32) -> Vec<String> {
    let period = format!("floor((t-{HEAD_START_SECONDS})/{every})+1");
    let select = format!(
        "select=if(gt({period}\\,ld(1))\\,0*st(1\\,{period})+st(2\\,1)\\,if(ld(2)\\,1+st(2\\,0)\\,0))"
    );
    let mut args: Vec<String> = words("-map 0:v:0").collect();
    args.extend(filter(&[select]));
    args.extend(words("-c:v mjpeg -pix_fmt yuvj420p -q:v 4 -threads 1"));
    args.extend(times());
    args
}

//! The file: `ftyp`, one `mdat` that grows with every segment, and `moov` at the end.

use super::source::{Source, SourceSample, SourceTrack};
use super::track::{MOVIE_TIMESCALE, Placed, Track};
use anyhow::{Context, ensure};
use domain::succession::SAME_WITHIN;
use jiff::Timestamp;
use mp4_atom::{Encode, FourCC, Ftyp, Moov, Mvhd};
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};

/// Where one recorder took over from another their clocks may make two segments overlap, and everywhere their names' rounding
/// may: by no more than this, and no frame is there twice.
const SEAM_NS: i128 = SAME_WITHIN.as_nanos();

/// A clip that is being written.
#[derive(Debug)]
pub(crate) struct Clip {
    out: File,
    at: u64,
    mdat_at: u64,
    from: Timestamp,
    length_ns: i128,
    video: Option<Track>,
    audio: Option<Track>,
}

impl Clip {
    /// Begins a clip of `[from, to)` in an empty file.
    pub(crate) fn begin(mut out: File, from: Timestamp, to: Timestamp) -> anyhow::Result<Self> {
        let mut head = Vec::new();
        Ftyp {
            major_brand: FourCC::new(b"isom"),
            minor_version: 0x200,
            compatible_brands: [b"isom", b"iso2", b"mp41"].map(FourCC::new).to_vec(),
        }
        .encode(&mut head)
        .context("writing `ftyp`")?;
        let mdat_at = head.len() as u64;
        // A size of 1 says that 64 bits of it follow (ISO/IEC 14496-12 section 4.2.2).
        head.extend_from_slice(b"\0\0\0\x01mdat\0\0\0\0\0\0\0\0");
        out.write_all(&head).context("writing the clip")?;
        Ok(Self {
            out,
            at: head.len() as u64,
            mdat_at,
            from,
            length_ns: to.duration_since(from).as_nanos(),
            video: None,
            audio: None,
        })
    }

    /// Adds what a segment that began at `start` has of the range; segments come by start.
    pub(crate) fn add(&mut self, start: Timestamp, file: &[u8], source: &Source) -> anyhow::Result<()> {
        let start_ns = start.duration_since(self.from).as_nanos();
        for track in &source.tracks {
            let Some(codec) = track.trak.mdia.minf.stbl.stsd.codecs.first() else {
                continue;
            };
            let slot = if track.is_video() {
                &mut self.video
            } else {
                &mut self.audio
            };
            let written = slot.get_or_insert_with(|| Track::new(&track.trak));
            let timed = Timed::new(track, start_ns, written.covered_ns);
            let samples = timed.wanted(self.length_ns);
            let entry = written.entry(codec);
            for sample in samples {
                let bytes = &file[sample.bytes.clone()];
                self.out.write_all(bytes).context("writing the clip")?;
                let size = u32::try_from(bytes.len()).context("a frame of more than 4 GiB")?;
                written.push(&Placed {
                    time_ns: timed.decoded(sample),
                    offset_ns: timed.ns(sample.offset),
                    duration_ns: timed.ns(i64::from(sample.duration)),
                    key: sample.key,
                    is_hidden: sample.is_hidden() || timed.is_repeat(sample),
                    size,
                    at: self.at,
                    entry,
                });
                self.at += u64::from(size);
            }
        }
        Ok(())
    }

    /// Ends the file, and syncs it.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        let tracks = [self.video, self.audio].into_iter().flatten();
        let mut trak: Vec<_> = tracks.filter_map(|track| track.finish(self.length_ns)).collect();
        ensure!(!trak.is_empty(), "no frame is in the range");
        for (id, trak) in (1..).zip(&mut trak) {
            trak.tkhd.track_id = id;
        }
        let moov = Moov {
            mvhd: Mvhd {
                timescale: MOVIE_TIMESCALE,
                duration: trak.iter().map(|trak| trak.tkhd.duration).max().unwrap_or(0),
                rate: 1.into(),
                volume: 1.into(),
                next_track_id: u32::try_from(trak.len() + 1)?,
                ..Mvhd::default()
            },
            trak,
            ..Moov::default()
        };
        let mut tail = Vec::new();
        moov.encode(&mut tail).context("writing `moov`")?;
        self.out.write_all(&tail).context("writing the clip")?;
        self.out
            .seek(SeekFrom::Start(self.mdat_at + 8))
            .context("writing the clip")?;
        let mdat_size = self.at - self.mdat_at;
        self.out
            .write_all(&mdat_size.to_be_bytes())
            .context("writing the clip")?;
        self.out.sync_all().context("writing the clip")
    }
}

/// A segment's track on the range's time: nanoseconds since its start.
struct Timed<'a> {
    track: &'a SourceTrack,
    start_ns: i128,
    /// What is shown before is shown by an earlier segment: two recorders have both.
    repeats_to_ns: i128,
}

impl<'a> Timed<'a> {
    fn new(track: &'a SourceTrack, start_ns: i128, covered_ns: i128) -> Self {
        let meets = covered_ns <= start_ns + SEAM_NS;
        Self {
            track,
            start_ns,
            repeats_to_ns: if meets { i128::MIN } else { covered_ns },
        }
    }

    fn ns(&self, ticks: i64) -> i128 {
        let timescale = i128::from(self.track.trak.mdia.mdhd.timescale.max(1));
        i128::from(ticks) * 1_000_000_000 / timescale
    }

    /// A lead-in takes no time.
    fn decoded(&self, sample: &SourceSample) -> i128 {
        self.start_ns + self.ns(sample.decode_time.max(0))
    }

    fn shown(&self, sample: &SourceSample) -> i128 {
        self.start_ns + self.ns(sample.decode_time.saturating_add(sample.offset))
    }

    /// Whether most of the sample is shown already.
    fn is_repeat(&self, sample: &SourceSample) -> bool {
        self.shown(sample) + self.ns(i64::from(sample.duration)) / 2 < self.repeats_to_ns
    }

    /// The samples to hold: from the last place before the range, or before what is not shown yet, where decoding
    /// can start, to the last that is shown within `length_ns`.
    fn wanted(&self, length_ns: i128) -> &'a [SourceSample] {
        let samples = &self.track.samples;
        let is_new = |sample: &SourceSample| !sample.is_hidden() && !self.is_repeat(sample);
        let Some(new) = samples.iter().position(is_new) else {
            return &[];
        };
        let fresh = samples[..=new].iter().rposition(|sample| sample.key).unwrap_or(0);
        let before_the_range = samples
            .iter()
            .rposition(|sample| sample.key && self.shown(sample) <= 0)
            .unwrap_or(0);
        let first = fresh.max(before_the_range);
        let last = samples.iter().rposition(|sample| self.shown(sample) < length_ns);
        let end = last.map_or(first, |last| last + 1).max(first);
        &samples[first..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mp4_atom::Trak;

    const MS: i128 = 1_000_000;

    /// Ten seconds at 25 frames/s with a key frame every two.
    fn track() -> SourceTrack {
        let mut trak = Trak::default();
        trak.mdia.mdhd.timescale = 1_000;
        let sample = |number: i64| SourceSample {
            decode_time: number * 40,
            duration: 40,
            offset: 0,
            key: number % 50 == 0,
            bytes: 0..1,
        };
        SourceTrack::new(trak, (0..250).map(sample).collect())
    }

    /// The number of the first sample that is held, of the first that is shown, and of those that are shown.
    fn held(start_ms: i128, covered_ms: Option<i128>) -> Option<(i64, i64, usize)> {
        let track = track();
        let covered_ns = covered_ms.map_or(i128::MIN, |ms| ms * MS);
        let timed = Timed::new(&track, start_ms * MS, covered_ns);
        let samples = timed.wanted(60_000 * MS);
        let shown: Vec<_> = samples.iter().filter(|sample| !timed.is_repeat(sample)).collect();
        Some((
            samples.first()?.decode_time / 40,
            shown.first()?.decode_time / 40,
            shown.len(),
        ))
    }

    #[test]
    fn where_one_recorder_takes_over_no_frame_is_left_out_for_clocks_that_differ() {
        for apart_ms in [-400, -30, -1, 0, 1, 30, 400] {
            assert_eq!(
                held(10_000 + apart_ms, Some(10_000)),
                Some((0, 0, 250)),
                "{apart_ms} ms"
            );
        }
    }

    #[test]
    fn of_what_two_recorders_have_each_frame_is_shown_once() {
        assert_eq!(held(0, None), Some((0, 0, 250)));
        assert_eq!(
            held(7_000, Some(10_000)),
            Some((50, 75, 175)),
            "decoded from its key frame on"
        );
        assert_eq!(held(7_000, Some(11_000)), Some((100, 100, 150)));
        assert_eq!(held(7_000, Some(17_000)), None, "it has nothing new");
    }
}

//! The file: `ftyp`, one `mdat` that grows with every segment, and `moov` at the end.

use super::source::{Source, SourceSample, SourceTrack};
use super::track::{MOVIE_TIMESCALE, Placed, Track};
use anyhow::{Context, ensure};
use jiff::Timestamp;
use mp4_atom::{Encode, FourCC, Ftyp, Moov, Mvhd};
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};

/// Where two segments meet, their names may make them overlap by their rounding; frames are at least this far apart.
const ROUNDING_NS: i128 = 5_000_000;

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
            let timed = Timed { track, start_ns };
            let samples = timed.wanted(written.covered_ns, self.length_ns);
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
                    is_hidden: sample.is_hidden(),
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
}

impl<'a> Timed<'a> {
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

    /// The samples to hold: from the last place before the range, or before what is not covered yet, where decoding
    /// can start, to the last that is shown within `length_ns`.
    fn wanted(&self, covered_ns: i128, length_ns: i128) -> &'a [SourceSample] {
        let samples = &self.track.samples;
        let is_new = |sample: &SourceSample| {
            covered_ns == i128::MIN || self.decoded(sample) >= covered_ns - ROUNDING_NS
        };
        let Some(fresh) = samples.iter().position(|sample| sample.key && is_new(sample)) else {
            return &[];
        };
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

//! One track of the clip: what was written of it, and the tables that say so (ISO/IEC 14496-12 section 8.6, 8.7).

use mp4_atom::{
    Co64, Codec, Ctts, CttsEntry, Edts, Elst, ElstEntry, Stbl, Stsc, StscEntry, Stsd, Stss, Stsz,
    StszSamples, Stts, SttsEntry, Trak,
};
use std::ops::Range;

/// Ticks of the movie's own time: what video has, so that edits are exact.
pub(super) const MOVIE_TIMESCALE: u32 = 90_000;

/// A track and the samples written so far.
#[derive(Debug)]
pub(super) struct Track {
    trak: Trak,
    pub(super) timescale: u32,
    entries: Vec<Codec>,
    samples: Vec<Written>,
    /// How many of them are hidden.
    hidden: i64,
    /// Until when the track is covered, in nanoseconds since the range's start.
    pub(super) covered_ns: i128,
}

/// A sample as it was written, with times in nanoseconds since the range's start.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) time_ns: i128,
    /// Presentation minus decode time.
    pub(super) offset_ns: i128,
    pub(super) duration_ns: i128,
    pub(super) key: bool,
    /// Decoded, and not shown.
    pub(super) is_hidden: bool,
    pub(super) size: u32,
    /// Where in the file.
    pub(super) at: u64,
    /// Which sample entry decodes it, from 1.
    pub(super) entry: u32,
}

#[derive(Debug)]
struct Written {
    /// Decode time in ticks since the range's start; the first may be before it.
    time: i64,
    offset: i64,
    duration: u32,
    key: bool,
    is_hidden: bool,
    size: u32,
    at: u64,
    /// Which sample entry decodes it, from 1.
    entry: u32,
}

/// A stretch of the media that is shown.
struct Shown {
    /// In ticks since the range's start, hidden ones counted.
    media: Range<i64>,
    /// Hidden ticks before it.
    hidden: i64,
}

impl Track {
    pub(super) fn new(trak: &Trak) -> Self {
        Self {
            timescale: trak.mdia.mdhd.timescale.max(1),
            trak: trak.clone(),
            entries: Vec::new(),
            samples: Vec::new(),
            hidden: 0,
            covered_ns: i128::MIN,
        }
    }

    /// The number of a sample entry, which is added when it is new.
    pub(super) fn entry(&mut self, codec: &Codec) -> u32 {
        let known = self.entries.iter().position(|entry| entry == codec);
        let place = known.unwrap_or_else(|| {
            self.entries.push(codec.clone());
            self.entries.len() - 1
        });
        u32::try_from(place + 1).unwrap_or(u32::MAX)
    }

    /// Nanoseconds since the range's start in ticks.
    pub(super) fn ticks(&self, ns: i128) -> i64 {
        let ticks = (ns * i128::from(self.timescale)).div_euclid(1_000_000_000);
        i64::try_from(ticks).unwrap_or(i64::MAX)
    }

    /// Notes a sample that was written.
    pub(super) fn push(&mut self, sample: &Placed) {
        let after = self.samples.last().map_or(i64::MIN, |last| last.time + 1);
        self.samples.push(Written {
            // Names of segments are cut to milliseconds: time must not run backwards where two meet.
            time: (self.ticks(sample.time_ns) + self.hidden).max(after),
            offset: self.ticks(sample.offset_ns),
            duration: u32::try_from(self.ticks(sample.duration_ns)).unwrap_or(1).max(1),
            key: sample.key,
            is_hidden: sample.is_hidden,
            size: sample.size,
            at: sample.at,
            entry: sample.entry,
        });
        // It lasts a tick of the media and none of the movie.
        self.hidden += i64::from(sample.is_hidden);
        self.covered_ns = self.covered_ns.max(sample.time_ns + sample.duration_ns);
    }

    /// The track's boxes for a range of so many nanoseconds; `None` when nothing was written of it.
    pub(super) fn finish(mut self, length_ns: i128) -> Option<Trak> {
        let first = self.samples.first()?.time;
        let last = self.samples.last()?;
        let media = last.time - first + i64::from(last.duration);
        let edits = self.edits(first, self.ticks(length_ns));
        let shown: u64 = edits.iter().map(|edit| edit.segment_duration).sum();
        let stbl = self.tables();
        self.trak.tkhd.duration = shown;
        self.trak.mdia.mdhd.duration = u64::try_from(media).unwrap_or(0);
        self.trak.edts = Some(Edts {
            elst: Some(Elst { entries: edits }),
        });
        self.trak.mdia.minf.stbl = stbl;
        Some(self.trak)
    }

    /// The range alone: what is held for decoding is left out, what is missing at its start is an empty edit.
    fn edits(&self, first: i64, length: i64) -> Vec<ElstEntry> {
        let in_movie = |ticks: i64| {
            let ticks = u64::try_from(ticks).unwrap_or(0);
            ticks.saturating_mul(u64::from(MOVIE_TIMESCALE)) / u64::from(self.timescale)
        };
        let edit = |ticks, media_time: Option<i64>| ElstEntry {
            segment_duration: in_movie(ticks),
            media_time: media_time.and_then(|ticks| u64::try_from(ticks).ok()),
            media_rate: 1.into(),
        };
        let mut edits = Vec::new();
        for shown in self.shown() {
            let start = (shown.media.start - shown.hidden).max(0);
            let end = (shown.media.end - shown.hidden).min(length);
            if edits.is_empty() && start > 0 {
                edits.push(edit(start, None));
            }
            if start < end {
                edits.push(edit(end - start, Some(start + shown.hidden - first)));
            }
        }
        edits
    }

    /// What is shown, in one piece from one hidden stretch to the next.
    fn shown(&self) -> Vec<Shown> {
        let mut pieces: Vec<Shown> = Vec::new();
        let mut hidden = 0;
        let nexts = self.samples.iter().skip(1).map(|next| Some(next.time));
        for (sample, next) in self.samples.iter().zip(nexts.chain([None])) {
            let end = next.unwrap_or(sample.time + i64::from(sample.duration));
            if sample.is_hidden {
                hidden += end - sample.time;
                continue;
            }
            match pieces.last_mut() {
                Some(last) if last.media.end == sample.time => last.media.end = end,
                _ => pieces.push(Shown {
                    media: sample.time..end,
                    hidden,
                }),
            }
        }
        pieces
    }

    fn tables(&self) -> Stbl {
        let mut stbl = Stbl {
            stsd: Stsd {
                codecs: self.entries.clone(),
            },
            ..Stbl::default()
        };
        let (mut times, mut offsets, mut chunks) = (Stts::default(), Ctts::default(), Stsc::default());
        let mut keys = Stss::default();
        for (number, sample) in (1_u32..).zip(&self.samples) {
            let next = self
                .samples
                .get(number as usize)
                .map(|next| next.time - sample.time);
            let delta = next.map_or(sample.duration, |delta| u32::try_from(delta).unwrap_or(u32::MAX));
            match times.entries.last_mut() {
                Some(last) if last.sample_delta == delta => last.sample_count += 1,
                _ => times.entries.push(SttsEntry {
                    sample_count: 1,
                    sample_delta: delta,
                }),
            }
            match offsets.entries.last_mut() {
                Some(last) if last.sample_offset == sample.offset => last.sample_count += 1,
                _ => offsets.entries.push(CttsEntry {
                    sample_count: 1,
                    sample_offset: sample.offset,
                }),
            }
            if chunks
                .entries
                .last()
                .is_none_or(|last| last.sample_description_index != sample.entry)
            {
                chunks.entries.push(StscEntry {
                    first_chunk: number,
                    samples_per_chunk: 1,
                    sample_description_index: sample.entry,
                });
            }
            if sample.key {
                keys.entries.push(number);
            }
        }
        let all_key = keys.entries.len() == self.samples.len();
        stbl.stts = times;
        stbl.ctts = offsets
            .entries
            .iter()
            .any(|entry| entry.sample_offset != 0)
            .then_some(offsets);
        stbl.stsc = chunks;
        stbl.stss = (!all_key).then_some(keys);
        stbl.stsz = Stsz {
            samples: StszSamples::Different {
                sizes: self.samples.iter().map(|sample| sample.size).collect(),
            },
        };
        stbl.co64 = Some(Co64 {
            entries: self.samples.iter().map(|sample| sample.at).collect(),
        });
        stbl
    }
}

//! The pictures of a segment in the archive, to recognise them in a playback.

use crate::media::demux::{Demuxer, Item};
use crate::media::frame::MediaTime;
use crate::media::mark::{Nal, mark};
use crate::media::mux::VIDEO_TRACK;
use domain::SegmentKey;
use domain::ports::ArchiveRead;
use jiff::{SignedDuration, Timestamp};
use mp4_atom::Codec;
use std::collections::BTreeMap;

/// As much of a segment is read: 10 minutes at 8 Mbit/s are 600 MB and are not, 30 s are 30 MB.
const READ_MAX_BYTES: u64 = 128 * 1024 * 1024;

/// Which pictures there are, and when each is shown.
#[derive(Debug, Default)]
pub(super) struct Footprint {
    shown: BTreeMap<u64, Vec<Timestamp>>,
}

impl Footprint {
    /// The pictures of a segment. One that cannot be read has none: the device's clock has to do then.
    pub(super) async fn read<A: ArchiveRead>(archive: &A, segment: Option<&SegmentKey>) -> Self {
        let Some(segment) = segment else {
            return Self::default();
        };
        match archive.read(&segment.object_key(), 0..READ_MAX_BYTES).await {
            Ok(bytes) => Self::of(&bytes, segment.start),
            Err(error) => {
                tracing::warn!(%segment, error = error.chain(), "a segment beside the hole cannot be read");
                Self::default()
            }
        }
    }

    /// The pictures of a segment that begins at `start`, as far as it can be read.
    fn of(bytes: &[u8], start: Timestamp) -> Self {
        let mut demuxer = Demuxer::default();
        if let Err(error) = demuxer.push(bytes) {
            tracing::warn!(%error, "a segment beside the hole is damaged");
        }
        let mut footprint = Self::default();
        let mut nal = Nal::H264;
        let mut hidden = 0;
        while let Some(item) = demuxer.take() {
            match item {
                Item::Tracks(tracks) => {
                    let is_h264 = tracks.iter().any(|track| matches!(track.entry, Codec::Avc1(_)));
                    nal = if is_h264 { Nal::H264 } else { Nal::H265 };
                    hidden = tracks.first().map_or(0, |video| i64::from(video.lead_in));
                }
                Item::Sample(access) if access.track == VIDEO_TRACK => {
                    let shown = MediaTime::new(access.time.ticks - hidden, access.time.rate);
                    // A lead-in repeats pictures of the segment before.
                    if shown.ticks >= 0 {
                        let at = start.saturating_add(shown.since_start()).unwrap_or(start);
                        footprint.add(mark(nal, &access.data), at);
                    }
                }
                Item::Sample(_) => {}
            }
        }
        footprint
    }

    pub(super) fn add(&mut self, mark: u64, at: Timestamp) {
        self.shown.entry(mark).or_default().push(at);
    }

    /// Whether nothing can be recognised by it.
    pub(super) fn is_empty(&self) -> bool {
        self.shown.is_empty()
    }

    /// When the last picture is shown.
    pub(super) fn last(&self) -> Option<Timestamp> {
        self.shown.values().flatten().max().copied()
    }

    /// When a picture is shown, if it can be no other: pictures of a scene without motion may be alike.
    pub(super) fn only(&self, mark: u64) -> Option<Timestamp> {
        match self.shown.get(&mark)?.as_slice() {
            [at] => Some(*at),
            _ => None,
        }
    }

    /// Whether a picture is one of these, shown about then.
    pub(super) fn has(&self, mark: u64, about: Timestamp) -> bool {
        /// More than clocks differ by once they have been compared, less than a scene repeats itself in.
        const ABOUT: SignedDuration = SignedDuration::from_secs(1);
        let shown = self.shown.get(&mark).map_or(&[][..], Vec::as_slice);
        shown.iter().any(|at| at.duration_since(about).abs() <= ABOUT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::mux::{self, Run, Sample, TrackSpec};
    use mp4_atom::{Avc1, Avcc, Visual};
    use std::num::NonZeroU32;

    /// A segment of pictures a second apart, so many of which are its lead-in, and what each is recognised by.
    fn segment(pictures: u8, lead_in: u32) -> (Vec<u8>, Vec<u64>) {
        let video = TrackSpec {
            id: VIDEO_TRACK,
            timescale: NonZeroU32::MIN,
            entry: Codec::Avc1(Avc1 {
                visual: Visual::default(),
                avcc: Avcc::new(&[0x67, 0x64, 0, 0x1F], &[0x68]).unwrap(),
                btrt: None,
                colr: None,
                pasp: None,
                taic: None,
                fiel: None,
                spatial: None,
            }),
            lead_in,
        };
        let (header, _) = mux::header(&[video], 0).unwrap();
        let data: Vec<Vec<u8>> = (0..pictures).map(|picture| unit(&[0x65, picture])).collect();
        let sample = |data: &Vec<u8>| Sample {
            data: data.clone().into(),
            duration: 1,
            offset: 0,
            key: true,
        };
        let samples = data.iter().map(sample).collect();
        let run = Run {
            track: VIDEO_TRACK,
            decode_time: 0,
            samples,
        };
        let fragment = mux::fragment(1, &[run]).unwrap().concat();
        let marks = data.iter().map(|data| mark(Nal::H264, data)).collect();
        ([header.to_vec(), fragment].concat(), marks)
    }

    #[test]
    fn a_lead_in_belongs_to_the_segment_before() {
        let (bytes, marks) = segment(5, 2);
        let footprint = Footprint::of(&bytes, Timestamp::UNIX_EPOCH);
        let at = |second| Some(Timestamp::from_second(second).unwrap());
        let seen: Vec<_> = marks.iter().map(|mark| footprint.only(*mark)).collect();
        assert_eq!(seen, [None, None, at(0), at(1), at(2)]);
        assert_eq!(footprint.last(), at(2));
    }

    fn unit(bytes: &[u8]) -> Vec<u8> {
        let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        [&length[..], bytes].concat()
    }
}

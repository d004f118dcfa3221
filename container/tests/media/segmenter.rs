//! The segmenter alone, on streams no camera would send: frames are numbers, and every one is found again.

use crate::camera::{VIDEO_RATE, demux, start};
use bytes::Bytes;
use jiff::SignedDuration;
use mp4_atom::{Avc1, Avcc, Codec, Visual};
use proptest::prelude::*;
use recorder::media::clock::{SessionClock, Span};
use recorder::media::codec;
use recorder::media::demux::Access;
use recorder::media::frame::{AudioCodec, AudioParams, Frame, MediaTime, StreamParams, Track, VideoParams};
use recorder::media::mux::{AUDIO_TRACK, VIDEO_TRACK};
use recorder::media::segmenter::{GOP_MAX, LEAD_IN_MAX, SegmentError, SegmentId, Segmenter, Step};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

const SOUND_RATE: NonZeroU32 = NonZeroU32::new(16_000).unwrap();

fn params() -> StreamParams {
    let entry = Codec::Avc1(Avc1 {
        visual: Visual {
            width: 320,
            height: 180,
            ..Visual::default()
        },
        avcc: Avcc::new(&[0x67, 0x64, 0, 0x1f], &[0x68]).unwrap(),
        btrt: None,
        colr: None,
        pasp: None,
        taic: None,
        fiel: None,
        spatial: None,
    });
    let aac = codec::aac_entry(SOUND_RATE, 1).unwrap();
    StreamParams {
        video: codec::video_params(&entry).unwrap(),
        audio: Some(AudioParams {
            codec: AudioCodec::Aac {
                rfc6381: codec::rfc6381(&aac).unwrap(),
                sample_entry: codec::write_entry(&aac).unwrap(),
            },
            sample_rate: SOUND_RATE,
            channels: 1,
        }),
    }
}

/// A picture whose data is its number.
fn picture(number: usize, ticks: i64, key: bool) -> Frame {
    let time = MediaTime::new(ticks, VIDEO_RATE);
    Frame {
        track: Track::Video,
        time,
        duration: None,
        key,
        data: Bytes::from(number.to_be_bytes().to_vec()),
        arrived_at: start() + time.since_start(),
    }
}

fn sound(number: i64) -> Frame {
    let time = MediaTime::new(number * 1_024, SOUND_RATE);
    Frame {
        track: Track::Audio,
        time,
        duration: Some(1_024),
        key: true,
        data: Bytes::from(number.to_be_bytes().to_vec()),
        arrived_at: start() + time.since_start(),
    }
}

struct Segment {
    span: Span,
    note: Option<String>,
    lead_in: u32,
    samples: Vec<Access>,
}

/// Segments everything and reads the files back.
fn segment(frames: &[Frame], target: Duration) -> Vec<Segment> {
    let mut clock = SessionClock::new(None);
    let mut segmenter = Segmenter::new(target, params());
    let mut files = Files::default();
    for frame in frames {
        assert!(clock.observe(frame.time, frame.arrived_at));
        segmenter.push(frame.clone(), &mut clock).unwrap();
        files.take(&mut segmenter);
    }
    segmenter.finish(&mut clock).unwrap();
    files.take(&mut segmenter);
    assert!(files.open.is_empty(), "everything is closed");
    files.closed
}

#[derive(Default)]
struct Files {
    open: BTreeMap<SegmentId, Vec<u8>>,
    closed: Vec<Segment>,
}

impl Files {
    fn take(&mut self, segmenter: &mut Segmenter) {
        for step in segmenter.steps() {
            match step {
                Step::Open { id, bytes, .. } => {
                    self.open.insert(id, bytes.to_vec());
                }
                Step::Append { id, chunks } => self.open.get_mut(&id).unwrap().extend(chunks.concat()),
                Step::Close(closing) => {
                    let mut bytes = self.open.remove(&closing.id).unwrap();
                    bytes.extend(closing.fragment.concat());
                    for patch in &closing.patches {
                        let at = usize::try_from(patch.at).unwrap();
                        bytes[at..at + patch.bytes.len()].copy_from_slice(&patch.bytes);
                    }
                    let (tracks, samples) = demux(&bytes);
                    assert_eq!(tracks.len(), 2);
                    self.closed.push(Segment {
                        span: closing.span,
                        note: closing.note,
                        lead_in: tracks[0].lead_in,
                        samples,
                    });
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_session_may_begin_anywhere_with_what_its_first_picture_needs(
        lengths in proptest::collection::vec((2_usize..60, 1_500_i64..20_000), 2..20), reordered: bool, at in 0_usize..60,
    ) {
        let groups: Vec<_> = lengths.iter().map(|(length, interval)| (*length, *interval, reordered)).collect();
        let frames = stream(&groups);
        let first = at % lengths[0].0;
        let mut segmenter = Segmenter::new(Duration::from_secs(2), params());
        segmenter.lead_in(frames[..first].to_vec());
        let mut clock = SessionClock::new(None);
        for frame in &frames[first..] {
            assert!(clock.observe(frame.time, frame.arrived_at));
            segmenter.push(frame.clone(), &mut clock).unwrap();
        }
        segmenter.finish(&mut clock).unwrap();
        let mut files = Files::default();
        files.take(&mut segmenter);

        prop_assert_eq!(files.closed[0].span.start.as_millisecond(), frames[first].arrived_at.as_millisecond());
        let (lead_in, shown) = files.closed[0].samples.split_at(first);
        prop_assert_eq!(i64::from(files.closed[0].lead_in), i64::try_from(first).unwrap());
        for (sample, frame) in lead_in.iter().zip(&frames) {
            prop_assert_eq!((&sample.data, sample.key), (&frame.data, frame.key));
            let place = frames[..first].iter().filter(|other| other.time.ticks < frame.time.ticks).count();
            prop_assert_eq!(sample.time.ticks, i64::try_from(place).unwrap(), "one tick each, in their order");
        }
        for (sample, frame) in shown.iter().zip(&frames[first..]) {
            prop_assert_eq!((&sample.data, sample.key), (&frame.data, frame.key));
            let since_start = frame.time.ticks - frames[first].time.ticks;
            prop_assert_eq!(sample.time.ticks, i64::try_from(first).unwrap() + since_start);
        }
        let later: Vec<_> = files.closed[1..].iter().map(|segment| (segment.lead_in, segment.samples[0].key)).collect();
        prop_assert!(later.iter().all(|segment| *segment == (0, true)), "{later:?}");
    }
}

#[test]
fn a_lead_in_that_cannot_be_decoded_is_none() {
    let frames = stream(&[(2_000, 3_600, false)]);
    for (from, to) in [(1, 10), (0, LEAD_IN_MAX + 1)] {
        let mut segmenter = Segmenter::new(Duration::from_secs(30), params());
        let mut clock = SessionClock::new(None);
        segmenter.lead_in(frames[from..to].to_vec());
        segmenter.push(frames[to].clone(), &mut clock).unwrap();
        assert_eq!(segmenter.steps().count(), 0, "it waits for a key frame");
    }
}

/// Groups of pictures, each in decode order: how many, their interval in ticks, and whether two of three are
/// decoded after the one that is shown after them (`I P b b P b b`).
fn stream(groups: &[(usize, i64, bool)]) -> Vec<Frame> {
    let (mut frames, mut at) = (Vec::new(), 0);
    for (length, interval, reordered) in groups {
        let mut shown: Vec<usize> = (0..*length).collect();
        if *reordered {
            shown[1..]
                .chunks_exact_mut(3)
                .for_each(|triple| triple.rotate_right(1));
        }
        for (index, place) in shown.into_iter().enumerate() {
            let ticks = at + i64::try_from(place).unwrap() * interval;
            frames.push(picture(frames.len(), ticks, index == 0));
        }
        at += i64::try_from(*length).unwrap() * interval;
    }
    frames
}

fn groups() -> impl Strategy<Value = Vec<(usize, i64, bool)>> {
    proptest::collection::vec((1_usize..40, 1_500_i64..20_000, any::<bool>()), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_picture_is_stored_once_at_its_time_and_segments_abut(groups in groups(), seconds in 1_u64..20) {
        let frames = stream(&groups);
        let segments = segment(&frames, Duration::from_secs(seconds));
        let mut frames = frames.iter();
        for pair in segments.windows(2) {
            prop_assert_eq!(pair[0].span.end, pair[1].span.start);
        }
        for segment in &segments {
            prop_assert!(segment.samples[0].key);
            let first = segment.samples[0].data.clone();
            let mut start_ticks = None;
            for sample in &segment.samples {
                let frame = frames.next().unwrap();
                prop_assert_eq!(&sample.data, &frame.data);
                prop_assert_eq!(sample.key, frame.key);
                let base = *start_ticks.get_or_insert(frame.time.ticks);
                prop_assert_eq!(sample.time.ticks, frame.time.ticks - base, "in the segment of {:?}", first);
            }
        }
        prop_assert!(frames.next().is_none(), "a picture is missing");
    }

    #[test]
    fn a_segment_ends_at_the_key_frame_nearest_its_length(gop in 1_usize..120, seconds in 1_u64..60) {
        // Ten pictures a second.
        let frames = stream(&vec![(gop, 9_000, false); 1_500 / gop]);
        let segments = segment(&frames, Duration::from_secs(seconds));
        let wanted = i64::try_from(seconds * 1_000).unwrap();
        let gop_ms = i64::try_from(gop * 100).unwrap();
        for segment in segments.split_last().unwrap().1 {
            let length = segment.span.end.duration_since(segment.span.start).as_millis();
            let off = (i64::try_from(length).unwrap() - wanted).abs();
            prop_assert!(off * 2 <= gop_ms || length == i128::from(gop_ms), "{length} ms in groups of {gop_ms} ms");
        }
    }

    #[test]
    fn sound_is_stored_once_and_where_it_belongs(
        groups in proptest::collection::vec((1_usize..40, 1_500_i64..20_000, Just(false)), 20..60),
        late_ms in 0_i64..1_500,
    ) {
        let pictures = stream(&groups);
        let end = pictures.last().unwrap().time.since_start();
        let sounds = (0..).map(sound).take_while(|sound| sound.time.since_start() < end);
        let mut frames: Vec<Frame> = pictures.iter().cloned().chain(sounds).collect();
        for frame in frames.iter_mut().filter(|frame| frame.track == Track::Audio) {
            frame.arrived_at += SignedDuration::from_millis(late_ms);
        }
        frames.sort_by_key(|frame| frame.arrived_at);
        let segments = segment(&frames, Duration::from_secs(4));
        let mut number = 0_i64;
        for segment in &segments {
            let mut pictures = segment.samples.iter().filter(|sample| sample.track == VIDEO_TRACK);
            let first = usize::from_be_bytes(pictures.next().unwrap().data.as_ref().try_into().unwrap());
            let offset = frames_start(&groups, first);
            for sample in segment.samples.iter().filter(|sample| sample.track == AUDIO_TRACK) {
                prop_assert_eq!(sample.data.as_ref(), number.to_be_bytes());
                let at = sample.time.since_start() + offset;
                let off = (at - sound(number).time.since_start()).abs();
                prop_assert!(off < SignedDuration::from_micros(100), "{off:?}");
                number += 1;
            }
        }
        // What begins with the last picture may be beyond its end.
        let sent = (0..).map(sound).take_while(|sound| sound.time.since_start() < end).count();
        prop_assert!(i64::try_from(sent).unwrap() - number <= 1, "{number} of {sent}");
    }
}

fn frames_start(groups: &[(usize, i64, bool)], number: usize) -> SignedDuration {
    stream(groups)[number].time.since_start()
}

#[test]
fn pictures_before_the_first_key_frame_are_counted_and_not_stored() {
    let mut frames = stream(&[(10, 3_600, false), (10, 3_600, false)]);
    frames.drain(..4);
    let mut clock = SessionClock::new(None);
    let mut segmenter = Segmenter::new(Duration::from_secs(30), params());
    for frame in frames {
        assert!(clock.observe(frame.time, frame.arrived_at));
        segmenter.push(frame, &mut clock).unwrap();
    }
    segmenter.finish(&mut clock).unwrap();
    let mut files = Files::default();
    files.take(&mut segmenter);
    assert_eq!(files.closed[0].samples.len(), 10);
    let note = files.closed[0].note.as_deref();
    assert_eq!(note, Some("6 pictures before the first key frame left out"));
}

#[test]
fn a_break_right_after_a_key_frame_loses_nothing() {
    let segments = segment(
        &stream(&[(10, 3_600, false), (1, 3_600, false)]),
        Duration::from_secs(30),
    );
    assert_eq!(segments[0].samples.len(), 11);
    let length = segments[0].span.end.duration_since(segments[0].span.start);
    assert_eq!(length, SignedDuration::from_millis(11 * 40));
}

#[test]
fn a_stream_without_key_frames_is_given_up_and_what_there_is_is_kept() {
    let mut clock = SessionClock::new(None);
    let mut segmenter = Segmenter::new(Duration::from_secs(30), params());
    let seconds = GOP_MAX.as_secs() + 1;
    let mut pushed = Ok(());
    for second in 0..=seconds {
        let frame = picture(0, second * 90_000, second == 0);
        assert!(clock.observe(frame.time, frame.arrived_at));
        pushed = segmenter.push(frame, &mut clock);
    }
    assert!(
        matches!(pushed, Err(SegmentError::NoKeyFrame { seconds: 601 })),
        "{pushed:?}"
    );
    segmenter.finish(&mut clock).unwrap();
    let mut files = Files::default();
    files.take(&mut segmenter);
    assert_eq!(files.closed[0].samples.len(), 601);
}

#[test]
fn parameters_that_cannot_be_stored_are_an_error() {
    let video = VideoParams {
        sample_entry: Bytes::from_static(b"\0\0\0\x0cvp09nope"),
        ..params().video
    };
    let mut segmenter = Segmenter::new(Duration::from_secs(30), StreamParams { video, audio: None });
    let pushed = segmenter.push(picture(0, 0, true), &mut SessionClock::new(None));
    assert!(matches!(pushed, Err(SegmentError::Mux(_))), "{pushed:?}");
}

use super::*;
use bytes::Bytes;
use domain::settings::{Transcode, VideoCodec};
use domain::{ChannelKey, RecordingSettings};
use proptest::prelude::*;
use std::num::NonZeroU32;

const RATE: NonZeroU32 = NonZeroU32::new(90_000).unwrap();
/// 25 pictures a second.
const PICTURE_MS: i64 = 40;
/// Picture 0 is taken then, by our clock.
const BEGAN_MS: i64 = 1_795_000_000_000;
/// What is asked for beyond the hole.
const MARGIN: SignedDuration = SignedDuration::from_secs(10);

fn taken_at(picture: i64) -> Timestamp {
    Timestamp::from_millisecond(BEGAN_MS + picture * PICTURE_MS).unwrap()
}

/// A camera: where its key frames are, and whether nothing moves, so that its other pictures are all alike.
#[derive(Debug, Clone, Copy)]
struct Camera {
    gop: i64,
    is_still: bool,
    /// Its clock minus ours.
    ahead_ms: i64,
}

impl Camera {
    fn is_key(self, picture: i64) -> bool {
        picture % self.gop == 0
    }

    /// The key frame that a picture needs.
    fn last_key(self, picture: i64) -> i64 {
        picture - picture % self.gop
    }

    fn next_key(self, picture: i64) -> i64 {
        picture + (self.gop - picture % self.gop) % self.gop
    }

    /// One slice, and a supplement that no two sessions share.
    fn data(self, picture: i64, session: u8) -> Vec<u8> {
        let shown = if self.is_still && !self.is_key(picture) {
            0
        } else {
            picture
        };
        let slice = [&[0, 0, 0, 9, 0x65][..], &shown.to_be_bytes()].concat();
        [&[0, 0, 0, 2, 0x06, session][..], &slice].concat()
    }

    fn footprint(self, pictures: std::ops::Range<i64>) -> Footprint {
        let mut footprint = Footprint::default();
        for picture in pictures {
            footprint.add(mark(Nal::H264, &self.data(picture, 1)), taken_at(picture));
        }
        footprint
    }

    fn by_its_clock(self, at: Timestamp) -> Timestamp {
        at + SignedDuration::from_millis(self.ahead_ms)
    }

    /// The pictures the device sends when a stretch of its own time is asked for: from the key frame at or before it.
    fn plays(self, asked: &std::ops::Range<Timestamp>) -> std::ops::Range<i64> {
        let picture = |at: Timestamp| {
            let ours = at.as_millisecond() - self.ahead_ms;
            (ours - BEGAN_MS).div_euclid(PICTURE_MS)
        };
        let first = picture(asked.start);
        self.last_key(first)..picture(asked.end)
    }

    /// What is kept of a playback.
    fn fill(self, playback: &Playback, before: Footprint, after: Footprint, reports: bool) -> Kept {
        let mut dating = Dating::new(playback, Nal::H264, before, after);
        let pictures = self.plays(&playback.asked);
        let first = pictures.start;
        let time = |picture: i64| MediaTime::new((picture - first) * PICTURE_MS * 90, RATE);
        if reports {
            dating.report(self.by_its_clock(taken_at(first)), time(first));
        }
        let shown = |frame: &Frame| first + frame.time.ticks / 90 / PICTURE_MS;
        let mut kept = Kept::default();
        for picture in pictures {
            dating.take(Frame {
                track: Track::Video,
                time: time(picture),
                duration: None,
                key: self.is_key(picture),
                data: Bytes::from(self.data(picture, 2)),
                arrived_at: Timestamp::UNIX_EPOCH,
            });
            kept.take(&mut dating, shown);
        }
        dating.end();
        kept.take(&mut dating, shown);
        kept
    }
}

#[derive(Debug, Default)]
struct Kept {
    /// What is only there to decode the first.
    lead_in: Vec<i64>,
    /// Each picture, and the time it was given.
    pictures: Vec<(i64, Timestamp)>,
}

impl Kept {
    fn take(&mut self, dating: &mut Dating, number: impl Fn(&Frame) -> i64) {
        while let Some(frame) = dating.next_frame() {
            if self.pictures.is_empty() {
                self.lead_in = dating.take_lead_in().iter().map(&number).collect();
            }
            self.pictures.push((number(&frame), frame.arrived_at));
        }
    }

    fn numbers(&self) -> Vec<i64> {
        self.pictures.iter().map(|(picture, _)| *picture).collect()
    }
}

fn playback(hole: &std::ops::Range<i64>, goes_on: bool) -> Playback {
    let missing = taken_at(hole.start)..taken_at(hole.end);
    Playback {
        key: ChannelKey::new("A", "1"),
        url: String::new(),
        asked: missing.start - MARGIN..missing.end + MARGIN,
        missing,
        goes_on,
        before: None,
        after: None,
        settings: RecordingSettings::default(),
    }
}

fn cameras() -> impl Strategy<Value = Camera> {
    (1_i64..60, any::<bool>(), -5_000_i64..5_000).prop_map(|(gop, is_still, ahead_ms)| Camera {
        gop,
        is_still,
        ahead_ms,
    })
}

proptest! {
    #[test]
    fn whatever_the_devices_clock_says_each_missing_picture_is_kept_once_at_its_time(
        camera in cameras(), start in 1_000_i64..2_000, length in 60_i64..1_000, reports: bool
    ) {
        // Live recording goes on with a key frame.
        let hole = start..camera.next_key(start + length);
        let before = camera.footprint(start - 750..start);
        let after = camera.footprint(hole.end..hole.end + 750);
        let kept = camera.fill(&playback(&hole, false), before, after, reports);
        let wanted: Vec<_> = hole.map(|picture| (picture, taken_at(picture))).collect();
        prop_assert_eq!(kept.pictures, wanted);
        let needed: Vec<_> = (camera.last_key(start)..start).collect();
        prop_assert_eq!(kept.lead_in, needed);
    }

    #[test]
    fn pictures_that_are_encoded_anew_begin_with_a_key_frame(
        camera in cameras(), start in 1_000_i64..2_000, length in 60_i64..1_000
    ) {
        let hole = start..camera.next_key(start + length);
        let before = camera.footprint(start - 750..start);
        let settings = RecordingSettings {
            video: Video::Transcode(Transcode { codec: VideoCodec::H264, bit_rate_kbps: None, size: None, frame_rate: None }),
            ..RecordingSettings::default()
        };
        let playback = Playback { settings, ..playback(&hole, false) };
        let kept = camera.fill(&playback, before, Footprint::default(), true);
        prop_assert_eq!(kept.numbers(), (camera.next_key(start)..hole.end).collect::<Vec<_>>());
        prop_assert_eq!(kept.lead_in, Vec::<i64>::new());
    }

    #[test]
    fn a_piece_of_a_long_hole_ends_where_the_next_can_begin(
        camera in cameras(), start in 1_000_i64..2_000, length in 60_i64..1_000
    ) {
        let hole = start..start + length;
        let before = camera.footprint(start - 750..start);
        let kept = camera.fill(&playback(&hole, true), before, Footprint::default(), true);
        prop_assert_eq!(kept.numbers(), (start..camera.next_key(hole.end)).collect::<Vec<_>>());
    }

    #[test]
    fn with_nothing_to_recognise_the_devices_clock_has_to_do(
        camera in cameras(), start in 1_000_i64..2_000, length in 60_i64..1_000
    ) {
        let hole = start..camera.next_key(start + length);
        let camera = Camera { ahead_ms: 0, ..camera };
        let kept = camera.fill(&playback(&hole, false), Footprint::default(), Footprint::default(), true);
        let wanted: Vec<_> = (camera.next_key(start)..hole.end).map(|picture| (picture, taken_at(picture))).collect();
        prop_assert_eq!(kept.pictures, wanted);
    }

    #[test]
    fn footage_in_another_encoding_is_dated_by_the_device_and_none_is_lost(
        camera in cameras(), start in 1_000_i64..2_000, length in 60_i64..1_000
    ) {
        let hole = start..camera.next_key(start + length);
        let camera = Camera { ahead_ms: 0, is_still: false, ..camera };
        // What was recorded live has other bytes throughout.
        let strange = |pictures: std::ops::Range<i64>| camera.footprint(pictures.start + 100_000..pictures.end + 100_000);
        let kept = camera.fill(&playback(&hole, false), strange(start - 750..start), strange(hole.end..hole.end + 9), true);
        prop_assert_eq!(kept.numbers(), (camera.next_key(start)..hole.end).collect::<Vec<_>>());
    }
}

#[test]
fn a_report_that_tells_the_time_of_day_is_not_believed() {
    let camera = Camera {
        gop: 25,
        is_still: false,
        ahead_ms: 0,
    };
    let hole = 1_000..1_500;
    let mut dating = Dating::new(
        &playback(&hole, false),
        Nal::H264,
        Footprint::default(),
        Footprint::default(),
    );
    dating.report(taken_at(1_000_000), MediaTime::new(0, RATE));
    assert_eq!(dating.reported, None);
    dating.report(taken_at(camera.next_key(740)), MediaTime::new(0, RATE));
    assert!(dating.reported.is_some());
}

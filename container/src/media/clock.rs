//! Which UTC a frame has.
//!
//! The one idea: *UTC = media time + offset*, and the offset is our own clock's opinion. Every frame says
//! `arrival − media time`; network and gateway can only add to that, so the smallest value seen is the best
//! estimate of the offset, and jitter does not move it. Cameras' own clocks lie (wrong zone, never set, reset
//! at every power cut): what RTCP sender reports say is noted and never trusted.
//!
//! - Within a segment the offset is constant, so a file has exactly the camera's frame intervals.
//! - The first segment of a session learns its offset until it is closed; from then on the offset moves only
//!   where a segment ends, by at most [`SLEW_PPM`] of its length ([`SLEW_FAST_PPM`] when it is more than
//!   [`FAR`] off). A crystal that is 500 ppm off is followed; a minute of congestion is not.
//! - When all frames of two whole segments say that UTC is more than [`STEP`] later than we think, our clock
//!   was set forward: the next segment starts there, unless frames had to wait for us meanwhile. When our clock was set
//!   back, nothing may be said twice, so the offset slews back.
//! - No segment starts before the end of the channel's previous one (`floor`), unless that is more than [`AHEAD_MAX`]
//!   ahead of our clock: then ours was set back so far (or an earlier recorder's was wrong) that to wait for it, or to slew,
//!   would misdate everything for hours or days.
//!
//! Reasons and alternatives: `docs/decisions/0003-clock-model.md`.

use crate::media::frame::MediaTime;
use jiff::{SignedDuration, Timestamp};

/// How fast the offset may move: twice the error of a poor crystal (±500 ppm).
const SLEW_PPM: i128 = 1_000;
/// How fast it may move when it is [`FAR`] off: a clock set back by 10 s is forgotten in 17 minutes, and a
/// segment's length differs from its file's by 1 % at most.
const SLEW_FAST_PPM: i128 = 10_000;
/// More than congestion explains, less than a second of confusion.
const FAR: SignedDuration = SignedDuration::from_secs(1);
/// What no buffer on the way holds back for two whole segments.
const STEP: SignedDuration = SignedDuration::from_secs(5);
/// A media clock that leaves the wall clock by this much between two frames has jumped.
const JUMP: SignedDuration = SignedDuration::from_secs(10);

/// What is recorded may be ahead of our clock by this: an earlier recorder's was, or ours was set back and is slewed after.
const AHEAD_MAX: SignedDuration = SignedDuration::from_secs(10);

const PPM: i128 = 1_000_000;
const NANOS_PER_MILLI: i128 = 1_000_000;
/// Before any time there is, and far enough from the end of the numbers to count with.
const NO_FLOOR: i128 = i128::MIN / 2;

/// The clock of one RTSP session of one channel.
#[derive(Debug, Clone)]
pub struct SessionClock {
    /// No segment starts before it.
    floor: i128,
    state: State,
    /// Smallest `arrival − media` since the last close.
    least: Option<i128>,
    /// The same, between the last two closes.
    least_before: Option<i128>,
    /// Media time of the open segment's first frame.
    opened: i128,
    /// Frames have waited for us since the last close, and between the last two: they arrived late without a clock being set.
    waited: bool,
    waited_before: bool,
    /// The newest frame seen: media time and arrival.
    newest: Option<(i128, i128)>,
    camera_ahead: Option<SignedDuration>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// The first segment is open: the offset is whatever is least so far.
    Learning,
    /// The offset, and what it was when it was learned.
    Learned { offset: i128, at_first: i128 },
}

/// What a closed segment covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// UTC of the first frame, full precision.
    pub captured_at: Timestamp,
    /// UTC of the first frame, whole milliseconds.
    pub start: Timestamp,
    /// UTC of the end of the last frame, whole milliseconds: the start of a segment that follows without a hole.
    pub end: Timestamp,
    /// How far the camera's media clock ran ahead of ours since the session began, in milliseconds.
    pub drift_ms: i64,
}

/// The end of a recording, unless it is so far ahead of our clock that only a wrong clock can have said so.
pub(crate) fn believed(end: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    end.filter(|end| end.duration_since(now) <= AHEAD_MAX)
}

impl SessionClock {
    /// A clock for a new session that says nothing before `floor`, the end of the channel's last segment; a floor that
    /// the first frame shows to be a wrong clock's does not hold.
    pub fn new(floor: Option<Timestamp>) -> Self {
        Self {
            floor: floor.map_or(NO_FLOOR, Timestamp::as_nanosecond),
            state: State::Learning,
            least: None,
            least_before: None,
            opened: 0,
            waited: false,
            waited_before: false,
            newest: None,
            camera_ahead: None,
        }
    }

    /// Learns from a frame. Every frame that arrives must be shown, in order of arrival.
    ///
    /// False when the media clock jumped against ours by more than [`JUMP`] since the last frame: nothing was
    /// learned, and the caller goes on with the clock of a new session.
    #[must_use]
    pub fn observe(&mut self, time: MediaTime, arrived_at: Timestamp) -> bool {
        let (media, arrival) = (nanos(time), arrived_at.as_nanosecond());
        if let Some((media_before, arrival_before)) = self.newest {
            let ahead = (media - media_before) - (arrival - arrival_before);
            let backwards = media_before - media;
            if ahead > JUMP.as_nanos() || backwards > JUMP.as_nanos() {
                return false;
            }
        } else if self.floor - arrival > AHEAD_MAX.as_nanos() {
            self.floor = NO_FLOOR;
        }
        self.newest = Some((media, arrival));
        let offset = arrival - media;
        self.least = Some(self.least.map_or(offset, |least| least.min(offset)));
        true
    }

    /// Frames have to wait for us, and will be seen later than they came.
    pub fn note_waiting(&mut self) {
        self.waited = true;
    }

    /// Notes a sender report (RFC 3550 section 6.4.1): what the camera believed the time to be when it was sent.
    pub fn note_sender_report(&mut self, camera_time: Timestamp, arrived_at: Timestamp) {
        self.camera_ahead = Some(camera_time.duration_since(arrived_at));
    }

    /// How far the camera's own clock is ahead of ours by its last sender report, travel time included.
    pub fn camera_ahead(&self) -> Option<SignedDuration> {
        self.camera_ahead
    }

    /// UTC of a media time as far as is known now.
    pub fn utc(&self, time: MediaTime) -> Timestamp {
        timestamp((nanos(time) + self.offset()).max(self.floor))
    }

    /// Opens a segment with a frame; the answer is provisional in the first segment of a session and final after.
    pub fn open(&mut self, time: MediaTime) -> Timestamp {
        self.opened = nanos(time);
        self.utc(time)
    }

    /// Closes the open segment at the end of its last frame and says what it covers.
    pub fn close(&mut self, time: MediaTime) -> Span {
        let media = nanos(time).max(self.opened);
        let offset = self.offset();
        let captured_at = (self.opened + offset).max(self.floor);
        let span = media - self.opened;
        let correction = match self.state {
            State::Learning => 0,
            State::Learned { .. } => self.correction(offset, span),
        };
        // From the start as it was published: a floor above the estimate moves the end too.
        let end = captured_at + span + correction;
        let learned = end - media;
        let at_first = match self.state {
            State::Learning => learned,
            State::Learned { at_first, .. } => at_first,
        };
        let stepped = self.step_forward(learned);
        self.floor = whole_millis(end);
        self.state = State::Learned {
            offset: stepped.unwrap_or(learned),
            at_first: at_first + stepped.map_or(0, |offset| offset - learned),
        };
        self.least_before = self.least.take();
        self.waited_before = std::mem::take(&mut self.waited);
        Span {
            captured_at: timestamp(captured_at),
            start: timestamp(whole_millis(captured_at)),
            end: timestamp(self.floor),
            drift_ms: i64::try_from((at_first - learned) / NANOS_PER_MILLI).unwrap_or(i64::MAX),
        }
    }

    fn offset(&self) -> i128 {
        match self.state {
            State::Learning => self.least.unwrap_or(0).max(self.floor - self.opened),
            State::Learned { offset, .. } => offset,
        }
    }

    fn correction(&self, offset: i128, span: i128) -> i128 {
        let Some(estimate) = self.estimate() else {
            return 0;
        };
        let error = estimate - offset;
        let ppm = if error.abs() > FAR.as_nanos() {
            SLEW_FAST_PPM
        } else {
            SLEW_PPM
        };
        let limit = span * ppm / PPM;
        error.clamp(-limit, limit)
    }

    /// The least offset of this and the previous segment.
    fn estimate(&self) -> Option<i128> {
        match (self.least, self.least_before) {
            (Some(now), Some(before)) => Some(now.min(before)),
            (now, before) => now.or(before),
        }
    }

    fn step_forward(&self, offset: i128) -> Option<i128> {
        let estimate = self.least?.min(self.least_before?);
        let is_ours = self.waited || self.waited_before;
        (!is_ours && estimate - offset > STEP.as_nanos()).then_some(estimate)
    }
}

fn nanos(time: MediaTime) -> i128 {
    time.since_start().as_nanos()
}

fn whole_millis(nanos: i128) -> i128 {
    nanos.div_euclid(NANOS_PER_MILLI) * NANOS_PER_MILLI
}

fn timestamp(nanos: i128) -> Timestamp {
    Timestamp::from_nanosecond(nanos).unwrap_or(if nanos < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::num::NonZeroU32;

    const RATE: NonZeroU32 = NonZeroU32::new(90_000).unwrap();
    const SECOND: i128 = 1_000_000_000;
    const FRAMES_PER_SECOND: i64 = 5;
    const SEGMENT_SECONDS: i64 = 30;
    /// 2026-11-21, in nanoseconds.
    const NOW: i128 = 1_795_000_000 * SECOND;

    /// A camera and the way from it: when each frame is taken, and when we see it.
    #[derive(Debug, Clone)]
    struct Weather {
        /// The camera's crystal, positive = fast.
        drift_ppm: i128,
        /// Extra delay of frames, milliseconds, repeated.
        jitter_ms: Vec<u32>,
        /// Our clock is set by so many milliseconds before the frame of that second.
        steps: Vec<(u16, i32)>,
    }

    struct Run {
        spans: Vec<Span>,
        /// UTC minus our clock's reading of the capture, at each segment's start, in nanoseconds.
        errors: Vec<i128>,
    }

    fn run(weather: &Weather, seconds: i64) -> Run {
        let mut clock = SessionClock::new(None);
        let mut result = Run {
            spans: Vec::new(),
            errors: Vec::new(),
        };
        let mut arrived = 0;
        let mut open: Option<i128> = None;
        for n in 0..seconds * FRAMES_PER_SECOND {
            let media = MediaTime::new(n * 90_000 / FRAMES_PER_SECOND, RATE);
            let captured = nanos(media) * PPM / (PPM + weather.drift_ppm);
            let jitter = weather.jitter_ms[usize::try_from(n).unwrap() % weather.jitter_ms.len()];
            arrived = arrived.max(captured + i128::from(jitter) * NANOS_PER_MILLI);
            let stepped: i128 = weather
                .steps
                .iter()
                .filter(|(second, _)| i64::from(*second) * FRAMES_PER_SECOND <= n)
                .map(|(_, by)| i128::from(*by) * NANOS_PER_MILLI)
                .sum();
            let seen_at = timestamp(NOW + arrived + stepped);
            let jumped = !clock.observe(media, seen_at);
            if jumped || n % (SEGMENT_SECONDS * FRAMES_PER_SECOND) == 0 {
                if let Some(truth) = open {
                    let span = clock.close(media);
                    result.spans.push(span);
                    result.errors.push(span.captured_at.as_nanosecond() - truth);
                }
                if jumped {
                    clock = SessionClock::new(result.spans.last().map(|span| span.end));
                    assert!(clock.observe(media, seen_at));
                }
                clock.open(media);
                open = Some(NOW + captured + stepped);
            }
        }
        result
    }

    fn weather(max_step_ms: i32, steps: usize) -> impl Strategy<Value = Weather> {
        (
            -500_i128..=500,
            proptest::collection::vec(0_u32..2_000, 1..100),
            proptest::collection::vec((0_u16..600, -max_step_ms..=max_step_ms), 0..=steps),
        )
            .prop_map(|(drift_ppm, mut jitter_ms, steps)| {
                // Four calm seconds now and then: behind a delay of 2 s frames queue up.
                jitter_ms.extend([0; 20]);
                Weather {
                    drift_ppm,
                    jitter_ms,
                    steps,
                }
            })
    }

    fn still_air(steps: Vec<(u16, i32)>) -> Weather {
        Weather {
            drift_ppm: 0,
            jitter_ms: vec![0],
            steps,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn segments_never_overlap_and_never_grow_by_more_than_a_hundredth(weather in weather(2_400, 4)) {
            let run = run(&weather, 900);
            for pair in run.spans.windows(2) {
                prop_assert!(pair[0].end <= pair[1].start);
            }
            for span in &run.spans {
                let length = span.end.duration_since(span.start).as_millis();
                prop_assert!(length <= 30_301, "{length} ms long");
            }
        }

        /// Four steps that are small enough to be slewed after, and as much jitter as there is, may be behind it.
        #[test]
        fn nothing_is_dated_far_ahead_of_our_clock_however_it_is_set(weather in weather(4 * 3_600_000, 4)) {
            let run = run(&weather, 900);
            let most = 4 * AHEAD_MAX.as_nanos() + 4 * SECOND;
            for error in &run.errors {
                prop_assert!(*error <= most, "{} ms ahead", error / NANOS_PER_MILLI);
            }
        }

        #[test]
        fn without_steps_segments_abut_and_drift_does_not_run_away(weather in weather(1, 0)) {
            let run = run(&weather, 3_600);
            for pair in run.spans.windows(2) {
                prop_assert_eq!(pair[0].end, pair[1].start);
            }
            for error in &run.errors {
                prop_assert!(error.abs() <= 100 * NANOS_PER_MILLI, "{} ms off", error / NANOS_PER_MILLI);
            }
        }

        #[test]
        fn the_drift_of_the_crystal_is_noted(drift_ppm in -500_i128..=500) {
            let run = run(&Weather { drift_ppm, jitter_ms: vec![0], steps: vec![] }, 3_600);
            let drift_ms = i128::from(run.spans.last().unwrap().drift_ms);
            prop_assert!((drift_ms - drift_ppm * 3_600 / 1_000).abs() <= 60, "{drift_ms}");
        }
    }

    #[test]
    fn a_clock_set_forward_is_followed_after_two_segments() {
        let run = run(&still_air(vec![(45, 60_000)]), 300);
        let last = run.errors.last().unwrap();
        assert!(last.abs() < NANOS_PER_MILLI, "{last}");
    }

    #[test]
    fn frames_that_waited_for_us_do_not_set_the_clock_forward() {
        let mut clock = SessionClock::new(None);
        let mut spans = Vec::new();
        for second in 0..40 {
            let media = MediaTime::new(second * 90_000, RATE);
            if second % 2 == 0 && second > 0 {
                spans.push(clock.close(media));
            }
            // From the tenth second on nothing is taken for ten seconds; what waited then comes at four times its speed.
            let late = if second < 10 {
                0
            } else {
                (40 - 3 * (second - 10)).max(0) / 4
            };
            assert!(clock.observe(media, timestamp(NOW + i128::from(second + late) * SECOND)));
            if late > 0 {
                clock.note_waiting();
            }
            if second % 2 == 0 {
                clock.open(media);
            }
        }
        for (number, span) in (0..).zip(spans) {
            let off = span.captured_at.as_nanosecond() - NOW - number * 2 * SECOND;
            assert!(off.abs() < SECOND / 5, "{span:?} is slewed, and no more");
        }
    }

    #[test]
    fn a_clock_set_back_is_followed_without_saying_anything_twice() {
        let run = run(&still_air(vec![(45, -5_000)]), 1_500);
        let last = run.errors.last().unwrap();
        assert!(last.abs() < 30 * NANOS_PER_MILLI, "{last}");
    }

    #[test]
    fn a_burst_of_cached_frames_dates_the_first_segment_back() {
        let mut clock = SessionClock::new(None);
        for n in 0..100 {
            let media = MediaTime::new(n * 3_600, RATE);
            // The gateway held two seconds of video and sends them at once.
            let arrived = NOW + (nanos(media) - 2 * SECOND).max(0);
            assert!(clock.observe(media, timestamp(arrived)));
        }
        clock.open(MediaTime::new(0, RATE));
        let span = clock.close(MediaTime::new(360_000, RATE));
        assert_eq!(span.start, timestamp(NOW - 2 * SECOND));
        assert_eq!(span.end, timestamp(NOW + 2 * SECOND));
    }

    #[test]
    fn a_session_never_starts_before_the_channels_last_end() {
        let floor = timestamp(NOW + SECOND);
        let mut clock = SessionClock::new(Some(floor));
        assert!(clock.observe(MediaTime::new(90_000, RATE), timestamp(NOW)));
        assert_eq!(clock.open(MediaTime::new(90_000, RATE)), floor);
        let span = clock.close(MediaTime::new(180_000, RATE));
        assert_eq!((span.start, span.end), (floor, timestamp(NOW + 2 * SECOND)));
    }

    #[test]
    fn a_session_after_a_clock_was_put_right_starts_at_the_right_time() {
        let three_hours_ahead = timestamp(NOW + 3 * 3_600 * SECOND);
        let mut clock = SessionClock::new(Some(three_hours_ahead));
        assert!(clock.observe(MediaTime::new(90_000, RATE), timestamp(NOW)));
        assert_eq!(clock.open(MediaTime::new(90_000, RATE)), timestamp(NOW));
        let span = clock.close(MediaTime::new(180_000, RATE));
        assert_eq!((span.start, span.end), (timestamp(NOW), timestamp(NOW + SECOND)));
    }

    #[test]
    fn a_clock_that_is_put_right_by_hours_is_followed_at_once() {
        let run = run(&still_air(vec![(45, -3 * 3_600_000)]), 120);
        let last = run.errors.last().unwrap();
        assert!(last.abs() < 30 * NANOS_PER_MILLI, "{last}");
    }

    #[test]
    fn a_media_clock_that_jumps_is_told_from_a_network_that_waits() {
        let mut clock = SessionClock::new(None);
        assert!(clock.observe(MediaTime::new(0, RATE), timestamp(NOW)));
        assert!(clock.observe(MediaTime::new(3_600, RATE), timestamp(NOW + 60 * SECOND)));
        assert!(!clock.observe(MediaTime::new(90_000 * 30, RATE), timestamp(NOW + 61 * SECOND)));
        assert!(!clock.observe(MediaTime::new(-90_000 * 30, RATE), timestamp(NOW + 61 * SECOND)));
    }

    #[test]
    fn a_lying_camera_is_noted_and_not_believed() {
        let mut clock = SessionClock::new(None);
        assert!(clock.observe(MediaTime::new(0, RATE), timestamp(NOW)));
        clock.note_sender_report(timestamp(NOW + 3_600 * SECOND), timestamp(NOW));
        assert_eq!(clock.open(MediaTime::new(0, RATE)), timestamp(NOW));
        assert_eq!(clock.camera_ahead(), Some(SignedDuration::from_hours(1)));
    }
}

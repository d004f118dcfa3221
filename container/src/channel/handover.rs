//! A channel's last stretch by a recorder that has a successor: parts that are held back until it is known what the
//! successor begins with. The steps are in [`domain::succession`].

use crate::media::spool::{Pending, Spool};
use domain::succession::{Succession, find, not_covered};
use domain::{FirstPicture, PictureMark};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

/// The two clocks, and the ways from the gateway, may differ by so much: parts begin earlier than the successor.
const PARTS_BEFORE: SignedDuration = SignedDuration::from_secs(2);
/// What the successor began with is here, too, so long after it was reported, unless this line lags ...
const HERE_AFTER: Duration = Duration::from_secs(2);
/// ... which is waited for: more than any buffer on the way holds.
const LAG_MAX: Duration = Duration::from_secs(30);
/// A picture is recorded here, too, when recording has come so much further.
const PASSED_BY: SignedDuration = SignedDuration::from_secs(1);

/// What is known of the successor, and what is held back for it.
#[derive(Debug)]
pub(super) struct Handover {
    succession: Succession,
    in_parts: bool,
    parts: Vec<Part>,
    /// When the successor's first picture became known.
    reported_at: Option<Instant>,
}

#[derive(Debug)]
struct Part {
    first: FirstPicture,
    pending: Pending,
}

impl Handover {
    /// There is a successor.
    pub(super) fn new(succession: Succession) -> Self {
        Self {
            succession,
            in_parts: false,
            parts: Vec::new(),
            reported_at: succession.first_picture.map(|_| Instant::now()),
        }
    }

    /// The newest word of it.
    pub(super) fn learn(&mut self, succession: Succession) {
        self.succession = succession;
        if succession.first_picture.is_some() {
            self.reported_at.get_or_insert_with(Instant::now);
        }
    }

    /// True once, when it is time to record in parts.
    pub(super) fn begins_parts(&mut self, now: Timestamp) -> bool {
        let until = self.succession.until.duration_since(now);
        let begins = !self.in_parts && until <= PARTS_BEFORE;
        self.in_parts |= begins;
        begins
    }

    /// Holds a segment back, if it may be the successor's; else it is the archive's.
    pub(super) fn hold(&mut self, pending: Pending, opens_with: PictureMark) -> Option<Pending> {
        if !self.in_parts {
            return Some(pending);
        }
        let first = FirstPicture {
            at: pending.start,
            mark: opens_with,
        };
        self.parts.push(Part { first, pending });
        None
    }

    /// Whether nothing more need be recorded: the successor has what follows, or this recorder has nothing to lose.
    pub(super) fn is_over(&self, recording: bool, recorded_to: Option<Timestamp>) -> bool {
        let Some((first, reported_at)) = self.succession.first_picture.zip(self.reported_at) else {
            return self.succession.alive && !recording;
        };
        let waited = reported_at.elapsed();
        let passed = recorded_to.is_some_and(|to| to.duration_since(first.at) >= PASSED_BY);
        !recording
            || find(&self.firsts(), first).is_some()
            || waited >= HERE_AFTER && passed
            || waited >= LAG_MAX
    }

    /// Whether the successor records, so that what this recorder misses is none of its business any more.
    pub(super) fn is_done(&self) -> bool {
        self.succession.first_picture.is_some()
    }

    /// Removes what the successor has and returns the rest.
    pub(super) async fn settle(self) -> Vec<Pending> {
        let firsts = self.firsts();
        let keep = match self.succession.first_picture {
            Some(first) => not_covered(&firsts, first),
            None => firsts.len(),
        };
        let mut parts: Vec<Pending> = self.parts.into_iter().map(|part| part.pending).collect();
        let twice = parts.split_off(keep);
        // A blocking task that dies leaves files that go to the archive twice: better than not at all.
        let _ = spawn_blocking(move || twice.iter().for_each(remove)).await;
        parts
    }

    fn firsts(&self) -> Vec<FirstPicture> {
        self.parts.iter().map(|part| part.first).collect()
    }
}

fn remove(part: &Pending) {
    match Spool::remove(part) {
        Ok(()) => tracing::debug!(file = %part.file.display(), "the successor has this part"),
        Err(error) => tracing::warn!(%error, "a part that the successor has, too, was not removed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{ChannelKey, Generation, SegmentKey};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn succession(first_picture: Option<FirstPicture>) -> Succession {
        Succession {
            until: at(0),
            alive: true,
            first_picture,
        }
    }

    fn part(second: i64) -> Pending {
        let channel = ChannelKey::new("A", "1");
        let length = SignedDuration::from_secs(2);
        let segment = SegmentKey::new(channel.clone(), at(second), length, Generation(1));
        Pending {
            object: segment.object_key(),
            channel,
            start: at(second),
            file: "/nowhere".into(),
            meta: domain::SegmentMeta {
                captured_at: at(second),
                codecs: String::new(),
                sha256: String::new(),
                origin: domain::Origin::Live,
                clock_drift_ms: 0,
                note: None,
            },
            size_bytes: 1,
            segment: Some(segment),
        }
    }

    fn holding(succession: Succession, seconds: &[i64]) -> Handover {
        let mut handover = Handover::new(succession);
        assert!(handover.begins_parts(at(-1)));
        for second in seconds {
            let mark = PictureMark(u64::try_from(*second).unwrap());
            assert_eq!(handover.hold(part(*second), mark), None);
        }
        handover
    }

    #[test]
    fn parts_begin_shortly_before_the_successor_may() {
        let mut handover = Handover::new(succession(None));
        assert!(!handover.begins_parts(at(-10)));
        let before = part(-20);
        assert_eq!(handover.hold(before.clone(), PictureMark(1)), Some(before));
        assert!(handover.begins_parts(at(-2)));
        assert!(!handover.begins_parts(at(-1)), "once");
        assert_eq!(handover.hold(part(0), PictureMark(1)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_over_when_the_successors_first_picture_is_among_the_parts() {
        let mut handover = holding(succession(None), &[0, 2]);
        assert!(!handover.is_over(true, Some(at(4))), "nothing is known yet");
        assert!(handover.is_over(false, Some(at(4))), "nothing to lose");
        let first = FirstPicture {
            at: at(4),
            mark: PictureMark(4),
        };
        handover.learn(succession(Some(first)));
        assert!(!handover.is_over(true, Some(at(4))), "this line may lag");
        assert!(handover.hold(part(4), PictureMark(4)).is_none());
        assert!(handover.is_over(true, Some(at(4))));
        let kept: Vec<_> = handover.settle().await.iter().map(|part| part.start).collect();
        assert_eq!(kept, [at(0), at(2)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_lags_is_waited_for_and_not_for_ever() {
        let first = FirstPicture {
            at: at(4),
            mark: PictureMark(4),
        };
        let handover = holding(succession(Some(first)), &[0]);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(!handover.is_over(true, Some(at(3))));
        assert!(handover.is_over(true, Some(at(5))));
        tokio::time::advance(Duration::from_secs(30)).await;
        assert!(handover.is_over(true, Some(at(3))));
        assert_eq!(handover.settle().await.len(), 1, "what nobody else has is kept");
    }

    #[tokio::test]
    async fn without_a_successors_picture_everything_is_kept() {
        assert_eq!(holding(succession(None), &[0, 2, 4]).settle().await.len(), 3);
    }
}

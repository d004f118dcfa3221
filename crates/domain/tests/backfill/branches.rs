//! What the storm's rounds meet.

use super::holes::{Hole, Kind};
use super::storm::Sim;
use domain::backfill::{Piece, Report};
use jiff::{SignedDuration, Timestamp};

/// What one worker came to in a round.
pub(crate) struct Round {
    pub(crate) began: Timestamp,
    pub(crate) ended: Timestamp,
    /// Something waited on its disk.
    pub(crate) waited: bool,
    pub(crate) report: Report,
}

impl Sim {
    /// Holds a round to what it may ask for, and counts what it met.
    pub(crate) fn judge(&self, round: &Round, would_play: usize) {
        let Round {
            began,
            ended,
            waited,
            report,
        } = round;
        for piece in &report.pieces {
            let hole = self.holes.iter().find(|hole| hole.key == piece.key).unwrap();
            hole.assert_may_be_asked_for(&self.policy, &piece.missing, *began..*ended);
            self.count_piece(hole, piece);
        }
        self.count(report);
        self.count_refusals(report);
        let is_at_work = report.held.is_none() && report.failure.is_none();
        let waited = is_at_work && *waited;
        let stores_fail = report.failed.values().any(|why| why.contains("storing"));
        let plays_none = report.playbacks == 0 && !report.pieces.is_empty();
        let plays_most = report.pieces.len() == self.policy.playbacks_max;
        self.reach_all(&[
            ("what waited goes first", waited && report.stored > 0),
            (
                "nothing is fetched while that waits",
                waited && stores_fail && plays_none,
            ),
            (
                "more devices than playbacks",
                plays_most && would_play > report.pieces.len(),
            ),
        ]);
        if is_at_work && report.failed.is_empty() {
            self.count_left(*began);
        }
    }

    fn count_piece(&self, hole: &Hole, piece: &Piece) {
        let is_rest =
            !self.world.memory().settled(&hole.key).is_empty() || !hole.fetched(&self.world).is_empty();
        self.reach_all(&[
            ("a piece of a long hole", piece.missing.goes_on),
            ("the rest of a hole", is_rest),
            ("begins after a segment", piece.before.is_some()),
            ("begins after nothing", piece.before.is_none()),
            ("ends at a segment", piece.after.is_some()),
            ("ends at nothing", piece.after.is_none()),
            ("two causes are one hole", hole.kind == Kind::TwoCauses),
            ("beside what was not wanted", hole.kind == Kind::PartlyNotWanted),
            ("unexplained, a day later", hole.kind == Kind::PartlyUnexplained),
            ("over by now", hole.kind == Kind::NotOver),
            ("nearly too old", hole.kind == Kind::Old),
        ]);
    }

    fn count(&self, report: &Report) {
        let held = |why: &str| report.held.as_ref().is_some_and(|held| held.contains(why));
        self.reach_all(&[
            (
                "nothing to do",
                report.pieces.is_empty() && report.failure.is_none(),
            ),
            ("has more", report.has_more()),
            ("stored", report.stored > 0),
            ("discarded", report.discarded > 0),
            ("not on the device", report.not_on_device > SignedDuration::ZERO),
            ("no time for another playback", report.postponed > 0),
            ("a device waits", report.devices_waiting > 0),
            ("held: another works", held("works until")),
            ("held: another was faster", held("was faster")),
            ("failure", report.failure.is_some()),
        ]);
    }

    fn count_refusals(&self, report: &Report) {
        let failed = |why: &str| report.failed.values().any(|failed| failed.contains(why));
        self.reach_all(&[
            ("failed: the gaps", failed("listing gaps")),
            ("failed: the archive", failed("listing segments")),
            ("failed: the search", failed("finding footage")),
            ("failed: the address", failed("asking for a playback")),
            ("failed: the connection", failed("connecting")),
            ("failed: the playback", failed("the playback broke off")),
            (
                "failed: an early goodbye",
                failed("ended the playback before its end"),
            ),
            ("failed: the store", failed("storing: ") || failed("storing was")),
            ("failed: the lease is over", failed("the lease is over")),
            (
                "failed: the lease went to another",
                report.failed.contains_key("memory"),
            ),
            ("failed: alerts", report.failed.contains_key("alerts")),
        ]);
    }

    /// What a round that saw everything left alone.
    fn count_left(&self, began: Timestamp) {
        for hole in &self.holes {
            let is_ripe = hole.is_ripe(&self.policy, began);
            let is_past = hole.end < began - self.policy.horizon;
            self.reach_all(&[
                ("too short", hole.kind == Kind::TooShort),
                ("not over yet", hole.kind == Kind::NotOver && began < hole.end),
                (
                    "just over",
                    hole.kind == Kind::NotOver && began >= hole.end && !is_ripe,
                ),
                (
                    "unexplained, to wait for a day",
                    hole.kind == Kind::PartlyUnexplained && !is_ripe,
                ),
                ("too old", hole.kind == Kind::Old && is_past),
            ]);
        }
    }

    pub(crate) fn reach_all(&self, reached: &[(&str, bool)]) {
        let is_so = reached.iter().filter(|(_, is_so)| *is_so);
        is_so.for_each(|(branch, _)| self.met.reach(branch));
    }
}

/// What the rounds meet, by their own reports, by what they ask of devices, and by what they leave alone.
pub(crate) const BRANCHES: &[&str] = &[
    "nothing to do",
    "has more",
    "a piece of a long hole",
    "the rest of a hole",
    "begins after a segment",
    "begins after nothing",
    "ends at a segment",
    "ends at nothing",
    "two causes are one hole",
    "beside what was not wanted",
    "unexplained, to wait for a day",
    "unexplained, a day later",
    "too short",
    "not over yet",
    "just over",
    "over by now",
    "nearly too old",
    "too old",
    "more devices than playbacks",
    "a device waits",
    "held: another works",
    "held: another was faster",
    "not on the device",
    "written over since the search",
    "no time for another playback",
    "played to its end",
    "a goodbye after some of it",
    "a goodbye at once",
    "broken off",
    "no playback begun",
    "the last word",
    "stored",
    "stored again",
    "discarded",
    "what waited goes first",
    "nothing is fetched while that waits",
    "failure",
    "failed: the gaps",
    "failed: the archive",
    "failed: the search",
    "failed: the address",
    "failed: the connection",
    "failed: the playback",
    "failed: an early goodbye",
    "failed: the store",
    "failed: the lease is over",
    "failed: the lease went to another",
    "failed: alerts",
    "told",
    "asleep",
    "crash",
    "told to end",
];

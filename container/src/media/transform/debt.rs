//! What a child owes: how one that hangs is told from one that has nothing to say.
//!
//! The one idea: a child owes an answer for what it took a while ago, and whenever somebody waits for it. The first alone
//! would not do: at usual bit rates the pipe of a child that hangs is full before it has taken enough to owe anything, and sound
//! is waited for earlier than that.

use crate::media::frame::MediaTime;
use jiff::SignedDuration;
use tokio::time::Instant;

/// What a child may keep to itself until it is given more: two access units of sound at 8 kHz, one picture a second.
const HELD_BACK: SignedDuration = SignedDuration::from_secs(2);

/// What a child owes.
#[derive(Debug, Default)]
pub(super) struct Debt {
    /// The first frame it was given.
    from: Option<MediaTime>,
    /// Since when it owes an answer for what it was given.
    due: Option<Instant>,
    /// Since when it has taken nothing, and answered nothing, though it is waited for.
    blocked: Option<Instant>,
}

impl Debt {
    /// Encoders and ffmpeg's muxer hold something back: an answer is owed only for what is [`HELD_BACK`] older.
    pub(super) fn fed(&mut self, time: MediaTime, last_out: Option<MediaTime>) {
        self.blocked = None;
        let from = *self.from.get_or_insert(time);
        let answered = last_out.map_or(from.since_start(), |last| {
            last.since_start().max(from.since_start())
        });
        if time.since_start() - answered > HELD_BACK {
            self.fall_due();
        }
    }

    /// It owes an answer from now on, if it did not before.
    pub(super) fn fall_due(&mut self) {
        self.due.get_or_insert_with(Instant::now);
    }

    /// Whether it is waited for: it does not keep up, or has no room for the next frame.
    pub(super) fn blocked(&mut self, is_blocked: bool) {
        if is_blocked {
            self.blocked.get_or_insert_with(Instant::now);
        }
    }

    /// It put something out.
    pub(super) fn answered(&mut self) {
        self.due = None;
        self.blocked = None;
    }

    /// Since when it owes anything.
    pub(super) fn since(&self) -> Option<Instant> {
        self.due.into_iter().chain(self.blocked).min()
    }
}

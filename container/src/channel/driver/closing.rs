//! Where recordings end: what is complete goes to the uploader, and what the disk refuses is tried again, and then told.

use super::Driver;
use crate::alerts::RECORDINGS;
use crate::channel::line::Line;
use crate::channel::machine::{Failure, Input};
use crate::media::spool::Pending;
use crate::uploader;
use domain::{Gap, GapCause};
use jiff::Timestamp;

/// Tries to close what was recorded: each in the room that one more of the oldest recordings leaves, if that is the matter.
const CLOSE_TRIES: usize = 3;

impl Driver {
    /// A recording is on disk for good.
    pub(super) fn complete(&mut self, pending: Pending) {
        self.transform_may_be_well();
        if let Some(segment) = &pending.segment {
            let lost_packets = self.line.take_lost_packets();
            tracing::info!(
                target: RECORDINGS,
                channel = %segment.channel,
                start = %segment.start,
                duration_ms = segment.duration.as_millis(),
                bytes = pending.size_bytes,
                generation = %segment.generation,
                drift_ms = pending.meta.clock_drift_ms,
                lost_packets,
                note = pending.meta.note,
                "segment"
            );
            self.context.tally.segments.add(1);
            self.context.tally.bytes.add(pending.size_bytes);
            self.context.tally.lost_packets.add(lost_packets);
            let now = self.context.now().wall;
            self.context.board.closed(&segment.channel, segment.end(), now);
        }
        uploader::add(&self.context, pending);
    }

    /// What was recorded is not on disk, nor will it be.
    pub(super) fn lost(&self, start: Timestamp, end: Timestamp, cause: GapCause) {
        let key = self.assignment.key.clone();
        tracing::error!(channel = %key, %start, %end, %cause, "recorded pictures are lost: the disk refused them");
        self.context.journal.note(Gap {
            key,
            start,
            end: Some(end),
            cause,
        });
    }

    /// The connection is over, or of no use: what it gave is closed before the machine hears of it.
    pub(super) async fn broken(&mut self, failure: Failure) {
        tracing::info!(channel = %self.assignment.key, cause = %failure.cause, error = failure.text, "not recording");
        self.make_room_for(&failure);
        self.hang_up().await;
        self.inputs.push_back(Input::Failed(failure));
    }

    /// What was recorded last is worth more than what was recorded first.
    fn make_room_for(&self, failure: &Failure) {
        if failure.cause == GapCause::SpoolOverflow {
            uploader::make_room(&self.context);
        }
    }

    pub(super) async fn hang_up(&mut self) {
        self.line = Line::Down;
        self.started = false;
        let _closing = self.context.config.calm.urgent();
        self.urgent = None;
        for _ in 0..CLOSE_TRIES {
            let mut failed = None;
            for recorded in self.recording.finish().await {
                failed = self.take(recorded).err().or(failed);
            }
            let Some(failure) = failed else { return };
            tracing::warn!(channel = %self.assignment.key, error = failure.text, "end of a recording not closed yet");
            self.make_room_for(&failure);
        }
    }
}

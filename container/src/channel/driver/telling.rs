//! What people are told of a channel.

use super::Driver;
use crate::channel::machine::Notice;
use crate::media::pipeline::What;
use crate::source::gateway_of;
use domain::GapCause;
use domain::alert::Severity;
use std::time::Duration;
use tokio::time::Instant;

/// An ffmpeg child that is started again after so long a pause has died several times in a row.
const TRANSFORM_PATIENCE: Duration = Duration::from_secs(5);
/// A transform that has not died for so long is well.
const TRANSFORM_WELL_AFTER: Duration = Duration::from_secs(60);

impl Driver {
    /// One death is mended by the next child; deaths in a row are for a person.
    pub(super) fn transform_failed(&mut self, what: What, error: &str, again_in: Duration) {
        let key = &self.assignment.key;
        tracing::warn!(channel = %key, ?what, error, ?again_in, "transform ended and is started again");
        if again_in >= TRANSFORM_PATIENCE {
            let text = format!("the transform of {key} ({what:?}) ends again and again: {error}");
            self.context
                .troubles
                .stands(self.transform_subject(), Severity::Warning, text);
            self.transform_failed_at = Some(Instant::now());
        }
    }

    fn transform_subject(&self) -> String {
        format!("transform of channel {}", self.assignment.key)
    }

    /// One that has not died for a while is well.
    pub(super) fn transform_may_be_well(&mut self) {
        if self
            .transform_failed_at
            .is_some_and(|at| at.elapsed() > TRANSFORM_WELL_AFTER)
        {
            self.transform_failed_at = None;
            self.context.troubles.is_over(&self.transform_subject());
        }
    }

    pub(super) fn tell(&self, notice: &Notice) {
        let troubles = &self.context.troubles;
        match notice {
            Notice::NeedsAPerson(failure) => {
                let text = format!("{} is not recorded: {}", self.assignment.key, failure.text);
                troubles.stands(self.subject(failure.cause), Severity::Critical, text);
            }
            Notice::Resolved(cause) => troubles.is_over(&self.subject(*cause)),
        }
    }

    /// Rejected credentials are one trouble of the gateway, however many channels find out.
    fn subject(&self, cause: GapCause) -> String {
        match gateway_of(&self.assignment.media_url) {
            Ok((_, gateway)) if cause == GapCause::CredentialsRejected => format!("gateway {gateway}"),
            Ok(_) | Err(_) => format!("channel {}", self.assignment.key),
        }
    }

    /// What concerns a recording is over with it.
    pub(super) fn tell_end(&self) {
        let troubles = &self.context.troubles;
        troubles.is_over(&self.transform_subject());
        troubles.is_over(&self.subject(GapCause::UnsupportedStream));
    }
}

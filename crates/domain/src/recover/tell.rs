//! What people are told about images and replacements.

use super::memory::{Memory, Retired, Saga, SagaResult};
use super::{ImagePlan, Observed, RecoverPolicy};
use crate::alert::{Alert, Severity, Trouble};
use crate::id::InstanceId;
use jiff::{SignedDuration, Timestamp};

/// Undelivered alerts are kept up to this many; then the oldest go.
const OUTBOX_MAX: usize = 20;

/// Names of lost devices that fit into one message.
const DEVICES_TOLD_MAX: usize = 20;

/// Looks without any usable image before people are told: the first image of a new stack takes its time.
const NO_IMAGE_LOOKS: u32 = 120;

pub(super) fn bound(outbox: &mut Vec<Alert>) {
    let too_many = outbox.len().saturating_sub(OUTBOX_MAX);
    outbox.drain(..too_many);
}

fn alert(saga: &Saga, severity: Severity, text: String) -> Alert {
    let subject = if saga.request.drill {
        "drill"
    } else {
        "replacement"
    };
    Alert {
        severity,
        subject: subject.into(),
        text,
        since: saga.request.since,
    }
}

fn urgent(saga: &Saga) -> Severity {
    if saga.request.drill {
        Severity::Warning
    } else {
        Severity::Critical
    }
}

fn source(saga: &Saga) -> String {
    match (&saga.image, saga.image_taken_at) {
        (Some(image), Some(taken_at)) => format!("image {image} of {taken_at:.0}"),
        (Some(image), None) => format!("image {image}"),
        (None, _) => "the base image, which knows no device".into(),
    }
}

pub(super) fn begun(saga: &Saga) -> Alert {
    let what = if saga.request.drill {
        "a drill begins: the gateway is launched in isolation"
    } else {
        "the gateway is being replaced"
    };
    let old = saga.old.as_ref().map_or_else(
        || "There is no old instance.".into(),
        |old| format!("The old instance {old} stays until the new one is proven."),
    );
    let text = format!("{what} from {} ({}). {old}", source(saga), saga.request.reason);
    alert(saga, urgent(saga), text)
}

pub(super) fn attempt_failed(saga: &Saga, why: &str) -> Alert {
    let text = format!(
        "attempt {} from {} failed while {}: {why}. The next image is tried",
        saga.attempt,
        source(saga),
        saga.step
    );
    alert(saga, urgent(saga), text)
}

pub(super) fn failed(saga: &Saga, why: &str) -> Alert {
    let text = format!(
        "gave up after {} attempts, the last from {}, while {}: {why}. What was launched is kept stopped for \
         inspection; a person must look",
        saga.attempt,
        source(saga),
        saga.step
    );
    alert(saga, Severity::Critical, text)
}

pub(super) fn abandoned(saga: &Saga, why: &str) -> Alert {
    let text = format!("the replacement ends: {why}. Whoever has the address is the gateway");
    alert(saga, Severity::Critical, text)
}

pub(super) fn finished(policy: &RecoverPolicy, saga: &Saga, result: &SagaResult) -> Alert {
    let rto = measured("recovery time", result.rto_seconds, policy.rto);
    let rpo = measured("age of the image", result.rpo_seconds, policy.rpo);
    let text = if saga.request.drill {
        format!("the drill succeeded from {}: {rto}; {rpo}", source(saga))
    } else {
        format!(
            "the gateway was replaced from {}: {rto}; {rpo}; {}",
            source(saga),
            devices(result.lost_devices.as_deref())
        )
    };
    alert(saga, Severity::Resolved, text)
}

fn measured(what: &str, seconds: Option<i64>, limit: SignedDuration) -> String {
    let Some(seconds) = seconds else {
        return format!("{what} not known");
    };
    let time = SignedDuration::from_secs(seconds);
    let verdict = if time > limit { "more than" } else { "within" };
    format!("{what} {time:#}, {verdict} the {limit:#} wanted")
}

fn devices(lost: Option<&[String]>) -> String {
    match lost {
        None => "its device list could not be compared".into(),
        Some([]) => "it knows every wanted device".into(),
        Some(lost) => {
            let more = lost.len().saturating_sub(DEVICES_TOLD_MAX);
            let named: Vec<&str> = lost.iter().take(DEVICES_TOLD_MAX).map(String::as_str).collect();
            let rest = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            format!(
                "{} wanted devices are not registered with it and must be added by hand: {}{rest}",
                lost.len(),
                named.join(", ")
            )
        }
    }
}

pub(super) fn drifted(changes: &[String], now: Timestamp) -> Alert {
    Alert {
        severity: Severity::Warning,
        subject: "gateway settings".into(),
        text: format!(
            "the gateway was not configured as wanted and was changed: {}. Who changes it by hand must change the \
             stack's parameters instead",
            changes.join("; ")
        ),
        since: now,
    }
}

pub(super) fn adopted(holder: &InstanceId, former: &InstanceId, now: Timestamp) -> Alert {
    Alert {
        severity: Severity::Warning,
        subject: "gateway address".into(),
        text: format!(
            "somebody moved the public address to {holder}, which is the gateway from now on. {former} is left as \
             it is and is yours to end"
        ),
        since: now,
    }
}

pub(super) fn restarted_by_hand(instance: &InstanceId, retired: &Retired) -> Alert {
    Alert {
        severity: Severity::Warning,
        subject: "retired instance".into(),
        text: format!(
            "somebody started {instance}, which was retired ({}). It is yours to end from now on",
            retired.because
        ),
        since: retired.since,
    }
}

/// What is wrong with the images at this look.
pub(super) fn troubles(
    policy: &RecoverPolicy,
    memory: &Memory,
    observed: &Observed<'_>,
    images: &ImagePlan,
    now: Timestamp,
) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    if let Some(why) = &memory.setup_trouble {
        troubles.push(Trouble {
            subject: "gateway setup".into(),
            severity: Severity::Warning,
            text: why.clone(),
            patience_looks: 1,
        });
    }
    if !images.overdue.is_empty() {
        let names: Vec<&str> = images.overdue.iter().map(crate::ImageId::as_str).collect();
        troubles.push(Trouble {
            subject: "unfinished image".into(),
            severity: Severity::Warning,
            text: format!(
                "not complete within {:#} and deleted: {}",
                policy.image_completion_max,
                names.join(", ")
            ),
            patience_looks: 1,
        });
    }
    let age = images.newest.map(|newest| now.duration_since(newest));
    let limit = policy.rpo.saturating_add(policy.image_completion_max);
    if observed.role.is_some() && age.is_none_or(|age| age > limit) {
        let what = age.map_or_else(
            || "there is no usable image of the gateway".to_owned(),
            |age| {
                format!(
                    "the newest usable image of the gateway is {:#} old",
                    SignedDuration::from_secs(age.as_secs())
                )
            },
        );
        troubles.push(Trouble {
            subject: "gateway images".into(),
            severity: Severity::Critical,
            text: format!(
                "{what}, though one is wanted every {:#}. A replacement would lose what was configured since. Look \
                 whether the host refuses to make images",
                policy.rpo
            ),
            patience_looks: if age.is_none() { NO_IMAGE_LOOKS } else { 2 },
        });
    }
    troubles
}

//! What recovery remembers: the saga under way, and the instances that are on their way out.

use super::{RecoverPolicy, Request};
use crate::alert::{Alert, Watch};
use crate::id::{ImageId, InstanceId};
use crate::ports::Source;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The memory of recovery, one control item.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Memory {
    /// The replacement or drill under way.
    pub saga: Option<Saga>,
    /// Instances on their way out.
    pub retired: BTreeMap<InstanceId, Retired>,
    /// Instances that a person took the role from: theirs to end.
    pub left_to_people: BTreeSet<InstanceId>,
    /// Images no gateway came up from, and when that was last. It may have been the host's fault: they are tried
    /// again when no other is left.
    pub failed_images: BTreeMap<ImageId, Timestamp>,
    /// The address is not where the role is, since then.
    pub astray_since: Option<Timestamp>,
    /// The request that was begun last, by its time.
    pub begun: Option<Timestamp>,
    /// How the last saga ended.
    pub last: Option<SagaResult>,
    /// The gateway in office was not in order when it was last asked; it is asked again.
    pub setup_pending: bool,
    /// What only a person can change about it.
    pub setup_trouble: Option<String>,
    /// What people were told of standing troubles.
    pub watch: Watch,
    /// Alerts not delivered yet.
    pub outbox: Vec<Alert>,
}

/// One replacement, or a drill of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Saga {
    /// Why, and since when.
    pub request: Request,
    /// When it began; it also names the saga.
    pub started_at: Timestamp,
    /// Who was the gateway then.
    pub old: Option<InstanceId>,
    /// Counts images tried, from 1.
    pub attempt: u32,
    /// The image of this attempt; `None` is the base image.
    pub image: Option<ImageId>,
    /// The moment the image shows.
    pub image_taken_at: Option<Timestamp>,
    /// The instance of this attempt.
    pub new: Option<InstanceId>,
    /// The step it is at.
    pub step: Step,
    /// Since when.
    pub step_since: Timestamp,
    /// When the new gateway answered through the address, or, of a drill, at all.
    pub answered_at: Option<Timestamp>,
    /// Devices that are wanted and that the new gateway does not know; known after the last step.
    pub lost_devices: Option<Vec<String>>,
}

/// The steps of a saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// An instance is launched under the saga's token.
    Launch,
    /// The host finds it sound.
    Boot,
    /// The gateway on it answers and its configuration is right.
    Prove,
    /// The public address moves to it.
    MoveAddress,
    /// It answers through the address.
    Verify,
    /// It did not: the address goes back.
    GiveBack,
    /// Everybody is told its private endpoint.
    Announce,
    /// The old instance is stopped.
    RetireOld,
    /// Its devices are compared with the wanted channels.
    Compare,
}

/// An instance on its way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retired {
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub because: String,
    /// It is terminated without being kept for inspection: it never was a gateway anybody used.
    pub at_once: bool,
    /// When it was first seen stopped.
    pub stopped_at: Option<Timestamp>,
}

/// How a saga ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SagaResult {
    /// When.
    pub at: Timestamp,
    /// Whether there is a new gateway (or, of a drill, would be).
    pub success: bool,
    /// It was a drill.
    pub drill: bool,
    /// From the first symptom to the new gateway's answer through the address, in seconds.
    pub rto_seconds: Option<i64>,
    /// How old the image was at the first symptom, in seconds: what was configured since is lost.
    pub rpo_seconds: Option<i64>,
    /// Devices that are wanted and that the new gateway does not know; `None` when its list could not be had.
    pub lost_devices: Option<Vec<String>>,
}

impl Memory {
    /// Whether this request waits: it is not too old, was not begun, and not answered by what came after it.
    pub fn leaves_waiting(&self, policy: &RecoverPolicy, request: &Request, now: Timestamp) -> bool {
        let begun = self.begun == Some(request.at);
        let answered = self
            .last
            .as_ref()
            .is_some_and(|last| last.success && !last.drill && request.at <= last.at);
        let forgotten = now.duration_since(request.at) > policy.request_age_max;
        !begun && !answered && !forgotten
    }
}

impl Saga {
    /// Names the launch of this attempt, for ever.
    pub fn token(&self) -> String {
        let kind = if self.request.drill { "drill" } else { "gateway" };
        let at = self.started_at.strftime("%Y%m%dT%H%M%SZ");
        format!("{kind}-{at}-{}", self.attempt)
    }

    /// What the disks of this attempt start with.
    pub fn source(&self) -> Source {
        self.image.clone().map_or(Source::Base, Source::Image)
    }

    /// Goes to another step.
    pub(super) fn go(&mut self, step: Step, now: Timestamp) {
        self.step = step;
        self.step_since = now;
    }

    /// How long the step has taken so far.
    pub(super) fn at_step_for(&self, now: Timestamp) -> SignedDuration {
        now.duration_since(self.step_since)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Launch => "launching an instance",
            Self::Boot => "waiting for its checks",
            Self::Prove => "setting it up",
            Self::MoveAddress => "moving the address",
            Self::Verify => "verifying through the address",
            Self::GiveBack => "giving the address back",
            Self::Announce => "announcing it",
            Self::RetireOld => "stopping the old instance",
            Self::Compare => "comparing its devices",
        })
    }
}

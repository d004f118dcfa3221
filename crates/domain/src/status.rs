//! How a stack's gateway stands, as the loops' memories tell it: what is wrong, since when, what was tried, what is next.
//! For people who ask; the loops decide by what they see themselves.

use crate::alert::Watch;
use crate::credentials::{self, Rejection};
use crate::ladder::{self, Rung, Symptom, Try};
use crate::memory::Memory as Kept;
use crate::ports::{ControlTable, PortError};
use crate::recover::{self, RecoverPolicy, Request, Retired, Role, Saga, SagaResult};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::fmt;

/// What the memories say, read one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayStatus {
    /// Who is the gateway; `None` before the first launch, and for one that others run.
    pub role: Option<Role>,
    /// What the health ladder remembers.
    pub health: ladder::Memory,
    /// What recovery remembers.
    pub recovery: recover::Memory,
    /// A replacement or drill that was asked for last; see [`GatewayStatus::waiting`].
    pub request: Option<Request>,
    /// The password that is not tried.
    pub rejection: Option<Rejection>,
}

/// The gist of it, the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// A replacement is under way.
    BeingReplaced,
    /// The password is refused, or the account locked.
    ShutOut,
    /// The health check finds it ill.
    Ill,
    /// Only a person can put its configuration right.
    NeedsPerson,
    /// Nobody has seen one yet.
    Unknown,
    /// Nothing is wrong with it that anybody knows of.
    Well,
}

impl GatewayStatus {
    /// Reads the memories.
    ///
    /// # Errors
    /// The table's; [`PortError::Refused`] when a memory is not one of ours.
    pub async fn load<T: ControlTable>(table: &T) -> Result<Self, PortError> {
        let health: Kept<ladder::Memory> = Kept::load(table, ladder::MEMORY).await?;
        let recovery: Kept<recover::Memory> = Kept::load(table, recover::MEMORY).await?;
        let request: Kept<Option<Request>> = Kept::load(table, recover::REQUEST).await?;
        Ok(Self {
            role: Role::load(table).await?,
            health: health.value,
            recovery: recovery.value,
            request: request.value,
            rejection: credentials::rejected(table).await?,
        })
    }

    /// The gist of it.
    pub fn verdict(&self) -> Verdict {
        let saga = self.recovery.saga.as_ref();
        if saga.is_some_and(|saga| !saga.request.drill) {
            return Verdict::BeingReplaced;
        }
        if self.rejection.is_some() || self.health.refused_version.is_some() {
            return Verdict::ShutOut;
        }
        if self.health.ill_since.is_some() {
            return Verdict::Ill;
        }
        if self.recovery.setup_trouble.is_some() {
            return Verdict::NeedsPerson;
        }
        if self.role.is_none() && self.health.instance.is_none() {
            return Verdict::Unknown;
        }
        Verdict::Well
    }

    /// A replacement or drill that was asked for and that recovery has yet to begin.
    pub fn waiting(&self, now: Timestamp) -> Option<&Request> {
        let policy = RecoverPolicy::default();
        let request = self.request.as_ref();
        request.filter(|request| self.recovery.leaves_waiting(&policy, request, now))
    }

    /// Everything worth telling, a subject and a text each. `strongest` is the strongest step
    /// that the health check may take.
    pub fn details(&self, strongest: Option<Rung>, now: Timestamp) -> Vec<(&'static str, String)> {
        let mut details = vec![("gateway", self.whereabouts())];
        self.illness(strongest, now, &mut details);
        let recovery = &self.recovery;
        details.extend(self.rejection.iter().map(|it| ("password", it.to_string())));
        details.extend(self.waiting(now).map(|request| ("asked", asked(request))));
        details.extend(
            recovery
                .saga
                .iter()
                .map(|saga| (kind(&saga.request), under_way(saga))),
        );
        details.extend(recovery.last.iter().map(|last| ("last", ended(last))));
        details.extend(recovery.setup_trouble.iter().map(|why| ("by hand", why.clone())));
        if recovery.setup_pending {
            details.push(("setup", "its configuration is being put right".into()));
        }
        for (instance, retired) in &recovery.retired {
            details.push(("retired", format!("{instance}, {}", out_since(retired))));
        }
        details.extend(told(&self.health.watch));
        details.extend(told(&recovery.watch));
        details
    }

    fn whereabouts(&self) -> String {
        match (&self.role, &self.health.instance) {
            (Some(role), _) => format!("{}, its API at {}", role.instance_id, role.endpoint),
            (None, Some(elsewhere)) => elsewhere.to_string(),
            (None, None) => "none was seen yet".into(),
        }
    }

    fn illness(&self, strongest: Option<Rung>, now: Timestamp, details: &mut Vec<(&'static str, String)>) {
        let health = &self.health;
        if !health.tried.is_empty() {
            let tried: Vec<String> = health.tried.iter().map(Try::to_string).collect();
            details.push(("tried", tried.join(", ")));
        }
        let (Some(since), Some(symptom)) = (health.ill_since, health.symptom) else {
            return;
        };
        details.insert(1, ("ill", format!("{symptom}, {}", lasting(since, now))));
        if self.verdict() != Verdict::Ill {
            return;
        }
        let last = health
            .tried
            .iter()
            .filter(|tried| tried.at >= since)
            .map(|tried| tried.rung)
            .max();
        let next = next_step(symptom, last, strongest).map_or_else(
            || "nothing is left to try: a person must look".to_owned(),
            |rung| format!("if it stays ill, {rung}"),
        );
        details.push(("next", next));
    }
}

/// The mildest step that makes sense for the symptom and may be taken after the one that did not help.
fn next_step(symptom: Symptom, after: Option<Rung>, strongest: Option<Rung>) -> Option<Rung> {
    Rung::ALL.into_iter().find(|next| {
        let stronger = after.is_none_or(|last| *next > last);
        stronger && (symptom.first_rung()..=symptom.last_rung()).contains(next) && Some(*next) <= strongest
    })
}

fn kind(request: &Request) -> &'static str {
    if request.drill { "drill" } else { "replacement" }
}

fn asked(request: &Request) -> String {
    format!("a {} at {:.0}: {}", kind(request), request.at, request.reason)
}

fn under_way(saga: &Saga) -> String {
    let image = saga
        .image
        .as_ref()
        .map_or_else(|| "the base image".to_owned(), ToString::to_string);
    format!(
        "{} since {:.0}, attempt {} from {image}, begun {:.0}: {}",
        saga.step, saga.step_since, saga.attempt, saga.started_at, saga.request.reason
    )
}

fn ended(last: &SagaResult) -> String {
    let kind = if last.drill { "drill" } else { "replacement" };
    let success = if last.success { "succeeded" } else { "failed" };
    let mut text = format!("a {kind} {success} at {:.0}", last.at);
    for (what, seconds) in [
        ("recovery time", last.rto_seconds),
        ("age of the image", last.rpo_seconds),
    ] {
        if let Some(seconds) = seconds {
            text.push_str(&format!(", {what} {:#}", SignedDuration::from_secs(seconds)));
        }
    }
    match last.lost_devices.as_deref() {
        None | Some([]) => {}
        Some(lost) => text.push_str(&format!(", devices to add by hand: {}", lost.join(" "))),
    }
    text
}

fn out_since(retired: &Retired) -> String {
    format!("out since {:.0}: {}", retired.since, retired.because)
}

fn told(watch: &Watch) -> impl Iterator<Item = (&'static str, String)> {
    watch
        .told()
        .map(|(subject, since)| ("alert", format!("{subject}, since {since:.0}")))
}

fn lasting(since: Timestamp, now: Timestamp) -> String {
    let time = SignedDuration::from_secs(now.duration_since(since).as_secs());
    format!("for {time:#} (since {since:.0})")
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::BeingReplaced => "being replaced",
            Self::ShutOut => "shut out",
            Self::Ill => "ill",
            Self::NeedsPerson => "needs a person",
            Self::Unknown => "not known",
            Self::Well => "well",
        })
    }
}

//! Setup's loop over the ports.

use super::{Applied, Identity, Plan, SetupPolicy, plan};
use crate::memory::Memory;
use crate::ports::{ControlTable, Credential, GatewayAdmin, LogIn, PortError, Put};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The control item that remembers tries and restarts.
pub const MEMORY: &str = "setup";

/// What one run found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How the gateway stands now.
    pub standing: Standing,
    /// What was changed, in words.
    pub changed: Vec<String>,
    /// What only a person can change, in words.
    pub by_hand: Vec<String>,
}

/// How a gateway stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It answers, and its configuration is as wanted and in force.
    InOrder(Identity),
    /// Not yet, and why; another run goes on.
    Underway(String),
    /// A person must act, and why; nothing is tried meanwhile.
    NeedsPerson(String),
}

/// What is remembered, by endpoint: a candidate is set up while the gateway in office may owe a restart. Of a gateway
/// that is in order nothing is.
type Memories = BTreeMap<String, Tries>;

/// Gateways remembered at a time; beyond it the one that was tried longest ago is forgotten.
const GATEWAYS_MAX: usize = 8;

/// What is remembered of one gateway. Another password begins anew.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Tries {
    password_version: u64,
    /// Tries since a password was last right, counted before they are made.
    tries: u32,
    /// The last of them.
    tried_at: Option<Timestamp>,
    /// One of them was refused; without that, crashes may have used them up, and time heals.
    refused: bool,
    locked_until: Option<Timestamp>,
    restart: Option<Restart>,
}

/// A restart that is owed to the gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Restart {
    asked: u32,
    /// When the gateway should be back.
    until: Option<Timestamp>,
    /// The gateway said that it restarts.
    promised: bool,
}

/// Compares once and changes nothing: a dry run. It costs one try when the wanted password is wrong.
///
/// # Errors
/// The gateway's; [`PortError::Refused`] when the password is wrong or the account is locked.
pub async fn compare<G: GatewayAdmin>(
    policy: &SetupPolicy,
    gateway: &G,
    now: Timestamp,
) -> Result<(Identity, Plan), PortError> {
    let doing = "logging in at the gateway";
    match gateway.log_in(Credential::Wanted).await? {
        LogIn::Accepted(identity) => Ok((identity, plan(policy, &gateway.configuration().await?, now))),
        LogIn::Rejected { .. } => Err(PortError::refused(doing, "the password is wrong")),
        LogIn::Locked { .. } => Err(PortError::refused(doing, "the account is locked")),
    }
}

/// Whether the gateway at `endpoint` has refused the passwords.
///
/// # Errors
/// The table's.
pub async fn is_refused<T: ControlTable>(
    policy: &SetupPolicy,
    endpoint: &str,
    table: &T,
) -> Result<bool, PortError> {
    let memories: Memory<Memories> = Memory::load(table, MEMORY).await?;
    Ok(memories.value.get(endpoint).is_some_and(|tries| {
        let same = tries.password_version == policy.password_version;
        same && tries.refused && tries.tries >= policy.tries_max
    }))
}

/// Brings the gateway at `endpoint` one step nearer to what is wanted; run again until it is in order. Safe to
/// repeat, to run twice at once and to crash between any two calls.
///
/// # Errors
/// The gateway's or the table's; [`PortError::Throttled`] when another invocation was faster.
pub async fn set_up<G, T>(
    policy: &SetupPolicy,
    endpoint: &str,
    gateway: &G,
    table: &T,
    now: Timestamp,
) -> Result<Report, PortError>
where
    G: GatewayAdmin,
    T: ControlTable,
{
    let mut run = Run {
        policy,
        gateway,
        table,
        now,
        endpoint,
        memories: Memory::load(table, MEMORY).await?,
        tries: Tries::default(),
        changed: Vec::new(),
        by_hand: Vec::new(),
    };
    run.begin();
    let standing = run.steps().await?;
    run.save().await?;
    Ok(Report {
        standing,
        changed: run.changed,
        by_hand: run.by_hand,
    })
}

struct Run<'a, G, T> {
    policy: &'a SetupPolicy,
    gateway: &'a G,
    table: &'a T,
    now: Timestamp,
    endpoint: &'a str,
    memories: Memory<Memories>,
    /// What is remembered of this gateway.
    tries: Tries,
    changed: Vec<String>,
    by_hand: Vec<String>,
}

impl<G: GatewayAdmin, T: ControlTable> Run<'_, G, T> {
    fn begin(&mut self) {
        let known = self.memories.value.get(self.endpoint).cloned();
        self.tries = known.unwrap_or_default();
        let forgiven = self.policy.try_again || self.tries.password_version != self.policy.password_version;
        if forgiven {
            self.tries.tries = 0;
            self.tries.refused = false;
            self.tries.locked_until = None;
        }
        if self.policy.try_again {
            self.tries.restart = None;
        }
        self.tries.password_version = self.policy.password_version;
    }

    async fn steps(&mut self) -> Result<Standing, PortError> {
        if let Some(until) = self.restarting() {
            return Ok(Standing::Underway(format!("it restarts until {until:.0}")));
        }
        let identity = match self.log_in().await? {
            Ok(identity) => identity,
            Err(standing) => return Ok(standing),
        };
        let plan = plan(self.policy, &self.gateway.configuration().await?, self.now);
        self.by_hand.extend(plan.by_hand.iter().cloned());
        self.apply(&plan).await?;
        if self.tries.restart.is_some() {
            return self.restart().await;
        }
        if plan.is_in_order() {
            return Ok(Standing::InOrder(identity));
        }
        Ok(Standing::Underway("its configuration was changed".into()))
    }

    /// Until when the gateway restarts, if it does. A promised restart whose time is over is paid.
    fn restarting(&mut self) -> Option<Timestamp> {
        let restart = self.tries.restart.as_ref()?;
        let until = restart.until.filter(|until| *until > self.now);
        if until.is_none() && restart.promised {
            self.tries.restart = None;
        }
        until
    }

    async fn log_in(&mut self) -> Result<Result<Identity, Standing>, PortError> {
        let tries = &self.tries;
        if let Some(until) = tries.locked_until.filter(|until| *until > self.now) {
            return Ok(Err(needs_person(format!(
                "the account is locked until {until:.0}"
            ))));
        }
        if tries.tries >= self.policy.tries_max {
            if tries.refused {
                return Ok(Err(refused()));
            }
            let pause = tries.tried_at.map(|at| later(at, self.policy.untold_wait));
            if let Some(until) = pause.filter(|until| *until > self.now) {
                return Ok(Err(Standing::Underway(format!(
                    "it does not say whether the password is right; asked again at {until:.0}"
                ))));
            }
            self.tries.tries = 0;
        }
        match self.answer_to(Credential::Wanted).await? {
            LogIn::Accepted(identity) => {
                self.accepted().await?;
                Ok(Ok(identity))
            }
            LogIn::Locked { locked_for } => self.locked(locked_for).await.map(Err),
            LogIn::Rejected { tries_left } => self.initial(tries_left).await.map(Err),
        }
    }

    async fn accepted(&mut self) -> Result<(), PortError> {
        let tries = &mut self.tries;
        tries.tries = 0;
        tries.tried_at = None;
        tries.refused = false;
        tries.locked_until = None;
        self.save().await
    }

    /// The gateway's answer to a password, counted before it is asked. Only a try that surely never reached it is
    /// not counted.
    async fn answer_to(&mut self, with: Credential) -> Result<LogIn, PortError> {
        self.tries.tries += 1;
        self.tries.tried_at = Some(self.now);
        self.save().await?;
        let answer = self.gateway.log_in(with).await;
        match &answer {
            Ok(LogIn::Accepted(_)) => {}
            Ok(LogIn::Rejected { .. } | LogIn::Locked { .. }) => self.tries.refused = true,
            Err(PortError::Throttled { .. }) => {
                self.tries.tries = self.tries.tries.saturating_sub(1);
                self.save().await?;
            }
            Err(PortError::Unknown { .. } | PortError::Refused { .. }) => {}
        }
        answer
    }

    /// The wanted password is wrong: a gateway fresh from its base image has the initial one.
    async fn initial(&mut self, tries_left: Option<u32>) -> Result<Standing, PortError> {
        let few_left = tries_left.is_some_and(|left| left <= self.policy.tries_spared);
        let may_try = self.tries.tries < self.policy.tries_max;
        if !self.policy.has_initial_password || few_left || !may_try {
            return self.give_up().await;
        }
        match self.answer_to(Credential::Initial).await? {
            LogIn::Accepted(_) => {
                self.accepted().await?;
                self.gateway.adopt_password().await?;
                self.changed.push("replaced the initial password".into());
                Ok(Standing::Underway("its password was just changed".into()))
            }
            LogIn::Rejected { .. } => self.give_up().await,
            LogIn::Locked { locked_for } => self.locked(locked_for).await,
        }
    }

    async fn give_up(&mut self) -> Result<Standing, PortError> {
        self.tries.tries = self.policy.tries_max;
        self.save().await?;
        Ok(refused())
    }

    async fn locked(&mut self, locked_for: Option<SignedDuration>) -> Result<Standing, PortError> {
        let wait = locked_for.unwrap_or(self.policy.lock_wait);
        let until = later(self.now, wait);
        self.tries.locked_until = Some(until);
        self.save().await?;
        Ok(needs_person(format!("the account is locked until {until:.0}")))
    }

    async fn apply(&mut self, plan: &Plan) -> Result<(), PortError> {
        let owes = plan.differences.iter().any(|d| d.change.needs_restart());
        if owes {
            // Remembered first: after a crash nothing differs any more, and yet the change is not in force.
            self.owe_restart().await?;
        }
        for difference in &plan.differences {
            let applied = self.gateway.change(&difference.change).await?;
            self.changed
                .push(format!("{} ({})", difference.change, difference.is));
            match applied {
                Applied::Now => {}
                Applied::AfterRestart => self.owe_restart().await?,
            }
        }
        Ok(())
    }

    async fn owe_restart(&mut self) -> Result<(), PortError> {
        self.tries.restart.get_or_insert_default();
        self.save().await
    }

    async fn restart(&mut self) -> Result<Standing, PortError> {
        let restart = self.tries.restart.get_or_insert_default();
        if restart.asked >= self.policy.restarts_max {
            let why = "its configuration needs a restart that could not be had: restart its software by hand, then \
                       run setup with `--try-again`";
            return Ok(needs_person(why.into()));
        }
        restart.asked += 1;
        restart.until = Some(later(self.now, self.policy.restart_wait));
        self.save().await?;
        let answer = self.gateway.restart().await;
        let restart = self.tries.restart.get_or_insert_default();
        match answer {
            Ok(()) => restart.promised = true,
            Err(PortError::Unknown { .. }) => {}
            Err(error @ (PortError::Throttled { .. } | PortError::Refused { .. })) => {
                restart.until = None;
                if matches!(error, PortError::Throttled { .. }) {
                    restart.asked -= 1;
                }
                self.save().await?;
                return Err(error);
            }
        }
        Ok(Standing::Underway("it restarts".into()))
    }

    async fn save(&mut self) -> Result<(), PortError> {
        let memories = &mut self.memories.value;
        if self.tries.is_blank() {
            memories.remove(self.endpoint);
        } else {
            memories.insert(self.endpoint.to_owned(), self.tries.clone());
        }
        if memories.len() > GATEWAYS_MAX {
            let oldest = memories.iter().min_by_key(|(_, tries)| tries.tried_at);
            let oldest = oldest.map(|(endpoint, _)| endpoint.clone());
            oldest.map(|endpoint| memories.remove(&endpoint));
        }
        match self.memories.save(self.table).await? {
            Put::Written => Ok(()),
            Put::Stale => Err(PortError::throttled(
                "setting the gateway up",
                "another invocation does so at the same time",
            )),
        }
    }
}

impl Tries {
    fn is_blank(&self) -> bool {
        self.tries == 0 && self.locked_until.is_none() && self.restart.is_none()
    }
}

fn refused() -> Standing {
    needs_person(
        "the gateway refuses the passwords; they are not tried again, lest the account locks, until one of them is \
         changed in the parameter store"
            .into(),
    )
}

fn needs_person(why: String) -> Standing {
    Standing::NeedsPerson(why)
}

fn later(now: Timestamp, wait: SignedDuration) -> Timestamp {
    now.saturating_add(wait).unwrap_or(Timestamp::MAX)
}

//! Setup's loop over the ports.

use super::memory::{GATEWAYS_MAX, Memories, Tries};
use super::{Applied, Identity, Plan, Preview, Report, SetupPolicy, Standing, plan};
use crate::memory::Memory;
use crate::ports::{ControlTable, Credential, GatewayAdmin, LogIn, PortError, Put};
use jiff::{SignedDuration, Timestamp};

/// The control item that remembers tries and restarts.
pub const MEMORY: &str = "setup";

/// Looks and changes nothing at the gateway: a dry run. A wrong password costs a try as it does in [`set_up`], and is
/// remembered like there, so that no number of dry runs locks the account. The standing says why nothing could be seen.
///
/// # Errors
/// The gateway's or the table's; [`PortError::Throttled`] when another invocation was faster.
pub async fn compare<G, T>(
    policy: &SetupPolicy,
    endpoint: &str,
    gateway: &G,
    table: &T,
    now: Timestamp,
) -> Result<Result<Preview, Standing>, PortError>
where
    G: GatewayAdmin,
    T: ControlTable,
{
    let mut run = Run::begin(policy, endpoint, gateway, table, now).await?;
    let preview = run.preview().await?;
    run.save().await?;
    Ok(preview)
}

/// Whether the gateway at `endpoint` has refused the passwords, and the initial one is another now: only that is tried.
///
/// # Errors
/// The table's.
pub async fn owes_initial<T: ControlTable>(
    policy: &SetupPolicy,
    endpoint: &str,
    table: &T,
) -> Result<bool, PortError> {
    let memories: Memory<Memories> = Memory::load(table, MEMORY).await?;
    let tries = memories.value.get(endpoint);
    Ok(tries.is_some_and(|tries| tries.owes_initial(policy)))
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
/// repeat, to run twice at once and to crash between any two calls. What was changed before a failure is reported with it:
/// the next run finds nothing to change there.
pub async fn set_up<G, T>(
    policy: &SetupPolicy,
    endpoint: &str,
    gateway: &G,
    table: &T,
    now: Timestamp,
) -> Report
where
    G: GatewayAdmin,
    T: ControlTable,
{
    let mut run = match Run::begin(policy, endpoint, gateway, table, now).await {
        Ok(run) => run,
        Err(error) => {
            return Report {
                standing: Err(error),
                changed: Vec::new(),
                by_hand: Vec::new(),
            };
        }
    };
    Report {
        standing: run.conclude().await,
        changed: run.changed,
        by_hand: run.by_hand,
    }
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

impl<'a, G: GatewayAdmin, T: ControlTable> Run<'a, G, T> {
    async fn begin(
        policy: &'a SetupPolicy,
        endpoint: &'a str,
        gateway: &'a G,
        table: &'a T,
        now: Timestamp,
    ) -> Result<Self, PortError> {
        let memories: Memory<Memories> = Memory::load(table, MEMORY).await?;
        let known = memories.value.get(endpoint).cloned().unwrap_or_default();
        Ok(Self {
            policy,
            gateway,
            table,
            now,
            endpoint,
            memories,
            tries: known.under(policy),
            changed: Vec::new(),
            by_hand: Vec::new(),
        })
    }

    async fn conclude(&mut self) -> Result<Standing, PortError> {
        let standing = self.steps().await?;
        self.save().await?;
        Ok(standing)
    }

    async fn steps(&mut self) -> Result<Standing, PortError> {
        let identity = match self.enter().await? {
            Ok((identity, Credential::Wanted)) => identity,
            Ok((_, Credential::Initial)) => {
                let adopted = self.gateway.adopt_password().await;
                self.note("replace the initial password".into(), &adopted);
                adopted?;
                return Ok(Standing::Underway("its password was just changed".into()));
            }
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

    async fn preview(&mut self) -> Result<Result<Preview, Standing>, PortError> {
        let (identity, password) = match self.enter().await? {
            Ok(entered) => entered,
            Err(standing) => return Ok(Err(standing)),
        };
        let configuration = self.gateway.configuration().await?;
        Ok(Ok(Preview {
            identity,
            has_initial_password: password == Credential::Initial,
            plan: plan(self.policy, &configuration, self.now),
            owes_restart: self.tries.restart.is_some(),
        }))
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

    /// Who the gateway is and which password let us in, or why none does now.
    async fn enter(&mut self) -> Result<Result<(Identity, Credential), Standing>, PortError> {
        if let Some(until) = self.restarting() {
            let restarts = format!("it restarts until {until:.0}");
            return Ok(Err(Standing::Underway(restarts)));
        }
        if let Some(standing) = self.forbidden() {
            return Ok(Err(standing));
        }
        let mut password = self.first_password();
        let mut answer = self.answer_to(password).await?;
        if let (Credential::Wanted, LogIn::Rejected { tries_left }) = (password, &answer)
            && self.may_be_fresh(*tries_left)
        {
            self.tries.wanted_refused = true;
            password = Credential::Initial;
            answer = self.answer_to(password).await?;
        }
        match answer {
            LogIn::Accepted(identity) => {
                self.accepted().await?;
                Ok(Ok((identity, password)))
            }
            LogIn::Rejected { tries_left } => {
                self.tries.wanted_refused = self.spares(tries_left);
                self.give_up().await.map(Err)
            }
            LogIn::Locked { locked_for } => self.locked(locked_for).await.map(Err),
        }
    }

    /// Why no password may be tried now, if so.
    fn forbidden(&mut self) -> Option<Standing> {
        let tries = &self.tries;
        if let Some(until) = tries.locked_until.filter(|until| *until > self.now) {
            return Some(needs_person(format!("the account is locked until {until:.0}")));
        }
        if tries.tries < self.policy.tries_max {
            return None;
        }
        if tries.refused {
            return Some(refused());
        }
        let pause = tries.tried_at.map(|at| later(at, self.policy.untold_wait));
        if let Some(until) = pause.filter(|until| *until > self.now) {
            return Some(Standing::Underway(format!(
                "it does not say whether the password is right; asked again at {until:.0}"
            )));
        }
        self.tries.tries = 0;
        None
    }

    /// The wanted password; but once that was refused, the initial one: asking for both again because an answer was
    /// lost would use up the tries.
    fn first_password(&self) -> Credential {
        if self.policy.initial_password_version.is_some() && self.tries.wanted_refused {
            Credential::Initial
        } else {
            Credential::Wanted
        }
    }

    /// Whether a gateway that refuses the wanted password may be asked for the initial one: that of a gateway fresh
    /// from its base image.
    fn may_be_fresh(&self, tries_left: Option<u32>) -> bool {
        let has_initial = self.policy.initial_password_version.is_some();
        has_initial && self.spares(tries_left) && self.tries.tries < self.policy.tries_max
    }

    /// Whether a gateway with so many tries left may be asked once more.
    fn spares(&self, tries_left: Option<u32>) -> bool {
        tries_left.is_none_or(|left| left > self.policy.tries_spared)
    }

    async fn accepted(&mut self) -> Result<(), PortError> {
        let tries = &mut self.tries;
        tries.tries = 0;
        tries.tried_at = None;
        tries.refused = false;
        tries.wanted_refused = false;
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
            let applied = self.gateway.change(&difference.change).await;
            self.note(format!("{} ({})", difference.change, difference.is), &applied);
            match applied? {
                Applied::Now => {}
                Applied::AfterRestart => self.owe_restart().await?,
            }
        }
        Ok(())
    }

    /// Remembers for the report what was changed, and what may have been.
    fn note<R>(&mut self, change: String, done: &Result<R, PortError>) {
        match done {
            Ok(_) => self.changed.push(change),
            Err(PortError::Unknown { .. }) => self
                .changed
                .push(format!("{change}; whether it was done is not known")),
            Err(PortError::Throttled { .. } | PortError::Refused { .. }) => {}
        }
    }

    async fn owe_restart(&mut self) -> Result<(), PortError> {
        self.tries.restart.get_or_insert_default();
        self.save().await
    }

    async fn restart(&mut self) -> Result<Standing, PortError> {
        let restart = self.tries.restart.get_or_insert_default();
        if restart.asked >= self.policy.restarts_max {
            let why = "its configuration needs a restart that could not be had: restart its software by hand, then \
                       run setup with `--try-again` (on AWS: write the password's parameter again)";
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

fn refused() -> Standing {
    needs_person(
        "the gateway refuses the passwords; they are not tried again, lest the account locks, until one of them is \
         changed in the parameter store or a person says `--try-again`"
            .into(),
    )
}

fn needs_person(why: String) -> Standing {
    Standing::NeedsPerson(why)
}

fn later(now: Timestamp, wait: SignedDuration) -> Timestamp {
    now.saturating_add(wait).unwrap_or(Timestamp::MAX)
}

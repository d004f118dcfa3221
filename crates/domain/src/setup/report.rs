//! What runs of setup report.

use super::{Identity, Plan};
use crate::ports::PortError;
use std::fmt;

/// What one run found and did, be it only until it failed.
#[derive(Debug)]
pub struct Report {
    /// How the gateway stands now, or why that is not known: the gateway's or the table's failure;
    /// [`PortError::Throttled`] when another invocation was faster.
    pub standing: Result<Standing, PortError>,
    /// What was changed, in words; where the answer to a change was lost, that it may have been.
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

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InOrder(_) => f.write_str("it is in order"),
            Self::Underway(why) => write!(f, "not yet: {why}"),
            Self::NeedsPerson(why) => write!(f, "a person is needed: {why}"),
        }
    }
}

/// What [`set_up`](super::set_up) would do, see [`compare`](super::compare).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// Who the gateway says it is.
    pub identity: Identity,
    /// It has the initial password, which would be replaced first.
    pub has_initial_password: bool,
    /// What would be changed.
    pub plan: Plan,
    /// Something changed earlier is not in force before a restart, which would be asked for.
    pub owes_restart: bool,
}

impl Preview {
    /// Whether nothing would be done.
    pub fn is_in_order(&self) -> bool {
        self.plan.is_in_order() && !self.has_initial_password && !self.owes_restart
    }
}

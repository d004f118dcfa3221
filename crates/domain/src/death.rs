//! Telling people of a recorder's end, once.
//!
//! The host delivers the event of an end at least once and in any order. The control item `deaths` remembers the
//! latest ones: who claims one first tells people, and a claim that came to nothing is taken over. Replacing the recorder is the dispatcher's work and
//! does not depend on any of this.

use crate::alert::{Alert, Severity};
use crate::control;
use crate::id::TaskArn;
use crate::ports::{Alerts, ControlTable, PortError, Put, TasksTable};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The name of the control item.
pub const ITEM: &str = "deaths";

/// Deaths that are remembered; repetitions come within minutes.
const REMEMBERED_MAX: usize = 100;

/// More deaths than this within [`WINDOW`] are one trouble and not news one by one.
const TOLD_MAX: usize = 20;

/// For how long a flood of deaths is told as one.
const WINDOW: SignedDuration = SignedDuration::from_mins(10);

/// Who claimed a death and has not told of it after this time failed; the host repeats an event that was not handled
/// after about a minute.
const CLAIM: SignedDuration = SignedDuration::from_secs(30);

/// Tries of the conditional write; thousands may die at once.
const TRIES: u32 = 5;

/// Channels an alert names.
const NAMED_MAX: usize = 5;

/// That a recorder ended in a way people should hear of; the host's adapter knows which those are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// Which task.
    pub task: TaskArn,
    /// When it ended, or was heard to.
    pub at: Timestamp,
    /// How and why, for people.
    pub text: String,
}

/// What telling came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Told {
    /// People were told before.
    Before,
    /// People are told now.
    Now,
    /// It is one of a flood, and people were told of the flood.
    InFlood,
}

/// Tells people of a death that is news, once. Ask before the dispatcher replaces the recorder: the assignments then
/// still say what it recorded.
///
/// # Errors
/// The alert could not be delivered, or the tables not be read: the event should be delivered again.
pub async fn tell<T, L>(table: &T, alerts: &L, death: &Death, now: Timestamp) -> Result<Told, PortError>
where
    T: TasksTable + ControlTable,
    L: Alerts,
{
    let claim = claim(table, death, now).await?;
    if claim != Told::Now {
        return Ok(claim);
    }
    let alert = alert(table, death).await?;
    alerts.send(&alert).await?;
    // Not remembered: a repetition after the patience is told once more.
    let _ = settle(table, death).await;
    Ok(Told::Now)
}

/// The latest deaths people were told of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct Memory(Vec<Remembered>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Remembered {
    task: String,
    claimed_at: Timestamp,
    told: bool,
}

impl Memory {
    fn take_in(&mut self, death: &Death, now: Timestamp) -> Told {
        let task = short(&death.task);
        let age = |remembered: &Remembered| now.duration_since(remembered.claimed_at);
        if let Some(mine) = self.0.iter_mut().find(|remembered| remembered.task == task) {
            if mine.told || age(mine) < CLAIM {
                return Told::Before;
            }
            mine.claimed_at = now;
            return Told::Now;
        }
        if self
            .0
            .iter()
            .filter(|remembered| age(remembered) < WINDOW)
            .count()
            >= TOLD_MAX
        {
            return Told::InFlood;
        }
        self.0.push(Remembered {
            task: task.to_owned(),
            claimed_at: now,
            told: false,
        });
        let beyond = self.0.len().saturating_sub(REMEMBERED_MAX);
        self.0.drain(..beyond);
        Told::Now
    }
}

/// The last part of an ARN: the task's own id.
fn short(task: &TaskArn) -> &str {
    task.as_str().rsplit('/').next().unwrap_or_default()
}

async fn claim<T: ControlTable>(table: &T, death: &Death, now: Timestamp) -> Result<Told, PortError> {
    for _ in 0..TRIES {
        // A memory nobody can read is no memory: people may be told twice.
        let (mut memory, version) = control::read_or_default::<T, Memory>(table, ITEM).await?;
        let told = memory.take_in(death, now);
        if told != Told::Now || control::write(table, ITEM, &memory, version).await? == Put::Written {
            return Ok(told);
        }
    }
    // Many die at once: better told twice than not at all.
    Ok(Told::Now)
}

/// Remembers that people were told.
async fn settle<T: ControlTable>(table: &T, death: &Death) -> Result<(), PortError> {
    for _ in 0..TRIES {
        let (mut memory, version) = control::read_or_default::<T, Memory>(table, ITEM).await?;
        let task = short(&death.task);
        for mine in memory.0.iter_mut().filter(|remembered| remembered.task == task) {
            mine.told = true;
        }
        if control::write(table, ITEM, &memory, version).await? == Put::Written {
            break;
        }
    }
    Ok(())
}

async fn alert<T: TasksTable>(table: &T, death: &Death) -> Result<Alert, PortError> {
    let channels: Vec<String> = table
        .assignments_of(&death.task)
        .await?
        .iter()
        .map(|row| row.assignment.key.to_string())
        .collect();
    let beyond = channels.len().saturating_sub(NAMED_MAX);
    let mut named = channels
        .into_iter()
        .take(NAMED_MAX)
        .collect::<Vec<_>>()
        .join(", ");
    if beyond > 0 {
        named = format!("{named} and {beyond} more");
    }
    let had = if named.is_empty() {
        "It had no channel".to_owned()
    } else {
        format!("It recorded {named}")
    };
    Ok(Alert {
        severity: Severity::Warning,
        subject: format!("recorder {}", short(&death.task)),
        text: format!("{}. {had}", death.text),
        since: death.at,
    })
}

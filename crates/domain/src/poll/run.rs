//! The poll's loop over the ports.

use super::{
    Action, DeviceLookup, FoundChannel, Lookup, LookupReason, Observed, Plan, PollPolicy, Why, lookups, plan,
};
use crate::alert::{Severity, Trouble};
use crate::credentials::{self, Rejection};
use crate::device::{Device, DeviceStatus};
use crate::id::{ChannelKey, DeviceIndex};
use crate::ports::{Alerts, ChannelsTable, ControlTable, Gateway, PortError, Put, TasksTable};
use crate::settings::Overrides;
use crate::watch::tell;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What one poll saw and did: the wide event of its invocation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Devices listed.
    pub devices: usize,
    /// Of them online.
    pub devices_online: usize,
    /// Channels known before.
    pub channels: usize,
    /// Devices looked into.
    pub lookups: usize,
    /// The same, by why.
    pub lookup_reasons: BTreeMap<LookupReason, usize>,
    /// Lookups without an answer, with the reason.
    pub lookups_failed: BTreeMap<String, String>,
    /// Channels added.
    pub added: usize,
    /// Channels removed.
    pub removed: usize,
    /// Rows written otherwise.
    pub updated: usize,
    /// Removals held back for a person to accept.
    pub held: usize,
    /// Writes another writer was faster than, or that failed; the next poll plans again.
    pub writes_failed: Vec<String>,
    /// The channels whose rows changed: what a dispatcher should look at now.
    #[serde(skip)]
    pub changed: BTreeSet<ChannelKey>,
    /// Why there was no observation; nothing was changed then.
    pub failure: Option<String>,
}

/// Polls once. A failed poll is a report with `failure`, not an error: the tables are untouched and people are
/// told, at once when somebody must act and after two failures in a row when it may pass. A device list is proof
/// that the gateway accepts our password, whatever becomes of the rest: a rejection of no known version that was known
/// before it is forgotten. Those of a version are for who knows the versions.
pub async fn poll<G, T, L>(policy: &PollPolicy, gateway: &G, table: &T, alerts: &L, now: Timestamp) -> Report
where
    G: Gateway,
    T: ChannelsTable + TasksTable + ControlTable,
    L: Alerts,
{
    let mut report = Report::default();
    let rejection = credentials::rejected(table).await;
    let planned = match gateway.devices().await {
        Ok(devices) => {
            if let Err(error) = accept(table, rejection).await {
                report.writes_failed.push(error.chain());
            }
            look_at(policy, gateway, &devices, table, now, &mut report).await
        }
        Err(error) => Err(error),
    };
    let troubles = match planned {
        Ok(plan) => {
            apply(table, &plan, &mut report).await;
            held(&plan)
        }
        Err(error) => {
            report.failure = Some(error.chain());
            vec![failing(&error)]
        }
    };
    if let Err(error) = tell(table, alerts, "poll", &troubles, now).await {
        report.writes_failed.push(error.chain());
    }
    report
}

async fn accept<T: ControlTable>(
    table: &T,
    rejection: Result<Option<Rejection>, PortError>,
) -> Result<(), PortError> {
    match rejection?.filter(|rejection| rejection.version.is_none()) {
        None => Ok(()),
        Some(rejection) => credentials::accept(table, &rejection).await,
    }
}

/// Looks and plans, and changes nothing: a dry run. What was seen goes into `report`.
///
/// # Errors
/// The gateway's, when its list cannot be had or believed, or the table's.
pub async fn look<G, T>(
    policy: &PollPolicy,
    gateway: &G,
    table: &T,
    now: Timestamp,
    report: &mut Report,
) -> Result<Plan, PortError>
where
    G: Gateway,
    T: ChannelsTable + TasksTable + ControlTable,
{
    let devices = gateway.devices().await?;
    look_at(policy, gateway, &devices, table, now, report).await
}

async fn look_at<G, T>(
    policy: &PollPolicy,
    gateway: &G,
    devices: &[Device],
    table: &T,
    now: Timestamp,
    report: &mut Report,
) -> Result<Plan, PortError>
where
    G: Gateway,
    T: ChannelsTable + TasksTable + ControlTable,
{
    let rows = table.list_channels().await?;
    let assignments = table.list_assignments().await?;
    let (overrides, _) = Overrides::load(table).await?;
    report.devices = devices.len();
    report.devices_online = devices
        .iter()
        .filter(|device| device.status == DeviceStatus::Online)
        .count();
    report.channels = rows.len();
    let wanted = lookups(policy, devices, &rows, &assignments, now);
    let lookups = look_into(policy, gateway, &wanted, report).await;
    let observed = Observed {
        devices,
        rows: &rows,
        overrides: &overrides,
        lookups: &lookups,
    };
    let plan = plan(policy, &observed, now);
    report.held = plan.hold.as_ref().map_or(0, |hold| hold.keys.len());
    Ok(plan)
}

async fn look_into<G: Gateway>(
    policy: &PollPolicy,
    gateway: &G,
    wanted: &[Lookup],
    report: &mut Report,
) -> BTreeMap<DeviceIndex, DeviceLookup> {
    report.lookups = wanted.len();
    for lookup in wanted {
        *report.lookup_reasons.entry(lookup.reason).or_default() += 1;
    }
    let answers: Vec<_> = stream::iter(wanted)
        .map(|lookup| async move { (lookup.device.clone(), find_channels(gateway, lookup).await) })
        .buffer_unordered(policy.lookups_concurrent.max(1))
        .collect()
        .await;
    let mut lookups = BTreeMap::new();
    for (device, answer) in answers {
        let lookup = match answer {
            Ok((channels, failures)) => {
                report.lookups_failed.extend(failures);
                DeviceLookup::Found(channels)
            }
            Err(error) => {
                report.lookups_failed.insert(device.to_string(), error.chain());
                DeviceLookup::Failed
            }
        };
        lookups.insert(device, lookup);
    }
    lookups
}

/// A device's channels with the URLs that are not known; a URL that cannot be had is left out and reported.
async fn find_channels<G: Gateway>(
    gateway: &G,
    lookup: &Lookup,
) -> Result<(Vec<FoundChannel>, Vec<(String, String)>), PortError> {
    let mut found = Vec::new();
    let mut failures = Vec::new();
    for channel in gateway.channels(&lookup.device).await? {
        let key = ChannelKey {
            device: lookup.device.clone(),
            channel: channel.id.clone(),
        };
        let url = if lookup.urls_known.contains(&key) {
            None
        } else {
            match gateway.live_url(&key).await {
                Ok(url) => Some(url),
                Err(error) => {
                    failures.push((key.to_string(), error.chain()));
                    None
                }
            }
        };
        found.push(FoundChannel {
            id: channel.id,
            name: channel.name,
            url,
        });
    }
    Ok((found, failures))
}

async fn apply<T: ChannelsTable>(table: &T, plan: &Plan, report: &mut Report) {
    for action in &plan.actions {
        let result = match action {
            Action::Put { row, expected, .. } => table.put_channel(row, *expected).await,
            Action::Remove { key, expected, .. } => table.delete_channel(key, *expected).await,
        };
        match result {
            Ok(Put::Written) => count(action, report),
            Ok(Put::Stale) => report
                .writes_failed
                .push(format!("{action}: the row has changed meanwhile")),
            Err(error) => report.writes_failed.push(format!("{action}: {}", error.chain())),
        }
    }
}

fn count(action: &Action, report: &mut Report) {
    report.changed.insert(action.key().clone());
    match action {
        Action::Put { why: Why::Added, .. } => report.added += 1,
        Action::Put {
            why: Why::UrlChanged | Why::Returned | Why::Missed | Why::Details,
            ..
        } => {
            report.updated += 1;
        }
        Action::Remove { .. } => report.removed += 1,
    }
}

fn failing(error: &PortError) -> Trouble {
    let (severity, patience_looks, advice) = match error {
        PortError::Refused { .. } => (
            Severity::Critical,
            1,
            "a rejected password is not tried again, a lock is waited out; somebody must look",
        ),
        PortError::Throttled { .. } | PortError::Unknown { .. } => {
            (Severity::Critical, 2, "it is tried again at every poll")
        }
    };
    Trouble {
        subject: "poll".into(),
        severity,
        text: format!(
            "the device list could not be read: {}. Known channels stay as they are and are still being recorded, new \
             ones are not found; {advice}",
            error.chain()
        ),
        patience_looks,
    }
}

fn held(plan: &Plan) -> Vec<Trouble> {
    plan.hold
        .iter()
        .map(|hold| Trouble {
            subject: "mass removal".into(),
            severity: Severity::Critical,
            text: format!(
                "{} of {} known channels have been missing for the whole grace period and would be removed at once; \
                 they are kept until somebody looks at the gateway. If they are really gone, accept the removals \
                 with `millrace poll --accept-removals`",
                hold.keys.len(),
                hold.known
            ),
            patience_looks: 1,
        })
        .collect()
}

//! `millrace gateway setup`: compare, change what differs, restart only if needed.

use crate::config::{Config, DataOptions, GatewayOptions, Options, WantedOptions};
use crate::tables::open_or_make;
use crate::{gateway, show};
use anyhow::{Context, bail};
use domain::ports::PortError;
use domain::setup::{Identity, Preview, SetupPolicy, Standing, compare, set_up};
use isapi::Admin;
use jiff::{SignedDuration, Timestamp};
use local::Sqlite;
use serde_json::{Value, json};
use std::io::Write;
use std::time::Duration;

/// Between two runs of the loop: most of them only wait for a restart, and ask nothing of the gateway.
const PAUSE: Duration = Duration::from_secs(1);

/// Arguments of `millrace gateway setup`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    data: DataOptions,
    #[command(flatten)]
    gateway: GatewayOptions,
    #[command(flatten)]
    wanted: WantedOptions,
    /// Show what differs, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Try passwords again that the gateway has refused, and restarts that could not be had: you have looked, and
    /// repaired the reason.
    #[arg(long)]
    try_again: bool,
    /// How long a restart of the gateway's software takes before it is asked again.
    #[arg(long, value_name = "TIME", default_value = "45s")]
    restart_wait: SignedDuration,
    /// How long it may take until the gateway is in order, restarts included.
    #[arg(long, value_name = "TIME", default_value = "10m", conflicts_with = "dry_run")]
    wait: SignedDuration,
}

/// A dry run found that the gateway is not configured as wanted.
#[derive(Debug, thiserror::Error)]
#[error("the gateway is not configured as wanted")]
pub(crate) struct Differs;

/// One gateway to set up.
struct Site {
    endpoint: String,
    gateway: Admin,
    table: Sqlite,
}

/// How it ended.
struct Settled {
    standing: Standing,
    changed: Vec<String>,
    by_hand: Vec<String>,
}

/// Shows the difference, or removes it.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    crate::log::to_stderr()?;
    let config = Config::load(Options {
        data: args.data,
        gateway: args.gateway,
        ..Options::default()
    })?;
    let wanted = args.wanted.or(config.wanted.clone());
    let initial_password = wanted.initial_password()?;
    let policy = SetupPolicy {
        wanted: wanted.wanted()?,
        // Nobody numbers passwords here: who has corrected one says `--try-again`.
        initial_password_version: initial_password.as_ref().map(|_| 0),
        try_again: args.try_again,
        restart_wait: args.restart_wait,
        ..SetupPolicy::default()
    };
    let gateway = config.gateway()?;
    let site = Site {
        endpoint: gateway.url.to_string(),
        gateway: gateway::admin(gateway, initial_password)?,
        table: open_or_make(&config).await?,
    };
    if args.dry_run {
        return dry_run(&policy, &site, args.json).await;
    }
    let report = settle(policy, &site, args.wait, args.json).await?;
    conclude(&report, args.json)
}

async fn dry_run(policy: &SetupPolicy, site: &Site, as_json: bool) -> anyhow::Result<()> {
    let seen = compare(
        policy,
        &site.endpoint,
        &site.gateway,
        &site.table,
        Timestamp::now(),
    )
    .await?;
    let preview = match seen {
        Ok(preview) => preview,
        Err(standing) => bail!("the gateway cannot be looked into: {standing}"),
    };
    let mut out = std::io::stdout();
    if as_json {
        serde_json::to_writer_pretty(&mut out, &preview_json(&preview))?;
        writeln!(out)?;
    } else {
        write!(out, "{}", preview_text(&preview))?;
    }
    if preview.is_in_order() {
        return Ok(());
    }
    Err(Differs.into())
}

fn preview_text(preview: &Preview) -> String {
    let mut text = format!("{}\n", identity_text(&preview.identity));
    if preview.has_initial_password {
        text.push_str("replace the initial password\n");
    }
    text.push_str(&preview.plan.to_string());
    if preview.owes_restart {
        text.push_str("restart its software: an earlier change is not in force yet\n");
    }
    if preview.is_in_order() {
        text.push_str("in order\n");
    }
    text
}

fn preview_json(preview: &Preview) -> Value {
    let differences: Vec<Value> = preview
        .plan
        .differences
        .iter()
        .map(|difference| {
            json!({
                "change": difference.change.to_string(),
                "is": difference.is,
                "needsRestart": difference.change.needs_restart(),
            })
        })
        .collect();
    json!({
        "inOrder": preview.is_in_order(),
        "gateway": identity_json(&preview.identity),
        "hasInitialPassword": preview.has_initial_password,
        "differences": differences,
        "owesRestart": preview.owes_restart,
        "byHand": preview.plan.by_hand,
    })
}

/// Runs setup until the gateway is in order or needs a person; what is done on the way is said at once.
async fn settle(
    mut policy: SetupPolicy,
    site: &Site,
    wait: SignedDuration,
    as_json: bool,
) -> anyhow::Result<Settled> {
    let deadline = Timestamp::now().checked_add(wait).context("adding --wait")?;
    let mut changed = Vec::new();
    let mut doing = String::new();
    loop {
        let now = Timestamp::now();
        let run = set_up(&policy, &site.endpoint, &site.gateway, &site.table, now).await;
        // A second time it would forget what the first run began.
        policy.try_again = false;
        if !as_json {
            say(&run.changed)?;
        }
        changed.extend(run.changed);
        let why = match run.standing {
            Ok(Standing::Underway(why)) => why,
            Ok(standing @ (Standing::InOrder(_) | Standing::NeedsPerson(_))) => {
                return Ok(Settled {
                    standing,
                    changed,
                    by_hand: run.by_hand,
                });
            }
            Err(error @ PortError::Refused { .. }) => return Err(error.into()),
            Err(error @ (PortError::Throttled { .. } | PortError::Unknown { .. })) => error.chain(),
        };
        if now >= deadline {
            bail!("not in order after {}: {why}", show::time_span(wait));
        }
        if why != doing {
            tracing::info!("{why}");
            doing = why;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn say(changed: &[String]) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    changed
        .iter()
        .try_for_each(|change| writeln!(out, "done: {change}"))
}

/// Says how it ended; fails unless the gateway is in order.
fn conclude(report: &Settled, as_json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    if as_json {
        serde_json::to_writer_pretty(&mut out, &report_json(report))?;
        writeln!(out)?;
    } else {
        for note in &report.by_hand {
            writeln!(out, "by hand: {note}")?;
        }
        if let Standing::InOrder(identity) = &report.standing {
            writeln!(out, "in order: {}", identity_text(identity))?;
        }
    }
    match &report.standing {
        Standing::InOrder(_) => Ok(()),
        standing @ (Standing::Underway(_) | Standing::NeedsPerson(_)) => bail!("{standing}"),
    }
}

fn report_json(report: &Settled) -> Value {
    let (gateway, because) = match &report.standing {
        Standing::InOrder(identity) => (identity_json(identity), Value::Null),
        Standing::Underway(why) | Standing::NeedsPerson(why) => (Value::Null, why.as_str().into()),
    };
    json!({
        "inOrder": because.is_null(),
        "because": because,
        "gateway": gateway,
        "changed": report.changed,
        "byHand": report.by_hand,
    })
}

fn identity_text(identity: &Identity) -> String {
    let Identity {
        name,
        model,
        firmware_version,
    } = identity;
    format!(
        "`{}`, {} {}",
        name.escape_debug(),
        model.escape_debug(),
        firmware_version.escape_debug()
    )
}

fn identity_json(identity: &Identity) -> Value {
    json!({
        "name": identity.name,
        "model": identity.model,
        "firmwareVersion": identity.firmware_version,
    })
}

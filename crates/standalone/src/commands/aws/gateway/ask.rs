//! Asking for a replacement or a drill. What is asked is one control item, which recovery reads within a minute.

use crate::commands::aws::stacks::StackArgs;
use crate::stack::Stack;
use anyhow::{bail, ensure};
use domain::recover::{self, Asked, Request};
use domain::status::GatewayStatus;
use jiff::Timestamp;
use std::io::{BufRead, Write};

/// Arguments of `millrace aws gateway recover` and `drill`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    stacks: StackArgs,
    /// Why; people are told.
    #[arg(long, value_name = "TEXT", default_value = "asked for by hand")]
    reason: String,
    /// Ask without confirmation.
    #[arg(long)]
    yes: bool,
    /// Say what would be asked, and ask nothing.
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
}

/// Asks for each stack, after a person has confirmed it.
pub(super) async fn run(args: Args, drill: bool) -> anyhow::Result<()> {
    args.stacks
        .each(async |name, stack| {
            let status = GatewayStatus::load(&stack.tables).await?;
            may_be_asked(&stack, &status, drill, Timestamp::now())?;
            let mut out = std::io::stdout();
            writeln!(out, "{name}: {}", consequence(&status, drill))?;
            if args.dry_run {
                return Ok(());
            }
            if !args.yes {
                confirm(name)?;
            }
            let now = Timestamp::now();
            let request = Request {
                at: now,
                since: if drill {
                    now
                } else {
                    status.health.ill_since.unwrap_or(now)
                },
                reason: args.reason.clone(),
                drill,
            };
            match recover::request(&stack.tables, &request).await? {
                Asked::Waits => {}
                Asked::NotAfter(before) => bail!("no drill so soon after what was asked at {:.0}", before.at),
            }
            writeln!(
                out,
                "{name}: asked; recovery begins within a minute, `millrace aws gateway status` follows it"
            )?;
            Ok(())
        })
        .await
}

fn may_be_asked(stack: &Stack, status: &GatewayStatus, drill: bool, now: Timestamp) -> anyhow::Result<()> {
    ensure!(
        stack.has_own_gateway,
        "its gateway is not the stack's own (`GatewayEndpoint`), so it cannot be replaced"
    );
    // A drill makes way for a replacement.
    let blocks = |request: &Request| drill || !request.drill;
    if let Some(waiting) = status.waiting(now).filter(|request| blocks(request)) {
        bail!(
            "another request waits since {:.0}: {}",
            waiting.at,
            waiting.reason
        );
    }
    if let Some(saga) = status.recovery.saga.as_ref().filter(|saga| blocks(&saga.request)) {
        bail!(
            "recovery is under way since {:.0}: {}",
            saga.started_at,
            saga.request.reason
        );
    }
    Ok(())
}

fn consequence(status: &GatewayStatus, drill: bool) -> String {
    let verdict = status.verdict();
    match (drill, &status.role) {
        (true, _) => {
            "launches a gateway from the newest image in isolation, proves it and ends it; the one in office \
                      is not touched"
                .to_owned()
        }
        (false, Some(role)) => format!(
            "replaces {}, which is {verdict}, by a new instance from the newest image. Recording is interrupted while \
             the address moves, and what was configured since the image was taken is lost",
            role.instance_id
        ),
        (false, None) => "launches a gateway: there is none".to_owned(),
    }
}

/// A typed name, so that nobody replaces the wrong gateway by habit.
fn confirm(name: &str) -> anyhow::Result<()> {
    let mut err = std::io::stderr();
    write!(err, "Type the stack's name to go on: ")?;
    err.flush()?;
    let mut typed = String::new();
    std::io::stdin().lock().read_line(&mut typed)?;
    ensure!(
        typed.trim() == name,
        "not asked: the name was not typed (`--yes` asks without)"
    );
    Ok(())
}

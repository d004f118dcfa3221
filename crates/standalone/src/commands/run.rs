//! `millrace run`: the loops, until a signal drains them.

use crate::config::{Config, Options};
use crate::instance::Instance;
use crate::log;
use crate::machine::Machine;
use crate::signals::Signals;
use domain::coverage::HourReport;
use domain::{dispatch, keep, poll};
use recorder::backfill::log_round;
use std::cell::Cell;

/// Records until Ctrl-C or SIGTERM; a second one exits at once.
pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    log::to_stderr()?;
    let config = Config::load(options)?;
    let _instance = Instance::take(&config.data)?;
    tracing::info!(data = %config.data.display(), archive = %config.archive, "starting");
    let machine = Machine::open(config).await?;
    machine.apply_settings().await?;
    let mut signals = Signals::to_end()?;
    tokio::select! {
        () = machine.poll_for_ever(log_poll) => {}
        () = machine.dispatch_for_ever(log_dispatch) => {}
        () = machine.follow_events_for_ever() => {}
        () = machine.keep_for_ever(log_keep) => {}
        () = machine.preview_for_ever(log_previews) => {}
        () = machine.measure_for_ever(log_hour) => {}
        () = machine.backfill_for_ever(log_round) => {}
        () = signals.next() => {}
    }
    tracing::info!("draining: recorders close, upload and exit; a second signal exits at once");
    let waiting_for = Cell::new(0);
    let log_waiting = |recorders| {
        if waiting_for.replace(recorders) != recorders {
            tracing::info!(recorders, "waiting for recorders to finish");
        }
    };
    tokio::select! {
        drained = machine.drain(log_waiting) => {
            drained?;
            tracing::info!("all recorders have finished");
        }
        () = signals.next() => {
            tracing::warn!("second signal: leaving now; recorders finish by themselves, the rest is in the spool");
        }
    }
    Ok(())
}

/// One line a poll that did something; quiet polls are for debugging.
fn log_poll(report: &poll::Report) {
    let poll::Report {
        devices,
        devices_online,
        channels,
        added,
        removed,
        updated,
        held,
        ..
    } = report;
    if let Some(failure) = &report.failure {
        tracing::warn!(failure, "poll failed; nothing was changed");
    } else if report.changed.is_empty() && report.lookups_failed.is_empty() && report.writes_failed.is_empty()
    {
        tracing::debug!(devices, devices_online, channels, held, "polled");
    } else {
        let (lookups_failed, writes_failed) = (&report.lookups_failed, &report.writes_failed);
        tracing::info!(
            devices,
            devices_online,
            channels,
            added,
            removed,
            updated,
            held,
            ?lookups_failed,
            ?writes_failed,
            "polled"
        );
    }
}

fn log_dispatch(report: &dispatch::Report) {
    let dispatch::Report {
        channels,
        tasks,
        started,
        stopped,
        assigned,
        updated,
        forgotten,
        waiting,
        ..
    } = report;
    if let Some(failure) = &report.failure {
        tracing::warn!(failure, "dispatch failed; recorders go on");
    } else if started + stopped + assigned + updated + forgotten == 0 && report.failed.is_empty() {
        tracing::debug!(channels, tasks, waiting, "dispatched");
    } else {
        let failed = &report.failed;
        tracing::info!(
            channels,
            tasks,
            started,
            stopped,
            assigned,
            updated,
            forgotten,
            waiting,
            ?failed,
            "dispatched"
        );
    }
}

fn log_hour(report: &HourReport) {
    let HourReport {
        from, percent, below, ..
    } = report;
    if let Some(failure) = &report.failure {
        tracing::warn!(failure, "nobody can tell how much of the hour was recorded");
    } else if let Some(percent) = percent {
        let channels = report.channels.len();
        tracing::info!(%from, percent, channels, below, failed = ?report.failed, "an hour of coverage");
    }
}

fn log_previews(taken: usize) {
    if taken > 0 {
        tracing::info!(taken, "episodes have their pictures");
    }
}

fn log_keep(report: &keep::Report) {
    let keep::Report {
        channels,
        listed,
        deleted,
        deleted_bytes,
        kept_by_episodes,
        not_ours,
        episodes_expired,
        unfinished,
        ..
    } = report;
    if let Some(failure) = &report.failure {
        tracing::warn!(failure, "nothing could be deleted from the archive");
    } else if let Some(held) = &report.held {
        tracing::info!(held, "nothing is deleted from the archive yet");
    } else if *deleted == 0 && report.failed.is_empty() {
        tracing::debug!(channels, listed, kept_by_episodes, not_ours, "kept");
    } else {
        let failed = &report.failed;
        tracing::info!(
            channels,
            listed,
            deleted,
            deleted_bytes,
            kept_by_episodes,
            not_ours,
            episodes_expired,
            unfinished,
            ?failed,
            "kept"
        );
    }
}

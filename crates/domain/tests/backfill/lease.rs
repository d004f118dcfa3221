//! Workers that get into each other's way, and rounds that last longer than their lease.

use super::{World, at, channel};
use domain::GapCause;
use domain::backfill::{BackfillPolicy, Ports, backfill, cut_off};
use futures::executor::block_on;
use jiff::SignedDuration;
use std::pin::pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll};

#[test]
fn while_another_worker_has_the_lease_nothing_is_fetched() {
    let (world, key) = World::to_fill();
    crash_in_the_middle(&world);
    let held = block_on(world.round(&world.worker(), "b"));
    assert!(held.held.is_some(), "{held:?}");
    world.pass(BackfillPolicy::default().lease.as_secs());
    let report = block_on(world.round(&world.worker(), "b"));
    assert_eq!(report.stored, 1, "{report:?}");
    world.check(&key);
}

#[test]
fn a_worker_that_was_told_to_end_holds_others_up_no_longer_than_its_last_store_may_take() {
    let (world, key) = World::to_fill();
    let policy = BackfillPolicy::default();
    crash_in_the_middle(&world);
    for (holder, waits) in [
        ("b", policy.lease.as_secs()),
        ("a", policy.lease_reserve.as_secs()),
    ] {
        let before = world.now();
        block_on(cut_off(&policy, &world.tables, holder, before)).unwrap();
        let held = block_on(world.round(&world.worker(), "b")).held.unwrap();
        assert!(
            held.contains(&(before + SignedDuration::from_secs(waits)).to_string()),
            "{held}"
        );
    }
    world.pass(policy.lease_reserve.as_secs());
    let report = block_on(world.round(&world.worker(), "b"));
    assert_eq!(report.stored, 1, "{report:?}");
    world.check(&key);
}

/// A worker `a` that dies after it has taken the lease.
fn crash_in_the_middle(world: &World) {
    let fetch = world.worker();
    let mut round = pin!(world.round(&fetch, "a"));
    let mut context = Context::from_waker(std::task::Waker::noop());
    let asked = world.footage.asked();
    while world.footage.asked() == asked {
        assert_eq!(round.as_mut().poll(&mut context), Poll::Pending);
    }
}

/// The device would have to serve the next worker's playback beside ours.
#[test]
fn a_playback_that_may_outlast_the_lease_is_left_for_the_next_round() {
    let world = World::new(1);
    let key = channel(1, 1);
    world.want(&key, true);
    world.lose(&key, 50_000, 50_600, GapCause::Network);
    world.footage.record(&key, at(40_000)..at(60_000));
    let fetch = world.worker();
    let policy = BackfillPolicy::default();
    // Ten minutes with their margins, twice, and the reserve: 22 min 40 s of 30 min.
    for (late, playbacks) in [(7 * 60 + 20, 0), (7 * 60 + 19, 1)] {
        let looks = AtomicI64::new(0);
        let clock = || match looks.fetch_add(1, Ordering::Relaxed) {
            0 => world.now(),
            _ => world.now() + SignedDuration::from_secs(late),
        };
        let ports = Ports {
            footage: &world.footage,
            fetch: &fetch,
            archive: &world.archive,
            table: &world.tables,
            alerts: &world.alerts,
        };
        let report = block_on(backfill(&policy, &ports, "a", clock));
        assert_eq!(
            (report.playbacks, report.postponed, report.failed.len()),
            (playbacks, 1 - playbacks, 0),
            "{report:?}"
        );
        assert!(report.has_more(), "{report:?}");
    }
    world.check(&key);
}

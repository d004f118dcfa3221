//! Single rounds: what is asked for, what is settled, and devices that do not do what they are asked.

use super::{NOW, World, at, channel, check_filled, gap};
use domain::backfill::{BackfillPolicy, Fate, Ports, Report, backfill};
use domain::fakes::FakeFootage;
use domain::ports::GapsTable;
use domain::{ChannelKey, GapCause, Generation};
use futures::executor::block_on;
use jiff::{SignedDuration, Timestamp};

#[test]
fn a_hole_is_filled_once_and_then_nobody_asks_again() {
    let (world, key) = World::to_fill();
    let fetch = world.worker();
    let report = block_on(world.round(&fetch, "a"));
    assert_eq!(
        (report.channels, report.playbacks, report.stored),
        (1, 1, 1),
        "{report:?}"
    );
    assert!(report.filled >= SignedDuration::from_secs(19), "{report:?}");
    world.check(&key);

    let (asked, writes) = (world.footage.asked(), world.tables.writes());
    let quiet = block_on(world.round(&fetch, "a"));
    assert!(quiet.pieces.is_empty() && !quiet.has_more(), "{quiet:?}");
    assert_eq!((world.footage.asked(), world.tables.writes()), (asked, writes));
}

#[test]
fn channels_that_did_not_ask_for_it_are_left_alone() {
    let world = World::new(1);
    let key = channel(1, 1);
    world.want(&key, false);
    world.lose(&key, 50_000, 50_020, GapCause::Network);
    world.footage.record(&key, at(0)..at(NOW));
    let report = block_on(world.round(&world.worker(), "a"));
    assert_eq!(report, Report::default());
}

#[test]
fn a_survey_says_what_would_be_asked_for_and_asks_nothing() {
    let (world, _) = World::with_hole(GapCause::Network);
    let writes = world.tables.writes();
    let report = world.survey();
    assert_eq!(report.missing, SignedDuration::from_secs(20));
    assert_eq!(report.pieces.len(), 1);
    assert_eq!((world.footage.asked(), world.tables.writes()), (0, writes));
}

#[test]
fn what_the_device_never_had_is_settled_for_good() {
    let (world, key) = World::with_hole(GapCause::GatewayDown);
    let report = block_on(world.round(&world.worker(), "a"));
    assert_eq!(report.not_on_device, SignedDuration::from_secs(20), "{report:?}");
    assert_eq!(world.memory().settled(&key)[0].fate, Fate::NotOnDevice);
    world.pass(1_000);
    assert!(block_on(world.round(&world.worker(), "a")).pieces.is_empty());
}

/// The archive is listed for ten minutes around the row of a gap.
#[test]
fn a_hole_after_which_nothing_follows_for_long_is_filled_a_day_later() {
    for unwanted in [false, true] {
        let (world, key) = (World::new(1), channel(1, 1));
        world.want(&key, true);
        world.lose(&key, 50_000, 52_000, GapCause::NotWanted);
        let row = |start, end, cause| block_on(world.tables.put_gap(&gap(&key, start, end, cause))).unwrap();
        row(50_000, 50_060, GapCause::Network);
        if unwanted {
            row(50_060, 52_000, GapCause::NotWanted);
        }
        world.footage.record(&key, at(40_000)..at(60_000));
        let early = block_on(world.round(&world.worker(), "a"));
        assert!(early.pieces.is_empty() && early.failed.is_empty(), "{early:?}");
        world.pass(52_000 + 24 * 60 * 60 - NOW);
        let report = block_on(world.round(&world.worker(), "a"));
        assert_eq!((report.playbacks, report.failed.len()), (1, 0), "{report:?}");
        let from = world.segments(&key)[1].start;
        assert!((at(50_000)..at(50_002)).contains(&from), "{from}");
        assert!(report.filled >= SignedDuration::from_secs(58), "{report:?}");
        world.check(&key);
    }
}

#[test]
fn a_device_that_fails_is_left_alone_longer_each_time_and_people_are_told() {
    let (world, key) = World::with_hole(GapCause::Network);
    let fetch = world.worker();
    let mut tries = Vec::new();
    for minute in 0..200 {
        // Only the device fails.
        if !world.survey().pieces.is_empty() {
            tries.push(minute);
            let failing = Failing(&world.footage);
            let ports = Ports {
                footage: &failing,
                fetch: &fetch,
                archive: &world.archive,
                table: &world.tables,
                alerts: &world.alerts,
            };
            let policy = BackfillPolicy::default();
            let report = block_on(backfill(&policy, &ports, "a", || world.now()));
            assert_eq!(report.failed.len(), 1, "{report:?}");
        }
        world.pass(60);
    }
    assert_eq!(tries, [0, 1, 3, 7, 15, 31, 63, 127]);
    assert_eq!(world.alerts.told().len(), 1, "{:?}", world.alerts.told());
    assert_eq!(world.memory().settled(&key), [], "a failed look settles nothing");
}

#[test]
fn a_device_that_has_no_time_is_asked_again_and_gives_everything_later() {
    let (world, key) = World::to_fill();
    let fetch = world.worker();
    world.footage.set_busy(&channel(1, 1).device, true);
    for _ in 0..2 {
        let report = block_on(world.round(&fetch, "a"));
        assert_eq!((report.playbacks, report.failed.len()), (1, 1), "{report:?}");
        world.pass(10 * 60);
    }
    assert_eq!(world.memory().settled(&key), []);
    world.footage.set_busy(&channel(1, 1).device, false);
    block_on(world.round(&fetch, "a"));
    check_filled(&world, &key);
}

#[test]
fn a_device_that_never_gives_what_it_says_it_has_does_not_hold_up_its_other_holes_for_ever() {
    let world = World::new(1);
    let (first, second) = (channel(1, 1), channel(1, 2));
    for (key, start) in [(&first, 50_000), (&second, 60_000)] {
        world.want(key, true);
        world.lose(key, start, start + 20, GapCause::Network);
        world.footage.record(key, at(start - 1_000)..at(start + 1_000));
    }
    let fetch = world.worker();
    world.footage.set_busy(&channel(1, 1).device, true);
    let mut tries = 0;
    while world.memory().settled(&first).is_empty() {
        tries += block_on(world.round(&fetch, "a")).playbacks;
        world.pass(60);
    }
    assert_eq!(tries, 6);
    assert_eq!(world.memory().settled(&first)[0].fate, Fate::Fetched);
    world.footage.set_busy(&channel(1, 1).device, false);
    block_on(world.round(&fetch, "a"));
    check_filled(&world, &second);
}

struct Failing<'a>(&'a FakeFootage);

impl domain::ports::Footage for Failing<'_> {
    async fn find_footage(
        &self,
        key: &ChannelKey,
        _: Timestamp,
        _: Timestamp,
    ) -> Result<Vec<std::ops::Range<Timestamp>>, domain::ports::PortError> {
        assert!(!self.0.has(key, at(0)), "the test gives the device nothing");
        Err(domain::ports::PortError::throttled("searching", "busy"))
    }

    async fn playback_url(
        &self,
        _: &ChannelKey,
        _: Timestamp,
        _: Timestamp,
    ) -> Result<Option<String>, domain::ports::PortError> {
        unreachable!("a failed search is not followed by a playback")
    }
}

#[test]
fn a_long_hole_is_filled_piece_by_piece_without_a_seam() {
    let world = World::new(3);
    let key = channel(1, 1);
    world.want(&key, true);
    world.lose(&key, 50_000, 52_000, GapCause::GatewayDown);
    world.footage.record(&key, at(49_000)..at(53_000));
    let fetch = world.worker();
    let mut rounds = 0;
    while block_on(world.round(&fetch, "a")).has_more() {
        rounds += 1;
    }
    assert_eq!(rounds, 4, "2,000 s in pieces of at most 600 s");
    world.check(&key);
    let lost = SignedDuration::from_secs(2_000) - filled(&world, &key);
    assert!(lost <= SignedDuration::from_secs(2), "{lost:#} are not filled");
}

fn filled(world: &World, key: &ChannelKey) -> SignedDuration {
    let segments = world.segments(key).into_iter();
    segments
        .filter(|segment| segment.generation == Generation::BACKFILL)
        .map(|segment| segment.duration)
        .sum()
}

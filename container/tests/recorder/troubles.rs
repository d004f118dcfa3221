//! Sources in trouble: the right hole, with the right reason, and no more than that.

use crate::bed::{Bed, eventually, far_future, target};
use crate::footage::Missing;
use domain::coverage::{State, coverage};
use domain::{DeviceState, Gap, GapCause, OfflineHint};
use jiff::{SignedDuration, Timestamp};
use simulator::rtsp::{StreamFault, StreamSpec};
use std::time::Duration;
use tokio::time::sleep;

/// What a hole may be longer than its trouble: noticing, reconnecting and the wait for a key frame.
const MARGIN: SignedDuration = SignedDuration::from_secs(2);

fn only(holes: &[Missing]) -> Missing {
    assert_eq!(holes.len(), 1, "{holes:?}");
    holes[0]
}

/// The one row that overlaps the hole; it must agree within a second.
fn row_of(gaps: &[Gap], hole: Missing) -> Gap {
    let rows: Vec<&Gap> = gaps
        .iter()
        .filter(|gap| gap.start < hole.to && gap.end.unwrap_or(far_future()) > hole.from)
        .collect();
    assert_eq!(rows.len(), 1, "{gaps:?} for {hole:?}");
    let (start, end) = (rows[0].start, rows[0].end.expect("it is closed"));
    let second = SignedDuration::from_secs(1);
    assert!(
        start.duration_since(hole.from).abs() < second,
        "{rows:?} for {hole:?}"
    );
    assert!(
        end.duration_since(hole.to).abs() < second,
        "{rows:?} for {hole:?}"
    );
    rows[0].clone()
}

/// Records with a fault in the middle that lasts `trouble`; returns the hole and its row.
async fn with_fault(fault: StreamFault, trouble: Duration) -> (Missing, Gap) {
    let spec = StreamSpec::default();
    let bed = Bed::with(std::slice::from_ref(&spec)).await;
    bed.assign(&bed.assignment(1, 1)).await;
    let running = bed.run();
    bed.records(1).await;
    sleep(Duration::from_secs(3)).await;
    let from = Timestamp::now();
    bed.catalog.fault(&target(1), Some(fault)).unwrap();
    sleep(trouble).await;
    bed.catalog.fault(&target(1), None).unwrap();
    let until = Timestamp::now();
    let closed = async || {
        bed.gaps(1)
            .await
            .iter()
            .any(|gap| gap.start + MARGIN > from && gap.end.is_some())
    };
    eventually("the hole is closed", closed).await;
    sleep(Duration::from_secs(2)).await;
    running.stops().await;

    let hole = only(&bed.footage(1, &spec).await.holes());
    assert!(
        hole.from > from - MARGIN,
        "{hole:?} begins with the fault at {from}"
    );
    assert!(hole.to < until + MARGIN, "{hole:?} ends soon after {until}");
    let (gaps, segments) = (bed.gaps(1).await, bed.segments(1).await);
    let (first, last) = (segments[0].start, segments.last().unwrap().end());
    let unexplained = coverage(&segments, &gaps, first, last);
    let unexplained = unexplained.iter().filter(|span| span.state == State::Unexplained);
    assert_eq!(unexplained.count(), 0);
    (hole, row_of(&gaps, hole))
}

#[tokio::test]
async fn a_dropped_stream_is_a_gap_with_the_gateways_answer_as_its_cause() {
    let (hole, row) = with_fault(StreamFault::Drop, Duration::from_secs(4)).await;
    assert!(hole.frames >= 90, "{hole:?}");
    assert_eq!(row.cause, GapCause::StreamRefused);
}

#[tokio::test]
async fn a_frozen_stream_is_a_stalled_gap() {
    let (hole, row) = with_fault(StreamFault::Freeze, Duration::from_secs(9)).await;
    assert!(hole.frames >= 215, "{hole:?}");
    assert_eq!(row.cause, GapCause::StreamStalled);
}

#[tokio::test]
async fn a_short_pause_is_a_gap_without_a_reconnect() {
    let (hole, row) = with_fault(StreamFault::Freeze, Duration::from_secs(3)).await;
    assert!((70..135).contains(&hole.frames), "{hole:?}");
    assert_eq!(row.cause, GapCause::StreamStalled);
}

#[tokio::test]
async fn a_missing_device_is_the_reason_for_its_silence() {
    let bed = Bed::with(&[]).await;
    let mut assignment = bed.assignment(1, 1);
    bed.assign(&assignment).await;
    let running = bed.run();
    let cause = async |cause| bed.gaps(1).await.first().is_some_and(|gap| gap.cause == cause);
    eventually("the gateway's answer is noted", async || {
        cause(GapCause::StreamRefused).await
    })
    .await;
    assignment.device_state = DeviceState::Missing {
        since: Timestamp::now(),
        missed_polls: 1,
        hint: Some(OfflineHint::Network),
    };
    bed.assign(&assignment).await;
    let offline = GapCause::DeviceOffline(Some(OfflineHint::Network));
    eventually("the device's state explains it", async || cause(offline).await).await;
    running.stops().await;
    assert_eq!(bed.gaps(1).await.len(), 1, "one hole, one row");
}

#[tokio::test]
async fn a_gateway_that_is_away_is_named_so() {
    let bed = Bed::with(&[]).await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut assignment = bed.assignment(1, 1);
    assignment.media_url = format!("rtsp://{nobody}/dac");
    bed.assign(&assignment).await;
    let running = bed.run();
    let down = async || {
        bed.gaps(1)
            .await
            .first()
            .is_some_and(|gap| gap.cause == GapCause::GatewayDown)
    };
    eventually("the gateway is found to be away", down).await;
    running.stops().await;
}

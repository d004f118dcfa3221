//! Looking after an archive makes no more calls than docs/deployment.md says.

mod month;

use month::{Month, Size};

#[tokio::test(flavor = "multi_thread")]
async fn no_look_at_the_archive_makes_more_calls_than_its_formula() {
    // What is old fills two pages of a listing.
    let size = Size {
        channels: 2,
        days: 16,
        segment_seconds: 600,
    };
    let month = Month::fill(size).await;
    let hour = month.hour().await;
    assert!(
        hour <= size.hour_calls_max(),
        "{hour} calls of {}",
        size.hour_calls_max()
    );
    let day = month.day().await;
    assert!(
        day <= size.day_calls_max(),
        "{day} calls of {}",
        size.day_calls_max()
    );

    let (_, first) = month.keep().await;
    assert!(first.held.is_some(), "{first:?}");
    let (deleting, report) = month.keep().await;
    // Nine days of 144 segments, but for the hour of the episode and its neighbours on both sides.
    assert_eq!(
        (report.deleted, report.kept_by_episodes),
        (2 * (9 * 144 - 8), 2 * 8)
    );
    assert!(
        deleting <= size.keep_calls_max(),
        "{deleting} calls of {}",
        size.keep_calls_max()
    );
    let (again, report) = month.keep().await;
    assert_eq!(report.deleted, 0);
    assert!(again <= deleting, "{again} calls");
}

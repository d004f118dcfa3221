//! Archives and disks that fail: nothing is lost uncounted.

use crate::archives::{Mood, Moody};
use crate::bed::{Bed, eventually, files, task};
use domain::alert::Severity;
use domain::coverage::{State, coverage};
use domain::settings::RecordingSettings;
use domain::{GapCause, TaskArn};
use simulator::rtsp::StreamSpec;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::sleep;

async fn one_channel() -> Bed {
    let bed = Bed::with(&[StreamSpec::default()]).await;
    let mut assignment = bed.assignment(1, 1);
    assignment.settings = RecordingSettings {
        segment_seconds: NonZeroU32::MIN,
        ..RecordingSettings::default()
    };
    bed.assign(&assignment).await;
    bed
}

fn recordings(bed: &Bed) -> usize {
    let is_recording = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "mp4");
    files(&bed.spool()).iter().filter(is_recording).count()
}

#[tokio::test]
async fn an_archive_that_is_away_for_a_while_gets_everything_in_the_end() {
    let bed = one_channel().await;
    let archive = Moody::new(bed.archive(), Mood::Away);
    let running = bed.run_with(bed.config(), archive.clone());
    eventually("recordings wait", async || recordings(&bed) >= 5).await;
    archive.feels(Mood::Well);
    let summary = running.stops().await;

    assert_eq!(summary.left, 0);
    assert_eq!(recordings(&bed), 0);
    assert!(archive.most_at_once() <= 2, "{} at once", archive.most_at_once());
    bed.footage(1, &StreamSpec::default()).await.is_whole();
}

#[tokio::test]
async fn what_is_not_uploaded_when_time_is_up_stays_for_the_next_recorder() {
    let bed = one_channel().await;
    let mut config = bed.config();
    config.stop_deadline = Duration::from_secs(2);
    let running = bed.run_with(config, Moody::new(bed.archive(), Mood::Away));
    eventually("recordings wait", async || recordings(&bed) >= 2).await;
    let summary = running.stops().await;
    assert!(summary.left >= 2);
    assert_eq!(recordings(&bed), summary.left, "it says what it leaves");

    let next = bed.run();
    eventually("the next recorder uploads it", async || recordings(&bed) <= 1).await;
    let summary = next.stops().await;
    assert_eq!(summary.left, 0);
    let holes = bed.footage(1, &StreamSpec::default()).await.holes();
    assert!(holes.len() <= 1, "{holes:?}");
}

#[tokio::test]
async fn a_full_spool_loses_the_oldest_and_says_exactly_what() {
    let bed = one_channel().await;
    let mut config = bed.config();
    // Segments of one second at 100 kbit/s.
    config.spool_max_bytes = 60_000;
    let archive = Moody::new(bed.archive(), Mood::Away);
    let running = bed.run_with(config, archive.clone());
    let overflow = async || {
        bed.gaps(1)
            .await
            .iter()
            .filter(|gap| gap.cause == GapCause::SpoolOverflow)
            .count()
    };
    eventually("the spool overflows", async || overflow().await >= 2).await;
    archive.feels(Mood::Well);
    let summary = running.stops().await;

    let rows: Vec<_> = bed
        .gaps(1)
        .await
        .into_iter()
        .filter(|gap| gap.cause == GapCause::SpoolOverflow)
        .collect();
    assert_eq!(u64::try_from(rows.len()).unwrap(), summary.overflowed);
    assert_eq!(summary.archived + summary.overflowed, summary.segments);
    let segments = bed.segments(1).await;
    for row in &rows {
        let kept = segments
            .iter()
            .find(|segment| segment.start < row.end.unwrap() && segment.end() > row.start);
        assert_eq!(kept, None, "{row:?} is archived");
    }
    let (first, last) = (
        rows[0].start.min(segments[0].start),
        segments.last().unwrap().end(),
    );
    let spans = coverage(&segments, &rows, first, last);
    assert!(
        spans.iter().all(|span| span.state != State::Unexplained),
        "{spans:?}"
    );
    let told = bed.alerts.told();
    let about_spool = told
        .iter()
        .filter(|alert| alert.subject == "spool" && alert.severity == Severity::Critical);
    assert_eq!(about_spool.count(), 1, "{told:?}");
}

#[tokio::test]
async fn a_recording_that_alone_is_refused_is_set_aside_and_is_a_gap() {
    let bed = one_channel().await;
    let running = bed.run_with(bed.config(), Moody::new(bed.archive(), Mood::RefusesOne(None)));
    let refused = async || {
        bed.gaps(1)
            .await
            .iter()
            .any(|gap| gap.cause == GapCause::ArchiveRefused)
    };
    eventually("it is set aside", refused).await;
    let summary = running.stops().await;

    assert_eq!((summary.refused, summary.left), (1, 0));
    let aside = bed.spool().join(task().folder()).join(".refused");
    assert_eq!(files(&aside).len(), 2, "the recording and its metadata");
    let gaps = bed.gaps(1).await;
    let row = gaps
        .iter()
        .find(|gap| gap.cause == GapCause::ArchiveRefused)
        .unwrap();
    let hole = bed.footage(1, &StreamSpec::default()).await.holes();
    assert!(
        hole.is_empty() || hole[0].from <= row.start,
        "{hole:?} is {row:?}"
    );
    assert_eq!(bed.alerts.told().len(), 1, "{:?}", bed.alerts.told());
}

#[tokio::test]
async fn an_archive_that_refuses_everything_makes_nothing_be_given_up() {
    let bed = one_channel().await;
    let archive = Moody::new(bed.archive(), Mood::RefusesAll);
    let running = bed.run_with(bed.config(), archive.clone());
    eventually("recordings wait", async || recordings(&bed) >= 4).await;
    sleep(Duration::from_secs(2)).await;
    archive.feels(Mood::Well);
    let summary = running.stops().await;
    assert_eq!((summary.refused, summary.left), (0, 0));
    bed.footage(1, &StreamSpec::default()).await.is_whole();
}

#[tokio::test]
async fn a_dead_recorders_spool_is_uploaded_and_cleared_by_the_next_one() {
    let bed = one_channel().await;
    let mut config = bed.config();
    config.stop_deadline = Duration::from_secs(1);
    let running = bed.run_with(config, Moody::new(bed.archive(), Mood::Away));
    eventually("recordings wait", async || recordings(&bed) >= 2).await;
    bed.tables_weather.set_trouble(100);
    let summary = running.stops().await;
    bed.tables_weather.set_trouble(0);
    assert!(summary.left >= 2 && summary.rows_left >= 1, "{summary:?}");

    let mut another = bed.config();
    another.task = TaskArn::new("local-2");
    let running = bed.run_with(another, bed.archive());
    let dead = bed.spool().join(task().folder());
    eventually("the dead one's folder is gone", async || !dead.exists()).await;
    let summary = running.stops().await;
    assert_eq!((summary.left, summary.rows_left), (0, 0));
    bed.footage(1, &StreamSpec::default()).await.is_whole();
    let rows: Vec<_> = bed.gaps(1).await.iter().map(|gap| gap.cause).collect();
    assert!(
        rows.contains(&GapCause::RecorderRestarted),
        "the dead one's last row is written: {rows:?}"
    );
}

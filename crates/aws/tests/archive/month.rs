//! An archive of some channels and days on emulated AWS, and what it costs to look after it.

use aws::dynamodb::Tables;
use aws::harness::{
    Calls, Emulator, counted, create_bucket, create_tables, s3_client, tables_of, unused_name,
};
use aws::s3::S3Archive;
use aws_sdk_s3::primitives::ByteStream;
use domain::coverage::{HourPolicy, coverage, measure_hour};
use domain::fakes::{FakeAlerts, Weather, rows};
use domain::keep::{KeepPolicy, Mode, Report, keep};
use domain::ports::{Archive, ChannelsTable, EpisodesTable, GapsTable, Put};
use domain::{ChannelKey, Gap, GapCause, Generation, RecordingSettings, SegmentKey};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use std::num::NonZeroU32;
use std::time::Instant;

const DAY_SECONDS: i64 = 24 * 60 * 60;

/// How many days of it are kept.
pub(crate) const RETENTION_DAYS: u32 = 7;

/// Objects of a listing, and of a delete.
const PAGE: i64 = 1_000;

/// Requests under way while it is filled.
const FILLING_AT_ONCE: usize = 64;

/// What there is: every channel of a device of its own, recorded without a break but for one gap a day.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) channels: i64,
    pub(crate) days: i64,
    pub(crate) segment_seconds: u32,
}

impl Size {
    /// Segments of a channel in so many days.
    fn segments(&self, days: i64) -> i64 {
        days * DAY_SECONDS / i64::from(self.segment_seconds)
    }

    /// Objects altogether.
    pub(crate) fn objects(&self) -> i64 {
        self.channels * self.segments(self.days)
    }

    /// Segments are past their retention.
    fn old(&self) -> i64 {
        self.segments(self.days - i64::from(RETENTION_DAYS)).max(0)
    }

    /// The most calls of an hour's measurement: the list of channels and what people were told; per channel the
    /// listing of 25 h, for a segment may be a day long, and its gaps.
    pub(crate) fn hour_calls_max(&self) -> i64 {
        let listed = self.segments(25) / 24 + 1;
        2 + self.channels * (pages(listed) + 1)
    }

    /// The most calls of a picture of a day: per channel the listing of two days, gaps and episodes.
    pub(crate) fn day_calls_max(&self) -> i64 {
        self.channels * (pages(self.segments(2) + 1) + 2)
    }

    /// The most calls of a keep run: what it remembers, settings and what people were told; devices and their
    /// channels; per channel and page a listing, a read of episodes and a delete. The page that reaches a young day
    /// is the last.
    pub(crate) fn keep_calls_max(&self) -> i64 {
        4 + 1 + self.channels + 3 * self.channels * pages(self.old() + self.segments(1) + 1)
    }
}

fn pages(objects: i64) -> i64 {
    (objects + PAGE - 1) / PAGE
}

/// The archive, filled.
pub(crate) struct Month {
    size: Size,
    tables: Tables,
    archive: S3Archive,
    alerts: FakeAlerts,
    calls: Calls,
}

/// The end of what is recorded.
fn end() -> Timestamp {
    "2026-11-21T00:00:00Z".parse().expect("a time")
}

fn key(number: i64) -> ChannelKey {
    ChannelKey::new(format!("DEVICE-{number:05}").as_str(), "1")
}

impl Month {
    /// Fills tables and a bucket of their own.
    pub(crate) async fn fill(size: Size) -> Self {
        let emulator = Emulator::ministack().sdk_config();
        let (sdk, calls) = counted(&emulator);
        let name = unused_name();
        let names = tables_of(&name);
        create_tables(&emulator, &names).await;
        let s3 = create_bucket(&emulator, &name).await;
        let month = Self {
            size,
            tables: Tables::new(&sdk, names),
            archive: S3Archive::new(s3_client(&sdk), &name, ""),
            alerts: FakeAlerts::new(Weather::calm()),
            calls,
        };
        month.record(&s3, &name).await;
        for number in 0..size.channels {
            month.describe(key(number)).await;
        }
        month.calls.take();
        month
    }

    async fn record(&self, s3: &aws_sdk_s3::Client, bucket: &str) {
        let length = SignedDuration::from_secs(self.size.segment_seconds.into());
        let of_channel = self.size.segments(self.size.days);
        let put = |number: i64| {
            let (channel, nth) = (number / of_channel, number % of_channel);
            let start = end() - length * i32::try_from(of_channel - nth).expect("a few thousand segments");
            let segment = SegmentKey::new(key(channel), start, length, Generation(1));
            let put = s3.put_object().bucket(bucket).key(segment.to_string());
            put.body(ByteStream::from_static(b"x")).send()
        };
        stream::iter(0..self.size.objects())
            .map(put)
            .buffer_unordered(FILLING_AT_ONCE)
            .try_for_each(|_| std::future::ready(Ok(())))
            .await
            .expect("the emulator stores an object");
    }

    /// The channel's rows: itself, a gap a day, and an episode ten days old.
    async fn describe(&self, key: ChannelKey) {
        let day = SignedDuration::from_hours(24);
        let mut row = rows::channel(key.clone(), end() - day * 400);
        row.settings.segment_seconds =
            NonZeroU32::new(self.size.segment_seconds).expect("segments have a length");
        assert_eq!(
            self.tables.put_channel(&row, None).await.expect("a row"),
            Put::Written
        );
        for nth in 0..i32::try_from(self.size.days).expect("a few days") {
            let start = end() - day * (nth + 1);
            let gap = Gap {
                key: key.clone(),
                start,
                end: Some(start + SignedDuration::from_secs(5)),
                cause: GapCause::Network,
            };
            self.tables.put_gap(&gap).await.expect("a row");
        }
        let ten_days_ago = end() - day * 10;
        let episode = rows::episode(
            key,
            ten_days_ago,
            Some(ten_days_ago + SignedDuration::from_hours(1)),
        );
        let put = self.tables.put_episode(&episode, None).await;
        assert_eq!(put.expect("a row"), Put::Written);
    }

    /// Measures the last full hour; so many calls.
    pub(crate) async fn hour(&self) -> i64 {
        let begin = Instant::now();
        // Past the time that a segment of any length has to get there.
        let clock = || end() + SignedDuration::from_mins(75) + elapsed(begin);
        let policy = HourPolicy::default();
        let report = measure_hour(&policy, &self.archive, &self.tables, &self.alerts, clock).await;
        assert_eq!((report.percent, report.to), (Some(100.0), end()), "{report:?}");
        self.made()
    }

    /// Puts the last day of every channel together; so many calls.
    pub(crate) async fn day(&self) -> i64 {
        let (from, to) = (end() - SignedDuration::from_hours(24), end());
        for number in 0..self.size.channels {
            let key = key(number);
            let segments = self
                .archive
                .list_segments(&key, from, to)
                .await
                .expect("a listing");
            let gaps = self.tables.list_gaps(&key, from, to).await.expect("the gaps");
            let episodes = self
                .tables
                .list_episodes(&key, from, to)
                .await
                .expect("the episodes");
            let spans = coverage(&segments, &gaps, from, to);
            assert_eq!((spans.len(), episodes.len()), (1, 0), "{spans:?}");
        }
        self.made()
    }

    /// A run of the keep loop, in so many calls; the first of all only looks at the clock.
    pub(crate) async fn keep(&self) -> (i64, Report) {
        let policy = KeepPolicy {
            settings: RecordingSettings {
                retention_days: RETENTION_DAYS,
                ..RecordingSettings::default()
            },
            ..KeepPolicy::default()
        };
        let begin = Instant::now();
        let clock = || end() + elapsed(begin);
        let report = keep(
            &policy,
            &self.archive,
            &self.tables,
            &self.alerts,
            clock,
            Mode::Delete,
        )
        .await;
        assert_eq!((&report.failure, report.failed.len()), (&None, 0), "{report:?}");
        (self.made(), report)
    }

    fn made(&self) -> i64 {
        i64::try_from(self.calls.take()).expect("a few thousand calls")
    }
}

fn elapsed(begin: Instant) -> SignedDuration {
    SignedDuration::try_from(begin.elapsed()).expect("a short time")
}

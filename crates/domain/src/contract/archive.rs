//! What an [`Archive`] promises. Each function takes an empty archive of its own.

use super::samples::{self, at};
use crate::ports::{Archive, PortError, Stored};
use crate::{ChannelKey, Generation, ObjectKey, Origin, SegmentKey, SegmentMeta};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// A file to be archived; removed with it.
pub(super) struct Upload {
    path: PathBuf,
    pub(super) meta: SegmentMeta,
}

impl Upload {
    pub(super) fn new(content: &[u8]) -> Self {
        static UPLOADS: AtomicU64 = AtomicU64::new(0);
        let upload = UPLOADS.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("millrace-contract-{}-{upload}", std::process::id()));
        std::fs::write(&path, content).expect("the temporary folder can be written");
        let meta = SegmentMeta {
            captured_at: at("10:00:00.123456789"),
            codecs: "avc1.64001f,mp4a.40.2".into(),
            sha256: hex::encode(Sha256::digest(content)),
            origin: Origin::Salvaged,
            clock_drift_ms: -12,
            note: Some("G.711 left out – ünïcode".into()),
        };
        Self { path, meta }
    }

    pub(super) async fn to(&self, archive: &impl Archive, key: &ObjectKey) -> Result<Stored, PortError> {
        archive.put(key, &self.path, &self.meta).await
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

pub(super) fn segment(channel: ChannelKey, start: &str, seconds: i64) -> SegmentKey {
    SegmentKey::new(
        channel,
        at(start),
        SignedDuration::from_secs(seconds),
        Generation(3),
    )
}

async fn store(archive: &impl Archive, segment: &SegmentKey) {
    let stored = Upload::new(segment.to_string().as_bytes())
        .to(archive, &segment.object_key())
        .await;
    assert_eq!(stored.expect("the archive takes it"), Stored::New);
}

async fn all(archive: &impl Archive, channel: &ChannelKey) -> Vec<SegmentKey> {
    let listed = archive
        .list_segments(channel, Timestamp::MIN, Timestamp::MAX)
        .await;
    listed.expect("the archive answers")
}

fn assert_refused(result: &Result<Stored, PortError>) {
    assert!(matches!(result, Err(PortError::Refused { .. })), "{result:?}");
}

/// An unknown channel has none.
pub async fn a_segment_is_listed_once_it_is_stored(archive: &impl Archive) {
    assert_eq!(all(archive, &samples::key()).await, []);
    let segment = segment(samples::key(), "10:00:00.123", 30);
    store(archive, &segment).await;
    assert_eq!(all(archive, &samples::key()).await, [segment]);
}

/// An upload whose answer was lost is repeated.
pub async fn the_same_content_again_is_already_there(archive: &impl Archive) {
    let segment = segment(samples::key(), "10:00:00", 30);
    let upload = Upload::new(b"frames");
    for expected in [Stored::New, Stored::Already, Stored::Already] {
        let stored = upload.to(archive, &segment.object_key()).await;
        assert_eq!(stored.expect("the archive takes it"), expected);
    }
    assert_eq!(all(archive, &samples::key()).await, [segment]);
}

/// The first content stays: storing it again finds it there.
pub async fn another_content_never_replaces_an_object(archive: &impl Archive) {
    let key = segment(samples::key(), "10:00:00", 30).object_key();
    let (first, second) = (Upload::new(b"first"), Upload::new(b"second"));
    assert_eq!(
        first.to(archive, &key).await.expect("the archive takes it"),
        Stored::New
    );
    assert_refused(&second.to(archive, &key).await);
    assert_eq!(
        first.to(archive, &key).await.expect("the archive takes it"),
        Stored::Already
    );
}

/// Damage between the recorder's disk and the archive is noticed, and the key stays free for the true content.
pub async fn a_file_that_is_not_what_its_hash_says_is_never_stored(archive: &impl Archive) {
    let segment = segment(samples::key(), "10:00:00", 30);
    let upload = Upload::new(b"true content");
    std::fs::write(&upload.path, b"true c0ntent").expect("the temporary folder can be written");
    assert_refused(&upload.to(archive, &segment.object_key()).await);
    assert_eq!(all(archive, &samples::key()).await, []);

    std::fs::write(&upload.path, b"true content").expect("the temporary folder can be written");
    let stored = upload.to(archive, &segment.object_key()).await;
    assert_eq!(stored.expect("the archive takes it"), Stored::New);
}

/// There is nothing to try again with.
pub async fn a_file_that_is_gone_is_refused(archive: &impl Archive) {
    let upload = Upload::new(b"short-lived");
    std::fs::remove_file(&upload.path).expect("it was just written");
    assert_refused(
        &upload
            .to(archive, &segment(samples::key(), "10:00:00", 30).object_key())
            .await,
    );
}

/// The interval is half-open, and so are segments.
pub async fn only_segments_that_overlap_are_listed_by_start(archive: &impl Archive) {
    let [before, into, inside, out_of, after] =
        ["09:59:30", "09:59:30.001", "10:10:00", "10:59:59.999", "11:00:00"]
            .map(|start| segment(samples::key(), start, 30));
    for segment in [&after, &into, &out_of, &before, &inside] {
        store(archive, segment).await;
    }
    let listed = archive
        .list_segments(&samples::key(), at("10:00:00"), at("11:00:00"))
        .await;
    assert_eq!(listed.expect("the archive answers"), [into, inside, out_of]);
}

/// It is filed under the day it began.
pub async fn a_segment_that_crosses_midnight_is_found_on_both_days(archive: &impl Archive) {
    let segment = segment(samples::key(), "23:59:50", 30);
    store(archive, &segment).await;
    let midnight: Timestamp = "2026-11-22T00:00:00Z".parse().expect("a time");
    for (from, to) in [
        (at("23:00:00"), midnight),
        (midnight, midnight + SignedDuration::from_secs(1)),
    ] {
        let listed = archive.list_segments(&samples::key(), from, to).await;
        assert_eq!(
            listed.expect("the archive answers"),
            std::slice::from_ref(&segment)
        );
    }
}

/// Still pictures live beside the video.
pub async fn objects_that_are_not_segments_are_not_listed(archive: &impl Archive) {
    let day = SegmentKey::day_prefix(&samples::key(), jiff::civil::date(2026, 11, 21));
    for name in [
        "20261121T100000.000Z.jpg",
        "20261121T100000.000Z_3O000_3.mp4",
        "notes.txt",
    ] {
        let stored = Upload::new(name.as_bytes())
            .to(archive, &ObjectKey(format!("{day}/{name}")))
            .await;
        assert_eq!(stored.expect("the archive takes it"), Stored::New);
    }
    let segment = segment(samples::key(), "10:00:00", 30);
    store(archive, &segment).await;
    assert_eq!(all(archive, &samples::key()).await, [segment]);
}

/// A name that another begins with, or that looks like a path of it.
pub async fn channels_with_alike_names_stay_apart(archive: &impl Archive) {
    let alike = [
        ("CAM", "1"),
        ("CAM", "10"),
        ("CAM1", "1"),
        ("CAM/1", "2026"),
        ("cam", "1"),
    ];
    for (device, channel) in alike {
        store(
            archive,
            &segment(ChannelKey::new(device, channel), "10:00:00", 30),
        )
        .await;
    }
    for (device, channel) in alike {
        let key = ChannelKey::new(device, channel);
        assert_eq!(all(archive, &key).await, [segment(key, "10:00:00", 30)]);
    }
}

/// The gateway's names are opaque, and so is what they hold.
pub async fn names_with_odd_characters_are_kept(archive: &impl Archive) {
    for key in samples::keys() {
        let segment = segment(key.clone(), "10:00:00", 30);
        store(archive, &segment).await;
        assert_eq!(all(archive, &key).await, [segment]);
    }
}

/// Two recorders that both believe they own the channel cannot both store.
pub async fn of_two_writers_of_one_key_one_content_wins(archive: &impl Archive) {
    let key = segment(samples::key(), "10:00:00", 30).object_key();
    let (left, right) = (Upload::new(&[1; 100_000]), Upload::new(&[2; 100_000]));
    let outcome = futures::join!(left.to(archive, &key), right.to(archive, &key));
    let (winner, loser) = match outcome {
        (Ok(Stored::New), lost) => (left, lost),
        (lost, Ok(Stored::New)) => (right, lost),
        neither => panic!("none was stored: {neither:?}"),
    };
    assert!(loser.is_err(), "{loser:?}");
    assert_eq!(
        winner.to(archive, &key).await.expect("the archive answers"),
        Stored::Already
    );
}

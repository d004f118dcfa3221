//! What [`ArchiveSweep`] and [`ArchiveRead`] promise. Each function takes an empty archive of its own.

use super::archive::{Upload, segment};
use super::samples;
use crate::ports::{Archive, ArchiveRead, ArchiveSweep, DELETE_MAX, PortError, Stored};
use crate::storage::{Asked, Availability};
use crate::{ChannelKey, ObjectKey, RestoreTier, SegmentKey, StorageClass};
use futures::StreamExt;
use jiff::SignedDuration;

async fn store(archive: &impl Archive, key: &ObjectKey, content: &[u8]) {
    let stored = Upload::new(content).to(archive, key).await;
    assert_eq!(stored.expect("the archive takes it"), Stored::New);
}

/// Segments of a channel, a minute apart.
fn keys(channel: &ChannelKey, count: i64) -> Vec<ObjectKey> {
    let first = segment(channel.clone(), "10:00:00", 30);
    let minutes = (0..count).map(SignedDuration::from_mins);
    minutes
        .map(|minutes| {
            let mut key = first.clone();
            key.start += minutes;
            key.object_key()
        })
        .collect()
}

async fn everything(archive: &impl ArchiveSweep, channel: &ChannelKey) -> Vec<ObjectKey> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = archive.list_page(channel, after.as_ref()).await;
        let page = page.expect("the archive answers");
        assert!(page.objects.len() <= DELETE_MAX);
        found.extend(page.objects.into_iter().map(|object| object.key));
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

/// The names are opaque, and a device that is gone has its channels still.
pub async fn channels_are_found_by_what_they_have(archive: &(impl Archive + ArchiveSweep)) {
    assert_eq!(archive.list_channels().await.expect("the archive answers"), []);
    for channel in samples::keys() {
        store(archive, &keys(&channel, 1)[0], b"x").await;
    }
    let mut found = archive.list_channels().await.expect("the archive answers");
    found.sort();
    assert_eq!(found, samples::keys());
}

/// Also what is no segment, so that the caller sees what it leaves alone; but not the archive's own side files.
pub async fn a_page_lists_everything_with_its_size_in_key_order(archive: &(impl Archive + ArchiveSweep)) {
    let channel = samples::key();
    let mut all = keys(&channel, 3);
    let day = all[0].0.rsplit_once('/').expect("keys have folders").0.to_owned();
    all.push(ObjectKey(format!("{day}/20261121T100000.000Z_3.jpg")));
    all.push(ObjectKey(format!("{day}/notes.txt")));
    for (size, key) in all.iter().enumerate().rev() {
        store(archive, key, &vec![7; size]).await;
    }
    store(archive, &keys(&ChannelKey::new("CAM", "10"), 1)[0], b"x").await;
    let page = archive
        .list_page(&channel, None)
        .await
        .expect("the archive answers");
    let listed: Vec<_> = page
        .objects
        .iter()
        .map(|object| (&object.key, object.size_bytes))
        .collect();
    let mut expected: Vec<_> = all.iter().zip(0_u64..).collect();
    expected.sort();
    assert_eq!((listed, page.next), (expected, None));
}

/// More than one call returns.
pub async fn pages_follow_each_other_without_a_hole_or_a_repeat(archive: &(impl Archive + ArchiveSweep)) {
    let all = keys(&samples::key(), 1_100);
    let uploads = futures::stream::iter(&all).map(|key| store(archive, key, b"x"));
    uploads.buffer_unordered(32).collect::<Vec<()>>().await;
    assert_eq!(everything(archive, &samples::key()).await, all);
    let page = archive.list_page(&samples::key(), Some(&all[1_090])).await;
    let page = page.expect("the archive answers");
    assert_eq!((page.objects.len(), &page.objects[0].key), (9, &all[1_091]));
}

/// Neither a neighbour nor another channel's object of the same name.
pub async fn what_is_deleted_is_gone_and_nothing_else_is(archive: &(impl Archive + ArchiveSweep)) {
    let (here, there) = (samples::key(), ChannelKey::new("CAM", "10"));
    let (ours, theirs) = (keys(&here, 4), keys(&there, 4));
    for key in ours.iter().chain(&theirs) {
        store(archive, key, b"x").await;
    }
    let deleted = archive.delete_objects(&ours[1..3]).await;
    assert_eq!(deleted.expect("the archive answers"), []);
    assert_eq!(
        everything(archive, &here).await,
        [ours[0].clone(), ours[3].clone()]
    );
    assert_eq!(everything(archive, &there).await, theirs);
}

/// An answer may be lost.
pub async fn what_is_gone_already_counts_as_deleted(archive: &(impl Archive + ArchiveSweep)) {
    let all = keys(&samples::key(), 2);
    store(archive, &all[0], b"x").await;
    for _ in 0..2 {
        let deleted = archive.delete_objects(&all).await;
        assert_eq!(deleted.expect("the archive answers"), []);
    }
    assert_eq!(everything(archive, &samples::key()).await, []);
}

/// Nothing is deleted then.
pub async fn more_keys_than_one_call_takes_are_refused(archive: &(impl Archive + ArchiveSweep)) {
    let all = keys(&samples::key(), 1_001);
    store(archive, &all[0], b"x").await;
    let deleted = archive.delete_objects(&all).await;
    assert!(matches!(deleted, Err(PortError::Refused { .. })), "{deleted:?}");
    assert_eq!(everything(archive, &samples::key()).await, all[..1]);
}

/// The range is half-open and may reach past the end.
pub async fn any_part_of_an_object_can_be_read(archive: &(impl Archive + ArchiveRead)) {
    let key = &keys(&samples::key(), 1)[0];
    store(archive, key, b"0123456789").await;
    for (range, expected) in [
        (0..10, "0123456789"),
        (2..5, "234"),
        (8..99, "89"),
        (10..20, ""),
        (99..100, ""),
    ] {
        let read = archive
            .read(key, range.clone())
            .await
            .expect("the archive answers");
        assert_eq!(String::from_utf8_lossy(&read), expected, "{range:?}");
    }
}

/// Whatever the store made of it on the way.
pub async fn metadata_reads_back_exactly(archive: &(impl Archive + ArchiveRead)) {
    let key = &keys(&samples::key(), 1)[0];
    let upload = Upload::new(b"x");
    assert_eq!(
        upload.to(archive, key).await.expect("the archive takes it"),
        Stored::New
    );
    let described = archive.describe(key).await.expect("the archive answers");
    assert_eq!(described.as_ref(), Some(&upload.meta));
}

/// It is neither empty nor worth another try.
pub async fn what_is_not_there_is_refused(archive: &(impl Archive + ArchiveRead)) {
    let key = &keys(&samples::key(), 1)[0];
    let read = archive.read(key, 0..10).await;
    assert!(matches!(read, Err(PortError::Refused { .. })), "{read:?}");
    let described = archive.describe(key).await;
    assert!(
        matches!(described, Err(PortError::Refused { .. })),
        "{described:?}"
    );
    let available = archive.availability(key).await;
    assert!(
        matches!(available, Err(PortError::Refused { .. })),
        "{available:?}"
    );
    let restored = archive.restore(key, RestoreTier::Bulk, 1).await;
    assert!(matches!(restored, Err(PortError::Refused { .. })), "{restored:?}");
}

/// The same segments as the listing of their names, in the same order.
pub async fn segments_of_a_range_tell_their_sizes(archive: &(impl Archive + ArchiveRead)) {
    let (channel, all) = (samples::key(), keys(&samples::key(), 4));
    for (size, key) in all.iter().enumerate() {
        store(archive, key, &vec![7; size + 1]).await;
    }
    let second: SegmentKey = all[1].0.parse().expect("it is a segment's");
    let (from, to) = (second.start, second.start + SignedDuration::from_secs(61));
    let stored = archive.list_stored(&channel, from, to).await;
    let stored = stored.expect("the archive answers");
    let named = archive.list_segments(&channel, from, to).await;
    let keys: Vec<_> = stored.iter().map(|segment| segment.key.clone()).collect();
    assert_eq!(keys, named.expect("the archive answers"));
    let sizes: Vec<_> = stored.iter().map(|segment| segment.size_bytes).collect();
    assert_eq!(sizes, [2, 3]);
    assert!(
        !stored
            .iter()
            .any(|segment| segment.class.is_some_and(StorageClass::needs_restore))
    );
}

/// Asking for a restore of it is no error.
pub async fn what_was_just_stored_is_read_at_once(archive: &(impl Archive + ArchiveRead)) {
    let key = &keys(&samples::key(), 1)[0];
    store(archive, key, b"x").await;
    let available = archive.availability(key).await;
    assert_eq!(available.expect("the archive answers"), Availability::AtOnce);
    let restored = archive.restore(key, RestoreTier::Standard, 1).await;
    assert_eq!(restored.expect("the archive answers"), Asked::NotNeeded);
}

/// Its folder may be gone with it.
pub async fn a_deleted_key_can_be_stored_again(archive: &(impl Archive + ArchiveSweep + ArchiveRead)) {
    let key = &keys(&samples::key(), 1)[0];
    store(archive, key, b"first").await;
    let deleted = archive.delete_objects(std::slice::from_ref(key)).await;
    assert_eq!(deleted.expect("the archive answers"), []);
    store(archive, key, b"second").await;
    assert_eq!(
        archive.read(key, 0..10).await.expect("the archive answers"),
        b"second"
    );
}

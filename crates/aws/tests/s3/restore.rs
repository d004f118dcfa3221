//! Objects that lie in other classes than the standard one.

use crate::server::{BUCKET, answering, client, emulator};
use aws::harness::unused_name;
use aws::s3::S3Archive;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::StorageClass as Name;
use domain::ports::{ArchiveRead, ArchiveSweep, PortError};
use domain::storage::{Asked, Availability};
use domain::{ChannelKey, Generation, ObjectKey, RestoreTier, SegmentKey, StorageClass};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

fn segment(number: i64) -> SegmentKey {
    let start: Timestamp = "2026-11-21T10:00:00Z".parse().expect("a time");
    SegmentKey::new(
        ChannelKey::new("CAM", "1"),
        start + SignedDuration::from_secs(30 * number),
        SignedDuration::from_secs(30),
        Generation(1),
    )
}

async fn put(client: &Client, prefix: &str, number: i64, class: Option<Name>) -> ObjectKey {
    let key = segment(number).object_key();
    client
        .put_object()
        .bucket(BUCKET)
        .key(format!("{prefix}/{key}"))
        .set_storage_class(class)
        .body(ByteStream::from_static(b"video"))
        .send()
        .await
        .expect("the emulator takes it");
    key
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Runtime::new()
        .expect("a runtime starts")
        .block_on(test);
}

#[test]
fn both_listings_tell_the_class_of_each_object() {
    let (client, prefix) = (client(emulator()), unused_name());
    let archive = S3Archive::new(client.clone(), BUCKET, &prefix);
    run(async {
        let classes = [
            (None, StorageClass::Standard),
            (Some(Name::StandardIa), StorageClass::StandardIa),
            (Some(Name::GlacierIr), StorageClass::GlacierIr),
            (Some(Name::Glacier), StorageClass::Glacier),
            (Some(Name::DeepArchive), StorageClass::DeepArchive),
            (Some(Name::IntelligentTiering), StorageClass::Other),
        ];
        for (number, (name, _)) in (0..).zip(&classes) {
            put(&client, &prefix, number, name.clone()).await;
        }
        let expected = classes.map(|(_, class)| Some(class));
        let channel = segment(0).channel;
        let stored = archive
            .list_stored(&channel, Timestamp::MIN, Timestamp::MAX)
            .await;
        let found: Vec<_> = stored.unwrap().iter().map(|segment| segment.class).collect();
        assert_eq!(found, expected);
        let page = archive.list_page(&channel, None).await.unwrap();
        let found: Vec<_> = page.objects.iter().map(|object| object.class).collect();
        assert_eq!(found, expected);
    });
}

#[test]
fn an_archived_object_is_refused_until_a_restore_is_over_and_may_be_asked_for_at_any_time() {
    let (client, prefix) = (client(emulator()), unused_name());
    let archive = S3Archive::new(client.clone(), BUCKET, &prefix);
    run(async {
        let key = put(&client, &prefix, 0, Some(Name::Glacier)).await;
        let ask = async || archive.restore(&key, RestoreTier::Expedited, 3).await.unwrap();
        let availability = async || archive.availability(&key).await.unwrap();
        let read = async || archive.read(&key, 0..99).await;

        assert_eq!(availability().await, Availability::Archived);
        assert!(matches!(read().await, Err(PortError::Refused { .. })));
        assert_eq!(ask().await, Asked::Begun);
        assert_eq!(availability().await, Availability::Restoring);
        assert_eq!(ask().await, Asked::Already);
        assert!(matches!(read().await, Err(PortError::Refused { .. })));
        while availability().await == Availability::Restoring {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let Availability::Restored { until: Some(until) } = availability().await else {
            panic!("the copy says until when it stays");
        };
        assert!(
            until > Timestamp::now() + SignedDuration::from_hours(48),
            "{until}"
        );
        assert_eq!(read().await.unwrap(), b"video");
        assert_eq!(ask().await, Asked::Begun);
    });
}

#[test]
fn what_is_read_at_once_needs_no_restore_in_whatever_class_it_lies() {
    let (client, prefix) = (client(emulator()), unused_name());
    let archive = S3Archive::new(client.clone(), BUCKET, &prefix);
    run(async {
        for (number, class) in (0..).zip([Name::Standard, Name::StandardIa, Name::GlacierIr]) {
            let key = put(&client, &prefix, number, Some(class)).await;
            assert_eq!(archive.availability(&key).await.unwrap(), Availability::AtOnce);
            let asked = archive.restore(&key, RestoreTier::Standard, 1).await.unwrap();
            assert_eq!(asked, Asked::NotNeeded);
        }
    });
}

/// What the emulator never says: no capacity now, and no such tier.
#[tokio::test]
async fn a_tier_without_capacity_is_tried_again_and_one_the_class_does_not_have_is_not() {
    let ask = async |answer: &'static str| {
        let archive = S3Archive::new(client(&answering(answer).await), BUCKET, "");
        archive
            .restore(&ObjectKey("x.mp4".into()), RestoreTier::Expedited, 1)
            .await
    };
    let busy = ask("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 69\r\n\r\n\
         <Error><Code>GlacierExpeditedRetrievalNotAvailable</Code></Error>    ");
    assert!(matches!(busy.await, Err(PortError::Throttled { .. })));
    let wrong = ask(
        "HTTP/1.1 400 Bad Request\r\ncontent-length: 44\r\n\r\n<Error><Code>InvalidArgument</Code></Error> ",
    );
    assert!(matches!(wrong.await, Err(PortError::Refused { .. })));
}

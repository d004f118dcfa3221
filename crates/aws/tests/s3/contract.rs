//! The archive's promises on an emulator, and what S3 adds to them.

use crate::server::{BUCKET, client, emulator};
use aws::harness::unused_name;
use aws::s3::S3Archive;
use aws_sdk_s3::primitives::ByteStream;
use domain::ports::{Archive, Stored};
use domain::{ChannelKey, Generation, Origin, SegmentKey, SegmentMeta};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(test);
}

fn with_s3(promise: &impl AsyncFn(&S3Archive)) {
    let endpoint = emulator();
    run(async { promise(&S3Archive::new(client(endpoint), BUCKET, unused_name())).await });
}

domain::contract!(archive, with_s3);
domain::contract!(sweep, with_s3);

fn segment(number: i64) -> SegmentKey {
    let start: Timestamp = "2026-11-21T10:00:00Z".parse().expect("a time");
    SegmentKey::new(
        ChannelKey::new("CAM", "1"),
        start + SignedDuration::from_secs(30 * number),
        SignedDuration::from_secs(30),
        Generation(1),
    )
}

#[test]
fn a_listing_of_several_pages_is_whole_and_ends_early_only_past_the_interval() {
    const SEGMENTS: i64 = 1_050;
    let (client, prefix) = (client(emulator()), unused_name());
    let archive = S3Archive::new(client.clone(), BUCKET, &prefix);
    run(async {
        let put = async |number| {
            let key = format!("{prefix}/{}", segment(number));
            client
                .put_object()
                .bucket(BUCKET)
                .key(key)
                .body(ByteStream::from_static(b"x"))
                .send()
                .await
        };
        stream::iter(0..SEGMENTS)
            .map(put)
            .buffer_unordered(32)
            .try_collect::<Vec<_>>()
            .await
            .unwrap();

        let list = async |from, to| {
            archive
                .list_segments(&segment(0).channel, from, to)
                .await
                .unwrap()
        };
        let all: Vec<_> = (0..SEGMENTS).map(segment).collect();
        assert_eq!(list(Timestamp::MIN, Timestamp::MAX).await, all);
        assert_eq!(
            list(segment(1_010).start, segment(1_020).start).await,
            all[1_010..1_020]
        );
        assert_eq!(list(segment(3).start, segment(5).start).await, all[3..5]);
    });
}

#[test]
fn an_object_tells_what_it_is_to_whoever_finds_it() {
    let (client, prefix) = (client(emulator()), unused_name());
    let archive = S3Archive::new(client.clone(), BUCKET, format!("/{prefix}/"));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), b"abc").unwrap();
    let meta = SegmentMeta {
        captured_at: segment(0).start,
        codecs: "hvc1.1.6.L93.B0".into(),
        // Of `abc`, from FIPS 180-4's examples.
        sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".into(),
        origin: Origin::Live,
        clock_drift_ms: 7,
        note: Some("зв".into()),
    };
    run(async {
        let key = segment(0).object_key();
        assert_eq!(archive.put(&key, file.path(), &meta).await.unwrap(), Stored::New);
        let object = client
            .get_object()
            .bucket(BUCKET)
            .key(format!("{prefix}/{key}"))
            .send()
            .await
            .unwrap();
        assert_eq!(object.content_type(), Some("video/mp4"));
        let told = object.metadata().unwrap();
        let expected = [
            ("captured-at", "2026-11-21T10:00:00Z"),
            ("codecs", "hvc1.1.6.L93.B0"),
            ("sha256", meta.sha256.as_str()),
            ("origin", "live"),
            ("clock-drift-ms", "7"),
            ("note", "%D0%B7%D0%B2"),
        ];
        for (name, value) in expected {
            assert_eq!(told.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert_eq!(object.body.collect().await.unwrap().into_bytes().as_ref(), b"abc");
    });
}

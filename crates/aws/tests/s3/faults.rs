//! What a caller is told when S3, or what stands in its place, does not do its part.

use crate::server::{BUCKET, answering, client};
use aws::s3::S3Archive;
use domain::ports::{Archive, PortError, Stored};
use domain::{ChannelKey, ObjectKey, Origin, SegmentKey, SegmentMeta};
use jiff::Timestamp;

async fn put(endpoint: &str) -> Result<Stored, PortError> {
    let file = tempfile::NamedTempFile::new().expect("the temporary folder can be written");
    std::fs::write(file.path(), b"abc").expect("the temporary folder can be written");
    let meta = SegmentMeta {
        captured_at: Timestamp::UNIX_EPOCH,
        codecs: "avc1.64001f".into(),
        sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".into(),
        origin: Origin::Live,
        clock_drift_ms: 0,
        note: None,
    };
    let archive = S3Archive::new(client(endpoint), BUCKET, "");
    archive
        .put(&ObjectKey("CAM/1/x.mp4".into()), file.path(), &meta)
        .await
}

async fn list(endpoint: &str) -> Result<Vec<SegmentKey>, PortError> {
    let archive = S3Archive::new(client(endpoint), BUCKET, "");
    archive
        .list_segments(&ChannelKey::new("CAM", "1"), Timestamp::MIN, Timestamp::MAX)
        .await
}

fn is_throttled<R>(result: &Result<R, PortError>) -> bool {
    matches!(result, Err(PortError::Throttled { .. }))
}

fn is_unknown<R>(result: &Result<R, PortError>) -> bool {
    matches!(result, Err(PortError::Unknown { .. }))
}

#[tokio::test]
async fn a_busy_store_or_one_that_lost_its_permissions_is_tried_again() {
    for answer in [
        "HTTP/1.1 503 Slow Down\r\ncontent-length: 40\r\n\r\n<Error><Code>SlowDown</Code></Error>    ",
        "HTTP/1.1 403 Forbidden\r\ncontent-length: 40\r\n\r\n<Error><Code>AccessDenied</Code></Error>",
        "HTTP/1.1 404 Not Found\r\ncontent-length: 40\r\n\r\n<Error><Code>NoSuchBucket</Code></Error>",
    ] {
        let endpoint = answering(answer).await;
        assert!(is_throttled(&put(&endpoint).await), "{answer}");
        assert!(is_throttled(&list(&endpoint).await), "{answer}");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_believed_is_never_taken_for_success() {
    for answer in [
        "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n",
        "RTSP/1.0 200 OK\r\n\r\n",
        "",
    ] {
        let endpoint = answering(answer).await;
        let (put, list) = (put(&endpoint).await, list(&endpoint).await);
        assert!(is_unknown(&put), "{answer}: {put:?}");
        assert!(is_unknown(&list), "{answer}: {list:?}");
    }
}

#[tokio::test]
async fn a_listing_that_is_cut_off_or_leads_nowhere_is_never_a_short_listing() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n<ListBucketResult><IsTruncated>false</IsTruncated>",
        "HTTP/1.1 200 OK\r\ncontent-length: 68\r\n\r\n<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
        "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>",
    ] {
        let list = list(&answering(answer).await).await;
        assert!(is_unknown(&list), "{answer}: {list:?}");
    }
}

#[tokio::test]
async fn a_listing_that_never_ends_is_given_up() {
    let page = "<ListBucketResult><IsTruncated>true</IsTruncated>\
                <NextContinuationToken>again</NextContinuationToken></ListBucketResult>";
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{page}", page.len());
    let endpoint = answering(answer.leak()).await;
    let list = list(&endpoint).await;
    assert!(matches!(list, Err(PortError::Refused { .. })), "{list:?}");
}

#[tokio::test]
async fn content_the_store_finds_damaged_is_refused() {
    let endpoint = answering(
        "HTTP/1.1 400 Bad Request\r\ncontent-length: 37\r\n\r\n<Error><Code>BadDigest</Code></Error>",
    )
    .await;
    let put = put(&endpoint).await;
    assert!(matches!(put, Err(PortError::Refused { .. })), "{put:?}");
}

#[tokio::test]
async fn an_object_of_unknown_content_under_the_key_is_not_believed_to_be_ours() {
    // The write is answered by 412 and the look at the object too: S3 gives no content away.
    let endpoint = answering("HTTP/1.1 412 Precondition Failed\r\ncontent-length: 0\r\n\r\n").await;
    let put = put(&endpoint).await;
    assert!(put.is_err(), "{put:?}");
}

//! What the folder adds to the archive's promises: its files, and what crashes leave.

use domain::ports::{Archive, PortError, Stored};
use domain::{ChannelKey, Generation, Origin, SegmentKey, SegmentMeta};
use jiff::{SignedDuration, Timestamp};
use local::Folder;
use std::path::{Path, PathBuf};

/// SHA-256 of `abc`, from FIPS 180-4's examples.
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn segment() -> SegmentKey {
    let start: Timestamp = "2026-11-21T10:00:00Z".parse().expect("a time");
    SegmentKey::new(
        ChannelKey::new("CAM", "1"),
        start,
        SignedDuration::from_secs(30),
        Generation(1),
    )
}

fn meta() -> SegmentMeta {
    SegmentMeta {
        captured_at: segment().start,
        codecs: "avc1.64001f".into(),
        sha256: ABC.into(),
        origin: Origin::Live,
        clock_drift_ms: 0,
        note: None,
    }
}

async fn put(archive: &Folder, scratch: &Path) -> Result<Stored, PortError> {
    let file = scratch.join("abc");
    std::fs::write(&file, b"abc").expect("the temporary folder can be written");
    archive.put(&segment().object_key(), &file, &meta()).await
}

fn object(root: &Path) -> PathBuf {
    root.join(segment().to_string())
}

fn sidecar(root: &Path) -> PathBuf {
    root.join(format!("{}.json", segment()))
}

#[tokio::test]
async fn an_object_lies_at_its_key_with_its_metadata_beside_it() {
    let (root, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let archive = Folder::open(root.path()).await.unwrap();
    put(&archive, scratch.path()).await.unwrap();
    assert_eq!(std::fs::read(object(root.path())).unwrap(), b"abc");
    let described: SegmentMeta =
        serde_json::from_slice(&std::fs::read(sidecar(root.path())).unwrap()).unwrap();
    assert_eq!(described, meta());
    let under_way = std::fs::read_dir(root.path().join(".incoming")).unwrap().count();
    assert_eq!(under_way, 0, "nothing is left of the put");
}

#[tokio::test]
async fn a_put_that_died_before_its_metadata_is_completed_by_the_next() {
    let (root, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let archive = Folder::open(root.path()).await.unwrap();
    std::fs::create_dir_all(object(root.path()).parent().unwrap()).unwrap();
    std::fs::write(object(root.path()), b"abc").unwrap();
    assert_eq!(put(&archive, scratch.path()).await.unwrap(), Stored::Already);
    assert!(sidecar(root.path()).exists());
}

#[tokio::test]
async fn an_object_that_rotted_is_refused_rather_than_believed() {
    let (root, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let archive = Folder::open(root.path()).await.unwrap();
    put(&archive, scratch.path()).await.unwrap();
    std::fs::write(object(root.path()), b"abd").unwrap();
    let error = put(&archive, scratch.path()).await.unwrap_err();
    assert!(matches!(error, PortError::Refused { .. }), "{error:?}");
}

#[tokio::test]
async fn an_archive_that_goes_away_is_waited_for_and_never_made_anew() {
    let (outside, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (root, away) = (outside.path().join("archive"), outside.path().join("away"));
    let archive = Folder::open(&root).await.unwrap();
    std::fs::rename(&root, &away).unwrap();

    let error = put(&archive, scratch.path()).await.unwrap_err();
    assert!(matches!(error, PortError::Throttled { .. }), "{error:?}");
    let listed = archive
        .list_segments(&segment().channel, Timestamp::MIN, Timestamp::MAX)
        .await;
    assert!(matches!(listed, Err(PortError::Throttled { .. })), "{listed:?}");
    assert!(!root.exists());

    std::fs::rename(&away, &root).unwrap();
    assert_eq!(put(&archive, scratch.path()).await.unwrap(), Stored::New);
}

#[tokio::test]
async fn what_a_killed_put_left_behind_is_never_listed() {
    let root = tempfile::tempdir().unwrap();
    let archive = Folder::open(root.path()).await.unwrap();
    std::fs::write(root.path().join(".incoming/1-2-3"), b"ab").unwrap();
    let listed = archive
        .list_segments(&segment().channel, Timestamp::MIN, Timestamp::MAX)
        .await;
    assert_eq!(listed.unwrap(), []);
}

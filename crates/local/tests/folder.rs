//! What the folder adds to the archive's promises: its files, and what crashes leave.

use domain::ports::{Archive, ArchiveRead, ArchiveSweep, PortError, Stored};
use domain::{ChannelKey, Generation, Origin, SegmentKey, SegmentMeta};
use jiff::{SignedDuration, Timestamp};
use local::{Folder, Found, Sqlite};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::num::NonZeroUsize;
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

async fn new(root: &Path) -> Folder {
    let archive = Folder::at(root);
    archive.make().await.expect("a new archive is made");
    archive
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
    let archive = new(root.path()).await;
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
    let archive = new(root.path()).await;
    std::fs::create_dir_all(object(root.path()).parent().unwrap()).unwrap();
    std::fs::write(object(root.path()), b"abc").unwrap();
    assert_eq!(put(&archive, scratch.path()).await.unwrap(), Stored::Already);
    assert!(sidecar(root.path()).exists());
}

#[tokio::test]
async fn an_object_that_rotted_is_refused_rather_than_believed() {
    let (root, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let archive = new(root.path()).await;
    put(&archive, scratch.path()).await.unwrap();
    std::fs::write(object(root.path()), b"abd").unwrap();
    let error = put(&archive, scratch.path()).await.unwrap_err();
    assert!(matches!(error, PortError::Refused { .. }), "{error:?}");
}

/// What each call answers.
async fn answers(archive: &Folder, scratch: &Path) -> Vec<Result<(), PortError>> {
    let (channel, key) = (segment().channel, segment().object_key());
    let (from, to) = (Timestamp::MIN, Timestamp::MAX);
    vec![
        archive.look().await,
        put(archive, scratch).await.map(drop),
        archive.list_segments(&channel, from, to).await.map(drop),
        archive.list_stored(&channel, from, to).await.map(drop),
        archive.list_channels().await.map(drop),
        archive.list_page(&channel, None).await.map(drop),
        archive.delete_objects(std::slice::from_ref(&key)).await.map(drop),
        archive.availability(&key).await.map(drop),
        archive.read(&key, 0..9).await.map(drop),
        archive.describe(&key).await.map(drop),
    ]
}

#[tokio::test]
async fn an_archive_that_goes_away_is_waited_for_and_never_made_anew() {
    let (outside, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (root, away) = (outside.path().join("archive"), outside.path().join("away"));
    let archive = new(&root).await;
    std::fs::rename(&root, &away).unwrap();

    for answer in answers(&archive, scratch.path()).await {
        assert!(matches!(answer, Err(PortError::Throttled { .. })), "{answer:?}");
    }
    assert!(!root.exists());

    std::fs::create_dir(&root).unwrap();
    for answer in answers(&archive, scratch.path()).await {
        assert!(matches!(answer, Err(PortError::Throttled { .. })), "{answer:?}");
        let text = answer.unwrap_err().chain();
        assert!(text.contains("is its share mounted?"), "{text}");
    }
    assert!(is_empty(&root), "the mount point of a share that is away");

    std::fs::remove_dir(&root).unwrap();
    std::fs::rename(&away, &root).unwrap();
    assert_eq!(put(&archive, scratch.path()).await.unwrap(), Stored::New);
}

fn is_empty(folder: &Path) -> bool {
    let mut entries = std::fs::read_dir(folder).expect("the folder is there");
    entries.next().is_none()
}

#[tokio::test]
async fn an_archive_is_made_once_and_is_away_ever_after_when_it_is_not_there() {
    let outside = tempfile::tempdir().unwrap();
    let (root, away) = (outside.path().join("archive"), outside.path().join("away"));
    let table = Sqlite::open(&outside.path().join("state.db")).await.unwrap();
    let archive = Folder::at(&root);
    assert!(matches!(archive.make_once(&table).await, Ok(Found::There)));
    assert!(matches!(archive.make_once(&table).await, Ok(Found::There)));

    std::fs::rename(&root, &away).unwrap();
    std::fs::create_dir(&root).unwrap();
    let written_otherwise = Folder::at(outside.path().join(".//archive/"));
    for archive in [&archive, &written_otherwise] {
        let found = archive.make_once(&table).await.unwrap();
        assert!(
            matches!(&found, Found::Away(PortError::Throttled { .. })),
            "{found:?}"
        );
        assert!(
            is_empty(&root),
            "nothing takes the place of an archive that is away"
        );
    }

    let another = Folder::at(outside.path().join("another"));
    assert!(matches!(another.make_once(&table).await, Ok(Found::There)));
    std::fs::create_dir(root.join(".incoming")).unwrap();
    let found = archive.make_once(&table).await.unwrap();
    assert!(matches!(found, Found::There), "as the error says: {found:?}");
}

#[tokio::test]
async fn an_archive_that_cannot_be_made_is_made_by_a_later_start() {
    let outside = tempfile::tempdir().unwrap();
    let table = Sqlite::open(&outside.path().join("state.db")).await.unwrap();
    let root = outside.path().join("archive");
    std::fs::write(&root, b"in the way").unwrap();
    let error = Folder::at(&root).make_once(&table).await.unwrap_err();
    assert!(matches!(error, PortError::Refused { .. }), "{error:?}");
    std::fs::remove_file(&root).unwrap();
    assert!(matches!(
        Folder::at(&root).make_once(&table).await,
        Ok(Found::There)
    ));
}

/// A call to a disk that hangs keeps its thread, and only that: a named pipe in the place of an object holds up
/// whoever opens it.
#[tokio::test]
async fn calls_that_hang_are_bounded_and_take_no_threads_of_others() {
    let (root, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let archive = new(root.path()).await.asked_at_once(NonZeroUsize::MIN);
    let pipe = object(root.path());
    std::fs::create_dir_all(pipe.parent().unwrap()).unwrap();
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();

    let (hanging, file) = (archive.clone(), scratch.path().to_owned());
    let given_up = tokio::spawn(async move { put(&hanging, &file).await });
    tokio::task::yield_now().await;
    given_up.abort();
    assert!(given_up.await.unwrap_err().is_cancelled());

    let looking = archive.clone();
    let waiting = tokio::spawn(async move { looking.look().await });
    let file = scratch.path().join("spool");
    tokio::fs::write(&file, b"the runtime's threads are free")
        .await
        .unwrap();
    assert!(!waiting.is_finished(), "the call that hangs has the only thread");
    // Who opens both ends never hangs; without a writer, who reads sees the end.
    let both_ends = std::fs::File::options().read(true).write(true).open(&pipe);
    std::fs::remove_file(&pipe).unwrap();
    drop(both_ends.unwrap());
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_a_killed_put_left_behind_is_never_listed() {
    let root = tempfile::tempdir().unwrap();
    let archive = new(root.path()).await;
    std::fs::write(root.path().join(".incoming/1-2-3"), b"ab").unwrap();
    let listed = archive
        .list_segments(&segment().channel, Timestamp::MIN, Timestamp::MAX)
        .await;
    assert_eq!(listed.unwrap(), []);
}

//! How images are read, made and deleted when EC2 is not as the emulator.

use crate::service::{FakeEc2, tag_set};
use domain::ImageState;
use domain::ports::{Images, PortError};

/// An image of the stack with one disk, copied to `snapshot`.
fn image(id: &str, state: &str, snapshot: &str) -> String {
    format!(
        "<item><imageId>{id}</imageId><imageState>{state}</imageState>\
         <creationDate>2026-11-21T08:00:00.000Z</creationDate>\
         <blockDeviceMapping><item><ebs><snapshotId>{snapshot}</snapshotId></ebs></item></blockDeviceMapping>{}</item>",
        tag_set(&[("millrace:stack", "north"), ("millrace:token", "image-1")])
    )
}

fn images(images: &[String]) -> String {
    format!("<imagesSet>{}</imagesSet>", images.concat())
}

fn snapshot(id: &str, status: &str, tags: &[(&str, &str)]) -> String {
    format!(
        "<item><snapshotId>{id}</snapshotId><status>{status}</status>\
         <startTime>2026-11-21T08:00:00.000Z</startTime>{}</item>",
        tag_set(tags)
    )
}

fn snapshots(snapshots: &[String]) -> String {
    format!("<snapshotSet>{}</snapshotSet>", snapshots.concat())
}

#[tokio::test]
async fn an_image_is_usable_only_with_all_its_disks() {
    for (state, disk, expected) in [
        ("available", "completed", ImageState::Usable),
        ("available", "pending", ImageState::Pending),
        ("available", "error", ImageState::Failed),
        ("available", "recoverable", ImageState::Pending),
        ("pending", "completed", ImageState::Pending),
        ("failed", "completed", ImageState::Failed),
        ("invalid", "completed", ImageState::Failed),
        ("error", "completed", ImageState::Failed),
        ("something new", "completed", ImageState::Pending),
    ] {
        let ec2 = FakeEc2::default();
        ec2.answer("DescribeImages", &images(&[image("ami-1", state, "snap-1")]));
        ec2.answer("DescribeSnapshots", &snapshots(&[snapshot("snap-1", disk, &[])]));
        let listed = ec2.machines().list_images().await.unwrap();
        assert_eq!(listed[0].state, expected, "{state}, {disk}");
        assert_eq!(listed[0].taken_at, "2026-11-21T08:00:00Z".parse().unwrap());
    }
}

#[tokio::test]
async fn an_image_whose_disk_is_not_seen_is_neither_usable_nor_failed() {
    let ec2 = FakeEc2::default();
    ec2.answer(
        "DescribeImages",
        &images(&[image("ami-1", "available", "snap-1")]),
    );
    let listed = ec2.machines().list_images().await.unwrap();
    assert_eq!(listed[0].state, ImageState::Pending);
}

#[tokio::test]
async fn an_image_that_a_person_disabled_is_left_alone() {
    let ec2 = FakeEc2::default();
    ec2.answer("DescribeImages", &images(&[image("ami-1", "disabled", "snap-1")]));
    assert_eq!(ec2.machines().list_images().await.unwrap(), []);
}

#[tokio::test]
async fn an_image_without_a_date_is_no_list() {
    let ec2 = FakeEc2::default();
    let odd = image("ami-1", "available", "snap-1").replace("2026-11-21T08:00:00.000Z", "yesterday");
    ec2.answer("DescribeImages", &images(&[odd]));
    let listed = ec2.machines().list_images().await;
    assert!(matches!(listed, Err(PortError::Unknown { .. })), "{listed:?}");
}

#[tokio::test]
async fn an_image_is_made_without_a_reboot_and_says_whose_it_is() {
    let ec2 = FakeEc2::default();
    ec2.answer("CreateImage", "<imageId>ami-1</imageId>");
    let made = ec2
        .machines()
        .create_image(&"i-1".into(), "image-1")
        .await
        .unwrap();
    assert_eq!(made.as_str(), "ami-1");
    let request = &ec2.requests("CreateImage")[0];
    for (name, value) in [
        ("InstanceId", "i-1"),
        ("NoReboot", "true"),
        ("Name", "north/image-1"),
        ("TagSpecification.1.ResourceType", "image"),
        ("TagSpecification.2.ResourceType", "snapshot"),
    ] {
        assert_eq!(request.get(name).map(String::as_str), Some(value), "{name}");
    }
    for tag in ["millrace:stack", "millrace:token", "Name"] {
        assert_eq!(request.values().filter(|value| *value == tag).count(), 2, "{tag}");
    }
}

#[tokio::test]
async fn of_two_who_ask_at_once_both_are_told_of_the_same_image() {
    let ec2 = FakeEc2::default();
    ec2.answer("DescribeImages", ""); // by token
    ec2.fail("CreateImage", 400, "InvalidAMIName.Duplicate");
    ec2.answer("DescribeImages", &images(&[image("ami-1", "pending", "snap-1")]));
    let made = ec2
        .machines()
        .create_image(&"i-1".into(), "image-1")
        .await
        .unwrap();
    assert_eq!(made.as_str(), "ami-1");
    let by_name = &ec2.requests("DescribeImages")[1];
    assert_eq!(by_name["Filter.2.Value.1"], "north/image-1");
}

#[tokio::test]
async fn an_image_that_exists_and_is_not_seen_yet_is_unknown() {
    let ec2 = FakeEc2::default();
    ec2.fail("CreateImage", 400, "InvalidAMIName.Duplicate");
    let made = ec2.machines().create_image(&"i-1".into(), "image-1").await;
    assert!(matches!(made, Err(PortError::Unknown { .. })), "{made:?}");
}

#[tokio::test]
async fn too_many_copies_at_once_are_tried_again_later() {
    for code in [
        "ConcurrentSnapshotLimitExceeded",
        "SnapshotCreationPerVolumeRateExceeded",
    ] {
        let ec2 = FakeEc2::default();
        ec2.fail("CreateImage", 400, code);
        let made = ec2.machines().create_image(&"i-1".into(), "image-1").await;
        assert!(matches!(made, Err(PortError::Throttled { .. })), "{made:?}");
    }
}

/// Until all are marked nothing is deregistered: else nobody would find them again.
#[tokio::test]
async fn what_cannot_be_marked_is_not_deleted() {
    let ec2 = FakeEc2::default();
    ec2.answer(
        "DescribeImages",
        &images(&[image("ami-1", "available", "snap-1")]),
    );
    ec2.fail("CreateTags", 503, "RequestLimitExceeded");
    let deleted = ec2.machines().delete_image(&"ami-1".into()).await;
    assert!(matches!(deleted, Err(PortError::Throttled { .. })), "{deleted:?}");
    assert!(ec2.requests("DeregisterImage").is_empty());
}

#[tokio::test]
async fn snapshots_that_the_image_does_not_name_yet_are_marked_too() {
    let ec2 = FakeEc2::default();
    ec2.answer("DescribeImages", &images(&[image("ami-1", "pending", "snap-1")]));
    ec2.answer(
        "DescribeSnapshots",
        &snapshots(&[snapshot("snap-2", "pending", &[])]),
    );
    ec2.machines().delete_image(&"ami-1".into()).await.unwrap();
    let marked = &ec2.requests("CreateTags")[0];
    assert_eq!(marked["ResourceId.1"], "snap-1");
    assert_eq!(marked["ResourceId.2"], "snap-2");
    let keys = marked
        .keys()
        .filter(|name| name.starts_with("Tag.") && name.ends_with(".Key"));
    let keys: Vec<&str> = keys.map(|name| marked[name].as_str()).collect();
    assert_eq!(keys, ["millrace:deleted-image"]); // the template's policy allows no other
}

#[tokio::test]
async fn an_image_that_a_person_protects_stays_whole() {
    let ec2 = FakeEc2::default();
    ec2.answer(
        "DescribeImages",
        &images(&[image("ami-1", "available", "snap-1")]),
    );
    ec2.answer("DescribeSnapshots", ""); // of the same token
    ec2.fail("DeregisterImage", 400, "OperationNotPermitted");
    ec2.answer(
        "DescribeSnapshots",
        &snapshots(&[snapshot("snap-1", "completed", &[])]),
    );
    let deleted = ec2.machines().delete_image(&"ami-1".into()).await;
    assert!(matches!(deleted, Err(PortError::Refused { .. })), "{deleted:?}");
    assert_eq!(ec2.requests("DeleteTags")[0]["ResourceId.1"], "snap-1");
    assert!(ec2.requests("DeleteSnapshot").is_empty());
}

#[tokio::test]
async fn a_snapshot_that_another_image_uses_is_left_to_it() {
    let ec2 = FakeEc2::default();
    ec2.answer("DescribeImages", ""); // ours is gone already
    let marked = ["snap-1", "snap-2", "snap-3"].map(|id| snapshot(id, "completed", &[]));
    ec2.answer("DescribeSnapshots", &snapshots(&marked));
    let others = [
        image("ami-1", "available", "snap-1"),
        image("ami-2", "available", "snap-2"),
    ];
    ec2.answer("DescribeImages", &images(&others));
    ec2.answer("DeleteSnapshot", "<return>true</return>");
    ec2.fail("DeleteSnapshot", 400, "InvalidSnapshot.InUse");
    ec2.machines().delete_image(&"ami-1".into()).await.unwrap();
    let asked: Vec<_> = ec2.requests("DeleteSnapshot");
    let asked: Vec<&str> = asked.iter().map(|form| form["SnapshotId"].as_str()).collect();
    assert_eq!(asked, ["snap-1", "snap-3"]);
    let unmarked = &ec2.requests("DeleteTags")[0];
    assert_eq!(unmarked["ResourceId.1"], "snap-2");
    assert_eq!(unmarked["ResourceId.2"], "snap-3");
}

#[tokio::test]
async fn a_snapshot_that_could_not_be_deleted_shows_its_image_as_failed() {
    let ec2 = FakeEc2::default();
    let marked = snapshot("snap-1", "completed", &[("millrace:deleted-image", "ami-1")]);
    ec2.answer("DescribeSnapshots", &snapshots(&[marked]));
    let listed = ec2.machines().list_images().await.unwrap();
    assert_eq!(
        (listed[0].id.as_str(), listed[0].state),
        ("ami-1", ImageState::Failed)
    );
}

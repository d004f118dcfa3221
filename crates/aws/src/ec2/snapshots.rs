//! The disk copies that images are made of.

use super::Machines;
use super::error::Said;
use super::pages::{self, Page};
use super::tags::{self, DELETED_IMAGE, STACK, TOKEN, filter, tagged};
use aws_sdk_ec2::types::{self, Filter, Snapshot, SnapshotState, Tag};
use domain::ports::PortError;
use domain::{ImageId, ImageState};
use std::collections::{BTreeMap, BTreeSet};

/// Most values of one filter: "Filter", Amazon EC2 API Reference.
const VALUES_MAX: usize = 200;

/// The snapshots that an image names. While it is being made it may not name all of them yet.
pub(super) fn ids_of(image: &types::Image) -> impl Iterator<Item = &str> {
    let disks = image.block_device_mappings().iter();
    disks.filter_map(|disk| disk.ebs()?.snapshot_id())
}

/// How far snapshots are, by their ids.
#[derive(Debug)]
pub(super) struct SnapshotStates(BTreeMap<String, SnapshotState>);

impl SnapshotStates {
    /// The state of an available image: usable once each of its snapshots is seen to be complete.
    pub(super) fn of_image(&self, image: &types::Image) -> ImageState {
        let of_disk = |id| match self.0.get(id) {
            Some(SnapshotState::Completed) => ImageState::Usable,
            Some(SnapshotState::Error) => ImageState::Failed,
            Some(_) | None => ImageState::Pending,
        };
        let states: BTreeSet<ImageState> = ids_of(image).map(of_disk).collect();
        if states.contains(&ImageState::Failed) {
            return ImageState::Failed;
        }
        if states.contains(&ImageState::Pending) {
            return ImageState::Pending;
        }
        ImageState::Usable
    }
}

impl Machines {
    pub(super) async fn snapshots(
        &self,
        filters: Vec<Filter>,
        doing: &str,
    ) -> Result<Vec<Snapshot>, PortError> {
        let request = self.client.describe_snapshots().owner_ids("self");
        let request = request.set_filters(Some(filters));
        pages::all(doing, |next| {
            let page = request.clone().set_next_token(next).send();
            async move {
                let page = page.await.map_err(|error| Said::new(error, doing))?;
                Ok(Page {
                    items: page.snapshots.unwrap_or_default(),
                    next: page.next_token,
                })
            }
        })
        .await
    }

    /// The states of these snapshots; one that is not found has none.
    pub(super) async fn snapshot_states<'a>(
        &self,
        ids: impl Iterator<Item = &'a str>,
    ) -> Result<SnapshotStates, PortError> {
        let ids: Vec<&str> = ids.collect();
        let mut states = BTreeMap::new();
        for batch in ids.chunks(VALUES_MAX) {
            let by_id = vec![filter("snapshot-id", batch.iter().copied())];
            let found = self.snapshots(by_id, "looking at the disks of images").await?;
            states.extend(
                found
                    .into_iter()
                    .filter_map(|it| Some((it.snapshot_id?, it.state?))),
            );
        }
        Ok(SnapshotStates(states))
    }

    /// Writes on all snapshots of an image that it is being deleted: those it names, and those made with it that it
    /// does not name yet.
    pub(super) async fn mark_snapshots_of(
        &self,
        image: &ImageId,
        described: &types::Image,
    ) -> Result<(), PortError> {
        let doing = format!("marking the snapshots of {image}");
        let mut ids: BTreeSet<String> = ids_of(described).map(str::to_owned).collect();
        if let Some(token) = tags::value(described.tags(), TOKEN) {
            let same_token = vec![tagged(STACK, &self.config.stack), tagged(TOKEN, token)];
            ids.extend(names(&self.snapshots(same_token, &doing).await?));
        }
        if ids.is_empty() {
            return Ok(());
        }
        let marked = self
            .client
            .create_tags()
            .set_resources(Some(ids.into_iter().collect()))
            .tags(tags::tag(DELETED_IMAGE, image.as_str()))
            .send()
            .await;
        marked.map_err(|error| Said::new(error, &doing))?;
        Ok(())
    }

    pub(super) async fn marked_snapshots(&self, image: &ImageId) -> Result<Vec<String>, PortError> {
        let marked = vec![
            tagged(STACK, &self.config.stack),
            tagged(DELETED_IMAGE, image.as_str()),
        ];
        let doing = format!("looking for the snapshots of {image}");
        Ok(names(&self.snapshots(marked, &doing).await?))
    }

    /// They are no longer ours to delete.
    pub(super) async fn unmark(&self, snapshots: &[String]) -> Result<(), PortError> {
        if snapshots.is_empty() {
            return Ok(());
        }
        let unmarked = self
            .client
            .delete_tags()
            .set_resources(Some(snapshots.to_vec()))
            .tags(Tag::builder().key(DELETED_IMAGE).build())
            .send()
            .await;
        unmarked.map_err(|error| Said::new(error, "unmarking snapshots that are still used"))?;
        Ok(())
    }

    /// Deletes what was marked for `image`, unless another image uses it: that one is left alone for ever.
    pub(super) async fn delete_snapshots(
        &self,
        image: &ImageId,
        snapshots: &[String],
    ) -> Result<(), PortError> {
        let known = self.used_by_others(image, snapshots).await?;
        let mut used = Vec::new();
        for snapshot in snapshots {
            if known.contains(snapshot) || self.delete_snapshot(snapshot).await? == Deleted::StillUsed {
                used.push(snapshot.clone());
            }
        }
        self.unmark(&used).await
    }

    async fn used_by_others(
        &self,
        image: &ImageId,
        snapshots: &[String],
    ) -> Result<BTreeSet<String>, PortError> {
        let mut used = BTreeSet::new();
        for batch in snapshots.chunks(VALUES_MAX) {
            let ids = batch.iter().map(String::as_str);
            let users = vec![filter("block-device-mapping.snapshot-id", ids)];
            let users = self
                .images(users, "looking for images of the same snapshots")
                .await?;
            let others = users.iter().filter(|it| it.image_id() != Some(image.as_str()));
            let theirs = others.flat_map(ids_of).map(str::to_owned);
            used.extend(theirs.filter(|id| batch.contains(id)));
        }
        Ok(used)
    }

    async fn delete_snapshot(&self, snapshot: &str) -> Result<Deleted, PortError> {
        let doing = format!("deleting the snapshot {snapshot}");
        let asked = self.client.delete_snapshot().snapshot_id(snapshot).send().await;
        match asked.map_err(|error| Said::new(error, &doing)) {
            Ok(_) => Ok(Deleted::Gone),
            Err(said) if said.is("InvalidSnapshot.NotFound") => Ok(Deleted::Gone),
            Err(said) if said.is("InvalidSnapshot.InUse") => Ok(Deleted::StillUsed),
            Err(said) => Err(said.into()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deleted {
    Gone,
    StillUsed,
}

fn names(snapshots: &[Snapshot]) -> Vec<String> {
    let ids = snapshots.iter().filter_map(|it| it.snapshot_id.clone());
    ids.collect()
}

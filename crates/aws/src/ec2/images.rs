//! Images: CreateImage without a reboot, of all the instance's disks. (An image registered from a snapshot would do
//! for Linux; one of Windows loses its licence that way.)
//!
//! Deleting one takes several calls, and what crashes in between must not leave disk copies that nobody finds again.
//! So the snapshots are marked before the image is deregistered, and a marked snapshot is listed as a failed image
//! for as long as it exists: the planner deletes what failed, which goes on where it stopped.

use super::Machines;
use super::error::Said;
use super::instances::timestamp;
use super::pages::{self, Page};
use super::snapshots::{SnapshotStates, ids_of};
use super::tags::{self, DELETED_IMAGE, NAME, STACK, TOKEN, Tags, filter, tagged};
use aws_sdk_ec2::types::{self, Filter, ResourceType, Snapshot};
use domain::ports::{Images, PortError};
use domain::{Image, ImageId, ImageState, InstanceId};
use jiff::Timestamp;
use std::collections::BTreeMap;

const LISTING: &str = "listing images";

/// Codes of DeregisterImage for an image that is gone already.
const NO_SUCH_IMAGE: [&str; 2] = ["InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"];

impl Images for Machines {
    /// One that a person has disabled is neither ours to use nor to delete, and is not listed.
    async fn list_images(&self) -> Result<Vec<Image>, PortError> {
        let images = self
            .images(vec![tagged(STACK, &self.config.stack)], LISTING)
            .await?;
        let states = self.snapshot_states(images.iter().flat_map(ids_of)).await?;
        let deleted = self.deleted_images().await?;
        let mut listed = BTreeMap::new();
        for image in images.iter().filter(|image| !is_out_of_sight(image)) {
            let image = read(image, &states)?;
            listed.insert(image.id.clone(), image);
        }
        listed.extend(deleted);
        Ok(listed.into_values().collect())
    }

    async fn create_image(&self, instance: &InstanceId, token: &str) -> Result<ImageId, PortError> {
        let doing = format!("creating an image of {instance} ({token})");
        let by_token = vec![tagged(STACK, &self.config.stack), tagged(TOKEN, token)];
        if let Some(id) = self.first_image(by_token, &doing).await? {
            return Ok(id);
        }
        let name = format!("{}/{token}", self.config.stack);
        match self.ask_for_image(instance, token, &name, &doing).await {
            Ok(Some(id)) => Ok(ImageId::new(id)),
            Ok(None) => Err(PortError::unknown(doing, "the answer names no image")),
            // Names are unique, so of two who ask at once one is told of the other.
            Err(said) if said.is("InvalidAMIName.Duplicate") => {
                let by_name = vec![tagged(STACK, &self.config.stack), filter("name", [name.as_str()])];
                let found = self.first_image(by_name, &doing).await?;
                found.ok_or_else(|| said.unknown(&doing))
            }
            Err(said) => Err(said.into()),
        }
    }

    async fn delete_image(&self, image: &ImageId) -> Result<(), PortError> {
        let doing = format!("deleting the image {image}");
        let by_id = vec![filter("image-id", [image.as_str()])];
        if let Some(found) = self.images(by_id, &doing).await?.into_iter().next() {
            if tags::value(found.tags(), STACK) != Some(&self.config.stack) {
                return Err(PortError::refused(doing, "it is not this stack's"));
            }
            self.mark_snapshots_of(image, &found).await?;
            self.deregister(image, &doing).await?;
        }
        let marked = self.marked_snapshots(image).await?;
        self.delete_snapshots(image, &marked).await
    }
}

impl Machines {
    pub(super) async fn images(
        &self,
        filters: Vec<Filter>,
        doing: &str,
    ) -> Result<Vec<types::Image>, PortError> {
        let request = self.client.describe_images().owners("self");
        let request = request.set_filters(Some(filters));
        pages::all(doing, |next| {
            let page = request.clone().set_next_token(next).send();
            async move {
                let page = page.await.map_err(|error| Said::new(error, doing))?;
                Ok(Page {
                    items: page.images.unwrap_or_default(),
                    next: page.next_token,
                })
            }
        })
        .await
    }

    async fn first_image(&self, filters: Vec<Filter>, doing: &str) -> Result<Option<ImageId>, PortError> {
        let found = self.images(filters, doing).await?.into_iter();
        let ids = found.filter_map(|image| image.image_id);
        Ok(ids.min().map(ImageId::new))
    }

    async fn ask_for_image(
        &self,
        instance: &InstanceId,
        token: &str,
        name: &str,
        doing: &str,
    ) -> Result<Option<String>, Said> {
        let tags = Tags::from([
            (STACK.into(), self.config.stack.clone()),
            (TOKEN.into(), token.into()),
            (NAME.into(), name.into()),
        ]);
        let asked = self
            .client
            .create_image()
            .instance_id(instance.as_str())
            .name(name)
            .no_reboot(true)
            .tag_specifications(tags::on(ResourceType::Image, &tags))
            .tag_specifications(tags::on(ResourceType::Snapshot, &tags))
            .send()
            .await;
        let answer = asked.map_err(|error| Said::new(error, doing))?;
        Ok(answer.image_id)
    }

    /// A refusal is a person's: the image is protected. It stays, and so do its snapshots.
    async fn deregister(&self, image: &ImageId, doing: &str) -> Result<(), PortError> {
        let asked = self
            .client
            .deregister_image()
            .image_id(image.as_str())
            .send()
            .await;
        let Err(said) = asked.map_err(|error| Said::new(error, doing)) else {
            return Ok(());
        };
        if NO_SUCH_IMAGE.iter().any(|code| said.is(code)) {
            return Ok(());
        }
        if said.is_refused() {
            let marked = self.marked_snapshots(image).await?;
            self.unmark(&marked).await?;
        }
        Err(said.into())
    }

    /// Images whose deletion has begun, as failed ones.
    async fn deleted_images(&self) -> Result<BTreeMap<ImageId, Image>, PortError> {
        let any = vec![
            tagged(STACK, &self.config.stack),
            filter("tag-key", [DELETED_IMAGE]),
        ];
        let mut deleted = BTreeMap::new();
        for snapshot in self.snapshots(any, LISTING).await? {
            let Some(image) = tags::value(snapshot.tags(), DELETED_IMAGE) else {
                continue;
            };
            let id = ImageId::new(image);
            deleted.insert(id.clone(), failed(id, &snapshot)?);
        }
        Ok(deleted)
    }
}

fn failed(id: ImageId, snapshot: &Snapshot) -> Result<Image, PortError> {
    let taken_at = snapshot.start_time().and_then(timestamp);
    Ok(Image {
        id,
        state: ImageState::Failed,
        taken_at: taken_at.ok_or_else(|| lacks("a snapshot without a time"))?,
    })
}

fn is_out_of_sight(image: &types::Image) -> bool {
    matches!(
        image.state(),
        Some(types::ImageState::Deregistered | types::ImageState::Disabled)
    )
}

fn read(image: &types::Image, states: &SnapshotStates) -> Result<Image, PortError> {
    let id = image.image_id().ok_or_else(|| lacks("an image without an id"))?;
    let created = image
        .creation_date()
        .and_then(|date| date.parse::<Timestamp>().ok());
    let state = match image.state() {
        Some(types::ImageState::Available) => states.of_image(image),
        Some(types::ImageState::Error | types::ImageState::Failed | types::ImageState::Invalid) => {
            ImageState::Failed
        }
        Some(_) | None => ImageState::Pending,
    };
    Ok(Image {
        id: ImageId::new(id),
        state,
        taken_at: created.ok_or_else(|| lacks("an image without a date"))?,
    })
}

fn lacks(what: &str) -> PortError {
    PortError::unknown(LISTING, format!("the answer has {what}"))
}

//! Images by interval: when to take one, which to delete.
//!
//! An image is *good* while no gateway failed to come up from it. The newest usable image is never deleted, nor are
//! the newest good ones, nor one that a replacement uses: so a deletion needs a newer usable image, and by our own
//! doing there is never none. Where good ones are too few, the newest of those that failed are kept in their stead: it
//! may have been the host that failed them.

use super::{Memory, RecoverPolicy};
use crate::id::{ImageId, InstanceId};
use crate::instance::{Image, ImageState};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::fmt;

/// What to do about images.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImagePlan {
    /// Safe to repeat one by one.
    pub actions: Vec<ImageAction>,
    /// Unfinished images that took too long.
    pub overdue: Vec<ImageId>,
    /// The newest usable image, if there is one.
    pub newest: Option<Timestamp>,
}

/// One thing to do about images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageAction {
    /// Begin one of the gateway's instance.
    Create {
        /// The instance.
        instance: InstanceId,
        /// Names the decision: one image a token.
        token: String,
    },
    /// Delete one.
    Delete {
        /// Which.
        image: ImageId,
        /// Why.
        why: &'static str,
    },
}

/// Plans what to do about `images`. `instance` is the gateway's, when it is well: an ill gateway gets no image, lest
/// images of it push out good ones.
pub fn plan_images(
    policy: &RecoverPolicy,
    memory: &Memory,
    images: &[Image],
    instance: Option<&InstanceId>,
    now: Timestamp,
) -> ImagePlan {
    let mut usable: Vec<&Image> = of(images, ImageState::Usable).collect();
    usable.sort_by(|a, b| b.taken_at.cmp(&a.taken_at).then_with(|| a.id.cmp(&b.id)));
    let (overdue, pending): (Vec<&Image>, Vec<&Image>) = of(images, ImageState::Pending)
        .partition(|image| now.duration_since(image.taken_at) > policy.image_completion_max);
    let mut plan = ImagePlan {
        overdue: overdue.iter().map(|image| image.id.clone()).collect(),
        newest: usable.first().map(|image| image.taken_at),
        ..ImagePlan::default()
    };
    if let Some(instance) = instance.filter(|_| is_due(policy, &usable, &pending, now)) {
        plan.actions.push(ImageAction::Create {
            instance: instance.clone(),
            token: token(policy, now),
        });
    }
    let useless = of(images, ImageState::Failed).map(|image| (image, "it failed"));
    let late = overdue.iter().map(|image| (*image, "it never completed"));
    let spare = spare(policy, memory, &usable, now);
    for (image, why) in useless.chain(late).chain(spare) {
        plan.actions.push(ImageAction::Delete {
            image: image.id.clone(),
            why,
        });
    }
    plan
}

fn of(images: &[Image], state: ImageState) -> impl Iterator<Item = &Image> {
    images.iter().filter(move |image| image.state == state)
}

fn is_due(policy: &RecoverPolicy, usable: &[&Image], pending: &[&Image], now: Timestamp) -> bool {
    let fresh = |image: &&Image| now.duration_since(image.taken_at) < policy.rpo;
    pending.len() < policy.images_pending_max && !usable.iter().chain(pending).any(fresh)
}

/// Two invocations of one interval ask for the same image. The interval is a tenth of the RPO, so that one that
/// failed is asked for anew soon.
fn token(policy: &RecoverPolicy, now: Timestamp) -> String {
    let interval = (policy.rpo.as_secs() / 10).max(60);
    format!("image-{}", now.as_second().div_euclid(interval))
}

/// Usable images that are too many or too old, newest first in `usable`.
fn spare<'a>(
    policy: &RecoverPolicy,
    memory: &Memory,
    usable: &[&'a Image],
    now: Timestamp,
) -> Vec<(&'a Image, &'static str)> {
    let (good, failed): (Vec<&Image>, Vec<&Image>) = usable
        .iter()
        .partition(|image| !memory.failed_images.contains_key(&image.id));
    let mut kept: BTreeSet<&ImageId> = good
        .iter()
        .chain(&failed)
        .take(policy.images_min.max(1))
        .chain(usable.first())
        .map(|image| &image.id)
        .collect();
    kept.extend(memory.saga.iter().filter_map(|saga| saga.image.as_ref()));
    usable
        .iter()
        .enumerate()
        .filter(|(_, image)| !kept.contains(&image.id))
        .filter_map(|(position, image)| {
            if now.duration_since(image.taken_at) > policy.image_age_max {
                return Some((*image, "it is too old"));
            }
            (position >= policy.images_max).then_some((*image, "there are too many"))
        })
        .collect()
}

impl fmt::Display for ImageAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { instance, token } => write!(f, "create an image of {instance} ({token})"),
            Self::Delete { image, why } => write!(f, "delete image {image}: {why}"),
        }
    }
}

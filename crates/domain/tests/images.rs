//! Images by interval: properties of what is created and deleted.
#![allow(clippy::unwrap_used)]

use domain::recover::{ImageAction, Memory, RecoverPolicy, Request, Saga, Step, plan_images};
use domain::{Image, ImageId, ImageState, InstanceId};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn image(name: usize, state: ImageState, age_hours: i64) -> Image {
    Image {
        id: ImageId::new(format!("ami-{name}")),
        state,
        taken_at: now() - SignedDuration::from_hours(age_hours),
    }
}

fn actions(images: &[Image], memory: &Memory, instance: Option<&InstanceId>) -> Vec<String> {
    let plan = plan_images(&RecoverPolicy::default(), memory, images, instance, now());
    plan.actions.iter().map(ToString::to_string).collect()
}

fn using(image: &str) -> Memory {
    let request = Request {
        at: now(),
        since: now(),
        reason: "test".into(),
        drill: false,
    };
    Memory {
        saga: Some(Saga {
            request,
            started_at: now(),
            old: None,
            attempt: 1,
            image: Some(ImageId::new(image)),
            image_taken_at: None,
            new: None,
            step: Step::Boot,
            step_since: now(),
            answered_at: None,
            lost_devices: None,
        }),
        ..Memory::default()
    }
}

#[test]
fn a_well_gateway_without_a_fresh_image_gets_one() {
    let instance = InstanceId::new("i-1");
    let old = [image(1, ImageState::Usable, 25)];
    assert_eq!(
        actions(&old, &Memory::default(), Some(&instance)),
        ["create an image of i-1 (image-208333)"]
    );
    assert!(
        actions(&old, &Memory::default(), None).is_empty(),
        "an ill one does not"
    );
    let fresh = [image(1, ImageState::Usable, 23)];
    assert!(actions(&fresh, &Memory::default(), Some(&instance)).is_empty());
    let begun = [image(1, ImageState::Usable, 25), image(2, ImageState::Pending, 1)];
    assert!(actions(&begun, &Memory::default(), Some(&instance)).is_empty());
}

#[test]
fn images_beyond_the_number_and_the_age_go_oldest_last_in_order() {
    let images: Vec<_> = (0..9)
        .map(|n| image(n, ImageState::Usable, 24 * 5 * n as i64))
        .collect();
    assert_eq!(
        actions(&images, &Memory::default(), None),
        [
            "delete image ami-7: it is too old",
            "delete image ami-8: it is too old"
        ]
    );
    let images: Vec<_> = (0..9)
        .map(|n| image(n, ImageState::Usable, 24 * n as i64))
        .collect();
    assert_eq!(
        actions(&images, &Memory::default(), None),
        [
            "delete image ami-7: there are too many",
            "delete image ami-8: there are too many"
        ]
    );
}

#[test]
fn an_image_a_replacement_uses_is_kept_however_old() {
    let images = [
        image(0, ImageState::Usable, 1),
        image(1, ImageState::Usable, 2),
        image(2, ImageState::Usable, 24 * 90),
    ];
    assert_eq!(
        actions(&images, &Memory::default(), None),
        ["delete image ami-2: it is too old"]
    );
    assert!(actions(&images, &using("ami-2"), None).is_empty());
}

#[test]
fn an_old_image_that_is_good_is_kept_while_the_newer_ones_are_not() {
    let images = [
        image(0, ImageState::Usable, 1),
        image(1, ImageState::Usable, 2),
        image(2, ImageState::Usable, 24 * 90),
        image(3, ImageState::Usable, 24 * 91),
        image(4, ImageState::Usable, 24 * 92),
    ];
    let memory = Memory {
        failed_images: ["ami-0", "ami-1"]
            .map(|image| (ImageId::from(image), now()))
            .into(),
        ..Memory::default()
    };
    assert_eq!(
        actions(&images, &memory, None),
        ["delete image ami-4: it is too old"]
    );
}

/// A host on which nothing boots fails good images too.
#[test]
fn while_good_images_are_too_few_the_newest_that_failed_are_kept() {
    let images = [
        image(0, ImageState::Usable, 24 * 90),
        image(1, ImageState::Usable, 24 * 91),
        image(2, ImageState::Usable, 24 * 92),
    ];
    let memory = Memory {
        failed_images: ["ami-0", "ami-1", "ami-2"]
            .map(|image| (ImageId::from(image), now()))
            .into(),
        ..Memory::default()
    };
    assert_eq!(
        actions(&images, &memory, None),
        ["delete image ami-2: it is too old"]
    );
}

fn states() -> impl Strategy<Value = ImageState> {
    prop_oneof![
        3 => Just(ImageState::Usable),
        1 => Just(ImageState::Pending),
        1 => Just(ImageState::Failed),
    ]
}

proptest! {
    #[test]
    fn deletions_never_take_the_newest_nor_the_last_good_nor_one_in_use(
        images in prop::collection::vec((states(), 0_i64..2_000, any::<bool>()), 0..15),
        used in 0_usize..15,
        images_max in 0_usize..5,
        images_min in 0_usize..4,
    ) {
        let policy = RecoverPolicy { images_max, images_min, ..RecoverPolicy::default() };
        let mut memory = using(&format!("ami-{used}"));
        let all: Vec<Image> =
            images.iter().enumerate().map(|(n, (state, age, _))| image(n, *state, *age)).collect();
        let failed = all.iter().zip(&images).filter(|(_, (_, _, failed))| *failed);
        memory.failed_images = failed.map(|(image, _)| (image.id.clone(), now())).collect();
        let plan = plan_images(&policy, &memory, &all, None, now());
        let deleted: BTreeSet<&ImageId> = plan.actions.iter().map(|action| match action {
            ImageAction::Delete { image, .. } => image,
            ImageAction::Create { .. } => panic!("created one of no instance"),
        }).collect();
        let usable: Vec<&Image> = all.iter().filter(|image| image.state == ImageState::Usable).collect();
        let left: Vec<&&Image> = usable.iter().filter(|image| !deleted.contains(&image.id)).collect();
        prop_assert_eq!(left.is_empty(), usable.is_empty());
        let newest = |images: &mut dyn Iterator<Item = Timestamp>| images.max();
        prop_assert_eq!(
            newest(&mut usable.iter().map(|image| image.taken_at)),
            newest(&mut left.iter().map(|image| image.taken_at))
        );
        let good = |image: &&&Image| !memory.failed_images.contains_key(&image.id);
        let good_before = usable.iter().filter(good).count();
        prop_assert!(left.iter().copied().filter(good).count() >= good_before.min(images_min.max(1)));
        prop_assert!(left.len() >= usable.len().min(images_min.max(1)));
        let in_use = ImageId::new(format!("ami-{used}"));
        prop_assert!(!deleted.contains(&in_use) || usable.iter().all(|image| image.id != in_use));
    }
}

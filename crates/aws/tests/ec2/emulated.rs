//! What only an emulator shows: that instances and images are as they were asked for.

use crate::moto::Stack;
use aws_sdk_ec2::primitives::Blob;
use aws_sdk_ec2::types::{
    AttributeBooleanValue, AttributeValue, Instance, InstanceAttributeName, SecureBlobAttributeValue, Tag,
    VolumeType,
};
use domain::ports::{Images, Instances, Moved, NewInstance, PublicAddress, Source};
use domain::{ImageId, ImageState, InstanceId, InstanceState};
use std::collections::BTreeMap;

fn new(token: &str, like: Option<&InstanceId>) -> NewInstance {
    NewInstance {
        token: token.into(),
        source: Source::Base,
        like: like.cloned(),
        isolated: false,
    }
}

impl Stack {
    async fn launch(&self, new: &NewInstance) -> InstanceId {
        let launched = self.machines.launch_instance(new).await;
        launched.expect("it is launched")
    }

    async fn describe(&self, id: &InstanceId) -> Instance {
        let asked = self.site.client.describe_instances().instance_ids(id.as_str());
        let answer = asked.send().await.expect("the emulator answers");
        let mut reservations = answer.reservations.unwrap_or_default();
        let mut instances = reservations.remove(0).instances.unwrap_or_default();
        instances.remove(0)
    }

    async fn put_tag(&self, resource: &str, key: &str, value: &str) {
        let tag = Tag::builder().key(key).value(value).build();
        let tagged = self.site.client.create_tags().resources(resource).tags(tag);
        tagged.send().await.expect("it is tagged");
    }

    async fn protect(&self, id: &InstanceId) {
        let protected = AttributeBooleanValue::builder().value(true).build();
        let asked = self
            .site
            .client
            .modify_instance_attribute()
            .instance_id(id.as_str());
        let asked = asked.disable_api_termination(protected).send().await;
        asked.expect("it is protected");
    }

    async fn is_protected(&self, id: &InstanceId) -> bool {
        let name = InstanceAttributeName::DisableApiTermination;
        let asked = self
            .site
            .client
            .describe_instance_attribute()
            .instance_id(id.as_str());
        let answer = asked.attribute(name).send().await.expect("the emulator answers");
        let value = answer.disable_api_termination.and_then(|value| value.value);
        value == Some(true)
    }

    async fn user_data(&self, id: &InstanceId) -> Option<String> {
        let name = InstanceAttributeName::UserData;
        let asked = self
            .site
            .client
            .describe_instance_attribute()
            .instance_id(id.as_str());
        let answer = asked.attribute(name).send().await.expect("the emulator answers");
        answer.user_data.and_then(|value| value.value)
    }

    async fn state(&self, id: &InstanceId) -> Option<InstanceState> {
        let listed = self
            .machines
            .list_instances()
            .await
            .expect("the emulator answers");
        let instance = listed.into_iter().find(|instance| instance.id == *id);
        instance.map(|instance| instance.state)
    }

    /// The snapshots of an image that is there.
    async fn snapshots_of(&self, image: &ImageId) -> Vec<String> {
        let asked = self.site.client.describe_images().image_ids(image.as_str());
        let images = asked.send().await.expect("the emulator answers").images;
        let disks = images.unwrap_or_default().remove(0).block_device_mappings;
        let disks = disks.unwrap_or_default().into_iter();
        disks.filter_map(|disk| disk.ebs?.snapshot_id).collect()
    }

    /// How many of these snapshots are there.
    async fn count(&self, snapshots: &[String]) -> usize {
        let answer = self
            .site
            .client
            .describe_snapshots()
            .owner_ids("self")
            .send()
            .await;
        let all = answer
            .expect("the emulator answers")
            .snapshots
            .unwrap_or_default();
        let ids = all.iter().filter_map(|it| it.snapshot_id.as_ref());
        ids.filter(|id| snapshots.contains(id)).count()
    }

    async fn add_disk(&self, id: &InstanceId) {
        let zone = self
            .describe(id)
            .await
            .placement
            .and_then(|it| it.availability_zone);
        let volume = self
            .site
            .client
            .create_volume()
            .size(100)
            .volume_type(VolumeType::Gp3);
        let volume = volume
            .availability_zone(zone.expect("it is somewhere"))
            .send()
            .await;
        let volume = volume.expect("a disk").volume_id.expect("it has an id");
        let attached = self
            .site
            .client
            .attach_volume()
            .volume_id(volume)
            .device("/dev/sdb");
        let attached = attached.instance_id(id.as_str()).send().await;
        attached.expect("it is attached");
    }
}

fn tags(instance: &Instance) -> BTreeMap<&str, &str> {
    let pairs = instance.tags().iter().map(|tag| (tag.key(), tag.value()));
    pairs.filter_map(|(key, value)| Some((key?, value?))).collect()
}

fn groups(instance: &Instance) -> Vec<&str> {
    let groups = instance.network_interfaces()[0].groups().iter();
    groups.filter_map(|group| group.group_id()).collect()
}

#[tokio::test]
async fn the_first_instance_is_as_the_stack_is_configured() {
    let stack = Stack::new().await;
    let first = stack.launch(&new("first", None)).await;
    let described = stack.describe(&first).await;
    assert_eq!(described.subnet_id(), Some(stack.site.subnet.as_str()));
    assert_eq!(groups(&described), [stack.site.group.as_str()]);
    assert_eq!(described.image_id(), Some("ami-base"));
    let tags = tags(&described);
    assert_eq!(tags.get("Name"), Some(&"Gateway North"));
    assert_eq!(
        tags.get("millrace:stack"),
        Some(&stack.site.config.stack.as_str())
    );
    let listed = stack.machines.list_instances().await.unwrap().remove(0);
    assert!(listed.is_sound(), "{listed:?}");
    let private = described.private_ip_address().unwrap();
    assert_eq!(listed.endpoint, Some(format!("https://{private}")));
}

#[tokio::test]
async fn a_replacement_differs_in_nothing_but_its_age() {
    let stack = Stack::new().await;
    let old = stack.launch(&new("old", None)).await;
    stack
        .machines
        .power(&old, domain::ports::Power::Stop)
        .await
        .unwrap();
    let client = &stack.site.client;
    let size = AttributeValue::builder().value("m5.xlarge").build();
    let asked = client.modify_instance_attribute().instance_id(old.as_str());
    asked.instance_type(size).send().await.unwrap();
    let data = SecureBlobAttributeValue::builder()
        .value(Blob::new("am9pbg=="))
        .build();
    let asked = client.modify_instance_attribute().instance_id(old.as_str());
    asked.user_data(data).send().await.unwrap();
    stack.put_tag(old.as_str(), "Name", "Gate of the north").await;
    stack.put_tag(old.as_str(), "cost-centre", "4711").await;
    stack.protect(&old).await;

    let replacement = stack.launch(&new("new", Some(&old))).await;
    let (before, after) = (stack.describe(&old).await, stack.describe(&replacement).await);
    assert_eq!(after.subnet_id(), before.subnet_id());
    assert_eq!(after.instance_type(), before.instance_type());
    assert_eq!(groups(&after), groups(&before));
    assert_eq!(stack.user_data(&replacement).await, stack.user_data(&old).await);
    assert!(stack.user_data(&old).await.is_some());
    assert!(stack.is_protected(&replacement).await);
    let (mut before, mut after) = (tags(&before), tags(&after));
    assert_eq!(after.remove("millrace:token"), Some("new"));
    assert_eq!(before.remove("millrace:token"), Some("old"));
    assert_eq!(after, before);
    assert_eq!(after.get("cost-centre"), Some(&"4711"));
}

#[tokio::test]
async fn what_followed_an_instance_that_is_gone_is_as_the_stack_is_configured() {
    let stack = Stack::new().await;
    let old = stack.launch(&new("old", None)).await;
    stack.put_tag(old.as_str(), "cost-centre", "4711").await;
    stack.machines.terminate_instance(&old).await.unwrap();
    for like in [&old, &InstanceId::new("i-0123456789abcdef0")] {
        let launched = stack.launch(&new(like.as_str(), Some(like))).await;
        let described = stack.describe(&launched).await;
        assert_eq!(tags(&described).get("cost-centre"), None);
        assert_eq!(described.subnet_id(), Some(stack.site.subnet.as_str()));
    }
}

#[tokio::test]
async fn a_drill_is_behind_its_own_security_group_and_nowhere_else() {
    let stack = Stack::new().await;
    let gateway = stack.launch(&new("gateway", None)).await;
    stack.protect(&gateway).await;
    let drill = NewInstance {
        isolated: true,
        ..new("drill-1", Some(&gateway))
    };
    let drill = stack.launch(&drill).await;
    let described = stack.describe(&drill).await;
    assert_eq!(groups(&described), [stack.site.drill_group.as_str()]);
    assert_eq!(described.public_ip_address(), None);
    assert_eq!(tags(&described).get("Name"), Some(&"Gateway North (drill)"));
    assert!(!stack.is_protected(&drill).await);
}

#[tokio::test]
async fn stacks_do_not_see_each_other() {
    let (one, other) = (Stack::new().await, Stack::new().await);
    let of_one = one.launch(&new("same", None)).await;
    let of_other = other.launch(&new("same", None)).await;
    assert_ne!(of_one, of_other);
    let image = one.machines.create_image(&of_one, "image").await.unwrap();
    assert_eq!(other.machines.list_instances().await.unwrap().len(), 1);
    assert_eq!(other.machines.list_images().await.unwrap(), []);
    let deleted = other.machines.delete_image(&image).await;
    assert!(deleted.unwrap_err().chain().contains("not this stack's"));
    assert_eq!(one.machines.list_images().await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_instance_on_its_way_out_loses_its_protection() {
    let stack = Stack::new().await;
    let id = stack.launch(&new("a", None)).await;
    stack.protect(&id).await;
    stack.machines.terminate_instance(&id).await.unwrap();
    assert_eq!(stack.state(&id).await, Some(InstanceState::Gone));
}

#[tokio::test]
async fn an_instance_that_ec2_has_forgotten_counts_as_terminated() {
    let stack = Stack::new().await;
    let forgotten = InstanceId::new("i-0123456789abcdef0");
    stack.machines.terminate_instance(&forgotten).await.unwrap();
}

#[tokio::test]
async fn an_image_holds_all_disks_and_is_launched_from() {
    let stack = Stack::new().await;
    let gateway = stack.launch(&new("gateway", None)).await;
    stack.add_disk(&gateway).await;
    let image = stack.machines.create_image(&gateway, "image-1").await.unwrap();
    assert_eq!(stack.snapshots_of(&image).await.len(), 2);
    let listed = stack.machines.list_images().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0].id, listed[0].state), (&image, ImageState::Usable));
    let from_image = NewInstance {
        source: Source::Image(image.clone()),
        ..new("replacement", Some(&gateway))
    };
    let launched = stack.launch(&from_image).await;
    assert_eq!(stack.describe(&launched).await.image_id(), Some(image.as_str()));
}

#[tokio::test]
async fn a_deleted_image_takes_its_snapshots_with_it_and_no_others() {
    let stack = Stack::new().await;
    let gateway = stack.launch(&new("gateway", None)).await;
    stack.add_disk(&gateway).await;
    let old = stack.machines.create_image(&gateway, "image-1").await.unwrap();
    let young = stack.machines.create_image(&gateway, "image-2").await.unwrap();
    let (olds, youngs) = (stack.snapshots_of(&old).await, stack.snapshots_of(&young).await);
    stack.machines.delete_image(&old).await.unwrap();
    assert_eq!((stack.count(&olds).await, stack.count(&youngs).await), (0, 2));
    let listed = stack.machines.list_images().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].id, young);
}

/// As a crash between two calls leaves it: the planner sees a failed image, and deletes it.
#[tokio::test]
async fn a_deletion_that_stopped_half_way_is_seen_and_goes_on() {
    let stack = Stack::new().await;
    let gateway = stack.launch(&new("gateway", None)).await;
    let image = stack.machines.create_image(&gateway, "image-1").await.unwrap();
    let snapshots = stack.snapshots_of(&image).await;
    for snapshot in &snapshots {
        stack
            .put_tag(snapshot, "millrace:deleted-image", image.as_str())
            .await;
    }
    let failed = async || {
        let listed = stack.machines.list_images().await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!((&listed[0].id, listed[0].state), (&image, ImageState::Failed));
    };
    failed().await;
    let asked = stack.site.client.deregister_image().image_id(image.as_str());
    asked.send().await.unwrap();
    failed().await;
    stack.machines.delete_image(&image).await.unwrap();
    assert_eq!(stack.machines.list_images().await.unwrap(), []);
    assert_eq!(stack.count(&snapshots).await, 0);
}

#[tokio::test]
async fn the_address_is_found_by_its_name_and_by_itself() {
    let stack = Stack::new().await;
    let gateway = stack.launch(&new("gateway", None)).await;
    let look = stack.machines.find_address().await.unwrap();
    assert_eq!(look.endpoint, format!("https://{}", look.address));
    let by_address = stack.by_address(&look.address);
    assert_eq!(by_address.find_address().await.unwrap(), look);
    assert_eq!(
        by_address.move_address(&gateway, None).await.unwrap(),
        Moved::Moved
    );
    assert_eq!(
        stack.machines.find_address().await.unwrap().holder(),
        Some(&gateway)
    );
}

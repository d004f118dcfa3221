//! What is written on everything that belongs to a stack, and how it is found by that.

use aws_sdk_ec2::types::{Filter, ResourceType, Tag, TagSpecification};
use std::collections::BTreeMap;

/// The stack it belongs to.
pub(super) const STACK: &str = "millrace:stack";

/// The decision it was made by.
pub(super) const TOKEN: &str = "millrace:token";

/// On a snapshot: the image it was part of, whose deletion has begun.
pub(super) const DELETED_IMAGE: &str = "millrace:deleted-image";

/// What consoles show.
pub(super) const NAME: &str = "Name";

/// Keys that only AWS writes: "Tag restrictions", Amazon EC2 User Guide.
pub(super) const RESERVED: &str = "aws:";

/// Tags by their keys.
pub(super) type Tags = BTreeMap<String, String>;

pub(super) fn read(tags: &[Tag]) -> Tags {
    let pair = |tag: &Tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()));
    tags.iter().filter_map(pair).collect()
}

pub(super) fn value<'a>(tags: &'a [Tag], key: &str) -> Option<&'a str> {
    let tag = tags.iter().find(|tag| tag.key() == Some(key));
    tag.and_then(Tag::value)
}

pub(super) fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build()
}

/// Tags for something that a call is about to make.
pub(super) fn on(resource: ResourceType, tags: &Tags) -> TagSpecification {
    let tags = tags.iter().map(|(key, value)| tag(key, value)).collect();
    TagSpecification::builder()
        .resource_type(resource)
        .set_tags(Some(tags))
        .build()
}

/// What bears this tag. `*` and `?` in a filter's value stand for others; the names of stacks and our tokens have none.
pub(super) fn tagged(key: &str, value: &str) -> Filter {
    filter(&format!("tag:{key}"), [value])
}

/// What has one of these values. Unlike a list of ids, a filter that finds nothing is no error.
pub(super) fn filter<'a>(name: &str, values: impl IntoIterator<Item = &'a str>) -> Filter {
    let values = values.into_iter().map(str::to_owned).collect();
    Filter::builder().name(name).set_values(Some(values)).build()
}

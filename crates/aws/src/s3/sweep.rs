//! Going through everything and deleting what may go.

use super::error::Failed;
use super::{PAGES_MAX, S3Archive, class, size_bytes};
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use domain::ports::{ArchiveSweep, DELETE_MAX, Page, PortError, StoredObject};
use domain::{ChannelKey, ObjectKey};
use std::collections::BTreeMap;

impl ArchiveSweep for S3Archive {
    async fn list_channels(&self) -> Result<Vec<ChannelKey>, PortError> {
        let mut channels = Vec::new();
        for device in self.folders(&self.prefix).await? {
            for channel in self.folders(&device).await? {
                let ours = channel.strip_prefix(&self.prefix).unwrap_or(&channel);
                channels.extend(ChannelKey::from_prefix(ours.trim_end_matches('/')));
            }
        }
        channels.sort();
        Ok(channels)
    }

    async fn list_page(&self, channel: &ChannelKey, after: Option<&ObjectKey>) -> Result<Page, PortError> {
        let doing = || format!("listing the objects of {channel}");
        let list = self.client.list_objects_v2().bucket(&self.bucket);
        let page = list
            .prefix(format!("{}{}/", self.prefix, channel.prefix()))
            .set_start_after(after.map(|after| self.key(after)))
            .max_keys(i32::try_from(DELETE_MAX).expect("a thousand fits"))
            .send()
            .await
            .map_err(|error| Failed::from(error).while_doing(doing()))?;
        let mut objects = Vec::new();
        for object in page.contents() {
            let key = object.key().and_then(|key| key.strip_prefix(&self.prefix));
            let Some(key) = key else {
                return Err(PortError::unknown(
                    doing(),
                    "the page has a key that was not asked for",
                ));
            };
            objects.push(StoredObject {
                key: ObjectKey(key.to_owned()),
                size_bytes: size_bytes(object),
                class: class(object),
            });
        }
        let last = objects.last().map(|object| object.key.clone());
        match (page.is_truncated(), last) {
            (Some(true), Some(last)) => Ok(Page {
                objects,
                next: Some(last),
            }),
            (Some(true), None) => Err(PortError::unknown(doing(), "a page has a next one and no key")),
            (Some(false) | None, _) => Ok(Page { objects, next: None }),
        }
    }

    async fn delete_objects(&self, keys: &[ObjectKey]) -> Result<Vec<(ObjectKey, String)>, PortError> {
        let doing = || format!("deleting {} objects from s3://{}", keys.len(), self.bucket);
        if keys.len() > DELETE_MAX {
            return Err(PortError::refused(doing(), "more keys than one call takes"));
        }
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let names: BTreeMap<String, &ObjectKey> = keys.iter().map(|key| (self.key(key), key)).collect();
        let mut delete = Delete::builder().quiet(true);
        for name in names.keys() {
            let object = ObjectIdentifier::builder().key(name).build();
            delete = delete.objects(object.map_err(|error| PortError::refused(doing(), error))?);
        }
        let delete = delete
            .build()
            .map_err(|error| PortError::refused(doing(), error))?;
        let answer = self
            .client
            .delete_objects()
            .bucket(&self.bucket)
            .delete(delete)
            .send()
            .await;
        let answer = answer.map_err(|error| Failed::from(error).while_doing(doing()))?;
        let failed = answer.errors().iter().filter_map(|error| {
            let key = names.get(error.key()?)?;
            let why = format!(
                "{}: {}",
                error.code().unwrap_or("error"),
                error.message().unwrap_or_default()
            );
            Some(((*key).clone(), why))
        });
        Ok(failed.collect())
    }
}

impl S3Archive {
    /// The common prefixes directly below `prefix`, each ending in a slash.
    async fn folders(&self, prefix: &str) -> Result<Vec<String>, PortError> {
        let doing = || format!("listing what s3://{}/{prefix} has", self.bucket);
        let mut folders = Vec::new();
        let mut continuation = None;
        for _ in 0..PAGES_MAX {
            let list = self
                .client
                .list_objects_v2()
                .bucket(&self.bucket)
                .prefix(prefix)
                .delimiter("/");
            let page = list.set_continuation_token(continuation).send().await;
            let page = page.map_err(|error| Failed::from(error).while_doing(doing()))?;
            let found = page.common_prefixes().iter().filter_map(|common| common.prefix());
            folders.extend(found.map(str::to_owned));
            if page.is_truncated() != Some(true) {
                return Ok(folders);
            }
            continuation = page.next_continuation_token;
            if continuation.is_none() {
                return Err(PortError::unknown(
                    doing(),
                    "a page has a next one but no way to it",
                ));
            }
        }
        Err(PortError::refused(
            doing(),
            format!("more than {PAGES_MAX} pages"),
        ))
    }
}

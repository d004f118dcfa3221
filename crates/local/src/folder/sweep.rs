//! Going through everything and deleting what may go.

use super::list::{days, names};
use super::{Failure, SIDECAR, relative, sidecar};
use domain::ports::{DELETE_MAX, Page, StoredObject};
use domain::{ChannelKey, ObjectKey, SegmentKey};
use jiff::civil;
use std::collections::BTreeSet;
use std::fs::DirEntry;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A file of a put this old belongs to one that died: a put of the largest segment takes seconds.
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Removes what puts left in `incoming` that died before `now` minus [`ABANDONED_AFTER`]. What cannot be removed stays
/// for the next time.
pub(super) fn abandoned(incoming: &Path, now: SystemTime) -> Result<(), Failure> {
    for entry in std::fs::read_dir(incoming).map_err(Failure::Before)? {
        let entry = entry.map_err(Failure::Before)?;
        // A put may have ended meanwhile, and another process may sweep, too.
        _ = remove_if_abandoned(&entry, now);
    }
    Ok(())
}

fn remove_if_abandoned(entry: &DirEntry, now: SystemTime) -> io::Result<()> {
    let age = now.duration_since(entry.metadata()?.modified()?);
    if age.is_ok_and(|age| age > ABANDONED_AFTER) {
        std::fs::remove_file(entry.path())?;
    }
    Ok(())
}

/// The channels that have a folder.
pub(super) fn channels(root: &Path) -> Result<Vec<ChannelKey>, Failure> {
    let mut channels = Vec::new();
    for device in names(root).map_err(Failure::Before)? {
        for channel in names(&root.join(&device)).map_err(Failure::Before)? {
            channels.extend(ChannelKey::from_prefix(&format!("{device}/{channel}")));
        }
    }
    channels.sort();
    Ok(channels)
}

/// A page of the channel's days. Dates have a fixed width, so their order is that of keys.
pub(super) fn page(root: &Path, channel: &ChannelKey, after: Option<&ObjectKey>) -> Result<Page, Failure> {
    let every_day = civil::Date::MIN..=civil::Date::MAX;
    let mut page = Page::default();
    for day in days(&root.join(channel.prefix()), &every_day).map_err(Failure::Before)? {
        let prefix = SegmentKey::day_prefix(channel, day);
        let is_over = |after: &ObjectKey| {
            prefix.as_str() < after.0.as_str() && !after.0.starts_with(&format!("{prefix}/"))
        };
        if after.is_some_and(is_over) {
            continue;
        }
        for name in objects(&root.join(&prefix)).map_err(Failure::Before)? {
            let key = ObjectKey(format!("{prefix}/{name}"));
            if after.is_some_and(|after| key <= *after) {
                continue;
            }
            if page.objects.len() == DELETE_MAX {
                page.next = page.objects.last().map(|object| object.key.clone());
                return Ok(page);
            }
            let size_bytes = std::fs::metadata(root.join(&key.0)).map_or(0, |found| found.len());
            page.objects.push(StoredObject {
                key,
                size_bytes,
                class: None,
            });
        }
    }
    Ok(page)
}

/// The objects in a day's folder, in order. A sidecar whose object is gone, because a delete died between the two,
/// stands for it, so that the next delete takes it.
fn objects(day: &Path) -> io::Result<BTreeSet<String>> {
    let mut objects = BTreeSet::new();
    for name in names(day)? {
        let object = name.strip_suffix(SIDECAR).map(str::to_owned);
        objects.insert(object.unwrap_or(name));
    }
    Ok(objects)
}

/// Deletes objects with their sidecars, and folders that are empty then.
pub(super) fn delete(root: &Path, keys: Vec<ObjectKey>) -> Result<Vec<(ObjectKey, String)>, Failure> {
    if keys.len() > DELETE_MAX {
        return Err(Failure::refused("more keys than one call takes"));
    }
    let mut failed = Vec::new();
    for key in keys {
        let path = root.join(relative(&key)?);
        match remove(&path).and_then(|()| remove(&sidecar(&path))) {
            Ok(()) => remove_empty_folders(root, &path),
            Err(error) => failed.push((key, error.to_string())),
        }
    }
    Ok(failed)
}

fn remove(file: &Path) -> io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(()),
        outcome => outcome,
    }
}

/// Removes the object's folders as far as they are empty. A put that makes them anew at the same time is throttled
/// at worst, and comes again.
fn remove_empty_folders(root: &Path, object: &Path) {
    let folders = object.ancestors().skip(1).take_while(|folder| *folder != root);
    for folder in folders {
        if std::fs::remove_dir(folder).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_puts_that_died_long_ago_are_swept() {
        let incoming = tempfile::tempdir().unwrap();
        let file = incoming.path().join("put");
        std::fs::write(&file, b"half").unwrap();
        let now = SystemTime::now();
        abandoned(incoming.path(), now).unwrap();
        assert!(file.exists());
        abandoned(incoming.path(), now + 2 * ABANDONED_AFTER).unwrap();
        assert!(!file.exists());
    }
}

//! Looking at one object.

use super::{Failure, sidecar};
use domain::SegmentMeta;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

/// A sidecar has a few hundred bytes; whatever is longer is none.
const SIDECAR_BYTES_MAX: u64 = 64 * 1024;

/// The bytes of the range that the object has.
pub(super) fn read(object: &Path, range: &Range<u64>) -> Result<Vec<u8>, Failure> {
    let mut file = File::open(object).map_err(missing_is_refused)?;
    file.seek(SeekFrom::Start(range.start)).map_err(Failure::Before)?;
    let mut bytes = Vec::new();
    file.take(range.end.saturating_sub(range.start))
        .read_to_end(&mut bytes)
        .map_err(Failure::Before)?;
    Ok(bytes)
}

/// Whether the object is there.
pub(super) fn exists(object: &Path) -> Result<(), Failure> {
    std::fs::metadata(object).map(|_| ()).map_err(missing_is_refused)
}

/// What the sidecar says.
pub(super) fn describe(object: &Path) -> Result<Option<SegmentMeta>, Failure> {
    exists(object)?;
    let file = match File::open(sidecar(object)) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::Before(error)),
    };
    let mut text = String::new();
    file.take(SIDECAR_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(Failure::Before)?;
    let meta = serde_json::from_str(&text).map_err(|error| Failure::Refused(io::Error::other(error)))?;
    Ok(Some(meta))
}

fn missing_is_refused(error: io::Error) -> Failure {
    match error.kind() {
        ErrorKind::NotFound => Failure::Refused(error),
        _ => Failure::Before(error),
    }
}

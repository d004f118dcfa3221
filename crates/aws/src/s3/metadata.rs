//! What an object says of itself: user metadata (`x-amz-meta-*`), checksum and content type.
//!
//! User metadata travels in HTTP headers, so a value keeps its printable ASCII and has the rest, and `%`,
//! percent-encoded.

use domain::encoding::{percent_decoded, percent_encoded};
use domain::{ObjectKey, SegmentMeta};
use serde_json::Value;
use std::collections::HashMap;
use std::error::Error;

type Unfit = Box<dyn Error + Send + Sync>;

/// The name of the entry [`sha256`] reads.
const SHA256: &str = "sha256";
/// The name of the only entry that is a number.
const CLOCK_DRIFT: &str = "clock-drift-ms";

/// One entry a field, named as in [`SegmentMeta`]'s JSON.
pub(super) fn of(meta: &SegmentMeta) -> Result<HashMap<String, String>, Unfit> {
    let Value::Object(fields) = serde_json::to_value(meta)? else {
        return Err("segment metadata is a JSON object".into());
    };
    Ok(fields
        .into_iter()
        .map(|(name, value)| (name, header(&text(value))))
        .collect())
}

/// The SHA-256 that was stored with an object.
pub(super) fn sha256(stored: Option<&HashMap<String, String>>) -> Option<&str> {
    stored?.get(SHA256).map(String::as_str)
}

/// The metadata that was stored with an object; `None` when none was. The numbers and names are those of [`of`].
pub(super) fn read(stored: Option<&HashMap<String, String>>) -> Result<Option<SegmentMeta>, Unfit> {
    let Some(stored) = stored.filter(|stored| stored.contains_key(SHA256)) else {
        return Ok(None);
    };
    let mut fields = serde_json::Map::new();
    for (name, value) in stored {
        let text = percent_decoded(value).ok_or("metadata that is not percent-encoded text")?;
        let number = text.parse::<i64>().ok().filter(|_| name == CLOCK_DRIFT);
        fields.insert(name.clone(), number.map_or(Value::String(text), Value::from));
    }
    Ok(Some(serde_json::from_value(Value::Object(fields))?))
}

/// The SHA-256 as `x-amz-checksum-sha256` has it: base64 of the 32 bytes.
pub(super) fn checksum(meta: &SegmentMeta) -> Result<String, Unfit> {
    let hex = meta.sha256.as_bytes();
    if hex.len() != 64 {
        return Err("a SHA-256 has 64 hexadecimal digits".into());
    }
    let mut bytes = Vec::with_capacity(32);
    for pair in hex.chunks_exact(2) {
        bytes.push(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?);
    }
    Ok(aws_smithy_types::base64::encode(bytes))
}

/// So that a browser plays or shows what it is given a link to.
pub(super) fn content_type(key: &ObjectKey) -> Option<&'static str> {
    match key.0.rsplit_once('.')?.1 {
        "mp4" => Some("video/mp4"),
        "jpg" => Some("image/jpeg"),
        _ => None,
    }
}

fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}

fn header(text: &str) -> String {
    percent_encoded(text, |_, byte| matches!(byte, b' '..=b'~') && byte != b'%')
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Origin;

    fn meta() -> SegmentMeta {
        SegmentMeta {
            captured_at: "2026-11-21T10:00:00.000000001Z".parse().expect("a time"),
            codecs: "avc1.64001f,mp4a.40.2".into(),
            sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".into(),
            origin: Origin::Live,
            clock_drift_ms: -12,
            note: Some("100 % – G.711\nleft out".into()),
        }
    }

    #[test]
    fn every_field_travels_as_one_header_of_printable_ascii() {
        let entries = of(&meta()).unwrap();
        let mut lines: Vec<_> = entries
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        lines.sort();
        assert_eq!(
            lines,
            [
                "captured-at: 2026-11-21T10:00:00.000000001Z",
                "clock-drift-ms: -12",
                "codecs: avc1.64001f,mp4a.40.2",
                "note: 100 %25 %E2%80%93 G.711%0Aleft out",
                "origin: live",
                "sha256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ]
        );
    }

    #[test]
    fn metadata_that_was_tampered_with_is_an_error_and_that_of_others_is_none() {
        let mut entries = of(&meta()).unwrap();
        assert_eq!(read(Some(&entries)).unwrap(), Some(meta()));
        entries.insert("note".into(), "100 %2".into());
        assert!(read(Some(&entries)).is_err());
        entries.insert("note".into(), "fine".into());
        entries.insert("origin".into(), "elsewhere".into());
        assert!(read(Some(&entries)).is_err());
        assert_eq!(
            read(Some(&HashMap::from([("owner".into(), "me".into())]))).unwrap(),
            None
        );
        assert_eq!(read(None).unwrap(), None);
    }

    #[test]
    fn the_checksum_is_the_hash_in_base64() {
        // SHA-256 of `abc`, from FIPS 180-4's examples.
        assert_eq!(
            checksum(&meta()).unwrap(),
            "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="
        );
        for sha256 in ["", "ba78", &"é".repeat(32), &"g".repeat(64)] {
            assert!(
                checksum(&SegmentMeta {
                    sha256: sha256.into(),
                    ..meta()
                })
                .is_err(),
                "{sha256}"
            );
        }
    }
}

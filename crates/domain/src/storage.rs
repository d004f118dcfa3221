//! The class an archive keeps an object in: what it costs, and whether it can be read at once.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// A storage class, under the name that stores which speak S3's protocol give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StorageClass {
    /// Where objects are put.
    Standard,
    /// Cheaper to keep and dearer to read.
    StandardIa,
    /// An archive that is read at once.
    GlacierIr,
    /// An archive that must be restored first, within minutes or hours.
    Glacier,
    /// An archive that must be restored first, within a day or two.
    DeepArchive,
    /// One we have no word for.
    Other,
}

impl StorageClass {
    /// Every class we know, the quickest first.
    pub const KNOWN: [Self; 5] = [
        Self::Standard,
        Self::StandardIa,
        Self::GlacierIr,
        Self::Glacier,
        Self::DeepArchive,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "STANDARD",
            Self::StandardIa => "STANDARD_IA",
            Self::GlacierIr => "GLACIER_IR",
            Self::Glacier => "GLACIER",
            Self::DeepArchive => "DEEP_ARCHIVE",
            Self::Other => "OTHER",
        }
    }

    /// Whether an object in it can only be read after a restore. Of a class we do not know nobody can tell: reading is
    /// tried.
    pub fn needs_restore(self) -> bool {
        match self {
            Self::Glacier | Self::DeepArchive => true,
            Self::Standard | Self::StandardIa | Self::GlacierIr | Self::Other => false,
        }
    }
}

impl fmt::Display for StorageClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for StorageClass {
    type Err = Infallible;

    /// Reads a name; what is not one of ours is [`StorageClass::Other`].
    fn from_str(text: &str) -> Result<Self, Infallible> {
        let known = Self::KNOWN.into_iter().find(|class| class.name() == text);
        Ok(known.unwrap_or(Self::Other))
    }
}

/// How fast a restore is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestoreTier {
    /// Minutes, at the highest price; not of every class.
    Expedited,
    /// Hours.
    Standard,
    /// Half a day or two, at the lowest price.
    Bulk,
}

impl RestoreTier {
    /// Every tier, the quickest first.
    pub const ALL: [Self; 3] = [Self::Expedited, Self::Standard, Self::Bulk];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Expedited => "expedited",
            Self::Standard => "standard",
            Self::Bulk => "bulk",
        }
    }
}

impl fmt::Display for RestoreTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text that is not a tier's name.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is none of expedited, standard, bulk")]
pub struct NotATier(String);

impl FromStr for RestoreTier {
    type Err = NotATier;

    fn from_str(text: &str) -> Result<Self, NotATier> {
        let named = Self::ALL.into_iter().find(|tier| tier.name() == text);
        named.ok_or_else(|| NotATier(text.to_owned()))
    }
}

/// Whether an object can be read now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// It can.
    AtOnce,
    /// It can, as a copy that was restored and stays until then.
    Restored {
        /// When the copy goes; `None` when nobody said.
        until: Option<Timestamp>,
    },
    /// It was asked for, and is not there yet.
    Restoring,
    /// It must be restored first.
    Archived,
}

/// What became of asking for a restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// It has begun; or the copy that is there stays for longer now.
    Begun,
    /// It was asked for before, and is under way.
    Already,
    /// The object is read at once.
    NotNeeded,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_in_text_and_in_json() {
        for class in StorageClass::KNOWN {
            assert_eq!(class.name().parse(), Ok(class));
            assert_eq!(serde_json::to_value(class).unwrap(), class.name());
        }
        for tier in RestoreTier::ALL {
            assert_eq!(tier.name().parse::<RestoreTier>().unwrap(), tier);
            assert_eq!(serde_json::to_value(tier).unwrap(), tier.name());
        }
        assert!("soon".parse::<RestoreTier>().is_err());
        assert_eq!("INTELLIGENT_TIERING".parse(), Ok(StorageClass::Other));
    }
}

//! What options are made of: addresses, sizes, times.

use domain::dispatch::DispatchPolicy;
use jiff::SignedDuration;
use std::fmt;
#[cfg(feature = "local")]
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

#[cfg(not(any(feature = "local", feature = "aws")))]
compile_error!("a recorder needs tables: build it with the feature `local` or `aws`");

/// Where the tables are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateUrl {
    /// One SQLite file.
    #[cfg(feature = "local")]
    Sqlite(PathBuf),
    /// Tables of DynamoDB.
    #[cfg(feature = "aws")]
    DynamoDb(aws::dynamodb::TableNames),
}

impl FromStr for StateUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            #[cfg(feature = "local")]
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            #[cfg(feature = "aws")]
            Some(("dynamodb", _)) => text
                .parse()
                .map(Self::DynamoDb)
                .map_err(|error| format!("{error}")),
            Some(_) | None => Err(format!("this build takes {}", KINDS_OF_STATE.join(" or "))),
        }
    }
}

const KINDS_OF_STATE: &[&str] = &[
    #[cfg(feature = "local")]
    "`sqlite:PATH`",
    #[cfg(feature = "aws")]
    "`dynamodb:tasks=NAME,gaps=NAME,control=NAME`",
];

/// Where segments end up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchiveUrl {
    /// A folder.
    #[cfg(feature = "local")]
    Folder(PathBuf),
    /// A bucket of Amazon S3 and a key prefix without slashes at its ends, which may be empty.
    #[cfg(feature = "s3")]
    S3 {
        /// The bucket's name.
        bucket: String,
        /// What every key begins with.
        prefix: String,
    },
}

impl FromStr for ArchiveUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            #[cfg(feature = "local")]
            Some(("file", path)) if !path.is_empty() => Ok(Self::Folder(path.into())),
            #[cfg(feature = "s3")]
            Some(("s3", _)) => {
                let location: aws::s3::Location = text.parse().map_err(|error| format!("{error}"))?;
                let (bucket, prefix) = (location.bucket, location.prefix);
                Ok(Self::S3 { bucket, prefix })
            }
            Some(_) | None => Err(format!("this build takes {}", KINDS_OF_ARCHIVE.join(" or "))),
        }
    }
}

/// As it is read.
impl fmt::Display for ArchiveUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(feature = "local")]
            Self::Folder(root) => write!(f, "file:{}", root.display()),
            #[cfg(feature = "s3")]
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

const KINDS_OF_ARCHIVE: &[&str] = &[
    #[cfg(feature = "local")]
    "`file:DIR`",
    #[cfg(feature = "s3")]
    "`s3://BUCKET/PREFIX`",
];

/// A size in bytes, written like `500MB` (powers of 1000) or `10GiB` (powers of 1024).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

/// In bytes, as it is read.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let factor: u64 = match unit.trim() {
            "" | "B" => 1,
            "kB" | "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "TB" => 1_000_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "TiB" => 1 << 40,
            _ => return Err("expected a number with B, kB, MB, GB, TB, KiB, MiB, GiB or TiB".to_owned()),
        };
        number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(factor))
            .map(Self)
            .ok_or_else(|| "expected a whole number that fits 64 bits".to_owned())
    }
}

/// Reads a time like `10s`, `2m` or `1h 30m`.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    match time_or_none(text)? {
        Duration::ZERO => Err("expected a time above zero".to_owned()),
        time => Ok(time),
    }
}

/// The same, or `0s` for none.
pub(super) fn time_or_none(text: &str) -> Result<Duration, String> {
    let time: SignedDuration = text.parse().map_err(|error| format!("{error}"))?;
    Duration::try_from(time).map_err(|_| "expected a time above zero".to_owned())
}

/// The longest heartbeat interval: of three heartbeats two may be lost before the dispatcher takes the recorder for
/// hung.
fn heartbeat_interval_max() -> SignedDuration {
    DispatchPolicy::default().heartbeat_stale / 3
}

/// Reads a time that the dispatcher's patience bears.
pub(super) fn heartbeat_interval(text: &str) -> Result<Duration, String> {
    let (interval, max) = (time(text)?, heartbeat_interval_max());
    if interval > max.unsigned_abs() {
        return Err(format!(
            "expected at most {max:#}: a silent recorder is replaced after three times as long"
        ));
    }
    Ok(interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_as_people_write_them() {
        let sizes = [
            ("512", 512),
            ("500MB", 500_000_000),
            ("10GiB", 10 << 30),
            ("1 TiB", 1 << 40),
        ];
        for (text, bytes) in sizes {
            assert_eq!(text.parse(), Ok(Size(bytes)));
            assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)));
        }
        for text in ["", "GB", "-1", "1.5GB", "10 GiBs", "99999999999TiB"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_above_zero() {
        assert_eq!(time("1m 30s"), Ok(Duration::from_secs(90)));
        for text in ["0s", "-5s", "soon", ""] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn heartbeats_come_thrice_before_the_dispatcher_gives_up() {
        assert_eq!(heartbeat_interval("60s"), Ok(Duration::from_secs(60)));
        assert!(heartbeat_interval("61s").unwrap_err().contains("1m"));
    }

    #[cfg(feature = "local")]
    #[test]
    fn places_on_one_machine_are_urls() {
        let folder = ArchiveUrl::Folder("/a/b".into());
        assert_eq!(folder.to_string(), "file:/a/b");
        assert_eq!("file:/a/b".parse(), Ok(folder));
        assert_eq!("sqlite:state.db".parse(), Ok(StateUrl::Sqlite("state.db".into())));
        for text in ["", "/a/b", "file:", "ftp://a"] {
            assert!(text.parse::<ArchiveUrl>().is_err(), "{text}");
        }
    }

    #[cfg(feature = "aws")]
    #[test]
    fn places_on_aws_are_urls() {
        let bucket = ArchiveUrl::S3 {
            bucket: "b".to_owned(),
            prefix: "a/c".to_owned(),
        };
        assert_eq!(bucket.to_string().parse(), Ok(bucket.clone()));
        assert_eq!("s3://b/a/c/".parse(), Ok(bucket));
        assert!("dynamodb:tasks=t,gaps=g,control=c".parse::<StateUrl>().is_ok());
        for text in ["s3://", "s3:b", "s3:///a"] {
            assert!(text.parse::<ArchiveUrl>().is_err(), "{text}");
        }
    }
}

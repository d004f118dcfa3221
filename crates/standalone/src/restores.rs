//! Segments that lie in an archive class: which of a range must be restored before they can be read, how long that
//! takes, and what it costs.

use crate::archive::AnyArchive;
use crate::show;
use anyhow::{Context, bail};
use cost::{Dollars, NoPrice, Prices};
use domain::ports::{ArchiveRead, StoredSegment};
use domain::storage::{Asked, Availability};
use domain::{RestoreTier, StorageClass};
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;
use std::collections::BTreeMap;

/// Objects asked about at once.
const QUESTIONS_AT_ONCE: usize = 16;

/// What of a range cannot be read yet.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// Must be asked for.
    pub(crate) archived: Vec<StoredSegment>,
    /// Were asked for, and will be there.
    pub(crate) restoring: Vec<StoredSegment>,
}

/// Looks at each segment whose class says that it may have to be restored.
pub(crate) async fn look(archive: &AnyArchive, segments: &[StoredSegment]) -> anyhow::Result<Waiting> {
    let doubtful = segments
        .iter()
        .filter(|segment| segment.class.is_some_and(StorageClass::needs_restore));
    let looks: Vec<(StoredSegment, Availability)> = stream::iter(doubtful)
        .map(async |segment| {
            let available = archive.availability(&segment.key.object_key()).await?;
            anyhow::Ok((segment.clone(), available))
        })
        .buffered(QUESTIONS_AT_ONCE)
        .try_collect()
        .await?;
    let mut waiting = Waiting::default();
    for (segment, available) in looks {
        match available {
            Availability::Archived => waiting.archived.push(segment),
            Availability::Restoring => waiting.restoring.push(segment),
            Availability::AtOnce | Availability::Restored { .. } => {}
        }
    }
    Ok(waiting)
}

/// What restoring by one tier comes to, over all classes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Estimate {
    pub(crate) cost: Dollars,
    /// From how many hours to how many it takes as a rule.
    pub(crate) hours: [f64; 2],
}

impl Waiting {
    pub(crate) fn is_empty(&self) -> bool {
        self.archived.is_empty() && self.restoring.is_empty()
    }

    /// Says which objects they are, one a line, and what each tier would take and cost.
    pub(crate) fn describe(&self, prices: Option<&Prices>, days: u32) -> String {
        let mut text = String::new();
        for (state, segments) in [("archived", &self.archived), ("restoring", &self.restoring)] {
            for segment in segments {
                let class = segment.class.map_or("", StorageClass::name);
                let size = show::bytes(segment.size_bytes);
                text.push_str(&format!("{state:9}  {class:12}  {size:>10}  {}\n", segment.key));
            }
        }
        let bytes = self.archived.iter().map(|segment| segment.size_bytes).sum();
        text.push_str(&format!(
            "{} to be restored ({}), {} on their way\n",
            self.archived.len(),
            show::bytes(bytes),
            self.restoring.len()
        ));
        if self.archived.is_empty() {
            return text;
        }
        for tier in RestoreTier::ALL {
            let costs = prices.map(|prices| self.estimate(prices, tier, days));
            let line = match costs {
                Some(Ok(Some(estimate))) => estimate.in_words(days),
                Some(Ok(None)) => "not of this class".to_owned(),
                Some(Err(error)) => error.to_string(),
                None => "no prices of this Region are known".to_owned(),
            };
            text.push_str(&format!("  --restore {tier:9}  {line}\n"));
        }
        text
    }

    /// What restoring all that is archived costs; `None` when some of it has no such tier.
    fn estimate(&self, prices: &Prices, tier: RestoreTier, days: u32) -> Result<Option<Estimate>, NoPrice> {
        let mut sum = Estimate {
            cost: Dollars::default(),
            hours: [0.0, 0.0],
        };
        for (class, (objects, bytes)) in self.by_class() {
            let Some(restore) = cost::restore(prices, class, tier, objects, bytes, days)? else {
                return Ok(None);
            };
            sum.cost = sum.cost + restore.cost;
            sum.hours = [0, 1].map(|end| sum.hours[end].max(restore.hours[end]));
        }
        Ok(Some(sum))
    }

    fn by_class(&self) -> BTreeMap<StorageClass, (u64, u64)> {
        let mut classes: BTreeMap<StorageClass, (u64, u64)> = BTreeMap::new();
        for segment in &self.archived {
            let (objects, bytes) = classes
                .entry(segment.class.unwrap_or(StorageClass::Other))
                .or_default();
            *objects += 1;
            *bytes = bytes.saturating_add(segment.size_bytes);
        }
        classes
    }

    /// Asks for everything that is archived. What was asked for before stays asked for: it may be repeated.
    pub(crate) async fn ask(&self, archive: &AnyArchive, tier: RestoreTier, days: u32) -> anyhow::Result<()> {
        let deep = |segment: &StoredSegment| segment.class == Some(StorageClass::DeepArchive);
        if tier == RestoreTier::Expedited && self.archived.iter().any(deep) {
            bail!(
                "{} has no {tier} restores; nothing was asked for",
                StorageClass::DeepArchive
            );
        }
        let progress = ProgressBar::new(self.archived.len() as u64);
        let asked: Vec<Asked> = stream::iter(&self.archived)
            .map(async |segment| {
                let key = segment.key.object_key();
                let asked = archive.restore(&key, tier, days).await?;
                progress.inc(1);
                anyhow::Ok(asked)
            })
            .buffered(QUESTIONS_AT_ONCE)
            .try_collect()
            .await
            .context(
                "asking for restores; those that were asked for are on their way, run it again for the rest",
            )?;
        progress.finish_and_clear();
        tracing::debug!(asked = asked.len(), "restores were asked for");
        Ok(())
    }
}

impl Estimate {
    fn in_words(&self, days: u32) -> String {
        let [from, to] = self.hours;
        let time = match (from, to) {
            (_, to) if to < 1.0 => format!("{:.0} to {:.0} minutes", from * 60.0, to * 60.0),
            (0.0, to) => format!("within {to:.0} h"),
            (from, to) => format!("{from:.0} to {to:.0} h"),
        };
        format!("{time}, {} with copies for {days} days", self.cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{ChannelKey, Generation, SegmentKey};
    use jiff::{SignedDuration, Timestamp};

    fn segment(second: i64, class: StorageClass) -> StoredSegment {
        StoredSegment {
            key: SegmentKey::new(
                ChannelKey::new("A", "1"),
                Timestamp::from_second(second).unwrap(),
                SignedDuration::from_secs(30),
                Generation(1),
            ),
            size_bytes: 5_000_000_000,
            class: Some(class),
        }
    }

    #[test]
    fn each_object_is_named_and_each_tier_has_its_time_and_price() {
        let waiting = Waiting {
            archived: vec![
                segment(0, StorageClass::Glacier),
                segment(30, StorageClass::Glacier),
            ],
            restoring: vec![segment(60, StorageClass::Glacier)],
        };
        let prices = Prices::of("us-east-1").unwrap();
        let text = waiting.describe(Some(&prices), 2);
        // 10 GB at $0.03 and two requests at $0.01; copies: 48 of 730 h of $0.23.
        let expected = "\
archived   GLACIER          5.00 GB  A/1/1970/01/01/19700101T000000.000Z_30000_1.mp4
archived   GLACIER          5.00 GB  A/1/1970/01/01/19700101T000030.000Z_30000_1.mp4
restoring  GLACIER          5.00 GB  A/1/1970/01/01/19700101T000100.000Z_30000_1.mp4
2 to be restored (10.00 GB), 1 on their way
  --restore expedited  1 to 5 minutes, $0.34 with copies for 2 days
  --restore standard   3 to 5 h, $0.12 with copies for 2 days
  --restore bulk       5 to 12 h, $0.015 with copies for 2 days
";
        assert_eq!(text, expected);
    }

    #[test]
    fn the_slowest_class_counts_and_a_tier_that_one_does_not_have_none_has() {
        let waiting = Waiting {
            archived: vec![
                segment(0, StorageClass::Glacier),
                segment(30, StorageClass::DeepArchive),
            ],
            restoring: Vec::new(),
        };
        let prices = Prices::of("us-east-1").unwrap();
        assert_eq!(
            waiting.estimate(&prices, RestoreTier::Expedited, 1).unwrap(),
            None
        );
        let bulk = waiting.estimate(&prices, RestoreTier::Bulk, 1).unwrap().unwrap();
        assert_eq!(bulk.hours, [5.0, 48.0]);
        assert!(waiting.describe(None, 1).contains("no prices"));
    }
}

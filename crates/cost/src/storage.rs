//! What lying in a storage class costs, and coming back from it.

use crate::bill::MONTH_SECONDS;
use crate::deployment::Deployment;
use crate::dollars::Dollars;
use crate::prices::{NoPrice, Prices, RestorePrices};
use domain::{RestoreTier, StorageClass};
use serde::Serialize;

/// A GB as prices mean it.
const GB: f64 = 1e9;
const DAY_SECONDS: f64 = 86_400.0;
/// Smaller objects are not moved ("Lifecycle and small objects", Amazon S3 User Guide).
const MOVED_BYTES_MIN: f64 = 128.0 * 1_024.0;

/// What all channels together record.
pub(crate) struct Footage {
    /// Segments a month.
    pub(crate) segments: f64,
    gb_per_day: f64,
    segments_per_day: f64,
}

pub(crate) fn footage(deployment: &Deployment) -> Footage {
    let channels = f64::from(deployment.channels);
    let bytes_per_second = channels * f64::from(deployment.bit_rate) * 1_000.0 / 8.0;
    let segments_per_second = channels / f64::from(deployment.segment);
    Footage {
        segments: segments_per_second * MONTH_SECONDS,
        gb_per_day: bytes_per_second * DAY_SECONDS / GB,
        segments_per_day: segments_per_second * DAY_SECONDS,
    }
}

/// Days until an object is deleted, or as many as there are.
fn kept_days(deployment: &Deployment) -> u32 {
    match deployment.retention_days {
        0 => deployment.archive_age,
        days => days,
    }
}

/// Whether segments get old and large enough to be moved.
pub(crate) fn is_moved(deployment: &Deployment) -> bool {
    let segment_bytes = f64::from(deployment.bit_rate) * 125.0 * f64::from(deployment.segment);
    deployment.bucket_transition > 0
        && kept_days(deployment) > deployment.bucket_transition
        && segment_bytes >= MOVED_BYTES_MIN
}

/// A month of storage.
pub(crate) struct Stored {
    pub(crate) cost: Dollars,
    pub(crate) from: String,
}

/// What lies where it was put.
pub(crate) fn stored(prices: &Prices, deployment: &Deployment) -> Result<Stored, NoPrice> {
    let days = if is_moved(deployment) {
        deployment.bucket_transition
    } else {
        kept_days(deployment)
    };
    let gb = footage(deployment).gb_per_day * f64::from(days);
    let class = prices.class(StorageClass::Standard)?;
    Ok(Stored {
        cost: class.gb * gb,
        from: format!("{days} days, {gb:.0} GB at ${} a GB", class.gb.0),
    })
}

/// What lies where it was moved: at least as many days as the class bills, and an index entry an object.
pub(crate) fn moved(prices: &Prices, deployment: &Deployment) -> Result<Stored, NoPrice> {
    let class = prices.class(deployment.transition_storage_class)?;
    let standard = prices.class(StorageClass::Standard)?;
    let days = kept_days(deployment) - deployment.bucket_transition;
    let billed_days = match deployment.retention_days {
        0 => days,
        _ => days.max(class.days_min),
    };
    let footage = footage(deployment);
    let gb = footage.gb_per_day * f64::from(billed_days);
    let objects = footage.segments_per_day * f64::from(billed_days);
    let index = class.gb * (objects * f64::from(class.index_bytes) / GB)
        + standard.gb * (objects * f64::from(class.index_standard_bytes) / GB);
    let billed = if billed_days > days {
        format!("{days} days, billed as {billed_days}")
    } else {
        format!("{days} days")
    };
    let mut from = format!("{billed}, {gb:.0} GB at ${} a GB", class.gb.0);
    if index > Dollars::default() {
        from.push_str(&format!(", and {index} for the index of {objects:.0} objects"));
    }
    Ok(Stored {
        cost: class.gb * gb + index,
        from,
    })
}

/// What so many bytes cost a month where they lie.
///
/// # Errors
/// [`NoPrice`] when the table does not have the class.
pub fn kept_per_month(prices: &Prices, class: StorageClass, bytes: u64) -> Result<Dollars, NoPrice> {
    Ok(prices.class(class)?.gb * gigabytes(bytes))
}

#[expect(clippy::cast_precision_loss, reason = "money is shown to the cent")]
fn gigabytes(bytes: u64) -> f64 {
    bytes as f64 / GB
}

/// What a restore comes to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Restore {
    /// What is paid once, with the copies' storage.
    pub cost: Dollars,
    /// From how many hours to how many it takes as a rule.
    pub hours: [f64; 2],
}

/// What it costs to read so many objects of a class with so many bytes for `days` days; `None` when the class has no
/// such tier.
///
/// # Errors
/// [`NoPrice`] when the table does not have the class.
pub fn restore(
    prices: &Prices,
    class: StorageClass,
    tier: RestoreTier,
    objects: u64,
    bytes: u64,
    days: u32,
) -> Result<Option<Restore>, NoPrice> {
    let Some(RestorePrices {
        gb,
        request_thousand,
        hours,
    }) = prices.class(class)?.restore.get(&tier).copied()
    else {
        return Ok(None);
    };
    let copies_month = kept_per_month(prices, StorageClass::Standard, bytes)?;
    let copies = copies_month * (f64::from(days) * DAY_SECONDS / MONTH_SECONDS);
    #[expect(clippy::cast_precision_loss, reason = "money is shown to the cent")]
    let requests = request_thousand * (objects as f64 / 1e3);
    Ok(Some(Restore {
        cost: gb * gigabytes(bytes) + requests + copies,
        hours,
    }))
}

//! Many storms, and what they reached together.

use std::collections::BTreeMap;
use std::panic::catch_unwind;

/// Runs one storm a seed, as many as `STORM_SEEDS` says; how often each branch was reached.
///
/// # Panics
/// With the seed of a storm that failed.
pub(crate) fn weather_all(storm: fn(u64) -> BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let seeds: u64 = std::env::var("STORM_SEEDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(60);
    let mut reached: BTreeMap<String, u64> = BTreeMap::new();
    for seed in 0..seeds {
        let Ok(branches) = catch_unwind(move || storm(seed)) else {
            panic!("seed {seed} failed, see above")
        };
        for (branch, count) in branches {
            *reached.entry(branch).or_default() += count;
        }
    }
    reached
}

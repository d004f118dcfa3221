use jiff::SignedDuration;
use jiff::tz::Offset;

/// What the operator decided about setting gateways up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupPolicy {
    /// What the configuration shall be.
    pub wanted: Wanted,
    /// The version of the wanted password: one that was refused is not tried until this changes.
    pub password_version: u64,
    /// The version of the initial password, which is tried on a gateway that refuses the wanted one; `None` when there
    /// is none. One that was refused is not tried until this changes.
    pub initial_password_version: Option<u64>,
    /// Lifts the ban on trying refused passwords again: a person has repaired the gateway's side.
    pub try_again: bool,
    /// Wrong passwords in a row that setup gives a gateway at most. Gateways lock after five as a rule, and others log
    /// in too.
    pub tries_max: u32,
    /// A gateway that still has this many tries left, or fewer, is left alone.
    pub tries_spared: u32,
    /// How long an account that is locked without saying for how long is left alone.
    pub lock_wait: SignedDuration,
    /// How long a gateway is left alone that did not say whether so many passwords were right.
    pub untold_wait: SignedDuration,
    /// How far a clock that no time server keeps may be off.
    pub clock_tolerance: SignedDuration,
    /// How long a restart of the software takes before the gateway is asked again.
    pub restart_wait: SignedDuration,
    /// How often a restart whose answer was lost is asked for.
    pub restarts_max: u32,
}

/// What a gateway's configuration shall be; what is `None` is left as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: Option<String>,
    /// Its clock.
    pub clock: Option<WantedClock>,
    /// The public address it appears under, its ports under their own numbers.
    pub external_address: Option<String>,
}

/// What a gateway's clock shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedClock {
    /// Its time zone, as an offset.
    pub utc_offset: Offset,
    /// Whether a time server sets it; else setup does, when it is off.
    pub ntp: bool,
}

/// Reads a time zone as people and the template write it: hours east of UTC, such as `8`, `-3.5` or `5.75`.
///
/// # Errors
/// When it is no number, not in whole minutes, or of no zone in use: they reach from -12 to 14 (IANA time zone
/// database).
pub fn utc_offset(hours: &str) -> Result<Offset, NotAnOffset> {
    let not_an_offset = || NotAnOffset(hours.to_owned());
    let minutes = hours.trim().parse::<f64>().map_err(|_| not_an_offset())? * 60.0;
    if minutes.fract() != 0.0 || !(-12.0 * 60.0..=14.0 * 60.0).contains(&minutes) {
        return Err(not_an_offset());
    }
    // Whole, and far within an i32.
    Offset::from_seconds(minutes as i32 * 60).map_err(|_| not_an_offset())
}

/// Not a time zone by hours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no time zone: hours east of UTC are, such as 8, -3.5 or 5.75, from -12 to 14")]
pub struct NotAnOffset(String);

impl Default for SetupPolicy {
    fn default() -> Self {
        Self {
            wanted: Wanted::default(),
            password_version: 0,
            initial_password_version: None,
            try_again: false,
            tries_max: 3,
            tries_spared: 2,
            lock_wait: SignedDuration::from_mins(30),
            untold_wait: SignedDuration::from_mins(5),
            clock_tolerance: SignedDuration::from_secs(30),
            restart_wait: SignedDuration::from_secs(45),
            restarts_max: 3,
        }
    }
}

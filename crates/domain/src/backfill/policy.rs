use jiff::SignedDuration;

/// Limits of the backfill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackfillPolicy {
    /// How far back holes are looked for.
    pub horizon: SignedDuration,
    /// A hole is asked for when it ended so long ago: the device has closed its file by then, and what recorders still
    /// had in their spools is in the archive.
    pub ripe_after: SignedDuration,
    /// A hole that nothing explains, or that lies beside one, may still be in the spool of a machine that is away: it
    /// is asked for only after this. So is one that no segment follows within minutes.
    pub unexplained_after: SignedDuration,
    /// Shorter holes are left.
    pub shortest: SignedDuration,
    /// The longest stretch of one playback; a longer hole is filled piece by piece.
    pub piece_max: SignedDuration,
    /// More is asked of the device on both sides: a key frame to begin with, and clocks that differ.
    pub margin: SignedDuration,
    /// Playbacks at once, each of another device. A playback runs at the speed of life, so this bounds the rate, too.
    pub playbacks_max: usize,
    /// The wait for a device after its first failure; doubled with each.
    pub retry_first: SignedDuration,
    /// The longest wait.
    pub retry_max: SignedDuration,
    /// For how long a round may store what it fetched; a playback is begun only if it is over by then, though it took
    /// twice its length. A worker that died holds others up for so long.
    pub lease: SignedDuration,
    /// Nothing is stored in the last part of the lease: the longest that storing one segment may take.
    pub lease_reserve: SignedDuration,
}

impl Default for BackfillPolicy {
    fn default() -> Self {
        Self {
            horizon: SignedDuration::from_hours(7 * 24),
            ripe_after: SignedDuration::from_mins(10),
            unexplained_after: SignedDuration::from_hours(24),
            shortest: SignedDuration::from_secs(1),
            piece_max: SignedDuration::from_mins(10),
            margin: SignedDuration::from_secs(10),
            playbacks_max: 4,
            retry_first: SignedDuration::from_mins(1),
            retry_max: SignedDuration::from_hours(6),
            // A piece with its margins at the speed of life, twice, and the time to store it.
            lease: SignedDuration::from_mins(30),
            lease_reserve: SignedDuration::from_mins(2),
        }
    }
}

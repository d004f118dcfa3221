use super::{FakeArchive, Weather};
use crate::id::{ChannelKey, DeviceIndex, Generation};
use crate::ports::{Ended, Fetch, Footage, Playback, PortError};
use crate::segment::SegmentKey;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Devices with storage of their own. Clones share it.
#[derive(Debug, Clone)]
pub struct FakeFootage {
    weather: Weather,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<ChannelKey, Vec<Range<Timestamp>>>,
    playing: BTreeMap<DeviceIndex, u32>,
    most_at_once: u32,
    asked: u64,
    /// Devices that have no time.
    busy: BTreeSet<DeviceIndex>,
    /// Devices that cannot be reached.
    away: BTreeSet<DeviceIndex>,
    /// Playbacks that a device ended early without giving anything, one after the other.
    given_nothing: BTreeMap<DeviceIndex, u32>,
}

impl FakeFootage {
    /// Devices that have nothing.
    pub fn new(weather: Weather) -> Self {
        Self {
            weather,
            state: Arc::default(),
        }
    }

    /// Gives a device a file of a channel.
    pub fn record(&self, key: &ChannelKey, file: Range<Timestamp>) {
        self.state().files.entry(key.clone()).or_default().push(file);
    }

    /// Whether a device has this moment of a channel.
    pub fn has(&self, key: &ChannelKey, at: Timestamp) -> bool {
        self.files(key).iter().any(|file| file.contains(&at))
    }

    /// Whether a device has any moment of a stretch.
    pub fn has_any(&self, key: &ChannelKey, stretch: &Range<Timestamp>) -> bool {
        let overlaps = |file: &Range<Timestamp>| file.start < stretch.end && stretch.start < file.end;
        self.files(key).iter().any(overlaps)
    }

    /// The device writes over what it had of a channel until then.
    pub fn overwrite(&self, key: &ChannelKey, until: Timestamp) {
        let mut state = self.state();
        if let Some(files) = state.files.get_mut(key) {
            files.retain(|file| file.end > until);
            files
                .iter_mut()
                .for_each(|file| file.start = file.start.max(until));
        }
    }

    /// The most playbacks one device ever had to serve at once.
    pub fn most_at_once(&self) -> u32 {
        self.state().most_at_once
    }

    /// How often devices were asked for anything.
    pub fn asked(&self) -> u64 {
        self.state().asked
    }

    /// From now on this device ends every playback at once, or no longer.
    pub fn set_busy(&self, device: &DeviceIndex, busy: bool) {
        set(&mut self.state().busy, device, busy);
    }

    /// From now on this device cannot be reached, or can be again.
    pub fn set_away(&self, device: &DeviceIndex, away: bool) {
        set(&mut self.state().away, device, away);
    }

    fn is_away(&self, device: &DeviceIndex) -> bool {
        self.state().away.contains(device)
    }

    /// How a call to a device goes.
    async fn call<R>(
        &self,
        device: &DeviceIndex,
        doing: &str,
        act: impl FnOnce() -> R,
    ) -> Result<R, PortError> {
        let answer = self.weather.call(doing, act).await?;
        if self.is_away(device) {
            return Err(PortError::throttled(doing, "the device is away"));
        }
        Ok(answer)
    }

    /// How a playback of which so much was given ends in bad weather. A device with footage does not end one after the
    /// other without giving any of it.
    fn ends(&self, device: &DeviceIndex, gave: bool, error: &PortError) -> Ended {
        let mut state = self.state();
        let given_nothing = state.given_nothing.entry(device.clone()).or_default();
        *given_nothing = if gave { 0 } else { *given_nothing + 1 };
        match error {
            PortError::Throttled { .. } if *given_nothing <= GIVEN_NOTHING_MAX => Ended::Early,
            PortError::Throttled { .. } | PortError::Unknown { .. } | PortError::Refused { .. } => {
                Ended::CutShort
            }
        }
    }

    fn files(&self, key: &ChannelKey) -> Vec<Range<Timestamp>> {
        self.state().files.get(key).cloned().unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn set(devices: &mut BTreeSet<DeviceIndex>, device: &DeviceIndex, is_in: bool) {
    if is_in {
        devices.insert(device.clone());
    } else {
        devices.remove(device);
    }
}

impl Footage for FakeFootage {
    async fn find_footage(
        &self,
        key: &ChannelKey,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Range<Timestamp>>, PortError> {
        self.state().asked += 1;
        let find = || {
            let files = self.files(key).into_iter();
            files.filter(|file| file.start < to && from < file.end).collect()
        };
        self.call(&key.device, "finding footage", find).await
    }

    async fn playback_url(
        &self,
        key: &ChannelKey,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Option<String>, PortError> {
        let has = || {
            let found = self
                .files(key)
                .iter()
                .any(|file| file.start < to && from < file.end);
            found.then(|| format!("rtsp://gateway/dac/playback/{key}"))
        };
        self.call(&key.device, "asking for a playback", has).await
    }
}

/// Fetches from [`FakeFootage`] to a disk of its own, and from there to the archive. Clones share the disk, which
/// outlives them.
#[derive(Debug, Clone)]
pub struct FakeFetch {
    footage: FakeFootage,
    archive: FakeArchive,
    disk: Arc<Mutex<Vec<SegmentKey>>>,
}

/// In bad weather, playbacks in a row that a device ends at once.
const GIVEN_NOTHING_MAX: u32 = 3;
/// The longest segment a fetch makes.
const SEGMENT: SignedDuration = SignedDuration::from_secs(30);
/// From one key frame to the next.
const GOP_SECONDS: i64 = 2;

impl FakeFetch {
    /// An empty disk between these devices and this archive.
    pub fn new(footage: FakeFootage, archive: FakeArchive) -> Self {
        Self {
            footage,
            archive,
            disk: Arc::default(),
        }
    }

    fn disk(&self) -> MutexGuard<'_, Vec<SegmentKey>> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, segment: &SegmentKey) {
        self.disk().retain(|waiting| waiting != segment);
    }

    /// What the device can give of a playback: from what follows the segment before or else from the first key frame, to
    /// the key frame after the end if it goes on.
    fn parts(&self, playback: &Playback) -> Vec<Range<Timestamp>> {
        let Range { start, end } = playback.missing;
        let is_recognised = playback.before.is_some();
        let start = if is_recognised { start } else { next_key(start) };
        let end = if playback.goes_on { next_key(end) } else { end };
        let files = self.footage.files(&playback.key).into_iter();
        files
            .map(|file| file.start.max(start)..file.end.min(end))
            .filter(|part| part.start < part.end)
            .collect()
    }
}

/// Key frames come at whole multiples of [`GOP_SECONDS`].
fn next_key(at: Timestamp) -> Timestamp {
    let whole = (at.as_millisecond() + GOP_SECONDS * 1_000 - 1).div_euclid(GOP_SECONDS * 1_000);
    Timestamp::from_second(whole * GOP_SECONDS).unwrap_or(at)
}

/// A playback that a device serves until this is dropped.
struct Playing<'a>(&'a FakeFootage, DeviceIndex);

impl<'a> Playing<'a> {
    fn begin(footage: &'a FakeFootage, device: &DeviceIndex) -> Self {
        let mut state = footage.state();
        let playing = state.playing.entry(device.clone()).or_default();
        *playing += 1;
        let now = *playing;
        state.most_at_once = state.most_at_once.max(now);
        Self(footage, device.clone())
    }
}

impl Drop for Playing<'_> {
    fn drop(&mut self) {
        if let Some(playing) = self.0.state().playing.get_mut(&self.1) {
            *playing -= 1;
        }
    }
}

impl Fetch for FakeFetch {
    async fn fetch(&self, playback: &Playback) -> Result<Ended, PortError> {
        let weather = &self.footage.weather;
        let device = &playback.key.device;
        let _playing = Playing::begin(&self.footage, device);
        self.footage.call(device, "connecting", || ()).await?;
        if self.footage.state().busy.contains(device) {
            return Ok(Ended::Early);
        }
        let mut gave = false;
        for part in self.parts(playback) {
            let mut at = part.start;
            while at < part.end {
                let end = at.saturating_add(SEGMENT).unwrap_or(part.end).min(part.end);
                if let Err(error) = weather.call("playing", || ()).await {
                    return Ok(self.footage.ends(device, gave, &error));
                }
                gave = true;
                let length = end.duration_since(at);
                let segment = SegmentKey::new(playback.key.clone(), at, length, Generation::BACKFILL);
                self.disk().push(segment);
                at = end;
            }
        }
        Ok(Ended::Complete)
    }

    async fn waiting(&self) -> Result<Vec<SegmentKey>, PortError> {
        Ok(self.disk().clone())
    }

    async fn store(&self, segment: &SegmentKey) -> Result<(), PortError> {
        let put = || self.archive.place(segment.object_key(), b"footage");
        self.footage.weather.call("storing", put).await?;
        self.forget(segment);
        Ok(())
    }

    async fn discard(&self, segment: &SegmentKey) -> Result<(), PortError> {
        self.forget(segment);
        Ok(())
    }
}

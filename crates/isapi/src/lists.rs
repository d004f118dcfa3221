//! What makes several pages one list. A listing takes page after page and is complete only when the pages
//! agree with each other and with their own counts; everything else is [`InconsistentList`].

use crate::recordings::Recording;
use domain::Device;
use domain::id::DeviceIndex;
use std::collections::BTreeSet;

/// Devices a gateway may list. Beyond it the answer is not believed: it bounds the pages asked for and the
/// memory a hostile or broken gateway can take. The vendor's largest build manages 10,000 devices.
pub(crate) const DEVICES_MAX: u64 = 20_000;

/// Channels a device may list; the largest NVRs have 256.
pub(crate) const CHANNELS_MAX: usize = 1024;

/// Recordings one search may find. A camera that records motion makes a few hundred a day.
pub(crate) const RECORDINGS_MAX: usize = 20_000;

/// Why pages are no list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InconsistentList {
    /// `numOfMatches` is not the number of entries.
    #[error("a page states {stated} entries and has {entries}")]
    CountDiffers {
        /// What `numOfMatches` says.
        stated: u64,
        /// Entries on the page.
        entries: u64,
    },
    /// A page that is not the last one is not full.
    #[error("the page at position {position} has {entries} of {asked} entries although {total} exist")]
    ShortPage {
        /// Where the page begins.
        position: u64,
        /// Entries on the page.
        entries: u64,
        /// Entries asked for.
        asked: u64,
        /// What `totalMatches` says.
        total: u64,
    },
    /// The list changed between pages.
    #[error("totalMatches changed from {before} to {after} between pages")]
    TotalChanged {
        /// On the first page.
        before: u64,
        /// On a later page.
        after: u64,
    },
    /// More entries than `totalMatches` says exist.
    #[error("{entries} entries although only {total} exist")]
    TooMany {
        /// Entries so far.
        entries: u64,
        /// What `totalMatches` says.
        total: u64,
    },
    /// The same entry twice: the list moved between pages.
    #[error("`{0}` is listed twice")]
    Repeated(String),
    /// More than any gateway has.
    #[error("{count} entries exceed the bound of {max}")]
    BeyondBound {
        /// Entries stated or seen.
        count: u64,
        /// The bound.
        max: u64,
    },
    /// A search says that there is more, or nothing at all, and its page contradicts it.
    #[error("a search page of {entries} entries contradicts its status")]
    StatusContradicts {
        /// Entries on the page.
        entries: u64,
    },
}

/// One page of the device list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevicePage {
    /// `numOfMatches`, when given.
    pub stated: Option<u64>,
    /// `totalMatches`.
    pub total: u64,
    /// The entries.
    pub devices: Vec<Device>,
}

/// Collects the pages of one reading of the device list.
#[derive(Debug)]
pub struct DeviceListing {
    page_size: u64,
    total: Option<u64>,
    seen: BTreeSet<DeviceIndex>,
    devices: Vec<Device>,
}

impl DeviceListing {
    /// An empty listing that is asked for in pages of this size.
    pub fn new(page_size: u32) -> Self {
        Self {
            page_size: page_size.into(),
            total: None,
            seen: BTreeSet::new(),
            devices: Vec::new(),
        }
    }

    /// Where the next page begins.
    pub fn position(&self) -> u64 {
        self.devices.len() as u64
    }

    /// Takes the page at [`position`](Self::position) and says whether the list is complete now.
    ///
    /// # Errors
    /// [`InconsistentList`]; the reading has to begin anew.
    pub fn add(&mut self, page: DevicePage) -> Result<bool, InconsistentList> {
        let position = self.position();
        let entries = page.devices.len() as u64;
        self.check_counts(&page, position, entries)?;
        for device in page.devices {
            if !self.seen.insert(device.index.clone()) {
                return Err(InconsistentList::Repeated(device.index.to_string()));
            }
            self.devices.push(device);
        }
        Ok(self.position() == page.total)
    }

    /// The devices so far, in the gateway's order.
    pub fn into_devices(self) -> Vec<Device> {
        self.devices
    }

    fn check_counts(
        &mut self,
        page: &DevicePage,
        position: u64,
        entries: u64,
    ) -> Result<(), InconsistentList> {
        let total = page.total;
        check_stated(page.stated, entries)?;
        let before = *self.total.get_or_insert(total);
        if before != total {
            return Err(InconsistentList::TotalChanged { before, after: total });
        }
        if total > DEVICES_MAX {
            return Err(InconsistentList::BeyondBound {
                count: total,
                max: DEVICES_MAX,
            });
        }
        if position + entries > total {
            return Err(InconsistentList::TooMany {
                entries: position + entries,
                total,
            });
        }
        if position + entries < total && entries < self.page_size {
            return Err(InconsistentList::ShortPage {
                position,
                entries,
                asked: self.page_size,
                total,
            });
        }
        Ok(())
    }
}

/// How far a recording search says it got: `responseStatusStrg`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchProgress {
    /// `OK`: this was the last page.
    Complete,
    /// `MORE`: there is a next page.
    More,
    /// `NO MATCH`: nothing was found.
    NoMatch,
}

/// One page of a recording search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingPage {
    /// `numOfMatches`, when given.
    pub stated: Option<u64>,
    /// `responseStatusStrg`.
    pub progress: SearchProgress,
    /// The entries.
    pub recordings: Vec<Recording>,
}

/// Collects the pages of one recording search. There is no total to hold it against, so pages may be short;
/// the status of each page has to fit.
#[derive(Debug, Default)]
pub struct RecordingListing {
    seen: BTreeSet<String>,
    recordings: Vec<Recording>,
}

impl RecordingListing {
    /// Where the next page begins.
    pub fn position(&self) -> u64 {
        self.recordings.len() as u64
    }

    /// Takes the page at [`position`](Self::position) and says whether the search is complete now.
    ///
    /// # Errors
    /// [`InconsistentList`]; the search has to begin anew.
    pub fn add(&mut self, page: RecordingPage) -> Result<bool, InconsistentList> {
        let entries = page.recordings.len() as u64;
        check_stated(page.stated, entries)?;
        let contradicts = match page.progress {
            SearchProgress::Complete => false,
            SearchProgress::More => entries == 0,
            SearchProgress::NoMatch => entries > 0 || self.position() > 0,
        };
        if contradicts {
            return Err(InconsistentList::StatusContradicts { entries });
        }
        for recording in page.recordings {
            let name = format!("{} {}", recording.start, recording.playback_url);
            if !self.seen.insert(name) {
                return Err(InconsistentList::Repeated(recording.playback_url));
            }
            self.recordings.push(recording);
        }
        if self.recordings.len() > RECORDINGS_MAX {
            let (count, max) = (self.position(), RECORDINGS_MAX as u64);
            return Err(InconsistentList::BeyondBound { count, max });
        }
        Ok(page.progress != SearchProgress::More)
    }

    /// The recordings so far, in the device's order.
    pub fn into_recordings(self) -> Vec<Recording> {
        self.recordings
    }
}

fn check_stated(stated: Option<u64>, entries: u64) -> Result<(), InconsistentList> {
    match stated {
        Some(stated) if stated != entries => Err(InconsistentList::CountDiffers { stated, entries }),
        Some(_) | None => Ok(()),
    }
}

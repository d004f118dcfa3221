//! A worker's ports in the storm: devices that write over what they have, and a fetch that may play and store only
//! within its lease.

use super::World;
use domain::backfill::{BackfillPolicy, MEMORY};
use domain::fakes::{FakeFetch, Random};
use domain::ports::{ControlTable, Ended, Fetch, Footage, Playback, PortError};
use domain::{ChannelKey, SegmentKey};
use futures::executor::block_on;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How often each branch was met.
#[derive(Debug, Default)]
pub(crate) struct Met(Mutex<BTreeMap<String, u64>>);

impl Met {
    pub(crate) fn reach(&self, branch: &str) {
        *self.0.lock().unwrap().entry(branch.to_owned()).or_default() += 1;
    }

    pub(crate) fn all(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap().clone()
    }
}

/// The ports of one worker, and its disk.
pub(crate) struct Worker<'a> {
    pub(crate) world: &'a World,
    pub(crate) policy: &'a BackfillPolicy,
    pub(crate) name: &'static str,
    pub(crate) disk: FakeFetch,
    pub(crate) met: &'a Met,
    pub(crate) random: Mutex<Random>,
    /// How many playbacks and stores are under way: they are bounded in time by themselves.
    pub(crate) under_way: AtomicUsize,
}

impl Worker<'_> {
    /// Who plays or stores has the lease for as long as that may take.
    fn assert_leased(&self, needed: SignedDuration) {
        let item = block_on(self.world.tables.calm().get_control(MEMORY))
            .unwrap()
            .unwrap();
        let lease = &item.value["lease"];
        assert_eq!(lease["holder"], self.name, "it works without the lease");
        let until: Timestamp = lease["until"].as_str().unwrap().parse().unwrap();
        assert!(
            self.world.now() + needed < until,
            "at {} the lease until {until} is too short",
            self.world.now()
        );
    }

    async fn at_it<R>(&self, work: impl Future<Output = R>) -> R {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        let result = work.await;
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        result
    }
}

impl Footage for Worker<'_> {
    async fn find_footage(
        &self,
        key: &ChannelKey,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Range<Timestamp>>, PortError> {
        self.world.footage.find_footage(key, from, to).await
    }

    async fn playback_url(
        &self,
        key: &ChannelKey,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Option<String>, PortError> {
        if self.random.lock().unwrap().percent(2) {
            self.world.footage.overwrite(key, to);
        }
        let url = self.world.footage.playback_url(key, from, to).await;
        if let Ok(None) = url {
            self.met.reach("written over since the search");
        }
        url
    }
}

impl Fetch for Worker<'_> {
    async fn fetch(&self, playback: &Playback) -> Result<Ended, PortError> {
        let length = playback.asked.end.duration_since(playback.asked.start);
        self.assert_leased(length * 2);
        let before = block_on(self.disk.waiting())?.len();
        let ended = self.at_it(self.disk.fetch(playback)).await;
        let gave = block_on(self.disk.waiting())?.len() > before;
        self.met.reach(match (&ended, gave) {
            (Ok(Ended::Complete), _) => "played to its end",
            (Ok(Ended::Early), true) => "a goodbye after some of it",
            (Ok(Ended::Early), false) => "a goodbye at once",
            (Ok(Ended::CutShort), _) => "broken off",
            (Err(_), _) => "no playback begun",
        });
        ended
    }

    async fn waiting(&self) -> Result<Vec<SegmentKey>, PortError> {
        self.disk.waiting().await
    }

    async fn store(&self, segment: &SegmentKey) -> Result<(), PortError> {
        self.assert_leased(self.policy.lease_reserve);
        if self.world.archive.keys().contains(&segment.object_key()) {
            self.met.reach("stored again");
        }
        self.at_it(self.disk.store(segment)).await
    }

    async fn discard(&self, segment: &SegmentKey) -> Result<(), PortError> {
        self.disk.discard(segment).await
    }
}

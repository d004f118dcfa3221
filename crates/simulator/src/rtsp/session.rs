//! One client's session with one stream, from the first SETUP to its end.

use super::catalog::{Air, Catalog, Counted, Entry, Media};
use super::player::{Begin, Chosen, Next, Player};
use super::timeline::Speed;
use bytes::BytesMut;
use jiff::Timestamp;
use std::sync::Arc;
use tokio::sync::watch;

/// A session.
#[derive(Debug)]
pub(super) struct Session {
    id: String,
    entry: Arc<Entry>,
    air: watch::Receiver<Air>,
    /// What was on air when the session was last looked at.
    media: Arc<Media>,
    cuts: u64,
    /// The channels the client has set up.
    pub(super) chosen: Chosen,
    playing: Option<Playing>,
}

#[derive(Debug)]
struct Playing {
    player: Player,
    wake: Timestamp,
    _counted: Counted,
}

impl Session {
    /// Opens a session that has no track yet.
    pub(super) fn open(entry: Arc<Entry>) -> Self {
        let mut air = entry.watch();
        let Air { media, cuts, .. } = air.borrow_and_update().clone();
        Self {
            id: format!("{:08x}", rand::random::<u32>()),
            entry,
            air,
            media,
            cuts,
            chosen: Chosen::default(),
            playing: None,
        }
    }

    /// The identifier the client presents.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Whether it is a session of this stream.
    pub(super) fn is_of(&self, entry: &Arc<Entry>) -> bool {
        Arc::ptr_eq(&self.entry, entry)
    }

    /// What is on air.
    pub(super) fn on_air(&self) -> Air {
        self.air.borrow().clone()
    }

    /// Whether it plays already.
    pub(super) fn is_playing(&self) -> bool {
        self.playing.is_some()
    }

    /// Starts to play.
    pub(super) fn play(&mut self, catalog: &Catalog, speed: Speed) -> Begin {
        let now = catalog.now();
        self.media = self.on_air().media;
        let (player, begin) = Player::start(&self.media, self.chosen, speed, now, catalog.clocks_set_at());
        self.playing = Some(Playing {
            player,
            wake: now,
            _counted: Counted::new(self.entry.clone()),
        });
        begin
    }

    /// Returns when what is on air has changed since it was last looked at.
    pub(super) async fn changed(&mut self) {
        let changed = self.air.changed().await;
        changed.expect("the session holds the entry, which holds the sender");
    }

    /// Appends what is due. `None` when the session was cut.
    pub(super) fn fill(&mut self, now: Timestamp, out: &mut BytesMut) -> Option<Next> {
        let air = self.air.borrow_and_update().clone();
        if air.cuts != self.cuts {
            return None;
        }
        let Some(playing) = &mut self.playing else {
            return Some(Next::At(Timestamp::MAX));
        };
        if !Arc::ptr_eq(&air.media, &self.media) {
            playing.player.succeed(&air.media.video);
            self.media = air.media;
        }
        let next = playing.player.fill(now, air.fault, out);
        if let Next::At(at) = next {
            playing.wake = at;
        }
        Some(next)
    }

    /// When something will be due.
    pub(super) fn wake(&self) -> Option<Timestamp> {
        self.playing.as_ref().map(|playing| playing.wake)
    }
}

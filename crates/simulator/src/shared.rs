//! The world behind its lock, and the performing of its effects.

use crate::alarm::Alarm;
use crate::hub::Hub;
use crate::video::Video;
use crate::world::{Effect, World};
use std::sync::{Mutex, PoisonError};
use tokio::sync::{Notify, mpsc};

/// What all tasks of a simulator hold on to.
#[derive(Debug)]
pub(crate) struct Shared {
    world: Mutex<World>,
    hub: Hub,
    reboot: Notify,
    video: Option<Video>,
    alarms: mpsc::Sender<Alarm>,
}

impl Shared {
    pub(crate) fn new(world: World, video: Option<Video>, alarms: mpsc::Sender<Alarm>) -> Self {
        Self {
            world: Mutex::new(world),
            hub: Hub::default(),
            reboot: Notify::new(),
            video,
            alarms,
        }
    }

    /// Looks at the world or changes it, and performs what follows from that before anyone else looks. The
    /// lock is held meanwhile, so effects happen in the order of their causes.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(video) = &self.video {
            world.played = video.played();
        }
        let value = act(&mut world);
        self.perform(&mut world);
        value
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// The video; none when streams are only handed out.
    pub(crate) fn video(&self) -> Option<&Video> {
        self.video.as_ref()
    }

    /// Waits until what is on air is what the world wants now.
    pub(crate) async fn settle(&self) {
        if let Some(video) = &self.video {
            video.settle().await;
        }
    }

    /// Completes when a reboot has begun.
    pub(crate) async fn reboot_begun(&self) {
        self.reboot.notified().await;
    }

    fn perform(&self, world: &mut World) {
        for effect in world.take_effects() {
            match effect {
                Effect::Streams => {
                    if let Some(video) = &self.video {
                        video.want(world.fleet.streams());
                    }
                }
                Effect::Login => {
                    if let Some(video) = &self.video {
                        let (username, password) = world.account.login();
                        video.set_login(username, password);
                    }
                }
                Effect::Reboot => {
                    if world.begin_reboot() {
                        self.hub.cut_all();
                        self.reboot.notify_one();
                    }
                }
                Effect::Event(event) => self.hub.tell(&event),
                Effect::Alarm(alarm) => {
                    if self.alarms.try_send(alarm).is_err() {
                        tracing::warn!("too many alarms are on their way: one is lost");
                    }
                }
                Effect::EndSubscription(id) => self.hub.end(id),
                Effect::CutEvents => self.hub.cut_all(),
            }
        }
    }
}

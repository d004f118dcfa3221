//! What is on air, at which path, and what is wrong with it.

use super::clock::WallClock;
use super::{StreamFault, StreamSpec};
use crate::media::{AudioLoop, Library, Loop};
use anyhow::{Context, ensure};
use jiff::Timestamp;
use secrecy::SecretString;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::watch;
use tokio::time::Instant;

/// The streams of a server, shared with whoever changes them. Changes reach running sessions at once.
pub struct Catalog {
    library: Library,
    clock: WallClock,
    state: Mutex<State>,
    open: watch::Sender<bool>,
}

struct State {
    login: Login,
    entries: BTreeMap<String, Arc<Entry>>,
}

/// Who may play the streams.
#[derive(Debug, Clone)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: SecretString,
}

/// One path.
#[derive(Debug)]
pub(super) struct Entry {
    query: Option<String>,
    air: watch::Sender<Air>,
    playing: AtomicUsize,
}

/// What is on air at a path.
#[derive(Debug, Clone)]
pub(super) struct Air {
    pub(super) media: Arc<Media>,
    pub(super) fault: Option<StreamFault>,
    /// Counts the times at which all sessions were cut: a session that began under another count ends.
    pub(super) cuts: u64,
}

/// A stream with its loops at hand.
#[derive(Debug)]
pub(super) struct Media {
    pub(super) spec: StreamSpec,
    pub(super) video: Arc<Loop>,
    pub(super) audio: Option<Arc<AudioLoop>>,
}

impl Catalog {
    /// An empty catalog whose streams only `user` may play. Cameras' clocks are set now: from here they
    /// drift.
    pub fn new(library: Library, user: &str, password: SecretString) -> Self {
        let user = user.to_owned();
        Self {
            library,
            clock: WallClock::new(),
            state: Mutex::new(State {
                login: Login { user, password },
                entries: BTreeMap::new(),
            }),
            open: watch::Sender::new(true),
        }
    }

    /// Puts a stream on air at `target`, the path and, if there is one, the query of the URL that is handed
    /// out: a request without that very query is answered 404. What was on air at the path ends. Takes as
    /// long as encoding the loop does when it is the first of its kind.
    ///
    /// # Errors
    /// When the spec is out of bounds, or ffmpeg is missing (the message says how to install it) or fails.
    pub async fn publish(&self, target: &str, spec: StreamSpec) -> anyhow::Result<()> {
        let (path, query) = split(target);
        ensure!(path.starts_with('/'), "`{target}` does not start with a slash");
        let media = self
            .load(spec)
            .await
            .with_context(|| format!("publishing {target}"))?;
        let air = Air {
            media,
            fault: None,
            cuts: 0,
        };
        let entry = Arc::new(Entry {
            query: query.map(str::to_owned),
            air: watch::Sender::new(air),
            playing: AtomicUsize::new(0),
        });
        if let Some(replaced) = self.state().entries.insert(path.to_owned(), entry) {
            replaced.cut();
        }
        Ok(())
    }

    /// Changes a stream. When only the picture changes and the codec stays, a live session goes on: from its
    /// next key frame on, with new parameter sets in band. Any other change cuts the sessions, as a camera's
    /// encoder does when it restarts.
    ///
    /// # Errors
    /// When nothing is on air at the path, and as [`Catalog::publish`].
    pub async fn set_spec(&self, target: &str, spec: StreamSpec) -> anyhow::Result<()> {
        let media = self
            .load(spec)
            .await
            .with_context(|| format!("changing {target}"))?;
        self.entry(target)?.air.send_modify(|air| {
            if !air.media.spec.continues_as(&media.spec) {
                air.cuts += 1;
            }
            air.media = media;
        });
        Ok(())
    }

    /// Takes a stream off the air; its sessions are cut. Nothing happens when there is none.
    pub fn withdraw(&self, target: &str) {
        let withdrawn = self.state().entries.remove(split(target).0);
        if let Some(entry) = withdrawn {
            entry.cut();
        }
    }

    /// Lets a stream suffer from a fault, or be well again.
    ///
    /// # Errors
    /// When nothing is on air at the path, or the fault is out of bounds.
    pub fn fault(&self, target: &str, fault: Option<StreamFault>) -> anyhow::Result<()> {
        if let Some(StreamFault::Stutter { loss }) = fault {
            ensure!(
                (0.0..=1.0).contains(&loss),
                "a loss of {loss} is not within 0 to 1"
            );
        }
        self.entry(target)?.air.send_modify(|air| {
            air.fault = fault;
            if fault == Some(StreamFault::Drop) {
                air.cuts += 1;
            }
        });
        Ok(())
    }

    /// How many sessions of a stream are playing; 0 when there is no such stream.
    pub fn sessions(&self, target: &str) -> usize {
        self.entry(target)
            .map_or(0, |entry| entry.playing.load(Ordering::Relaxed))
    }

    /// The paths of the streams that have a playing session.
    pub(crate) fn played(&self) -> BTreeSet<String> {
        let state = self.state();
        let playing = state
            .entries
            .iter()
            .filter(|(_path, entry)| entry.playing.load(Ordering::Relaxed) > 0);
        playing.map(|(path, _entry)| path.clone()).collect()
    }

    /// Cuts the sessions of a stream; clients may come back at once.
    ///
    /// # Errors
    /// When nothing is on air at the path.
    pub fn disconnect(&self, target: &str) -> anyhow::Result<()> {
        self.entry(target)?.cut();
        Ok(())
    }

    /// Cuts the sessions of all streams; clients may come back at once.
    pub fn disconnect_all(&self) {
        let entries: Vec<_> = self.state().entries.values().cloned().collect();
        for entry in entries {
            entry.cut();
        }
    }

    /// Switches the whole server: while it is off, every connection is cut, and new ones are closed as soon
    /// as they are made.
    pub fn set_accepting(&self, on: bool) {
        self.open.send_replace(on);
    }

    /// Changes who may play the streams. Running sessions go on.
    pub fn set_credentials(&self, user: &str, password: SecretString) {
        let user = user.to_owned();
        self.state().login = Login { user, password };
    }

    async fn load(&self, spec: StreamSpec) -> anyhow::Result<Arc<Media>> {
        spec.validate()?;
        let video = self.library.video(&spec.video).await?;
        let audio = match spec.audio {
            Some(codec) => Some(self.library.audio(codec).await?),
            None => None,
        };
        Ok(Arc::new(Media { spec, video, audio }))
    }

    fn entry(&self, target: &str) -> anyhow::Result<Arc<Entry>> {
        let path = split(target).0;
        let entry = self.state().entries.get(path).cloned();
        entry.with_context(|| format!("nothing is on air at {path}"))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing panics while holding the catalog")
    }

    /// The stream a client means by a path and a query.
    pub(super) fn find(&self, path: &str, query: Option<&str>) -> Option<Arc<Entry>> {
        let entry = self.state().entries.get(path).cloned()?;
        (entry.query.as_deref() == query).then_some(entry)
    }

    /// Who may play the streams now.
    pub(super) fn login(&self) -> Login {
        self.state().login.clone()
    }

    /// Whether connections are welcome, now and later.
    pub(super) fn open(&self) -> watch::Receiver<bool> {
        self.open.subscribe()
    }

    /// The true time.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// When it will be `at`.
    pub(super) fn instant_at(&self, at: Timestamp) -> Instant {
        self.clock.instant_at(at)
    }

    /// When the cameras' clocks were set.
    pub(super) fn clocks_set_at(&self) -> Timestamp {
        self.clock.made_at()
    }
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<String> = self.state().entries.keys().cloned().collect();
        f.debug_struct("Catalog")
            .field("paths", &paths)
            .finish_non_exhaustive()
    }
}

impl Entry {
    /// What is on air, now and later.
    pub(super) fn watch(&self) -> watch::Receiver<Air> {
        self.air.subscribe()
    }

    fn cut(&self) {
        self.air.send_modify(|air| air.cuts += 1);
    }
}

/// Counts a playing session for as long as it lives.
#[derive(Debug)]
pub(super) struct Counted(Arc<Entry>);

impl Counted {
    /// Counts a session of this entry.
    pub(super) fn new(entry: Arc<Entry>) -> Self {
        entry.playing.fetch_add(1, Ordering::Relaxed);
        Self(entry)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.playing.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A path and its query.
fn split(target: &str) -> (&str, Option<&str>) {
    match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    }
}

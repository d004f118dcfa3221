//! Keeps what is on air as the world wants it: observe, plan, apply.
//!
//! What is quick (an end, a fault) is applied within the world's lock, so that it has happened when an
//! operation returns. What may have to be encoded first is applied by one task, stream by stream.

use crate::fleet::{QUERY, Stream};
use crate::rtsp::{Catalog, StreamSpec};
use anyhow::anyhow;
use secrecy::SecretString;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The streams of a simulator: wanted, and on air.
#[derive(Debug)]
pub(crate) struct Video {
    catalog: Arc<Catalog>,
    aims: Mutex<Aims>,
    /// Counts the changes of what is wanted.
    wanted: watch::Sender<u64>,
    /// The change up to which everything is on air.
    settled: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Aims {
    wanted: BTreeMap<String, Stream>,
    on_air: BTreeMap<String, Stream>,
    /// What could not be put on air and is not tried again until something else is wanted at its path.
    broken: BTreeMap<String, Broken>,
}

#[derive(Debug)]
struct Broken {
    spec: StreamSpec,
    error: String,
}

/// A stream that is to be put on air or changed.
struct Job {
    path: String,
    spec: StreamSpec,
    is_on_air: bool,
}

impl Video {
    pub(crate) fn new(catalog: Arc<Catalog>) -> Self {
        Self {
            catalog,
            aims: Mutex::default(),
            wanted: watch::Sender::new(0),
            settled: watch::Sender::new(0),
        }
    }

    /// Another password for all streams.
    pub(crate) fn set_login(&self, username: &str, password: &str) {
        self.catalog
            .set_credentials(username, SecretString::from(password));
    }

    /// Wants these streams from now on: ends and faults at once, the rest when [`Video::keep`] gets to it.
    pub(crate) fn want(&self, wanted: BTreeMap<String, Stream>) {
        let mut aims = self.aims();
        if aims.wanted == wanted {
            return;
        }
        aims.on_air.retain(|path, _stream| {
            let stays = wanted.contains_key(path);
            if !stays {
                self.catalog.withdraw(path);
            }
            stays
        });
        for (path, stream) in &mut aims.on_air {
            let fault = wanted[path].fault;
            if stream.fault != fault && self.catalog.fault(path, fault).is_ok() {
                stream.fault = fault;
            }
        }
        aims.broken
            .retain(|path, broken| wanted.get(path).is_some_and(|stream| stream.spec == broken.spec));
        aims.wanted = wanted;
        self.wanted.send_modify(|change| *change += 1);
    }

    /// Puts on air what is wanted, for as long as it is polled.
    pub(crate) async fn keep(&self) {
        let mut wanted = self.wanted.subscribe();
        loop {
            let change = *wanted.borrow_and_update();
            while let Some(job) = self.next_job() {
                self.put_on_air(job).await;
            }
            self.settled.send_replace(change);
            if wanted.changed().await.is_err() {
                return;
            }
        }
    }

    /// Waits until everything wanted now is on air, or known to be impossible.
    pub(crate) async fn settle(&self) {
        let change = *self.wanted.borrow();
        let mut settled = self.settled.subscribe();
        settled
            .wait_for(|done| *done >= change)
            .await
            .expect("its sender is ours and lives as long as we do");
    }

    /// The paths of the streams that somebody plays now.
    pub(crate) fn played(&self) -> BTreeSet<String> {
        self.catalog.played()
    }

    /// What could not be put on air, by path.
    pub(crate) fn errors(&self) -> BTreeMap<String, String> {
        let aims = self.aims();
        let errors = aims.broken.iter();
        errors
            .map(|(path, broken)| (path.clone(), broken.error.clone()))
            .collect()
    }

    fn next_job(&self) -> Option<Job> {
        let aims = self.aims();
        let (path, stream) = aims.wanted.iter().find(|(path, stream)| {
            let on_air = aims.on_air.get(*path);
            on_air.is_none_or(|on_air| on_air.spec != stream.spec) && !aims.broken.contains_key(*path)
        })?;
        Some(Job {
            path: path.clone(),
            spec: stream.spec.clone(),
            is_on_air: aims.on_air.contains_key(path),
        })
    }

    async fn put_on_air(&self, job: Job) {
        let Job {
            path,
            spec,
            is_on_air,
        } = job;
        let target = format!("{path}?{QUERY}");
        let done = if is_on_air {
            self.catalog.set_spec(&target, spec.clone()).await
        } else {
            self.catalog.publish(&target, spec.clone()).await
        };
        let mut aims = self.aims();
        let Some(fault) = aims.wanted.get(&path).map(|stream| stream.fault) else {
            self.catalog.withdraw(&path);
            return;
        };
        let done = done.and_then(|()| self.catalog.fault(&path, fault));
        match done {
            Ok(()) => {
                aims.on_air.insert(path, Stream { spec, fault });
            }
            // It was taken off the air while it was to be changed: the next round publishes it.
            Err(_withdrawn) if is_on_air && !aims.on_air.contains_key(&path) => {}
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(path, error, "a stream cannot be put on air");
                aims.broken.insert(path, Broken { spec, error });
            }
        }
    }

    fn aims(&self) -> MutexGuard<'_, Aims> {
        self.aims.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first of some errors as one.
pub(crate) fn first_error(errors: BTreeMap<String, String>) -> anyhow::Result<()> {
    match errors.into_iter().next() {
        Some((_path, error)) => Err(anyhow!(error)),
        None => Ok(()),
    }
}

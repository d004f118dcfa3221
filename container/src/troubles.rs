//! What is wrong now, as the recorder's parts see it, and telling people what of it is news.

use domain::alert::{Severity, Trouble, Watch};
use domain::ports::Alerts;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// How often standing troubles are looked at when nothing changes: for reminders and undelivered alerts.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// The troubles that stand now, by subject.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    standing: Mutex<BTreeMap<String, Trouble>>,
    changed: Notify,
}

impl Troubles {
    /// Something is wrong, until [`Troubles::is_over`] names the same subject.
    pub(crate) fn stands(&self, subject: impl Into<String>, severity: Severity, text: impl Into<String>) {
        let subject = subject.into();
        let trouble = Trouble {
            subject: subject.clone(),
            severity,
            text: text.into(),
            patience_looks: 1,
        };
        self.lock().insert(subject, trouble);
        self.changed.notify_one();
    }

    /// It is right again; nothing happens if it was not wrong.
    pub(crate) fn is_over(&self, subject: &str) {
        if self.lock().remove(subject).is_some() {
            self.changed.notify_one();
        }
    }

    fn list(&self) -> Vec<Trouble> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Trouble>> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells people what is news, for ever; an alert that could not be delivered is tried again at a later look.
pub(crate) async fn tell<L: Alerts>(troubles: &Troubles, alerts: &L) -> Infallible {
    let mut watch = Watch::default();
    loop {
        watch = tell_news(troubles, alerts, &watch).await;
        // A timeout is only the time for the next look.
        let _ = tokio::time::timeout(LOOK_EVERY, troubles.changed.notified()).await;
    }
}

async fn tell_news<L: Alerts>(troubles: &Troubles, alerts: &L, before: &Watch) -> Watch {
    let now = Timestamp::now();
    let (after, news) = before.look(&troubles.list(), now);
    let mut watch = before.claim(&after, &news, now);
    for alert in &news {
        match alerts.send(alert).await {
            Ok(()) => watch.settle(before, &after, alert),
            Err(error) => tracing::warn!(
                subject = alert.subject,
                error = error.chain(),
                "alert not delivered"
            ),
        }
    }
    watch
}

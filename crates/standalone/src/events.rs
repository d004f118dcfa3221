//! The gateway's event stream on one machine: a task that never ends.

use domain::episode::AlarmPolicy;
use domain::ports::EpisodesTable;
use isapi::events::{Listener, NoStream, RETRY_MAX};
use tokio::time::sleep;

/// Follows the stream for ever. `look` is called when devices come or go, and when the stream begins, for what was
/// missed before; without `policy` alarms are left alone.
pub(crate) async fn follow_for_ever<T: EpisodesTable>(
    gateway: &isapi::Client,
    table: &T,
    policy: Option<&AlarmPolicy>,
    look: impl Fn(),
) {
    let mut listener = Listener::new(table, policy, look);
    let mut last_words = String::new();
    loop {
        let subscribe = async || gateway.subscribe().await.map_err(NoStream::from);
        let refused = listener.listen(subscribe, std::future::pending()).await;
        // The same complaint once: a gateway may have its alarm forwarding switched off for ever.
        let words = refused.unwrap_or_default();
        if words != last_words {
            tracing::info!(error = words, "no events from the gateway; polls go on without");
            last_words = words;
        }
        // A person who switches it on need not restart anything.
        sleep(RETRY_MAX).await;
    }
}

//! Where alerts go: to whoever the program names, and to the stack's topic where there is one.

use aws::sns::Topic;
use domain::Alert;
use domain::ports::{Alerts, PortError};

/// Two places, of which the second may be missing.
#[derive(Debug)]
pub(super) struct Outlet<L> {
    first: L,
    topic: Option<Topic>,
}

impl<L: Alerts> Outlet<L> {
    /// `first`, and the topic with this ARN.
    pub(super) async fn new(first: L, topic: Option<&str>) -> Self {
        let topic = match topic {
            None => None,
            Some(arn) => Some(Topic::new(&aws::config_from_env().await, arn)),
        };
        Self { first, topic }
    }
}

impl<L: Alerts> Alerts for Outlet<L> {
    async fn send(&self, alert: &Alert) -> Result<(), PortError> {
        self.first.send(alert).await?;
        match &self.topic {
            None => Ok(()),
            Some(topic) => topic.send(alert).await,
        }
    }
}

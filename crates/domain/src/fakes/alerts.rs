use super::Weather;
use crate::alert::Alert;
use crate::ports::{Alerts, PortError};
use std::sync::{Arc, Mutex, PoisonError};

/// Keeps what people would have been told. Clones share it.
#[derive(Debug, Clone)]
pub struct FakeAlerts {
    weather: Weather,
    told: Arc<Mutex<Vec<Alert>>>,
}

impl FakeAlerts {
    /// Nobody has been told anything.
    pub fn new(weather: Weather) -> Self {
        Self {
            weather,
            told: Arc::default(),
        }
    }

    /// Everything told so far.
    pub fn told(&self) -> Vec<Alert> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Alerts for FakeAlerts {
    async fn send(&self, alert: &Alert) -> Result<(), PortError> {
        let alert = alert.clone();
        let tell = || {
            self.told
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(alert);
        };
        self.weather.call("sending an alert", tell).await
    }
}

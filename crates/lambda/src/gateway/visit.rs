//! One invocation's visit to the gateway.

use super::{Door, Freshness, Key};
use domain::Device;
use domain::credentials::{self, Begun, Fate, Rejection, Try};
use domain::id::{ChannelKey, DeviceIndex};
use domain::ports::{ControlTable, Gateway, GatewayChannel, PortError};
use isapi::events::{EventError, NoStream, Subscription};
use isapi::{Client, IsapiError, Method, StreamType, Traffic};
use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

/// What fails when the password must not be tried.
const LOGGING_IN: &str = "logging in to the gateway";

/// One invocation's visit: it enters on its first call, and after `until` every call fails, so that what was learnt
/// before can still be written.
#[derive(Debug)]
pub struct Visit<'a, T> {
    door: &'a Door<T>,
    by: &'static str,
    now: Timestamp,
    until: Instant,
    entered: Mutex<Option<Entered>>,
    /// The try of the password that the visit began with, until its fate is known.
    tried: Mutex<Option<Try>>,
}

#[derive(Debug, Clone)]
struct Entered {
    key: Key,
    freshness: Freshness,
    /// What stood against the password before.
    rejection: Option<Rejection>,
}

impl<T: ControlTable> Door<T> {
    /// A visit of the program `by` at `now`, until `until`.
    pub fn visit(&self, by: &'static str, now: Timestamp, until: Instant) -> Visit<'_, T> {
        Visit {
            door: self,
            by,
            now,
            until,
            entered: Mutex::default(),
            tried: Mutex::default(),
        }
    }

    /// What the gateway was asked since this was last called.
    pub fn take_traffic(&self) -> Traffic {
        let key = self.warm().key.clone();
        key.map(|key| key.client.take_traffic()).unwrap_or_default()
    }
}

impl<T: ControlTable> Visit<'_, T> {
    /// Subscribes to the gateway's events. The stream outlives the visit.
    ///
    /// # Errors
    /// [`NoStream`].
    pub async fn subscribe(&self) -> Result<Subscription, NoStream> {
        // What is wrong with the password is for the visit to remember, the rest for who listens.
        let subscribe = |client: Client| async move {
            match client.subscribe().await {
                Err(EventError::Call(error)) => Err(error),
                answer => Ok(answer),
            }
        };
        let answer = self.ask("subscribing to the gateway's events", subscribe).await?;
        Ok(answer?)
    }

    /// The client, if its password may be tried.
    async fn enter(&self) -> Result<Entered, PortError> {
        let mut entered = self.entered.lock().await;
        if let Some(entered) = entered.as_ref() {
            return Ok(entered.clone());
        }
        let endpoint = self.door.endpoint().await?;
        let rejection = credentials::rejected(&self.door.table).await?;
        let forbidden = |version| {
            let rejection = rejection.as_ref();
            rejection.filter(|rejection| rejection.forbids(version, self.now))
        };
        let (mut password, mut freshness) = self.door.password().await?;
        // Who knows no version may have been refused with a newer one.
        let may_be_newer = rejection
            .as_ref()
            .is_some_and(|rejection| rejection.version.is_none());
        if (may_be_newer || forbidden(password.version).is_some()) && freshness == Freshness::Cached {
            password = self.door.read_password().await?;
            freshness = Freshness::Read;
        }
        if let Some(rejection) = forbidden(password.version) {
            return Err(PortError::refused(LOGGING_IN, self.not_tried(rejection)));
        }
        let key = self.door.key(&endpoint, &password)?;
        self.begin(key.version).await?;
        let now = Entered {
            key,
            freshness,
            rejection,
        };
        Ok(entered.insert(now).clone())
    }

    /// Counts a try of this version of the password, if the answer to no other is outstanding.
    async fn begin(&self, version: u64) -> Result<(), PortError> {
        match credentials::begin(&self.door.table, version, self.by, self.now).await? {
            Begun::Try(tried) => {
                *self.tried.lock().await = Some(tried);
                Ok(())
            }
            Begun::Wait(wait) => Err(PortError::throttled(LOGGING_IN, wait.to_string())),
        }
    }

    /// Tells everybody what came of the try, which the first answer shows.
    async fn settle<R>(
        &self,
        entered: &Entered,
        answer: &Result<Result<R, IsapiError>, PortError>,
    ) -> Result<(), PortError> {
        let Some(tried) = self.tried.lock().await.take() else {
            return Ok(());
        };
        let fate = match answer {
            Ok(Ok(_)) => Fate::Accepted,
            Ok(Err(IsapiError::CredentialsRejected { .. } | IsapiError::Locked { .. })) => Fate::Denied,
            Ok(Err(_)) | Err(_) if entered.key.client.take_login_untold() => Fate::Lost,
            Ok(Err(_)) | Err(_) => Fate::NotSent,
        };
        credentials::settle(&self.door.table, tried, fate).await?;
        let lifted = entered
            .rejection
            .as_ref()
            .filter(|rejection| fate == Fate::Accepted && rejection.is_lifted_by(entered.key.version));
        match lifted {
            Some(rejection) => credentials::accept(&self.door.table, rejection).await,
            None => Ok(()),
        }
    }

    fn not_tried(&self, rejection: &Rejection) -> String {
        let parameter = &self.door.options.login.gateway_password_parameter;
        match rejection.locked_until {
            Some(_) => format!("{rejection}; it is not tried before"),
            None => format!(
                "{rejection}; it is not tried again before the parameter `{parameter}` is written (with the right \
                 password; with the same one, if the gateway's was corrected)"
            ),
        }
    }

    /// Makes a call with the password as it is known, and once more if it is rejected and has changed meanwhile.
    async fn ask<R, C, F>(&self, doing: &str, call: C) -> Result<R, PortError>
    where
        C: Fn(Client) -> F,
        F: Future<Output = Result<R, IsapiError>>,
    {
        let mut entered = self.enter().await?;
        let mut answer = self.in_time(doing, call(entered.key.client.clone())).await;
        if let Ok(Err(IsapiError::CredentialsRejected { .. })) = &answer
            && let Some(changed) = self.changed(&entered).await?
        {
            entered = changed;
            answer = self.in_time(doing, call(entered.key.client.clone())).await;
        }
        if let Ok(Err(error)) = &answer {
            self.remember(error, entered.key.version).await?;
        }
        self.settle(&entered, &answer).await?;
        answer?.map_err(|error| error.into_port(doing))
    }

    /// With the password as it is now, if that is another one than `before`; it is read once in a visit.
    async fn changed(&self, before: &Entered) -> Result<Option<Entered>, PortError> {
        let mut entered = self.entered.lock().await;
        if let Some(now) = entered
            .as_ref()
            .filter(|now| now.key.version != before.key.version)
        {
            return Ok(Some(now.clone()));
        }
        if before.freshness == Freshness::Read {
            return Ok(None);
        }
        let password = self.door.read_password().await?;
        let key = self.door.key(&before.key.endpoint, &password)?;
        let is_another = key.version != before.key.version;
        if is_another {
            self.begin(key.version).await?;
        }
        let now = entered.insert(Entered {
            key,
            freshness: Freshness::Read,
            rejection: before.rejection.clone(),
        });
        Ok(is_another.then(|| now.clone()))
    }

    /// Remembers that our user and password were refused, if that is what the error says.
    async fn remember(&self, error: &IsapiError, version: u64) -> Result<(), PortError> {
        match error.rejection(self.by, Some(version), self.now) {
            Some(rejection) => credentials::reject(&self.door.table, &rejection).await,
            None => Ok(()),
        }
    }

    async fn in_time<R>(&self, doing: &str, call: impl Future<Output = R>) -> Result<R, PortError> {
        let answer = timeout_at(self.until, call).await;
        answer.map_err(|elapsed| PortError::unknown(doing, elapsed))
    }
}

impl<T: ControlTable> Gateway for Visit<'_, T> {
    async fn devices(&self) -> Result<Vec<Device>, PortError> {
        let list = |client: Client| async move { client.devices().await };
        self.ask("listing the gateway's devices", list).await
    }

    async fn channels(&self, device: &DeviceIndex) -> Result<Vec<GatewayChannel>, PortError> {
        let doing = format!("listing the channels of {device}");
        let list = |client: Client| async move { client.channels(device).await };
        self.ask(&doing, list).await
    }

    async fn live_url(&self, key: &ChannelKey) -> Result<String, PortError> {
        let doing = format!("asking for the live URL of {key}");
        let preview =
            |client: Client| async move { client.stream_url(key, StreamType::Main, Method::Preview).await };
        self.ask(&doing, preview).await
    }
}

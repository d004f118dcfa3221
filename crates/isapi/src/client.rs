//! The client: cheap to clone, one set of credentials, one challenge, one bound on calls at once.

use crate::auth::Authenticator;
use crate::call::Call;
use crate::config::{Config, ConfigError, StreamHost};
use crate::error::IsapiError;
use crate::lists::{CHANNELS_MAX, DeviceListing, InconsistentList};
use crate::parse::{self, Malformed};
use crate::recordings::search_id;
use crate::tls::client_config;
use crate::traffic::{Tally, Traffic};
use domain::Device;
use domain::id::DeviceIndex;
use domain::ports::GatewayChannel;
use reqwest::Url;
use reqwest::redirect::Policy;
use secrecy::SecretString;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// How long an idle connection is kept. Embedded web servers drop theirs after some 30 to 60 s; reusing one in
/// that very moment would fail a call.
const IDLE_MAX: Duration = Duration::from_secs(15);

/// A gateway's HTTP API. Clones share credentials, connections and limits.
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) http: reqwest::Client,
    pub(crate) base_url: Url,
    pub(crate) authenticator: Authenticator,
    pub(crate) permits: Semaphore,
    pub(crate) concurrency_max: u32,
    pub(crate) request_timeout: Duration,
    pub(crate) body_max_bytes: usize,
    pub(crate) event_silence_max: Duration,
    pub(crate) stream_host: StreamHost,
    pub(crate) tally: Tally,
    devices_per_page: u32,
}

impl Client {
    /// A client of one gateway. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ConfigError`] when the configuration contradicts itself or TLS cannot be set up.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        let https = config.base_url.scheme() == "https";
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(client_config(&config.tls, https)?)
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(config.connect_timeout)
            .pool_idle_timeout(IDLE_MAX)
            .build()?;
        Ok(Self {
            inner: Arc::new(Inner {
                http,
                base_url: config.base_url,
                authenticator: Authenticator::new(config.username, config.password),
                permits: Semaphore::new(config.concurrency_max as usize),
                concurrency_max: config.concurrency_max,
                request_timeout: config.request_timeout,
                body_max_bytes: config.body_max_bytes,
                event_silence_max: config.event_silence_max,
                stream_host: config.stream_host,
                tally: Tally::default(),
                devices_per_page: config.devices_per_page,
            }),
        })
    }

    /// Uses these credentials from now on, and forgets what the gateway thought of the former ones.
    pub fn set_credentials(&self, username: impl Into<String>, password: SecretString) {
        self.inner
            .authenticator
            .set_credentials(username.into(), password);
    }

    /// What the gateway said of the credentials when it refused them; every call fails with it until they are changed, or
    /// the lock is over.
    pub fn refusal(&self) -> Option<IsapiError> {
        self.inner.authenticator.refusal()
    }

    /// Whether the gateway was given anything to judge the credentials by.
    pub(crate) fn has_answered(&self) -> bool {
        self.inner.authenticator.has_answered()
    }

    /// Whether, since this was last called, the password was sent and the answer to it never came: the gateway may have
    /// counted a wrong one.
    pub fn take_login_untold(&self) -> bool {
        self.inner.authenticator.take_untold()
    }

    /// What was asked of the gateway since this was last called, by all clones.
    pub fn take_traffic(&self) -> Traffic {
        self.inner.tally.take()
    }

    /// Every device the gateway knows, from one consistent reading of all pages, in the gateway's order.
    ///
    /// # Errors
    /// [`IsapiError::Inconsistent`] when the pages are short, change or repeat themselves; else what any call
    /// may fail with.
    pub async fn devices(&self) -> Result<Vec<Device>, IsapiError> {
        let search_id = search_id();
        let page_size = self.inner.devices_per_page;
        let mut listing = DeviceListing::new(page_size);
        loop {
            let call = Call::post("/ISAPI/ContentMgmt/DeviceMgmt/deviceList").json(&json!({
                "SearchDescription": {
                    // Some builds refuse a search without an id, others one whose filter has no protocols.
                    "searchID": search_id,
                    "position": listing.position(),
                    "maxResult": page_size,
                    "Filter": {
                        "key": "",
                        "devType": "",
                        "protocolType": ["ehome", "ehomeV5", "ISAPI"],
                        "devStatus": ["online", "offline", "sleep"],
                    },
                }
            }));
            let page = self.read(&call, parse::device_page).await?;
            if listing.add(page).map_err(|source| call.inconsistent(source))? {
                return Ok(listing.into_devices());
            }
        }
    }

    /// The video inputs of a device, in the gateway's order.
    ///
    /// # Errors
    /// [`IsapiError::NoSuchDevice`] when it was deleted meanwhile; [`IsapiError::Inconsistent`] when an id is
    /// listed twice; else what any call may fail with.
    pub async fn channels(&self, device: &DeviceIndex) -> Result<Vec<GatewayChannel>, IsapiError> {
        let call = Call::get("/ISAPI/ContentMgmt/DeviceMgmt/channelInfo").device(device);
        let channels = self.read(&call, parse::channels).await?;
        check_channels(&channels).map_err(|source| call.inconsistent(source))?;
        Ok(channels)
    }

    /// Makes a call and reads its answer with a parser.
    pub(crate) async fn read<T>(
        &self,
        call: &Call,
        parser: impl FnOnce(&Value) -> Result<T, Malformed>,
    ) -> Result<T, IsapiError> {
        let answer = self.inner.call(call).await?;
        parser(&answer).map_err(|source| call.malformed(source))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base_url", &self.inner.base_url.as_str())
            .finish_non_exhaustive()
    }
}

fn check_channels(channels: &[GatewayChannel]) -> Result<(), InconsistentList> {
    if channels.len() > CHANNELS_MAX {
        return Err(InconsistentList::BeyondBound {
            count: channels.len() as u64,
            max: CHANNELS_MAX as u64,
        });
    }
    let mut seen = BTreeSet::new();
    match channels.iter().find(|channel| !seen.insert(&channel.id)) {
        Some(repeated) => Err(InconsistentList::Repeated(repeated.id.to_string())),
        None => Ok(()),
    }
}

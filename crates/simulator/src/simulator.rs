use crate::alarm;
use crate::control::{self, Control};
use crate::listener::Listener;
use crate::requests::RequestCounts;
use crate::scenario::{Moment, Scenario};
use crate::shared::Shared;
use crate::tls::{self, Certificate};
use crate::world::World;
use anyhow::ensure;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// The port of RTSP (RFC 2326 section 3.2).
const RTSP_PORT: u16 = 554;

/// A running simulated gateway. Dropping it ends everything it serves; [`Simulator::shutdown`] also waits for
/// that.
#[derive(Debug)]
pub struct Simulator {
    control: Control,
    api: SocketAddr,
    rtsp: SocketAddr,
    control_address: SocketAddr,
    certificate: Option<Certificate>,
    username: String,
    initial_password: String,
    tasks: JoinSet<()>,
}

impl Simulator {
    /// Starts a gateway and its timeline; it listens when this returns. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the scenario contradicts itself, an address is taken, or there is no ffmpeg to encode video with.
    pub async fn start(scenario: Scenario) -> anyhow::Result<Self> {
        scenario.validate()?;
        ensure!(scenario.api_only, "this build serves no video: start it api_only");
        let gateway = &scenario.gateway;
        let api = Listener::bind(gateway.listen)?;
        let endpoint = Listener::bind(gateway.control_listen)?;
        let rtsp = unserved(gateway.rtsp_listen);
        let (certificate, tls) = gateway.tls.then(tls::self_signed).transpose()?.unzip();
        let world = World::new(&scenario, api.address(), rtsp);
        let (alarms, on_their_way) = mpsc::channel(alarm::QUEUE_MAX);
        let shared = Arc::new(Shared::new(world, alarms));
        let control = Control::new(Arc::clone(&shared));
        let mut simulator = Self {
            control: control.clone(),
            api: api.address(),
            rtsp,
            control_address: endpoint.address(),
            certificate,
            username: gateway.username.clone(),
            initial_password: gateway.password.clone(),
            tasks: JoinSet::new(),
        };
        let reboot = Duration::from_secs_f64(gateway.reboot_seconds);
        simulator.keep("api", api.serve_api(shared, tls, reboot));
        simulator.keep(
            "control endpoint",
            endpoint.serve(control::router(control.clone())),
        );
        simulator.tasks.spawn(alarm::send_all(on_their_way));
        simulator.tasks.spawn(timeline(scenario.timeline, control));
        Ok(simulator)
    }

    /// The base URL of the API, without a slash at its end.
    pub fn api_url(&self) -> String {
        let scheme = if self.certificate.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.api)
    }

    /// Where RTSP is served; with `api_only`, where it is not.
    pub fn rtsp_addr(&self) -> SocketAddr {
        self.rtsp
    }

    /// The base URL of the control endpoint, without a slash at its end.
    pub fn control_url(&self) -> String {
        format!("http://{}", self.control_address)
    }

    /// The only user's name.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// That user's password at the start.
    pub fn password(&self) -> &str {
        &self.initial_password
    }

    /// The self-signed certificate; none without TLS.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }

    /// A handle that changes the gateway while it runs.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// What has reached the API so far.
    pub fn requests(&self) -> RequestCounts {
        self.control.requests()
    }

    /// Ends everything and waits until all ports are closed.
    pub async fn shutdown(mut self) {
        self.tasks.shutdown().await;
    }

    fn keep(
        &mut self,
        what: &'static str,
        serving: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.tasks.spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(
                    what,
                    error = format!("{error:#}"),
                    "the simulator stopped serving"
                );
            }
        });
    }
}

/// The RTSP address of a gateway that serves none: the documented port stands for "any free one".
fn unserved(listen: SocketAddr) -> SocketAddr {
    let port = if listen.port() == 0 {
        RTSP_PORT
    } else {
        listen.port()
    };
    SocketAddr::new(listen.ip(), port)
}

/// Carries out the operations of a scenario, each at its second.
async fn timeline(mut moments: Vec<Moment>, control: Control) {
    moments.sort_by(|a, b| a.at_seconds.total_cmp(&b.at_seconds));
    let start = Instant::now();
    for moment in moments {
        tokio::time::sleep_until(start + Duration::from_secs_f64(moment.at_seconds)).await;
        let operation = moment.operation.name();
        match control.apply(moment.operation) {
            Ok(()) => tracing::info!(at_seconds = moment.at_seconds, operation, "timeline"),
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(
                    at_seconds = moment.at_seconds,
                    operation,
                    error,
                    "the timeline asks for the impossible"
                );
            }
        }
    }
}

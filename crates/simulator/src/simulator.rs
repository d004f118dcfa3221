use crate::alarm;
use crate::control::{self, Control};
use crate::listener::{Doors, Listener, Rtsp};
use crate::media::Library;
use crate::requests::RequestCounts;
use crate::rtsp::Catalog;
use crate::scenario::{Moment, Password, Scenario};
use crate::shared::Shared;
use crate::tls::{self, Certificate};
use crate::video::{Video, first_error};
use crate::world::World;
use anyhow::Context;
use secrecy::SecretString;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

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
    initial_password: Password,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Simulator {
    /// Starts a gateway and its timeline; it listens when this returns. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the scenario contradicts itself, an address is taken, or there is no ffmpeg to encode video with.
    pub async fn start(scenario: Scenario) -> anyhow::Result<Self> {
        scenario.validate()?;
        let gateway = &scenario.gateway;
        let api = Listener::bind(gateway.listen)?;
        let endpoint = Listener::bind(gateway.control_listen)?;
        let (certificate, tls) = gateway.tls.then(tls::self_signed).transpose()?.unzip();
        let (video, rtsp) = open_video(&scenario)?.unzip();
        let rtsp_address = rtsp
            .as_ref()
            .map_or_else(|| unserved(gateway.rtsp_listen), Rtsp::address);
        let world = World::new(&scenario, api.address(), rtsp_address);
        let (alarms, on_their_way) = mpsc::channel(alarm::QUEUE_MAX);
        let shared = Arc::new(Shared::new(world, video, alarms));
        let control = Control::new(Arc::clone(&shared));
        let mut simulator = Self {
            control: control.clone(),
            api: api.address(),
            rtsp: rtsp_address,
            control_address: endpoint.address(),
            certificate,
            username: gateway.username.clone(),
            initial_password: gateway.password.clone(),
            stop: CancellationToken::new(),
            tasks: JoinSet::new(),
        };
        simulator.put_on_air(&shared).await?;
        let doors = Doors {
            api,
            tls,
            rtsp,
            reboot: Duration::from_secs_f64(gateway.reboot_seconds),
        };
        let stop = simulator.stop.clone();
        simulator.serve("api", doors.serve(shared, stop.clone()));
        simulator.serve(
            "control endpoint",
            endpoint.serve(control::router(control.clone()), stop),
        );
        simulator.run(alarm::send_all(on_their_way));
        simulator.run(timeline(scenario.timeline, control));
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
        self.initial_password.as_str()
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
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }

    /// Encodes and publishes the scenario's streams, and keeps them as the world wants them from now on.
    async fn put_on_air(&mut self, shared: &Arc<Shared>) -> anyhow::Result<()> {
        // The world was made with the wish for its streams: looking at it performs that.
        shared.with(|_world| ());
        if let Some(video) = shared.video() {
            let keeper = Arc::clone(shared);
            self.run(async move {
                if let Some(video) = keeper.video() {
                    video.keep().await;
                }
            });
            video.settle().await;
            first_error(video.errors()).context("putting the scenario's streams on air")?;
        }
        Ok(())
    }

    fn serve(
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

    fn run(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            stop.run_until_cancelled(work).await;
        });
    }
}

/// The video of a gateway and the port it is served on; none when streams are only handed out.
fn open_video(scenario: &Scenario) -> anyhow::Result<Option<(Video, Rtsp)>> {
    if scenario.api_only {
        return Ok(None);
    }
    let gateway = &scenario.gateway;
    let library = Library::new(scenario.video_cache.clone());
    let password = SecretString::from(gateway.password.as_str());
    let catalog = Arc::new(Catalog::new(library, &gateway.username, password));
    let rtsp = Rtsp::start(gateway.rtsp_listen, Arc::clone(&catalog))?;
    Ok(Some((Video::new(catalog), rtsp)))
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

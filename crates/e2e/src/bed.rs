//! What the deployment stands on: a Docker engine, the emulator, the wire between, and a gateway with video.

use crate::api::{Aws, OWNER, REGION};
use crate::deployment::CLUSTER_ARN;
use crate::proxy::Proxy;
use crate::script::{self, Script};
use anyhow::{Context, bail};
use rand::distr::{Alphanumeric, SampleString};
use simulator::scenario::{ChannelSpec, DeviceSpec, Password, generated_index};
use simulator::{Scenario, Simulator};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What programs need of the environment.
const KEPT: [&str; 4] = ["PATH", "HOME", "TMPDIR", "LANG"];

/// The emulator is up in a second on an idle machine.
const EMULATOR_TRIES: u32 = 120;

/// Fields drop in this order: the emulator stops its containers while the engine is still there.
pub(crate) struct Bed {
    pub(crate) simulator: Simulator,
    /// The gateway's password, of this run only, so that finding it anywhere means something.
    pub(crate) password: String,
    pub(crate) proxy: Proxy,
    pub(crate) aws: Aws,
    _emulator: Script,
    pub(crate) docker: Docker,
    /// The checkout.
    pub(crate) root: PathBuf,
    /// Logs of everything, kept after the run.
    pub(crate) logs: PathBuf,
}

/// A Docker engine. When this is dropped, it removes what this run left in it.
#[derive(Debug)]
pub(crate) struct Docker {
    /// None for the engine `docker` finds by itself.
    address: Option<String>,
    /// The host's address in its containers' network.
    pub(crate) bridge: IpAddr,
    /// Names given to images.
    tags: Mutex<Vec<String>>,
    /// An engine of this run's own ends with it.
    _engine: Option<Script>,
}

impl Bed {
    /// Starts everything, with its logs in `logs`.
    pub(crate) async fn start(root: &Path, logs: &Path) -> anyhow::Result<Self> {
        let docker = Docker::start(root, logs)
            .await
            .context("starting a Docker engine")?;
        let password = format!("e2e-{}", Alphanumeric.sample_string(&mut rand::rng(), 24));
        let simulator = gateway(root, docker.bridge, &password)
            .await
            .context("starting the gateway")?;
        let (emulator, aws) = emulator(root, logs, &docker)
            .await
            .context("starting the emulator")?;
        let port = url::Url::parse(aws.endpoint())?
            .port()
            .context("the emulator has a port")?;
        let proxy = Proxy::start(SocketAddr::new(docker.bridge, port), aws.endpoint()).await?;
        Ok(Self {
            simulator,
            password,
            proxy,
            aws,
            _emulator: emulator,
            docker,
            root: root.to_owned(),
            logs: logs.to_owned(),
        })
    }
}

/// Three cameras, one of them a recorder with two inputs; their video is encoded once for all runs.
async fn gateway(root: &Path, address: IpAddr, password: &str) -> anyhow::Result<Simulator> {
    let devices = [(1, 1), (2, 2), (3, 1)].map(|(number, channels)| camera(number, channels));
    let mut scenario = Scenario::with_devices(devices);
    scenario.gateway.listen = SocketAddr::new(address, 0);
    scenario.gateway.rtsp_listen = SocketAddr::new(address, 0);
    scenario.gateway.password = Password::from(password);
    scenario.video_cache = Some(root.join(".cache/video"));
    Simulator::start(scenario).await
}

/// A device that differs from the others in number only.
pub(crate) fn camera(number: u32, channels: u32) -> DeviceSpec {
    DeviceSpec {
        channels: (1..=channels).map(ChannelSpec::new).collect(),
        ..DeviceSpec::camera(generated_index(number), format!("Camera {number}"))
    }
}

async fn emulator(root: &Path, logs: &Path, docker: &Docker) -> anyhow::Result<(Script, Aws)> {
    let port = free_port(docker.bridge)?;
    let mut command = Command::new(root.join("scripts/ministack.sh"));
    command.arg("deploy").arg(port.to_string());
    // MiniStack hands its environment on to the functions: nothing of this machine's may be in it.
    command.env_clear();
    command.envs(std::env::vars_os().filter(|(name, _)| KEPT.iter().any(|kept| name == kept)));
    // Functions and containers call the proxy. AUTH holds every call of theirs to the template's policies.
    command.env("AWS_ENDPOINT_URL", format!("http://{}:{port}", docker.bridge));
    command.env("AUTH", "true");
    if let Some(address) = &docker.address {
        command.env("DOCKER_HOST", address);
    }
    command.env("MINISTACK_REGION", REGION);
    command
        .env("AWS_ACCESS_KEY_ID", OWNER)
        .env("AWS_SECRET_ACCESS_KEY", OWNER);
    let mut script = Script::start(command, &logs.join("ministack.log"))?;
    let aws = Aws::new(format!("http://127.0.0.1:{port}"))?;
    for _ in 0..EMULATOR_TRIES {
        if aws
            .json(crate::api::ECS, "ListClusters", &serde_json::json!({}))
            .await
            .is_ok()
        {
            return Ok((script, aws));
        }
        if !script.runs() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    bail!("it does not answer; see {}", logs.join("ministack.log").display());
}

/// A port that is free on both sides of the proxy.
fn free_port(bridge: IpAddr) -> anyhow::Result<u16> {
    for _ in 0..100 {
        let here = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
        let port = here.local_addr()?.port();
        if TcpListener::bind((bridge, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port is free on 127.0.0.1 and on {bridge}");
}

impl Docker {
    /// The engine that is there, or one of our own.
    async fn start(root: &Path, logs: &Path) -> anyhow::Result<Self> {
        let mut docker = Self {
            address: std::env::var("DOCKER_HOST").ok(),
            bridge: Ipv4Addr::UNSPECIFIED.into(),
            tags: Mutex::new(Vec::new()),
            _engine: None,
        };
        if docker.run(&["version"]).await.is_err() {
            let mut command = Command::new(root.join("scripts/engine.sh"));
            command.arg("run");
            let (script, address) = Script::start_for_line(command, &logs.join("engine.log"))?;
            docker.address = Some(address);
            docker._engine = Some(script);
        }
        let gateway = "{{(index .IPAM.Config 0).Gateway}}";
        let bridge = docker
            .run(&["network", "inspect", "bridge", "--format", gateway])
            .await?;
        docker.bridge = bridge
            .parse()
            .with_context(|| format!("`{bridge}` is no address"))?;
        Ok(docker)
    }

    /// Runs `docker`, and answers what it prints.
    pub(crate) async fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = self.command();
        command.args(arguments);
        script::output(command).await
    }

    /// Gives an image a name for the time of this run.
    pub(crate) async fn tag(&self, image: &str, name: &str) -> anyhow::Result<()> {
        self.run(&["tag", image, name]).await?;
        let mut tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        tags.push(name.to_owned());
        Ok(())
    }

    fn command(&self) -> Command {
        let mut command = Command::new("docker");
        if let Some(address) = &self.address {
            command.arg("--host").arg(address);
        }
        command
    }

    /// The container of a task, while it runs.
    pub(crate) async fn container(&self, task_arn: &str) -> anyhow::Result<String> {
        let label = format!("label=com.amazonaws.ecs.task-arn={task_arn}");
        let id = self
            .run(&["ps", "--quiet", "--no-trunc", "--filter", &label])
            .await?;
        anyhow::ensure!(!id.is_empty(), "{task_arn} has no container");
        Ok(id)
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let cluster = format!("label=com.amazonaws.ecs.cluster={CLUSTER_ARN}");
        let left = self
            .command()
            .args(["ps", "--all", "--quiet", "--filter", &cluster])
            .output();
        let left = left.map(|left| String::from_utf8_lossy(&left.stdout).into_owned());
        let containers = left.unwrap_or_default();
        let tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody is left to be told of a failure; what stays is small and named.
        if !containers.trim().is_empty() {
            let _done = self
                .command()
                .args(["rm", "--force"])
                .args(containers.lines())
                .output();
        }
        if !tags.is_empty() {
            let _done = self.command().arg("rmi").args(tags.iter()).output();
        }
    }
}

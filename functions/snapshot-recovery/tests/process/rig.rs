//! A stack with machines: each has a network of its own on the loopback device, so that the private address of its
//! first instance, and the public one, are those of a simulated gateway.

use aws::ec2::{Endpoints, Machines, Scheme};
use aws::harness::{Emulator, Site, create_site};
use domain::InstanceId;
use domain::ports::{
    Connect, ControlTable, Credential, GatewayAdmin, Instances, LogIn, Moved, NewInstance, PublicAddress,
    Put, Source,
};
use domain::recover::{MEMORY, Memory, ROLE, Role};
use isapi::{Config, Connector};
use jiff::Timestamp;
use lambda::harness::{Cloud, Function};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use simulator::{Scenario, Simulator};
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::{TcpListener, TcpStream};

/// The password of the base image, and the one gateways shall have.
pub(crate) const INITIAL: &str = "initial-password";
pub(crate) const WANTED: &str = "wanted-password";

/// The emulator's first private address in a network, and its public one there.
const FIRST: u8 = 4;
const PUBLIC: u8 = 200;

/// The memory of setup, as far as a test lets time pass in it.
const SETUP: &str = "setup";

pub(crate) struct Rig {
    cloud: Cloud,
    site: Site,
    machines: Machines,
    gateway: Simulator,
    port: u16,
}

impl Rig {
    /// A stack without a gateway. Where its first instance will be, a simulated one with this password is ready.
    pub(crate) async fn start(network: [u8; 3], password: &str) -> Self {
        let [a, b, c] = network;
        let private = Ipv4Addr::new(a, b, c, FIRST);
        let mut scenario = Scenario::generated(2, 1).api_only();
        scenario.gateway.password = password.into();
        scenario.gateway.listen = SocketAddr::from((private, 0));
        scenario.gateway.reboot_seconds = 0.2;
        let gateway = Box::pin(Simulator::start(scenario)).await.unwrap();
        let port = gateway.api_url().rsplit(':').next().unwrap().parse().unwrap();
        let public = SocketAddr::from((Ipv4Addr::new(a, b, c, PUBLIC), port));
        forward(public, SocketAddr::from((private, port))).await;

        let cloud = Box::pin(Cloud::start()).await;
        cloud.put_password(WANTED).await;
        cloud.put_secret(&initial(&cloud), INITIAL).await;
        let endpoints = Endpoints {
            scheme: Scheme::Http,
            port: Some(port),
        };
        let sdk = Emulator::moto().sdk_config();
        let site = Box::pin(create_site(&sdk, &cloud.stack, network, endpoints)).await;
        Self {
            machines: Machines::new(&sdk, site.config.clone()),
            cloud,
            site,
            gateway,
            port,
        }
    }

    /// Its gateway.
    pub(crate) fn gateway(&self) -> &Simulator {
        &self.gateway
    }

    /// The function, with these variables before its usual ones.
    pub(crate) async fn recovery(&self, more: &[(&'static str, &str)]) -> Function {
        let recovery = self.site.config.recovery.as_ref().unwrap();
        let mut environment = self.cloud.environment();
        environment.extend([
            ("AWS_ENDPOINT_URL_EC2", Emulator::moto().endpoint().to_owned()),
            ("MILLRACE_GATEWAY_PASSWORD_PARAMETER", self.cloud.parameter()),
            (
                "MILLRACE_GATEWAY_INITIAL_PASSWORD_PARAMETER",
                initial(&self.cloud),
            ),
            (
                "MILLRACE_GATEWAY_LAUNCH_TEMPLATE",
                recovery.launch_template.clone(),
            ),
            ("MILLRACE_GATEWAY_ADDRESS", recovery.address.to_string()),
            (
                "MILLRACE_GATEWAY_DRILL_SECURITY_GROUP",
                recovery.drill_security_group.clone(),
            ),
            ("MILLRACE_GATEWAY_SCHEME", "http".to_owned()),
            ("MILLRACE_GATEWAY_PORT", self.port.to_string()),
            ("MILLRACE_GATEWAY_NAME", "Millrace".to_owned()),
        ]);
        environment.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        Function::start(env!("CARGO_BIN_EXE_snapshot-recovery"), &environment).await
    }

    /// One invocation's wide event.
    pub(crate) async fn round(&self, recovery: &Function) -> Value {
        let event = json!({"detail-type": "Scheduled Event"});
        recovery.report(event, "recover").await.pop().unwrap()
    }

    /// A control item.
    pub(crate) async fn read<V: DeserializeOwned>(&self, name: &str) -> Option<V> {
        let item = self.cloud.tables.get_control(name).await.unwrap()?;
        Some(serde_json::from_value(item.value).unwrap())
    }

    /// Writes a control item over the one there is.
    pub(crate) async fn write(&self, name: &str, value: &impl Serialize) {
        let version = self.cloud.tables.get_control(name).await.unwrap();
        let version = version.map(|item| item.version);
        let value = serde_json::to_value(value).unwrap();
        let put = self.cloud.tables.put_control(name, &value, version).await;
        assert_eq!(put.unwrap(), Put::Written);
    }

    /// Makes the first instance the gateway, to be looked over at the next round.
    pub(crate) async fn take_office(&self) {
        let new = NewInstance {
            token: "gateway-by-the-test-1".into(),
            source: Source::Base,
            like: None,
            isolated: false,
        };
        let instance_id = self.machines.launch_instance(&new).await.unwrap();
        let moved = self.machines.move_address(&instance_id, None).await;
        assert_eq!(moved.unwrap(), Moved::Moved);
        let endpoint = self.gateway.api_url();
        self.write(
            ROLE,
            &Role {
                instance_id,
                endpoint,
            },
        )
        .await;
        let to_be_looked_over = Memory {
            setup_pending: true,
            ..Memory::default()
        };
        self.write(MEMORY, &to_be_looked_over).await;
    }

    /// Lets setup believe that the time of every restart it waits for is over. Where another invocation writes
    /// meanwhile, the next call does.
    pub(crate) async fn let_restarts_be_over(&self) {
        let Some(mut item) = self.cloud.tables.get_control(SETUP).await.unwrap() else {
            return;
        };
        let before = item.value.clone();
        for tries in item.value.as_object_mut().unwrap().values_mut() {
            if tries["restart"]["until"].is_string() {
                tries["restart"]["until"] = json!(Timestamp::now());
            }
        }
        if item.value != before {
            let put = self
                .cloud
                .tables
                .put_control(SETUP, &item.value, Some(item.version));
            let _ = put.await.unwrap();
        }
    }

    /// Every instance of the stack.
    pub(crate) async fn instances(&self) -> Vec<InstanceId> {
        let instances = self.machines.list_instances().await.unwrap();
        instances.into_iter().map(|instance| instance.id).collect()
    }

    /// Who has the public address.
    pub(crate) async fn holder(&self) -> Option<InstanceId> {
        let address = self.machines.find_address().await.unwrap();
        address.holder().cloned()
    }

    /// Whether the gateway has this password.
    pub(crate) async fn logs_in_with(&self, password: &str) -> bool {
        let url = self.gateway.api_url();
        let config = Config::new(url.parse().unwrap(), self.gateway.username(), password.into());
        let admin = Connector::new(config, None).connect(&url).unwrap();
        matches!(
            admin.log_in(Credential::Wanted).await.unwrap(),
            LogIn::Accepted(_)
        )
    }
}

fn initial(cloud: &Cloud) -> String {
    format!("/{}/initial-password", cloud.stack)
}

/// What a public address does, for as long as the test lives.
async fn forward(from: SocketAddr, to: SocketAddr) {
    let listener = TcpListener::bind(from).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                if let Ok(mut gateway) = TcpStream::connect(to).await {
                    // Whoever hangs up first, the other hears of it.
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut gateway).await;
                }
            });
        }
    });
}

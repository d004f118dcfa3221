//! A stack with machines: each has a network of its own on the loopback device, so that the private address of its
//! first instance, and the public one, are those of a simulated gateway.

use crate::door::Door;
use crate::stack;
use aws::ec2::{Endpoints, Machines, Scheme};
use aws::harness::{Emulator, Site, create_site};
use domain::InstanceId;
use domain::ports::{
    Connect, ControlTable, Credential, GatewayAdmin, Instances, LogIn, Moved, NewInstance, PublicAddress,
    Put, Source,
};
use domain::recover::{MEMORY, Memory, ROLE, Role};
use isapi::{Config, Connector};
use lambda::harness::{Cloud, Function};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use simulator::{Scenario, Simulator};
use std::net::{Ipv4Addr, SocketAddr};

/// The emulator's first private address in a network, and its public one there.
const FIRST: u8 = 4;
const PUBLIC: u8 = 200;

pub(crate) struct Rig {
    cloud: Cloud,
    site: Site,
    machines: Machines,
    gateway: Simulator,
    _public: Door,
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
        let private = SocketAddr::from((private, port));
        let public = Door::open(public, move || async move { Some(private) }).await;

        let cloud = Box::pin(stack::start()).await;
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
            _public: public,
        }
    }

    /// Its gateway.
    pub(crate) fn gateway(&self) -> &Simulator {
        &self.gateway
    }

    /// The stack.
    pub(crate) fn cloud(&self) -> &Cloud {
        &self.cloud
    }

    /// The function, with these variables before its usual ones.
    pub(crate) async fn recovery(&self, more: &[(&'static str, &str)]) -> Function {
        let mut environment = stack::environment(&self.cloud, &self.site.config);
        environment.push(("AWS_ENDPOINT_URL_EC2", Emulator::moto().endpoint().to_owned()));
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

//! A gateway in office that stays silent, on an emulated machine: each step of the ladder, as time passes in its
//! memory.

use crate::rig::check;
use aws::ec2::{Endpoints, Machines, Scheme};
use aws::harness::{Emulator, create_site};
use domain::InstanceState;
use domain::ladder::{MEMORY, Memory};
use domain::ports::{ControlTable, Instances, NewInstance, Put, Source};
use domain::recover::{REQUEST, ROLE, Request, Role};
use jiff::{SignedDuration, Timestamp};
use lambda::harness::{Cloud, Function};
use serde::Serialize;
use serde::de::DeserializeOwned;

struct Rig {
    cloud: Cloud,
    machines: Machines,
    checker: Function,
}

impl Rig {
    /// A gateway in office on an emulated machine; nobody answers at its endpoint.
    async fn silent() -> Self {
        let cloud = Box::pin(Cloud::start()).await;
        cloud.put_password("any").await;
        let moto = Emulator::moto();
        let endpoints = Endpoints {
            scheme: Scheme::Http,
            port: None,
        };
        let sdk = moto.sdk_config();
        let site = Box::pin(create_site(&sdk, &cloud.stack, [10, 62, 1], endpoints)).await;
        let machines = Machines::new(&sdk, site.config);
        let new = NewInstance {
            token: "gateway-by-the-test-1".into(),
            source: Source::Base,
            like: None,
            isolated: false,
        };
        let role = Role {
            instance_id: Box::pin(machines.launch_instance(&new)).await.unwrap(),
            endpoint: "http://127.0.0.1:9".into(),
        };
        let mut environment = cloud.environment();
        environment.extend([
            ("AWS_ENDPOINT_URL_EC2", moto.endpoint().to_owned()),
            ("MILLRACE_GATEWAY_PASSWORD_PARAMETER", cloud.parameter()),
        ]);
        let rig = Self {
            checker: Function::start(env!("CARGO_BIN_EXE_health-check"), &environment).await,
            cloud,
            machines,
        };
        rig.write(ROLE, &role, None).await;
        rig
    }

    async fn read<V: DeserializeOwned>(&self, name: &str) -> Option<(V, u64)> {
        let item = self.cloud.tables.get_control(name).await.unwrap()?;
        Some((serde_json::from_value(item.value).unwrap(), item.version))
    }

    async fn write(&self, name: &str, value: &impl Serialize, version: Option<u64>) {
        let value = serde_json::to_value(value).unwrap();
        let put = self.cloud.tables.put_control(name, &value, version).await;
        assert_eq!(put.unwrap(), Put::Written);
    }

    /// Moves all that the ladder remembers so far back.
    async fn pass(&self, minutes: i64) {
        let (mut memory, version) = self.read::<Memory>(MEMORY).await.unwrap();
        let earlier = |at: &mut Timestamp| *at -= SignedDuration::from_mins(minutes);
        memory.ill_since.iter_mut().for_each(earlier);
        memory.looked_at.iter_mut().for_each(earlier);
        memory
            .tried
            .iter_mut()
            .map(|tried| &mut tried.at)
            .for_each(earlier);
        self.write(MEMORY, &memory, Some(version)).await;
    }

    /// What one check does, and the step it begins, so many minutes after the one before.
    async fn after(&self, minutes: i64) -> (Option<String>, f64) {
        self.pass(minutes).await;
        let event = check(&self.checker).await;
        let action = event["report"]["gateway"]["action"].as_str();
        (action.map(str::to_owned), event["RepairStep"].as_f64().unwrap())
    }

    async fn instance(&self) -> InstanceState {
        self.machines.list_instances().await.unwrap()[0].state
    }
}

fn act(action: &str, step: f64) -> (Option<String>, f64) {
    (Some(action.to_owned()), step)
}

const NOTHING: (Option<String>, f64) = (None, 0.0);

#[tokio::test]
async fn a_silent_gateway_in_office_is_restarted_rebooted_stopped_started_and_then_replaced() {
    let rig = Rig::silent().await;
    check(&rig.checker).await;
    assert_eq!(rig.after(1).await, NOTHING, "two looks are no proof");
    assert_eq!(rig.after(1).await, act("restart", 1.0));
    assert_eq!(
        rig.after(1).await,
        act("reboot", 2.0),
        "the restart could not be had"
    );
    assert_eq!(rig.after(1).await, NOTHING, "the reboot has time to help");
    assert_eq!(rig.after(8).await, act("stop", 3.0));
    assert_eq!(rig.instance().await, InstanceState::Stopped);
    assert_eq!(rig.after(1).await, act("start", 0.0), "the same step");
    assert_eq!(rig.instance().await, InstanceState::Running);
    assert!(rig.read::<Request>(REQUEST).await.is_none());
    assert_eq!(rig.after(15).await, act("replace", 4.0));
    let (request, _) = rig.read::<Request>(REQUEST).await.unwrap();
    assert!(!request.drill);
    assert!(Timestamp::now().duration_since(request.since) > SignedDuration::from_mins(25));
    let told = rig.checker.alerts();
    let steps = told.iter().filter(|alert| alert.contains(": the gateway is ill"));
    assert_eq!(steps.count(), 4, "a message a step: {told:?}");
}

//! A stack with everything the function needs, and the function's process, which can be killed at any change it makes.

use super::room::Room;
use super::wire::Wire;
use crate::door::Door;
use crate::stack::{self, INITIAL, SETUP, WANTED};
use aws::ec2::{Endpoints, Machines, Scheme};
use aws::harness::{Emulator, create_site};
use domain::ports::{AddressLook, ControlItem, ControlTable, Images, Instances, PublicAddress, Put};
use domain::recover::{self, Memory, Role, Step};
use domain::{Image, Instance, InstanceId, InstanceState};
use jiff::{SignedDuration, Timestamp};
use lambda::harness::{Cloud, Function};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Any network of this machine's own, so that private addresses lead somewhere.
const NETWORK: [u8; 3] = [127, 77, 1];

/// During a replacement every invocation is killed at its first change, whatever it is.
const CUT_IN_SAGA: u32 = 1;

/// Without one they are killed after so many changes, one after the other: deleting an image takes more than one. 0
/// lives.
const CUTS_BETWEEN: [u32; 6] = [1, 2, 3, 5, 8, 0];

/// Setup counts a try of a password before it makes it, so every death in between costs one, and a gateway that may
/// have refused three is left alone; a fresh one takes two.
const DEATHS_IN_SETUP_MAX: u32 = 1;

/// For one stage of a gateway's life, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) struct World {
    pub(crate) cloud: Cloud,
    pub(crate) room: Arc<Room>,
    pub(crate) machines: Machines,
    pub(crate) client: aws_sdk_ec2::Client,
    /// The steps of replacements and drills at which the function died, and how often.
    pub(crate) deaths: BTreeMap<Step, u32>,
    /// The log of the last invocation that lived.
    last_words: String,
    environment: Vec<(&'static str, String)>,
    wire: Wire,
    _address: Door,
    _follower: JoinSet<()>,
}

impl World {
    pub(crate) async fn start() -> Self {
        let cloud = Box::pin(stack::start()).await;
        let moto = Emulator::moto();
        let endpoints = Endpoints {
            scheme: Scheme::Http,
            port: Some(free_port()),
        };
        let site = create_site(&moto.sdk_config(), &cloud.stack, NETWORK, endpoints).await;
        let (client, machines) = (
            site.client.clone(),
            Machines::new(&moto.sdk_config(), site.config.clone()),
        );
        let wire = Wire::default();
        let ministack = Emulator::ministack().endpoint();
        let mut environment = stack::environment(&cloud, &site.config);
        environment.extend([
            ("AWS_ENDPOINT_URL_DYNAMODB", wire.lead_to(ministack).await),
            ("AWS_ENDPOINT_URL_EC2", wire.lead_to(moto.endpoint()).await),
            ("MILLRACE_IMAGES_MAX", "2".to_owned()),
            ("MILLRACE_IMAGES_MIN", "1".to_owned()),
            ("MILLRACE_QUARANTINE_HOURS", "0".to_owned()),
        ]);
        let room = Room::new(site, machines.clone());
        let address = room.open_address().await;
        let mut follower = JoinSet::new();
        let followed = Arc::clone(&room);
        follower.spawn(async move {
            loop {
                followed.follow().await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        let world = Self {
            cloud,
            room,
            machines,
            client,
            deaths: BTreeMap::new(),
            last_words: String::new(),
            environment,
            wire,
            _address: address,
            _follower: follower,
        };
        world.let_it_be_empty().await;
        world
    }

    /// Invokes the function, killing it on the way, until `done`.
    pub(crate) async fn live_until(&mut self, what: &str, done: impl AsyncFn(&Self) -> bool) {
        let started = tokio::time::Instant::now();
        let mut between = CUTS_BETWEEN.iter().cycle();
        while started.elapsed() < PATIENCE {
            let cut = match self.memory().await.saga {
                Some(_) => CUT_IN_SAGA,
                None => *between.next().expect("it goes round"),
            };
            self.invoke(Value::Null, cut).await;
            self.check().await;
            let put = stack::let_restarts_be_over(&self.cloud).await;
            assert_ne!(put, Some(Put::Stale), "nobody else writes");
            if done(self).await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let (memory, log) = (self.memory().await, &self.last_words);
        let setup = self.control(SETUP).await;
        panic!("not in time: {what}; remembered is {memory:#?}, {setup:#?}; the function says {log}");
    }

    /// Invokes a new process of the function and kills it after so many changes; 0: never.
    pub(crate) async fn invoke(&mut self, event: Value, changes: u32) {
        let in_setup = self.deaths.get(&Step::Prove).copied().unwrap_or_default();
        self.wire.cut_after(changes, in_setup >= DEATHS_IN_SETUP_MAX);
        let binary = env!("CARGO_BIN_EXE_snapshot-recovery");
        let function = Function::start(binary, &self.environment).await;
        let died = tokio::select! {
            answer = function.invoke(event) => {
                answer.expect("an invocation that lives succeeds");
                false
            }
            () = self.wire.is_cut() => true,
        };
        let log = function.log();
        assert!(
            !log.contains(WANTED) && !log.contains(INITIAL),
            "a password is in the log"
        );
        drop(function);
        if !died {
            self.last_words = log;
        } else if let Some(saga) = self.memory().await.saga {
            *self.deaths.entry(saga.step).or_default() += 1;
        }
    }

    /// What holds at any time: who is announced runs, and who has the address runs too.
    async fn check(&self) {
        let instances = self.instances().await;
        let runs = |id: &InstanceId| {
            let instance = instances.iter().find(|instance| instance.id == *id);
            instance.is_some_and(|instance| instance.state == InstanceState::Running)
        };
        if let Some(role) = self.role().await {
            assert!(runs(&role.instance_id), "the gateway was ended: {role:?}");
        }
        if let Some(holder) = self.address().await.holder() {
            assert!(runs(holder), "{holder} has the address and was ended");
        }
    }

    /// There has been no gateway for long enough to be sure of it.
    async fn let_it_be_empty(&self) {
        let memory = Memory {
            astray_since: Some(Timestamp::now() - SignedDuration::from_mins(2)),
            ..Memory::default()
        };
        let memory = serde_json::to_value(memory).expect("it is JSON");
        let put = self.cloud.tables.put_control(recover::MEMORY, &memory, None);
        assert_eq!(put.await.expect("the emulator answers"), Put::Written);
    }

    async fn control(&self, name: &str) -> Option<ControlItem> {
        let item = self.cloud.tables.get_control(name).await;
        item.expect("the emulator answers")
    }

    pub(crate) async fn memory(&self) -> Memory {
        let item = self.control(recover::MEMORY).await;
        item.map_or_else(Memory::default, |item| {
            serde_json::from_value(item.value).expect("it is what the function remembers")
        })
    }

    pub(crate) async fn role(&self) -> Option<Role> {
        Role::load(&self.cloud.tables)
            .await
            .expect("the emulator answers")
    }

    /// Who is announced, has the address, and is nobody's matter any more.
    pub(crate) async fn settled(&self) -> Option<InstanceId> {
        let role = self.role().await?.instance_id;
        let holds = self.address().await.holder() == Some(&role);
        (holds && self.memory().await.saga.is_none()).then_some(role)
    }

    pub(crate) async fn instances(&self) -> Vec<Instance> {
        self.machines
            .list_instances()
            .await
            .expect("the emulator answers")
    }

    pub(crate) async fn state(&self, id: &InstanceId) -> Option<InstanceState> {
        let instances = self.instances().await;
        let instance = instances.into_iter().find(|instance| instance.id == *id);
        instance.map(|instance| instance.state)
    }

    pub(crate) async fn images(&self) -> Vec<Image> {
        self.machines.list_images().await.expect("the emulator answers")
    }

    /// How many copies of disks there are.
    pub(crate) async fn snapshots(&self) -> usize {
        let answer = self.client.describe_snapshots().owner_ids("self").send().await;
        let answer = answer.expect("the emulator answers");
        let of_stack = answer.snapshots().iter().filter(|snapshot| {
            let stack = snapshot
                .tags()
                .iter()
                .find(|tag| tag.key() == Some("millrace:stack"));
            stack.and_then(|tag| tag.value()) == Some(&self.cloud.stack)
        });
        of_stack.count()
    }

    pub(crate) async fn address(&self) -> AddressLook {
        self.machines.find_address().await.expect("the emulator answers")
    }
}

/// Free on all addresses, as far as anybody can tell.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}

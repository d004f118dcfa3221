//! Poll and dispatch against the simulated gateway over real HTTP, time as an argument: what the gateway says or
//! fails to say, and what becomes of the channels and their recorders.

use domain::dispatch::{DispatchPolicy, dispatch};
use domain::fakes::{FakeAlerts, FakeTables, FakeTasks, Weather};
use domain::poll::{PollPolicy, Report, poll};
use domain::ports::TasksTable;
use domain::task::{Assignment, Heartbeat};
use domain::{ChannelKey, Severity};
use futures::future::join_all;
use isapi::{Client, Config, IsapiError};
use jiff::{SignedDuration, Timestamp};
use simulator::scenario::{ChannelSpec, DeviceSpec, DeviceStatus};
use simulator::{ApiFault, ListFault, Operation, Scenario, Simulator};

struct World {
    simulator: Simulator,
    gateway: Client,
    tables: FakeTables,
    tasks: FakeTasks,
    alerts: FakeAlerts,
    now: Timestamp,
}

const POLL_INTERVAL: SignedDuration = SignedDuration::from_mins(1);

impl World {
    async fn start(scenario: Scenario) -> Self {
        let simulator = Simulator::start(scenario.api_only()).await.unwrap();
        let url = simulator.api_url().parse().unwrap();
        let gateway = Client::new(Config::new(
            url,
            simulator.username(),
            simulator.password().to_owned().into(),
        ))
        .unwrap();
        let weather = Weather::calm();
        Self {
            simulator,
            gateway,
            tables: FakeTables::new(weather.clone()),
            tasks: FakeTasks::new(weather.clone()),
            alerts: FakeAlerts::new(weather),
            now: Timestamp::now(),
        }
    }

    fn apply(&self, operation: Operation) {
        self.simulator.control().apply(operation).unwrap();
    }

    /// A minute passes: a poll, a dispatch, and every recorder reports.
    async fn minute(&mut self) -> Report {
        self.now = self.now.checked_add(POLL_INTERVAL).unwrap();
        self.tasks.set_now(self.now);
        let report = poll(
            &PollPolicy::default(),
            &self.gateway,
            &self.tables,
            &self.alerts,
            self.now,
        )
        .await;
        dispatch(
            &DispatchPolicy {
                channels_per_task: 1,
                ..DispatchPolicy::default()
            },
            &self.tables,
            &self.tasks,
            &self.alerts,
            self.now,
        )
        .await;
        for row in self.tables.assignments() {
            self.report(&row.assignment, None).await;
        }
        report
    }

    async fn report(&self, assignment: &Assignment, last_error: Option<String>) {
        let Assignment {
            key,
            task,
            generation,
            ..
        } = assignment;
        let heartbeat = Heartbeat {
            heartbeat_at: Some(self.now),
            last_segment_at: Some(self.now),
            last_error,
            ..Heartbeat::default()
        };
        _ = self
            .tables
            .heartbeat(key, task.as_ref().unwrap(), *generation, &heartbeat)
            .await
            .unwrap();
    }

    fn known(&self) -> Vec<ChannelKey> {
        self.tables.channels().into_iter().map(|row| row.key).collect()
    }

    fn told(&self) -> Vec<Severity> {
        self.alerts
            .told()
            .into_iter()
            .map(|alert| alert.severity)
            .collect()
    }
}

fn four_cameras() -> Scenario {
    let camera = |index: &str| DeviceSpec {
        channels: vec![ChannelSpec::new(1)],
        ..DeviceSpec::camera(index, format!("camera {index}"))
    };
    Scenario::with_devices(["A", "B", "C", "D"].map(camera))
}

fn set(device: &str, status: DeviceStatus) -> Operation {
    Operation::SetStatus {
        device: device.to_owned(),
        status,
        hint: Some(3),
    }
}

#[tokio::test]
async fn a_flap_of_one_poll_does_not_stop_the_recorder() {
    let mut world = World::start(four_cameras()).await;
    world.minute().await;
    let tasks = world.tasks.truth();
    world.apply(Operation::Flap {
        device: "A".to_owned(),
        lists: 1,
    });
    for _ in 0..20 {
        world.minute().await;
        assert_eq!(world.tasks.truth(), tasks);
    }
    assert_eq!(world.known().len(), 4);
}

#[tokio::test]
async fn an_offline_device_goes_after_its_grace_and_its_recorder_is_stopped() {
    let mut world = World::start(four_cameras()).await;
    world.minute().await;
    world.apply(set("A", DeviceStatus::Offline));
    let key = ChannelKey::new("A", "1");
    let mut minutes = 0;
    while world.known().contains(&key) {
        world.minute().await;
        minutes += 1;
        assert!(minutes < 20);
    }
    assert_eq!(
        SignedDuration::from_mins(minutes - 1),
        PollPolicy::default().offline_grace
    );
    world.minute().await;
    assert_eq!(world.tasks.truth().len(), 3);
    world.apply(set("A", DeviceStatus::Online));
    world.minute().await;
    assert!(
        world.known().contains(&key),
        "and comes back when it is online again"
    );
}

#[tokio::test]
async fn a_deleted_device_goes_and_a_new_one_comes() {
    let mut world = World::start(four_cameras()).await;
    world.minute().await;
    world.apply(Operation::RemoveDevice {
        device: "B".to_owned(),
    });
    let device = DeviceSpec {
        channels: [1, 2, 5].map(ChannelSpec::new).to_vec(),
        ..DeviceSpec::camera("NVR", "запис")
    };
    world.apply(Operation::AddDevice { device });
    for _ in 0..10 {
        world.minute().await;
    }
    let known: Vec<_> = world.known().iter().map(ToString::to_string).collect();
    assert_eq!(known, ["A/1", "C/1", "D/1", "NVR/1", "NVR/2", "NVR/5"]);
    assert_eq!(world.tasks.truth().len(), 6);
}

#[tokio::test]
async fn no_answer_that_cannot_be_believed_removes_anything_and_each_is_told_once() {
    let faults = [
        ApiFault::Status { code: 500 },
        ApiFault::Garbage,
        ApiFault::TruncatedJson,
        ApiFault::DeviceBusy,
        ApiFault::InvalidContent,
        ApiFault::Reset,
        ApiFault::List {
            shape: ListFault::EmptyWithTotal,
        },
        ApiFault::List {
            shape: ListFault::EndsEarly { position: 2 },
        },
        ApiFault::List {
            shape: ListFault::WrongCount,
        },
    ];
    join_all(faults.map(|fault| async move {
        let mut world = World::start(four_cameras()).await;
        world.minute().await;
        let (tasks, channels) = (world.tasks.truth(), world.tables.channels());
        world.apply(Operation::ApiFault {
            fault: fault.clone(),
            path: Some("deviceList".to_owned()),
            calls: None,
        });
        for _ in 0..20 {
            let report = world.minute().await;
            assert!(report.failure.is_some(), "{fault:?}");
            assert_eq!(world.tables.channels(), channels, "{fault:?}");
            assert_eq!(world.tasks.truth(), tasks, "{fault:?}");
        }
        assert_eq!(world.told(), [Severity::Critical], "{fault:?}");
        world.apply(Operation::ClearApiFaults);
        assert_eq!(world.minute().await.failure, None, "{fault:?}");
        assert_eq!(
            world.told(),
            [Severity::Critical, Severity::Resolved],
            "{fault:?}"
        );
    }))
    .await;
}

#[tokio::test]
async fn a_changed_password_is_tried_once_removes_nothing_and_is_told_once() {
    let mut world = World::start(four_cameras()).await;
    world.minute().await;
    world.apply(Operation::SetPassword {
        password: "another".to_owned(),
    });
    for _ in 0..20 {
        assert!(world.minute().await.failure.unwrap().contains("password"));
    }
    assert_eq!((world.known().len(), world.tasks.truth().len()), (4, 4));
    assert_eq!(world.told(), [Severity::Critical]);
    world
        .gateway
        .set_credentials(world.simulator.username(), "another".to_owned().into());
    assert!(
        !matches!(world.gateway.check_login().await, Err(IsapiError::Locked { .. })),
        "the account must not be locked"
    );
    assert_eq!(world.minute().await.failure, None);
}

#[tokio::test]
async fn an_empty_gateway_is_held_until_a_person_says_that_it_is_right() {
    let mut world = World::start(four_cameras()).await;
    world.minute().await;
    for device in ["A", "B", "C", "D"] {
        world.apply(Operation::RemoveDevice {
            device: device.to_owned(),
        });
    }
    for _ in 0..30 {
        world.minute().await;
    }
    assert_eq!((world.known().len(), world.tasks.truth().len()), (4, 4));
    assert_eq!(world.told(), [Severity::Critical]);
    let policy = PollPolicy {
        accept_removals: true,
        ..PollPolicy::default()
    };
    let report = poll(&policy, &world.gateway, &world.tables, &world.alerts, world.now).await;
    assert_eq!(report.removed, 4);
}

#[tokio::test]
async fn a_moved_stream_is_found_at_the_first_poll_after_its_recorder_complained() {
    let mut world = World::start(four_cameras()).await;
    world.minute().await;
    let before = world.tables.assignments();
    world.apply(Operation::MoveStream {
        device: "A".to_owned(),
        channel: 1.into(),
    });
    world.report(&before[0].assignment, Some("404".to_owned())).await;
    world.minute().await;
    let after = world.tables.assignments();
    assert_ne!(after[0].assignment.media_url, before[0].assignment.media_url);
    assert_eq!(
        after[0].assignment.generation, before[0].assignment.generation,
        "the recorder goes on"
    );
    assert_eq!(
        after[1..],
        before[1..]
            .iter()
            .cloned()
            .map(|row| domain::AssignmentRow {
                heartbeat: after[1].heartbeat.clone(),
                ..row
            })
            .collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_poll_of_an_unchanged_thousand_costs_ten_requests_and_no_write() {
    let mut world = World::start(Scenario::generated(1000, 1)).await;
    for _ in 0..11 {
        world.minute().await;
    }
    assert_eq!(world.known().len(), 1000);
    let (requests, writes) = (world.simulator.requests(), world.tables.writes());
    let report = poll(
        &PollPolicy::default(),
        &world.gateway,
        &world.tables,
        &world.alerts,
        world.now,
    )
    .await;
    assert_eq!((report.devices, report.failure), (1000, None));
    assert_eq!(world.simulator.requests().total() - requests.total(), 10);
    assert_eq!(world.tables.writes(), writes);
}

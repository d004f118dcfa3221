//! The backfill as its schedule starts it on ECS: nothing but an environment, tables in DynamoDB, the archive on S3, and
//! a gateway whose camera keeps its own footage.

#![cfg(feature = "aws")]

use crate::bed::{eventually, far_future};
use crate::cloud::Cloud;
use crate::footage::footage;
use crate::process::{Process, ends, terminate};
use domain::backfill::{BackfillPolicy, MEMORY};
use domain::credentials::{self, Rejection};
use domain::fakes::rows;
use domain::ports::{Archive, ChannelsTable, ControlTable, GapsTable, Gateway, Put, TasksTable};
use domain::{Assignment, ChannelKey, ChannelRow, Gap, GapCause, Generation, RecordingSettings, SegmentKey};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use simulator::media::LoopSpec;
use simulator::rtsp::StreamFault;
use simulator::scenario::{ChannelSpec, DeviceSpec};
use simulator::{Operation, Scenario, Simulator};
use std::num::NonZeroU32;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::sleep;

const RECORDER: &str = "arn:aws:ecs:us-east-1:111122223333:task/cell/recorder";
const BACKFILL: &str = "arn:aws:ecs:us-east-1:111122223333:task/cell/backfill";
const SEARCH: &str = "POST /ISAPI/ContentMgmt/search";

/// A gateway with one camera, and the stack that records it.
struct Stack {
    simulator: Simulator,
    cloud: Cloud,
    dir: TempDir,
}

fn key() -> ChannelKey {
    ChannelKey::new("SD", "1")
}

fn settings() -> RecordingSettings {
    RecordingSettings {
        segment_seconds: NonZeroU32::new(3).unwrap(),
        backfill: true,
        ..RecordingSettings::default()
    }
}

impl Stack {
    async fn start() -> Self {
        let camera = DeviceSpec {
            recorded_hours: 1,
            ..DeviceSpec::camera("SD", "SD").with_channels([ChannelSpec::new(1)])
        };
        let stack = Self {
            simulator: Simulator::start(Scenario::with_devices([camera])).await.unwrap(),
            cloud: Cloud::start().await,
            dir: TempDir::new().unwrap(),
        };
        let row = ChannelRow {
            settings: settings(),
            ..rows::channel(key(), Timestamp::now() - SignedDuration::from_mins(30))
        };
        let put = stack.cloud.tables.put_channel(&row, None).await;
        assert_eq!(put.unwrap(), Put::Written);
        stack
    }

    fn client(&self) -> isapi::Client {
        let (url, username) = (
            self.simulator.api_url().parse().unwrap(),
            self.simulator.username(),
        );
        let config = isapi::Config::new(url, username, self.simulator.password().into());
        isapi::Client::new(config).unwrap()
    }

    /// The recorder's program with nothing but an environment, which writes its log to a file of this name.
    fn program(&self, name: &str, log: &str) -> Command {
        let log = std::fs::File::create(self.dir.path().join(log)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace-recorder"));
        command
            .env_clear()
            .envs(self.cloud.environment())
            .env("MILLRACE_TASK_ARN", name)
            .env("MILLRACE_SPOOL", self.dir.path().join(name.replace('/', "-")))
            .env("MILLRACE_GATEWAY_USERNAME", self.simulator.username())
            .env("MILLRACE_GATEWAY_PASSWORD", self.simulator.password())
            .env("MILLRACE_LOG", "info")
            .env("MILLRACE_LOG_FORMAT", "json")
            .stderr(Stdio::from(log));
        command
    }

    fn begin_backfill(&self, password: &str) -> Process {
        let mut command = self.program(BACKFILL, "backfill.log");
        command
            .arg("backfill")
            .env("MILLRACE_GATEWAY_ENDPOINT", self.simulator.api_url())
            .env("MILLRACE_GATEWAY_PASSWORD", password)
            .env("MILLRACE_BACKFILL_AFTER", "2s");
        Process(command.spawn().unwrap())
    }

    /// Runs a backfill to its end: whether all went well, and its log.
    async fn backfill(&self, password: &str) -> (bool, String) {
        let status = ends(self.begin_backfill(password)).await;
        let log = std::fs::read_to_string(self.dir.path().join("backfill.log")).unwrap();
        assert!(!log.contains(password), "the password is in the log: {log}");
        (status.success(), log)
    }

    async fn segments(&self) -> Vec<SegmentKey> {
        let (archive, key) = (self.cloud.archive(), key());
        let all = archive.list_segments(&key, Timestamp::UNIX_EPOCH, far_future());
        all.await.unwrap()
    }

    fn cut(&self, fault: Option<StreamFault>) {
        let operation = Operation::StreamFault {
            device: "SD".to_owned(),
            channel: None,
            fault,
        };
        self.simulator.control().apply(operation).unwrap();
    }

    /// Records the camera and cuts it off for ten seconds in between.
    async fn record_with_a_hole(&self) {
        let assignment = Assignment {
            media_url: self.client().live_url(&key()).await.unwrap(),
            settings: settings(),
            ..rows::assignment(key(), RECORDER, Timestamp::now())
        };
        let put = self.cloud.tables.put_assignment(&assignment, None).await;
        assert_eq!(put.unwrap(), Put::Written);
        let mut command = self.program(RECORDER, "recorder.log");
        let recorder = Process(command.env("MILLRACE_PULL_INTERVAL", "1s").spawn().unwrap());
        eventually("there is video", async || self.segments().await.len() >= 2).await;
        self.cut(Some(StreamFault::Drop));
        sleep(Duration::from_secs(10)).await;
        self.cut(None);
        let before = self.segments().await.len();
        eventually("there is video again", async || {
            self.segments().await.len() >= before + 2
        })
        .await;
        terminate(&recorder);
        assert!(ends(recorder).await.success());
        sleep(Duration::from_secs(2)).await;
    }

    async fn another_works(&self, works: bool) {
        let until = Timestamp::now() + SignedDuration::from_mins(10);
        let lease = works.then(|| json!({"holder": "another", "until": until}));
        let memory = json!({"lease": lease});
        let item = self.cloud.tables.get_control(MEMORY).await.unwrap();
        let version = item.map(|item| item.version);
        let put = self.cloud.tables.put_control(MEMORY, &memory, version);
        assert_eq!(put.await.unwrap(), Put::Written);
    }

    async fn ends_when_told_and_shortens_its_lease(&self) {
        let backfill = self.begin_backfill(self.simulator.password());
        eventually("footage is asked for", async || self.searches() > 0).await;
        terminate(&backfill);
        assert!(ends(backfill).await.success());
        let memory = self.cloud.tables.get_control(MEMORY).await.unwrap().unwrap();
        let until: Timestamp = memory.value["lease"]["until"].as_str().unwrap().parse().unwrap();
        let reserve = BackfillPolicy::default().lease_reserve;
        assert!(until <= Timestamp::now() + reserve, "{memory:?}");
    }

    fn searches(&self) -> u64 {
        self.simulator.requests().of(SEARCH)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_of_its_own_fills_a_hole_with_each_frame_once_unless_another_is_at_it() {
    let stack = Stack::start().await;
    stack.record_with_a_hole().await;
    let live = stack.segments().await;

    stack.another_works(true).await;
    let (well, log) = stack.backfill(stack.simulator.password()).await;
    assert!(well && log.contains("filled by somebody else"), "{log}");
    assert_eq!(stack.searches(), 0, "the other has the lease");

    stack.another_works(false).await;
    stack.ends_when_told_and_shortens_its_lease().await;
    let (well, log) = stack.backfill(stack.simulator.password()).await;
    assert!(well && log.contains("backfilled"), "{log}");
    let (all, downloads) = (stack.segments().await, stack.dir.path().join("downloads"));
    let of_the_device: Vec<_> = all
        .iter()
        .filter(|one| one.generation == Generation::BACKFILL)
        .collect();
    let filled: SignedDuration = of_the_device.iter().map(|one| one.duration).sum();
    assert!(
        filled >= SignedDuration::from_secs(8),
        "only {filled:#} of 10 s\n{log}"
    );
    assert_eq!(
        all.len(),
        live.len() + of_the_device.len(),
        "what was there is there"
    );
    each_frame_once(&stack, &all, &downloads).await;

    let searches = stack.searches();
    let (well, log) = stack.backfill(stack.simulator.password()).await;
    assert!(well, "{log}");
    assert_eq!(
        stack.searches(),
        searches,
        "what is settled was asked for again\n{log}"
    );
}

/// Decoded, nothing is there twice, and less than a second, a group of pictures, is missing.
async fn each_frame_once(stack: &Stack, all: &[SegmentKey], downloads: &Path) {
    stack.cloud.download(all, downloads).await;
    let holes = footage(downloads, all, &LoopSpec::default()).holes();
    let missing: u64 = holes.iter().map(|hole| hole.frames).sum();
    assert!(holes.len() <= 1 && missing < 25, "{holes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_password_is_tried_once_by_all_tasks_together() {
    let stack = Stack::start().await;
    let (minute, end) = (
        SignedDuration::from_mins(1),
        Timestamp::now() - SignedDuration::from_mins(3),
    );
    let gap = Gap {
        key: key(),
        start: end - minute,
        end: Some(end),
        cause: GapCause::Network,
    };
    stack.cloud.tables.put_gap(&gap).await.unwrap();
    for start in [gap.start - minute, end] {
        stack
            .cloud
            .put(&SegmentKey::new(key(), start, minute, Generation(1)))
            .await;
    }

    let (well, log) = stack.backfill("not-the-password").await;
    assert!(!well, "{log}");
    let rejection = credentials::rejected(&stack.cloud.tables).await.unwrap();
    let Some(Rejection { by, locked_until, .. }) = rejection else {
        panic!("nobody was told: {log}");
    };
    assert_eq!(
        (by.as_str(), locked_until),
        (format!("backfill {BACKFILL}").as_str(), None)
    );

    let asked = stack.simulator.requests();
    for password in ["not-the-password", stack.simulator.password()] {
        let (well, log) = stack.backfill(password).await;
        assert!(!well, "{log}");
    }
    assert_eq!(stack.simulator.requests(), asked, "the gateway was asked again");
}

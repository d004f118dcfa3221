//! `--stack`: of a stack the commands say what they say of the machine that made the same recordings.

use crate::archive::{cut_for, say, segments};
use crate::restores::upload;
use crate::support::rig::{Rig, noon};
use aws::cloudformation::Stacks;
use aws::dynamodb::Tables;
use aws::harness::{Emulator, create_stack, create_tables, s3_client, tables_of, unused_name};
use aws::s3::S3Archive;
use domain::ports::{Archive, ArchiveRead, ChannelsTable, EpisodesTable, GapsTable, Put};
use domain::{ChannelKey, Episode, SegmentKey, SegmentMeta};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use local::{Folder, Sqlite};
use serde_json::{Value, json};
use simulator::Scenario;
use simulator::scenario::{ChannelSpec, DeviceSpec};
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::sleep;

const CONFIG: &str = "
[recording]
segment-seconds = 2
retention-days = 1
[channel.'A/1']
backfill = true
";

#[tokio::test(flavor = "multi_thread")]
async fn of_a_stack_the_commands_say_what_they_say_of_the_machine_with_the_same_recordings() {
    let scenario =
        Scenario::with_devices([DeviceSpec::camera("A", "A").with_channels([ChannelSpec::new(1)])]);
    let mut rig = Rig::start(scenario, &["--pull-interval", "1s"], CONFIG).await;
    rig.wait_until_recording(&["A"]).await;
    sleep(Duration::from_secs(5)).await;
    cut_for(&rig, Duration::from_secs(3)).await;
    sleep(Duration::from_secs(5)).await;
    rig.stop().await;

    let stack = Stack::with_recordings_of(&rig).await;
    stack.shows_the_same_day().await;
    stack.plays_and_exports_the_same().await;
    stack.knows_the_same_holes().await;
    stack.keeps_by_its_own_rules().await;
    stack.has_episodes().await;
    stack.leaves_to_its_functions_what_they_do().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_that_is_not_there_or_is_not_ours_is_named() {
    let scenario = Scenario::with_devices([]);
    let rig = Rig::start(scenario, &[], "").await;
    let emulator = tokio::task::spawn_blocking(Emulator::ministack).await.unwrap();
    let foreign = unused_name();
    let template = json!({"Resources": {"Bucket": {"Type": "AWS::S3::Bucket"}}});
    create_stack(&emulator.sdk_config(), &foreign, &template.to_string()).await;
    for (name, why) in [
        (
            "no-such-stack",
            "no-such-stack: refused while describing the stack",
        ),
        (foreign.as_str(), "is it one of Millrace's?"),
    ] {
        let mut command = rig.command("timeline");
        let output = command.args(["--stack", name]).envs(emulator.environment());
        let output = output.output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(why), "{said}");
    }
}

/// A machine, and a stack with a copy of its rows and segments.
struct Stack<'a> {
    rig: &'a Rig,
    emulator: &'static Emulator,
    name: String,
    tables: Tables,
    archive: S3Archive,
    segments: Vec<SegmentKey>,
}

impl<'a> Stack<'a> {
    async fn with_recordings_of(rig: &'a Rig) -> Self {
        let emulator = tokio::task::spawn_blocking(Emulator::ministack).await.unwrap();
        let (sdk, name) = (emulator.sdk_config(), unused_name());
        create_tables(&sdk, &tables_of(&name)).await;
        create_stack(&sdk, &name, &template(&name).to_string()).await;
        let described = Stacks::new(&sdk).describe(&name).await.unwrap();
        let segments = segments(rig).await;
        assert!(segments.len() >= 4, "{segments:?}\n{}", rig.logs());
        let stack = Self {
            rig,
            emulator,
            tables: Tables::new(&sdk, tables_of(&name)),
            archive: S3Archive::new(s3_client(&sdk), &described.outputs["ArchiveBucket"], ""),
            name,
            segments,
        };
        upload(rig, &stack.archive, &stack.segments).await;
        stack.copy_rows().await;
        stack
    }

    async fn copy_rows(&self) {
        let state = Sqlite::open(&self.rig.data().join("state.sqlite")).await.unwrap();
        for row in state.list_channels().await.unwrap() {
            assert_eq!(self.tables.put_channel(&row, None).await.unwrap(), Put::Written);
            let gaps = state.list_gaps(&row.key, Timestamp::MIN, Timestamp::MAX).await;
            for gap in gaps.unwrap() {
                self.tables.put_gap(&gap).await.unwrap();
            }
        }
    }

    /// What the command says of the stack, whether it succeeds or not.
    async fn run(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = self.rig.command(arguments[0]);
        command.args(&arguments[1..]).args(["--stack", &self.name]);
        let output = command.envs(self.emulator.environment()).output().await.unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (output.status.success(), said.concat())
    }

    async fn says(&self, arguments: &[&str]) -> String {
        let (done, said) = self.run(arguments).await;
        assert!(done, "{arguments:?}: {said}");
        said
    }

    async fn json(&self, arguments: &[&str]) -> Value {
        let said = self.says(&[arguments, &["--json"]].concat()).await;
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
    }

    async fn machine_json(&self, arguments: &[&str]) -> Value {
        let said = say(self.rig, &[arguments, &["--json"]].concat()).await;
        serde_json::from_str(&said).unwrap()
    }

    fn range(&self) -> [String; 2] {
        let (first, last) = (&self.segments[0], &self.segments[self.segments.len() - 1]);
        [first.start.to_string(), last.end().to_string()]
    }

    fn file(&self, name: &str) -> PathBuf {
        self.rig.data().join(name)
    }

    async fn shows_the_same_day(&self) {
        let spans = |day: &Value| {
            let mut spans = day["channels"][0]["spans"].as_array().unwrap().clone();
            // What comes after the last frame lasts until now.
            spans.pop();
            spans
        };
        let [here, there] = [
            self.machine_json(&["timeline", "A", "1"]).await,
            self.json(&["timeline"]).await,
        ];
        assert_eq!(spans(&here), spans(&there));
        let lost = there["channels"][0]["totals"]["lostSeconds"].as_object().unwrap();
        assert!(lost.keys().any(|cause| cause != "starting"), "{lost:?}");

        let [from, to] = self.range();
        let listed = ["segments", "A", "1", "--from", &from, "--to", &to];
        let [mut here, mut there] = [self.machine_json(&listed).await, self.json(&listed).await];
        for listed in [&mut here, &mut there] {
            listed.as_object_mut().unwrap().remove("recordingNow");
        }
        assert_eq!(here, there);
    }

    async fn plays_and_exports_the_same(&self) {
        let [from, to] = self.range();
        let play = ["playlist", "A", "1", "--from", &from, "--to", &to];
        let playlist = self.says(&play).await;
        assert_eq!(playlist, say(self.rig, &play).await);
        assert!(playlist.contains("#EXT-X-DISCONTINUITY\n"), "{playlist}");

        let (here, there) = (self.file("here.mp4"), self.file("there.mp4"));
        let export = ["export", "A", "1", "--from", &from, "--to", &to, "--output"];
        say(self.rig, &[&export[..], &[here.to_str().unwrap()]].concat()).await;
        self.says(&[&export[..], &[there.to_str().unwrap()]].concat())
            .await;
        assert!(std::fs::read(&here).unwrap() == std::fs::read(&there).unwrap());
        let [here, there] =
            ["here.mp4.json", "there.mp4.json"].map(|file| std::fs::read(self.file(file)).unwrap());
        assert_eq!(
            String::from_utf8(here).unwrap(),
            String::from_utf8(there).unwrap()
        );
    }

    async fn knows_the_same_holes(&self) {
        let plan = ["backfill", "--dry-run", "--backfill-after", "0s"];
        let [here, there] = [self.machine_json(&plan).await, self.json(&plan).await];
        assert_eq!(here["channels"], there["channels"]);
        let first = |report: &Value| report["pieces"][0]["missing"]["start"].clone();
        assert!(first(&there).is_string(), "{there:#}");
        assert_eq!(first(&here), first(&there));
    }

    /// The stack's parameter counts, and a channel's own setting before it.
    async fn keeps_by_its_own_rules(&self) {
        let old = self.store_a_copy_from_three_days_ago().await;
        let (young, old) = (self.segments[0].to_string(), old.to_string());
        let why = self.says(&["why", &young]).await;
        assert_eq!(why, say(self.rig, &["why", &young]).await);
        assert!(why.starts_with("kept: its retention lasts until"), "{why}");
        let why = self.says(&["why", &old]).await;
        assert!(why.starts_with("free since"), "{why}");
        let dry = self.json(&["keep", "--dry-run"]).await;
        assert_eq!(
            (&dry["deleted"], &dry["keptByEpisodes"]),
            (&1.into(), &0.into()),
            "{dry:#}"
        );
        assert!(dry["freedPerMonth"].is_number(), "{dry:#}");

        self.says(&["channels", "set", "A", "1", "retention-days=30"])
            .await;
        let why = self.says(&["why", &old]).await;
        assert!(why.starts_with("kept: its retention lasts until"), "{why}");
        self.says(&["channels", "unset", "A", "1"]).await;
        assert!(self.says(&["channels"]).await.contains("A/1"));
    }

    async fn store_a_copy_from_three_days_ago(&self) -> SegmentKey {
        let first = &self.segments[0];
        let start = first.start - SignedDuration::from_hours(72);
        let old = SegmentKey::new(first.channel.clone(), start, first.duration, first.generation);
        let folder = Folder::at(self.rig.archive());
        let key = first.object_key();
        let meta = SegmentMeta {
            captured_at: start,
            ..folder.describe(&key).await.unwrap().unwrap()
        };
        let file = self.rig.archive().join(&key.0);
        self.archive.put(&old.object_key(), &file, &meta).await.unwrap();
        old
    }

    async fn rows(&self) -> Vec<Episode> {
        let key = ChannelKey::new("A", "1");
        self.tables
            .list_episodes(&key, Timestamp::MIN, Timestamp::MAX)
            .await
            .unwrap()
    }

    /// Made, shown, obeyed, pictured, changed and deleted, in the stack's table.
    async fn has_episodes(&self) {
        let start = self.segments[0].start - SignedDuration::from_hours(72);
        let (from, to) = (start.to_string(), start + SignedDuration::from_secs(10));
        let create = [
            "episodes", "create", "A", "1", "--from", &from, "--reason", "visit",
        ];
        let said = self.says(&create).await;
        assert!(
            said.contains("kept from") && said.contains("the archive has"),
            "{said}"
        );
        assert_eq!(self.rows().await[0].reason, "visit");
        self.says(&["episodes", "end", "A", "1", &from, "--at", &to.to_string()])
            .await;
        let later = (to + SignedDuration::from_secs(10)).to_string();
        self.says(&["episodes", "extend", "A", "1", &from, "--to", &later])
            .await;
        assert_eq!(self.rows().await[0].end.unwrap().to_string(), later);
        let listed = self.json(&["episodes", "list"]).await;
        assert_eq!(listed[0]["reason"], "visit", "{listed:#}");

        let old = SegmentKey {
            start,
            ..self.segments[0].clone()
        };
        let why = self.says(&["why", &old.to_string()]).await;
        assert!(why.contains("visit"), "{why}");
        let dry = self.json(&["keep", "--dry-run"]).await;
        assert_eq!(
            (&dry["deleted"], &dry["keptByEpisodes"]),
            (&0.into(), &1.into()),
            "{dry:#}"
        );
        let zone = TimeZone::posix(&noon()).unwrap();
        let day = start.to_zoned(zone).date().to_string();
        let picture = self.says(&["timeline", "--day", &day]).await;
        assert!(picture.contains('^'), "{picture}");

        let file = self.file("visit.jpg");
        let preview = ["episodes", "preview", "A", "1", &from, "--output"];
        self.says(&[&preview[..], &[file.to_str().unwrap()]].concat())
            .await;
        let stored = self.rows().await[0].preview.clone().unwrap();
        let stored = self.archive.read(&stored, 0..u64::MAX).await.unwrap();
        assert!(stored == std::fs::read(&file).unwrap());

        self.says(&["episodes", "delete", "A", "1", &from]).await;
        assert_eq!(self.rows().await, []);
    }

    async fn leaves_to_its_functions_what_they_do(&self) {
        for (command, why) in [("keep", "archive-keeper"), ("backfill", "BackfillSchedule")] {
            let (done, said) = self.run(&[command]).await;
            assert!(!done && said.contains(why), "{said}");
        }
    }
}

/// What `--stack` needs of template.yaml: outputs and a parameter, by their names there.
fn template(name: &str) -> Value {
    json!({
        "Parameters": {"RetentionDays": {"Type": "Number", "Default": 1}},
        "Resources": {"Archive": {"Type": "AWS::S3::Bucket"}},
        "Outputs": {
            "State": {"Value": tables_of(name).to_string()},
            "ArchiveBucket": {"Value": {"Ref": "Archive"}},
        },
    })
}

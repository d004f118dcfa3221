//! Exporting what lies in an archive class of S3: told of, asked for, exported when it is there.

use crate::archive::{say, segments};
use crate::support::rig::Rig;
use aws::harness::{Emulator, create_bucket, unused_name};
use aws::s3::S3Archive;
use domain::SegmentKey;
use domain::ports::{Archive, ArchiveRead};
use local::Folder;
use serde_json::Value;
use simulator::Scenario;
use simulator::scenario::{ChannelSpec, DeviceSpec};
use std::time::Duration;
use tokio::time::sleep;

/// The emulator restores within two seconds.
const LOOKS_MAX: u32 = 120;

#[tokio::test(flavor = "multi_thread")]
async fn an_export_asks_for_exactly_what_is_archived_and_is_the_same_once_it_is_restored() {
    let config = "[recording]\nsegment-seconds = 2\n";
    let scenario =
        Scenario::with_devices([DeviceSpec::camera("A", "A").with_channels([ChannelSpec::new(1)])]);
    let mut rig = Rig::start(scenario, &["--pull-interval", "1s"], config).await;
    rig.wait_until_recording(&["A"]).await;
    sleep(Duration::from_secs(7)).await;
    rig.stop().await;
    let segments = segments(&rig).await;
    assert!(segments.len() >= 3, "{segments:?}\n{}", rig.logs());

    let emulator = tokio::task::spawn_blocking(Emulator::ministack).await.unwrap();
    let bucket = unused_name();
    let client = create_bucket(&emulator.sdk_config(), &bucket).await;
    upload(&rig, &S3Archive::new(client.clone(), &bucket, ""), &segments).await;
    let cloud = Cloud {
        rig: &rig,
        emulator,
        archive: format!("s3://{bucket}"),
        from: segments[0].start.to_string(),
        to: segments[segments.len() - 1].end().to_string(),
    };
    // As a lifecycle rule does it.
    for segment in &segments[1..] {
        let copy = client.copy_object().bucket(&bucket).key(segment.to_string());
        let copy = copy
            .copy_source(format!("{bucket}/{segment}"))
            .storage_class("GLACIER".into());
        copy.send().await.unwrap();
    }
    cloud.tells_what_is_archived(&segments).await;
    cloud.restores_and_exports().await;
}

/// Copies segments from the rig's archive.
pub(crate) async fn upload(rig: &Rig, archive: &S3Archive, segments: &[SegmentKey]) {
    let folder = Folder::at(rig.archive());
    for segment in segments {
        let key = segment.object_key();
        let meta = folder.describe(&key).await.unwrap().unwrap();
        archive
            .put(&key, &rig.archive().join(&key.0), &meta)
            .await
            .unwrap();
    }
}

struct Cloud<'a> {
    rig: &'a Rig,
    emulator: &'static Emulator,
    archive: String,
    from: String,
    to: String,
}

impl Cloud<'_> {
    /// Whether the command succeeded, and everything it said.
    async fn run(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = self.rig.command(arguments[0]);
        command.args(&arguments[1..]).envs(self.emulator.environment());
        command.args(["--archive", &self.archive]);
        let output = command.output().await.unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (output.status.success(), said.concat())
    }

    async fn export(&self, further: &[&str]) -> (bool, String) {
        let clip = self.rig.data().join("cloud.mp4");
        let mut arguments = vec!["export", "A", "1", "--from", &self.from, "--to", &self.to];
        arguments.extend(["--output", clip.to_str().unwrap()]);
        arguments.extend(further);
        self.run(&arguments).await
    }

    async fn tells_what_is_archived(&self, segments: &[SegmentKey]) {
        let (exported, said) = self.export(&[]).await;
        assert!(!exported && said.contains("--restore asks for them"), "{said}");
        assert!(said.contains("--restore expedited  1 to 5 minutes, $"), "{said}");
        let told: Vec<&str> = said
            .lines()
            .filter(|line| line.starts_with("archived "))
            .collect();
        assert_eq!(told.len(), segments.len() - 1, "{said}");
        for (line, segment) in told.iter().zip(&segments[1..]) {
            assert!(line.ends_with(&segment.to_string()), "{said}");
        }
        let (played, said) = self.run(&["playlist", "A", "1", "--from", &self.from]).await;
        assert!(!played && said.contains("lie in an archive class"), "{said}");
        let (shown, said) = self.run(&["timeline", "A", "1", "--json"]).await;
        let day: Value = serde_json::from_str(&said).unwrap();
        let classes = &day["channels"][0]["bytesByClass"];
        assert!(
            shown && classes["GLACIER"].as_u64() > classes["STANDARD"].as_u64(),
            "{said}"
        );
        let (_, picture) = self.run(&["timeline", "A", "1"]).await;
        assert!(picture.contains("z in an archive class"), "{picture}");
    }

    async fn restores_and_exports(&self) {
        for _ in 0..2 {
            let (exported, said) = self.export(&["--restore", "expedited", "--days", "1"]).await;
            assert!(!exported && said.contains("being restored"), "{said}");
        }
        let mut looks = 0;
        loop {
            let (exported, said) = self.export(&[]).await;
            if exported {
                break;
            }
            assert!(said.contains("being restored"), "{said}");
            let (_, picture) = self.run(&["timeline", "A", "1"]).await;
            assert!(picture.contains("z in an archive class"), "{picture}");
            looks += 1;
            assert!(looks < LOOKS_MAX, "{said}");
            sleep(Duration::from_millis(500)).await;
        }
        let local = self.rig.data().join("local.mp4");
        let export = [
            "export", "A", "1", "--from", &self.from, "--to", &self.to, "--output",
        ];
        say(self.rig, &[&export[..], &[local.to_str().unwrap()]].concat()).await;
        let cloud = std::fs::read(self.rig.data().join("cloud.mp4")).unwrap();
        assert!(cloud == std::fs::read(&local).unwrap());
        let manifest = std::fs::read(self.rig.data().join("cloud.mp4.json")).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        let sources = manifest["sources"].as_array().unwrap();
        assert!(
            sources.iter().all(|source| source["matchesStoredHash"] == true),
            "{manifest:#}"
        );
    }
}

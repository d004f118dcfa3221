//! A gateway's RTSP server, tables in memory and a recorder in this process.

use crate::footage::{Footage, footage};
use domain::fakes::{FakeAlerts, FakeTables, Weather, rows};
use domain::ports::{Archive, GapsTable, Put, TasksTable};
use domain::{
    Assignment, ChannelKey, FirstPicture, Gap, Generation, Heartbeat, PictureMark, RecordingSettings,
    SegmentKey, TaskArn,
};
use jiff::Timestamp;
use local::Folder;
use recorder::calm::Calm;
use recorder::config::Config;
use recorder::{RecorderError, Summary};
use secrecy::SecretString;
use simulator::media::Library;
use simulator::rtsp::{Catalog, RtspServer, StreamSpec};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

pub(crate) const USER: &str = "admin";
pub(crate) const PASSWORD: &str = "correct-horse-battery";
/// The folder of the archive, which every bed has.
const ARCHIVE: &str = "archive";
/// How long a test waits for something that should take a second or two, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// Everything a recorder needs around it.
pub(crate) struct Bed {
    pub(crate) dir: TempDir,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) tables: FakeTables,
    pub(crate) tables_weather: Weather,
    pub(crate) alerts: FakeAlerts,
    server: RtspServer,
}

/// A recorder that runs in this process.
pub(crate) struct Running {
    pub(crate) stop: CancellationToken,
    task: JoinHandle<Result<Summary, RecorderError>>,
}

pub(crate) fn channel(n: u32) -> ChannelKey {
    ChannelKey::new("38941127-49B5-44B3-84FC-219747AFF04E", n.to_string().as_str())
}

pub(crate) fn task() -> TaskArn {
    TaskArn::new("local-1")
}

/// Where a channel's stream is, as a gateway hands it out.
pub(crate) fn target(n: u32) -> String {
    format!("/dac/realplay/38941127-49B5-44B3-84FC-219747AFF04E{n}/MAIN/TCP?streamform=rtp")
}

/// Segments of 3 s, so that a few seconds make several.
pub(crate) fn short_segments() -> RecordingSettings {
    RecordingSettings {
        segment_seconds: NonZeroU32::new(3).unwrap(),
        ..RecordingSettings::default()
    }
}

/// Encoded loops are kept between runs; encoding takes seconds.
pub(crate) fn library() -> Library {
    Library::new(Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("loops")))
}

impl Bed {
    /// A server with the streams of channels 1, 2, ...; nothing is assigned yet.
    pub(crate) async fn with(streams: &[StreamSpec]) -> Self {
        // The recorder's log belongs to the output of a test that fails.
        let log = tracing_subscriber::fmt().with_env_filter("recorder=debug,retina=info");
        let _ = log.with_ansi(false).with_test_writer().try_init();
        let catalog = Arc::new(Catalog::new(library(), USER, SecretString::from(PASSWORD)));
        for (n, spec) in (1..).zip(streams) {
            catalog.publish(&target(n), spec.clone()).await.unwrap();
        }
        let server = RtspServer::start("127.0.0.1:0".parse().unwrap(), Arc::clone(&catalog)).unwrap();
        let tables_weather = Weather::calm();
        let dir = TempDir::new().unwrap();
        Folder::at(dir.path().join(ARCHIVE)).make().await.unwrap();
        Self {
            dir,
            catalog,
            tables: FakeTables::new(tables_weather.clone()),
            tables_weather,
            alerts: FakeAlerts::new(Weather::calm()),
            server,
        }
    }

    pub(crate) fn url(&self, target: &str) -> String {
        format!("rtsp://{}{target}", self.server.addr())
    }

    pub(crate) fn assignment(&self, n: u32, generation: u64) -> Assignment {
        Assignment {
            generation: Generation(generation),
            media_url: self.url(&target(n)),
            settings: short_segments(),
            ..rows::assignment(channel(n), task(), Timestamp::now())
        }
    }

    /// Stores an assignment over whatever there is for the channel.
    pub(crate) async fn assign(&self, assignment: &Assignment) {
        let stored = self.tables.assignment(&assignment.key).await.unwrap();
        let expected = stored.map(|row| row.assignment.generation);
        let put = self.tables.put_assignment(assignment, expected).await.unwrap();
        assert_eq!(put, Put::Written);
    }

    /// Gives a channel to another recorder, which begins with a picture at once.
    pub(crate) async fn succeed(&self, n: u32, generation: u64) -> Heartbeat {
        let another = TaskArn::new("another");
        let moved = Assignment {
            task: Some(another.clone()),
            ..self.assignment(n, generation)
        };
        self.assign(&moved).await;
        let (at, mark) = (Timestamp::now(), PictureMark(1));
        let theirs = Heartbeat {
            heartbeat_at: Some(at),
            first_picture: Some(FirstPicture { at, mark }),
            ..Heartbeat::default()
        };
        let (key, generation) = (&moved.key, moved.generation);
        let beat = self.tables.heartbeat(key, &another, generation, &theirs);
        assert_eq!(beat.await.unwrap(), Put::Written);
        theirs
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            task: task(),
            spool: self.spool(),
            spool_max_bytes: 1 << 30,
            pull_interval: Duration::from_millis(300),
            heartbeat_interval: Duration::from_millis(300),
            orphan_grace: Duration::from_secs(60),
            notice: CancellationToken::new(),
            hand_over_within: Duration::from_secs(20),
            stop_deadline: Duration::from_secs(20),
            uploads_max: NonZeroUsize::new(2).unwrap(),
            username: USER.to_owned(),
            password: SecretString::from(PASSWORD),
            calm: Calm::default(),
        }
    }

    pub(crate) fn spool(&self) -> PathBuf {
        self.dir.path().join("spool")
    }

    pub(crate) fn archive_root(&self) -> PathBuf {
        self.dir.path().join(ARCHIVE)
    }

    pub(crate) fn archive(&self) -> Folder {
        Folder::at(self.archive_root())
    }

    pub(crate) fn run(&self) -> Running {
        self.run_with(self.config(), self.archive())
    }

    pub(crate) fn run_with<A: Archive + 'static>(&self, config: Config, archive: A) -> Running {
        let stop = CancellationToken::new();
        let recorder = recorder::run(
            config,
            self.tables.clone(),
            archive,
            self.alerts.clone(),
            stop.clone(),
        );
        Running {
            stop,
            task: tokio::spawn(recorder),
        }
    }

    /// The channel's rows, by start.
    pub(crate) async fn gaps(&self, n: u32) -> Vec<Gap> {
        let all = self
            .tables
            .list_gaps(&channel(n), Timestamp::MIN, Timestamp::MAX)
            .await;
        all.unwrap()
    }

    /// The channel's archived segments, by start.
    pub(crate) async fn segments(&self, n: u32) -> Vec<SegmentKey> {
        let archive = self.archive();
        let all = archive
            .list_segments(&channel(n), Timestamp::UNIX_EPOCH, far_future())
            .await;
        all.unwrap()
    }

    /// What the channel's archive shows.
    pub(crate) async fn footage(&self, n: u32, spec: &StreamSpec) -> Footage {
        let segments = self.segments(n).await;
        footage(&self.archive_root(), &segments, &spec.video)
    }

    /// Returns when the channel's current assignment has frames on disk.
    pub(crate) async fn records(&self, n: u32) {
        let row = self.tables.assignment(&channel(n)).await.unwrap().unwrap();
        let open = format!("_{}.part", row.assignment.generation);
        let folder = self.spool().join(task().folder()).join(channel(n).prefix());
        let is_open = |path: &Path| path.to_str().unwrap().ends_with(&open);
        eventually("the channel records", async || {
            files(&folder).iter().any(|path| is_open(path))
        })
        .await;
    }
}

/// All files below a folder; none while it does not exist.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

impl Running {
    /// Waits for its own end.
    pub(crate) async fn ends(self) -> Summary {
        self.task.await.unwrap().unwrap()
    }

    /// Stops it and waits for its end.
    pub(crate) async fn stops(self) -> Summary {
        self.stop.cancel();
        self.ends().await
    }
}

/// Waits until it is so, and fails when that takes far too long.
pub(crate) async fn eventually(what: &str, is_so: impl AsyncFn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < end, "{what}: not within {PATIENCE:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) fn far_future() -> Timestamp {
    "2200-01-01T00:00:00Z".parse().unwrap()
}

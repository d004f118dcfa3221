//! CPU and memory of one recorder process beside other ways to record the same streams in the same minute; and how many
//! cameras the smallest Fargate task bears by that. The recorder and the container of 2020 upload over TLS.
//!
//! `cargo bench -p standalone --features s3 --bench recorder -- [CHANNELS ...]` (default `1 20 100 200`);
//! `BENCH_SECONDS` sets the length of a window (default 60), of which there are three: the middle one by its CPU is printed, with
//! the least and the most. Streams are 1080p, 25 frames/s, 2 Mbit/s; segments are 30 s.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

mod others;
#[expect(dead_code, reason = "the tests use the rest")]
#[path = "../../tests/it/support/rig.rs"]
mod rig;
mod store;
mod usage;

use rig::Rig;
use simulator::Scenario;
use simulator::media::{Codec, LoopSpec};
use simulator::scenario::{ChannelSpec, DeviceSpec};
use std::time::Duration;
use store::Store;
use tokio::process::Child;
use tokio::time::{Instant, sleep};
use usage::PerCamera;

/// Hundreds of cameras are connected to a few at a time.
const START_WITHIN: Duration = Duration::from_secs(180);
/// Connections and caches settle, and the first segments are stored.
const WARM_UP: Duration = Duration::from_secs(40);
/// Beyond so many cameras there is nothing beside the recorder: two hundred ffmpegs would need 10 GiB.
const OTHERS_MAX: u32 = 20;
/// Windows a number of cameras is measured in.
const WINDOWS: usize = 3;
/// The smallest Fargate task, in percent of a core and MiB, less the 30 % that are left free.
const TASK_CPU: f64 = 25.0 * 0.7;
const TASK_MEMORY: f64 = 512.0 * 0.7;

#[tokio::main]
async fn main() {
    let channels: Vec<u32> = std::env::args()
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let channels = if channels.is_empty() {
        vec![1, 20, 100, 200]
    } else {
        channels
    };
    let seconds = std::env::var("BENCH_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(60);
    println!(
        "cameras  program             CPU %/camera  (least to most)  of it system  switches/s  RSS MiB/camera  PSS \
         MiB/camera"
    );
    for count in channels {
        compare(count, Duration::from_secs(seconds)).await;
    }
}

async fn compare(cameras: u32, window: Duration) {
    let store = Store::start();
    let mut rig = recording(cameras, &store).await;
    let recorder = vec![rig.recorder_pid(&name(1)).await];
    let folder = tempfile::tempdir().unwrap();
    let (mut ffmpegs, mut containers) = (Vec::new(), Vec::new());
    if cameras <= OTHERS_MAX {
        ffmpegs = others::ffmpegs(&rig, folder.path()).await;
        containers = others::containers_of_2020(&rig, &store, folder.path()).await;
    }
    sleep(WARM_UP).await;

    let sets = [recorder, pids(&ffmpegs), pids(&containers)];
    let stored = store.objects();
    let mut windows = Vec::new();
    for _ in 0..WINDOWS {
        windows.push(measure(&sets, cameras, window).await);
    }
    let of_set = |set: usize| -> Vec<PerCamera> { windows.iter().map(|window| window[set]).collect() };
    let recorder = of_set(0);
    print(cameras, "millrace recorder", &recorder);
    if cameras <= OTHERS_MAX {
        for (set, program) in [(1, "ffmpeg -c copy"), (2, "container of 2020")] {
            print(cameras, program, &of_set(set));
            print_ratio(cameras, &recorder, &of_set(set));
        }
    }
    let worst = |of: fn(&PerCamera) -> f64| recorder.iter().map(of).fold(0.0, f64::max);
    println!(
        "{cameras:7}  {} objects stored; a task of 0.25 vCPU and 0.5 GB bears {:.0} by its CPU, {:.0} by its memory",
        store.objects() - stored,
        (TASK_CPU / worst(|window| window.cpu_percent)).floor(),
        (TASK_MEMORY / worst(|window| window.rss_mib)).floor()
    );
    others::end(ffmpegs).await;
    others::end(containers).await;
    rig.stop().await;
}

/// What each set of processes takes in one window.
async fn measure(sets: &[Vec<i32>; 3], cameras: u32, window: Duration) -> [PerCamera; 3] {
    let (before, start) = (sets.each_ref().map(|set| usage::of(set)), Instant::now());
    sleep(window).await;
    let (after, elapsed) = (sets.each_ref().map(|set| usage::of(set)), start.elapsed());
    std::array::from_fn(|set| PerCamera::between(before[set], after[set], cameras, elapsed.as_secs_f64()))
}

/// A gateway with so many cameras, all of them recorded by one process.
async fn recording(cameras: u32, store: &Store) -> Rig {
    let device = |n: u32| DeviceSpec {
        channels: vec![ChannelSpec {
            video: LoopSpec::full_hd(Codec::H264),
            ..ChannelSpec::new(1)
        }],
        ..DeviceSpec::camera(name(n), name(n))
    };
    let scenario = Scenario::with_devices((1..=cameras).map(device));
    let per_task = cameras.to_string();
    let flags = [
        "--channels-per-task",
        &per_task,
        "--poll-interval",
        "2s",
        "--archive",
        "s3://bucket",
    ];
    let environment = vec![
        ("AWS_ENDPOINT_URL_S3", store.url.clone()),
        ("SSL_CERT_FILE", store.certificate.display().to_string()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "bench".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "bench".to_owned()),
    ];
    let rig = Rig::start_in(scenario, &flags, "", environment).await;
    let recording = async || {
        let status = rig.status().await;
        let is_recording = |channel: &&serde_json::Value| channel["standing"]["is"] == "recording";
        status.iter().filter(is_recording).count() == usize::try_from(cameras).unwrap()
    };
    rig.wait_until("all cameras are recorded", START_WITHIN, recording)
        .await;
    rig
}

fn name(n: u32) -> String {
    format!("CAM{n:03}")
}

fn pids(children: &[Child]) -> Vec<i32> {
    let pid = |child: &Child| i32::try_from(child.id().unwrap()).unwrap();
    children.iter().map(pid).collect()
}

fn print(cameras: u32, program: &str, windows: &[PerCamera]) {
    let of = middle(windows);
    let (least, most) = spread(windows.iter().map(|window| window.cpu_percent));
    println!(
        "{cameras:7}  {program:18}  {:12.3}  {:>15}  {:12.3}  {:10.0}  {:14.2}  {:14.2}",
        of.cpu_percent,
        format!("{least:.3} to {most:.3}"),
        of.system_percent,
        of.switches,
        of.rss_mib,
        of.pss_mib
    );
}

fn print_ratio(cameras: u32, ours: &[PerCamera], theirs: &[PerCamera]) {
    let ratios = ours
        .iter()
        .zip(theirs)
        .map(|(our, their)| our.cpu_percent / their.cpu_percent);
    let (least, most) = spread(ratios);
    let (our, their) = (middle(ours), middle(theirs));
    println!(
        "{cameras:7}  ratio               {:12.2}  {:>15}  {:40.3}  {:14.3}",
        our.cpu_percent / their.cpu_percent,
        format!("{least:.2} to {most:.2}"),
        our.rss_mib / their.rss_mib,
        our.pss_mib / their.pss_mib
    );
}

/// The window in the middle by its CPU.
fn middle(windows: &[PerCamera]) -> PerCamera {
    let mut windows = windows.to_vec();
    windows.sort_by(|a, b| a.cpu_percent.total_cmp(&b.cpu_percent));
    windows[windows.len() / 2]
}

fn spread(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, 0.0), |(least, most), value| {
        (least.min(value), most.max(value))
    })
}

//! CPU and memory of one recorder process beside one ffmpeg per camera, on the same streams in the same minute; and how
//! many cameras the smallest Fargate task bears by that.
//!
//! `cargo bench -p standalone --bench recorder -- [CHANNELS ...]` (default `1 20 100 200`); `BENCH_SECONDS` sets the
//! window (default 60). Streams are 1080p, 25 frames/s, 2 Mbit/s.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

#[expect(dead_code, reason = "the tests use the rest")]
#[path = "../tests/it/support/rig.rs"]
mod rig;

use rig::Rig;
use simulator::Scenario;
use simulator::media::{Codec, LoopSpec};
use simulator::scenario::{ChannelSpec, DeviceSpec};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// What a set of processes used.
#[derive(Debug, Clone, Copy, Default)]
struct Use {
    user_ticks: u64,
    system_ticks: u64,
    switches: u64,
    rss_kib: u64,
    pss_kib: u64,
}

/// Hundreds of cameras are connected to a few at a time.
const START_WITHIN: Duration = Duration::from_secs(180);
/// Connections, first segments and caches settle.
const WARM_UP: Duration = Duration::from_secs(20);
/// Beyond so many cameras there is no ffmpeg beside the recorder: two hundred would need 10 GiB.
const FFMPEGS_MAX: u32 = 20;
/// The smallest Fargate task, in percent of a core and MiB, less the 30 % that are left free.
const TASK_CPU: f64 = 25.0 * 0.7;
const TASK_MEMORY: f64 = 512.0 * 0.7;
/// `USER_HZ` of proc(5), 100 on every Linux this runs on.
const TICKS_PER_SECOND: f64 = 100.0;

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
        "cameras  program             CPU %/camera  of it system  switches/s  RSS MiB/camera  PSS MiB/camera"
    );
    for count in channels {
        compare(count, Duration::from_secs(seconds)).await;
    }
}

async fn compare(cameras: u32, window: Duration) {
    let names: Vec<String> = (1..=cameras).map(|n| format!("CAM{n:02}")).collect();
    let device = |name: &String| DeviceSpec {
        channels: vec![ChannelSpec {
            video: LoopSpec::full_hd(Codec::H264),
            ..ChannelSpec::new(1)
        }],
        ..DeviceSpec::camera(name.as_str(), name.as_str())
    };
    let scenario = Scenario::with_devices(names.iter().map(device));
    let per_task = cameras.to_string();
    let flags = ["--channels-per-task", &per_task, "--poll-interval", "2s"];
    let mut rig = Rig::start(scenario, &flags, "").await;
    let recording = async || {
        let status = rig.status().await;
        let is_recording = |channel: &&serde_json::Value| channel["standing"]["is"] == "recording";
        status.iter().filter(is_recording).count() == names.len()
    };
    rig.wait_until("all cameras are recorded", START_WITHIN, recording)
        .await;
    let recorder = rig.recorder_pid(&names[0]).await;
    let folder = tempfile::tempdir().unwrap();
    let ffmpegs = if cameras <= FFMPEGS_MAX {
        start_ffmpegs(&rig, folder.path()).await
    } else {
        Vec::new()
    };
    sleep(WARM_UP).await;

    let pids: Vec<i32> = ffmpegs
        .iter()
        .map(|child| i32::try_from(child.id().unwrap()).unwrap())
        .collect();
    let (ours, theirs, start) = (measure(&[recorder]), measure(&pids), Instant::now());
    sleep(window).await;
    let elapsed = start.elapsed().as_secs_f64();
    let ours = (ours, measure(&[recorder]));
    let theirs = (theirs, measure(&pids));
    let ours = report(cameras, "millrace recorder", ours, elapsed);
    println!(
        "{cameras:7}  a task of 0.25 vCPU and 0.5 GB bears {:.0} by its CPU, {:.0} by its memory",
        (TASK_CPU / ours.0).floor(),
        (TASK_MEMORY / ours.1).floor()
    );
    if !ffmpegs.is_empty() {
        let theirs = report(cameras, "ffmpeg -c copy", theirs, elapsed);
        println!(
            "{cameras:7}  recorder / ffmpeg   {:12.2}  {:37.3}  {:14.3}",
            ours.0 / theirs.0,
            ours.1 / theirs.1,
            ours.2 / theirs.2
        );
    }
    drop(ffmpegs);
    rig.stop().await;
}

async fn start_ffmpegs(rig: &Rig, folder: &Path) -> Vec<Child> {
    let mut children = Vec::new();
    for channel in rig.status().await {
        let url = channel["mediaUrl"].as_str().unwrap();
        let credentials = format!(
            "rtsp://{}:{}@",
            rig.simulator.username(),
            rig.simulator.password()
        );
        let name = format!("{}_%03d.mp4", channel["key"]["device"].as_str().unwrap());
        let child = Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-rtsp_transport", "tcp", "-i"])
            .arg(url.replacen("rtsp://", &credentials, 1))
            .args([
                "-c",
                "copy",
                "-f",
                "segment",
                "-segment_time",
                "30",
                "-reset_timestamps",
                "1",
            ])
            .arg(folder.join(name))
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        children.push(child);
    }
    children
}

fn measure(pids: &[i32]) -> Use {
    pids.iter().fold(Use::default(), |sum, pid| {
        let one = measure_one(*pid);
        Use {
            user_ticks: sum.user_ticks + one.user_ticks,
            system_ticks: sum.system_ticks + one.system_ticks,
            switches: sum.switches + one.switches,
            rss_kib: sum.rss_kib + one.rss_kib,
            pss_kib: sum.pss_kib + one.pss_kib,
        }
    })
}

fn measure_one(pid: i32) -> Use {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    // proc(5): fields 14 and 15 are utime and stime; the state, field 3, is the first here.
    let (user_ticks, system_ticks) = (fields[11].parse().unwrap(), fields[12].parse().unwrap());
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let kib = |name: &str| {
        let line = rollup.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    Use {
        user_ticks,
        system_ticks,
        switches: switches(pid),
        rss_kib: kib("Rss:"),
        pss_kib: kib("Pss:"),
    }
}

/// How often its threads gave up the CPU by themselves: wake-ups.
fn switches(pid: i32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let of_thread = |task: std::fs::DirEntry| {
        // A thread of the pool may end meanwhile.
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.and_then(|count| count.trim().parse::<u64>().ok())
            .unwrap_or(0)
    };
    tasks.flatten().map(of_thread).sum()
}

/// Prints a row and gives its figures per camera.
fn report(cameras: u32, program: &str, (before, after): (Use, Use), elapsed: f64) -> (f64, f64, f64) {
    let per_camera = |figure: f64| figure / f64::from(cameras);
    let percent = |ticks: u64| {
        let ticks = f64::from(u32::try_from(ticks).unwrap());
        per_camera(ticks / TICKS_PER_SECOND / elapsed * 100.0)
    };
    let system = percent(after.system_ticks - before.system_ticks);
    let cpu = percent(after.user_ticks - before.user_ticks) + system;
    let switches = after.switches.saturating_sub(before.switches);
    let switches = f64::from(u32::try_from(switches).unwrap()) / elapsed;
    let mib = |kib: u64| per_camera(f64::from(u32::try_from(kib).unwrap()) / 1024.0);
    let (rss, pss) = (mib(after.rss_kib), mib(after.pss_kib));
    println!("{cameras:7}  {program:18}  {cpu:12.3}  {system:12.3}  {switches:10.0}  {rss:14.2}  {pss:14.2}");
    (cpu, rss, pss)
}

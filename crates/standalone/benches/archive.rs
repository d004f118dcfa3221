//! What it takes to look after a folder of segments, beside what one would glue together: `find -delete`.
//!
//! `cargo bench -p standalone --features s3 --bench archive -- [CHANNELS [DAYS]]` (default `2 30`). Segments are of 30 s and
//! empty, retention is a week. Three runs, each in a folder of its own: the least and the most of each are printed.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use domain::{ChannelKey, Generation, SegmentKey};
use jiff::{SignedDuration, Timestamp};
use local::{Folder, Sqlite};
use std::fs::{File, create_dir_all};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

const RUNS: usize = 3;
const SEGMENT: SignedDuration = SignedDuration::from_secs(30);
/// Segments a day.
const A_DAY: u32 = 2_880;
const CONFIG: &str = "[recording]\nretention-days = 7\n";

const PROGRAMS: [&str; 4] = ["timeline of a day", "keep", "keep, nothing left", "find -delete"];

fn main() {
    let mut arguments = std::env::args().filter_map(|argument| argument.parse::<u32>().ok());
    let (channels, days) = (arguments.next().unwrap_or(2), arguments.next().unwrap_or(30));
    println!(
        "{channels} channels, {days} days, {} segments",
        channels * days * A_DAY
    );
    let runs: Vec<[Took; 4]> = (0..RUNS).map(|_| run(channels, days)).collect();
    for (index, program) in PROGRAMS.iter().enumerate() {
        let (least, most) = spread(&runs, |run| run[index].elapsed.as_secs_f64());
        let (_, peak_kib) = spread(&runs, |run| f64::from(run[index].peak_kib));
        println!(
            "{program:20}  {least:8.2} to {most:.2} s  {:6.1} MiB",
            peak_kib / 1024.0
        );
    }
    let (least, most) = spread(&runs, |[_, keep, _, find]| {
        keep.elapsed.as_secs_f64() / find.elapsed.as_secs_f64()
    });
    println!("keep / find           {least:8.2} to {most:.2}");
}

fn spread(runs: &[[Took; 4]], of: impl Fn(&[Took; 4]) -> f64) -> (f64, f64) {
    let values = runs.iter().map(of);
    values.fold((f64::INFINITY, 0.0), |(least, most), value| {
        (least.min(value), most.max(value))
    })
}

/// Time and memory of one program.
#[derive(Clone, Copy)]
struct Took {
    elapsed: Duration,
    peak_kib: u32,
}

fn run(channels: u32, days: u32) -> [Took; 4] {
    let folder = tempfile::tempdir().unwrap();
    let data = Data::new(folder.path());
    // A first run notes the time, and deletes nothing before a second one agrees.
    watch(data.millrace(&["keep"]));
    data.fill(&data.archive(), channels, days);
    let other = folder.path().join("other");
    data.fill(&other, channels, days);
    let day = (data.now - SignedDuration::from_hours(36))
        .strftime("%Y-%m-%d")
        .to_string();
    let took = [
        watch(data.millrace(&["timeline", "CAM000", "1", "--day", &day])),
        watch(data.millrace(&["keep"])),
        watch(data.millrace(&["keep"])),
        watch(find(&other)),
    ];
    let (left, left_by_find) = (count(&data.archive()), count(&other));
    // Time went on between the two.
    assert!(
        left.abs_diff(left_by_find) <= 4 * channels as usize,
        "{left} and {left_by_find} are left"
    );
    took
}

/// A data folder.
struct Data {
    root: PathBuf,
    now: Timestamp,
}

impl Data {
    fn new(root: &Path) -> Self {
        let data = Self {
            root: root.to_owned(),
            now: Timestamp::now(),
        };
        create_dir_all(data.archive()).unwrap();
        std::fs::write(root.join("millrace.toml"), CONFIG).unwrap();
        let make = async {
            let tables = Sqlite::open(&root.join("data/state.sqlite")).await?;
            Folder::at(data.archive()).make_once(&tables).await
        };
        tokio::runtime::Runtime::new().unwrap().block_on(make).unwrap();
        data
    }

    fn archive(&self) -> PathBuf {
        self.root.join("data/archive")
    }

    /// Empty segments, as old as their names say.
    fn fill(&self, archive: &Path, channels: u32, days: u32) {
        for number in 0..channels {
            let channel = ChannelKey::new(format!("CAM{number:03}").as_str(), "1");
            for index in 1..=i32::try_from(days * A_DAY).unwrap() {
                let start = self.now - SEGMENT * index;
                let segment = SegmentKey::new(channel.clone(), start, SEGMENT, Generation(1));
                let end = SystemTime::from(segment.end());
                let path = archive.join(segment.object_key().0);
                let file = File::create(&path).unwrap_or_else(|_| {
                    create_dir_all(path.parent().unwrap()).unwrap();
                    File::create(&path).unwrap()
                });
                file.set_modified(end).unwrap();
            }
        }
    }

    fn millrace(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
        command
            .args(arguments)
            .current_dir(&self.root)
            .args(["--data", "data"]);
        command
    }
}

fn find(archive: &Path) -> Command {
    let mut command = Command::new("find");
    let older_than_a_week = ["-mmin", "+10080"];
    command
        .arg(archive)
        .args(["-name", "*.mp4"])
        .args(older_than_a_week)
        .arg("-delete");
    command
}

fn watch(mut command: Command) -> Took {
    let begin = Instant::now();
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let mut peak_kib = 0;
    let status = loop {
        peak_kib = peak_of(&child).unwrap_or(peak_kib);
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(status.success(), "{command:?}");
    let elapsed = begin.elapsed();
    Took { elapsed, peak_kib }
}

/// The most memory it had at once so far, by proc(5); nothing of a program that has ended.
fn peak_of(child: &Child) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn count(archive: &Path) -> usize {
    let listed = Command::new("find")
        .arg(archive)
        .args(["-name", "*.mp4"])
        .output()
        .unwrap();
    listed.stdout.iter().filter(|byte| **byte == b'\n').count()
}

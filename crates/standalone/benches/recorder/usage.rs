//! What processes use, by proc(5).

use std::collections::BTreeSet;

/// `USER_HZ` of proc(5), 100 on every Linux this runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a set of processes used.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Use {
    user_ticks: u64,
    system_ticks: u64,
    switches: u64,
    rss_kib: u64,
    pss_kib: u64,
}

/// What each camera took of the machine in a window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PerCamera {
    /// Of one core, user and system.
    pub(crate) cpu_percent: f64,
    pub(crate) system_percent: f64,
    pub(crate) rss_mib: f64,
    pub(crate) pss_mib: f64,
    /// How often threads of all cameras gave up the CPU by themselves, a second.
    pub(crate) switches: f64,
}

impl PerCamera {
    /// From two looks that lie `seconds` apart.
    pub(crate) fn between(before: Use, after: Use, cameras: u32, seconds: f64) -> Self {
        let cameras = f64::from(cameras);
        let percent = |before: u64, after: u64| float(after.saturating_sub(before)) / seconds / cameras;
        let percent = |before, after| percent(before, after) / TICKS_PER_SECOND * 100.0;
        let mib = |kib: u64| float(kib) / 1024.0 / cameras;
        let system_percent = percent(before.system_ticks, after.system_ticks);
        Self {
            cpu_percent: percent(before.user_ticks, after.user_ticks) + system_percent,
            system_percent,
            rss_mib: mib(after.rss_kib),
            pss_mib: mib(after.pss_kib),
            switches: float(after.switches.saturating_sub(before.switches)) / seconds,
        }
    }
}

fn float(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

/// What these processes, all that descend from them, and those of their children that have ended used so far.
pub(crate) fn of(roots: &[i32]) -> Use {
    descendants(roots)
        .into_iter()
        .filter_map(of_one)
        .fold(Use::default(), |sum, one| Use {
            user_ticks: sum.user_ticks + one.user_ticks,
            system_ticks: sum.system_ticks + one.system_ticks,
            switches: sum.switches + one.switches,
            rss_kib: sum.rss_kib + one.rss_kib,
            pss_kib: sum.pss_kib + one.pss_kib,
        })
}

fn descendants(roots: &[i32]) -> BTreeSet<i32> {
    let parents: Vec<(i32, i32)> = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, stat(pid)?.get(1)?.parse().ok()?)))
        .collect();
    let mut found: BTreeSet<i32> = roots.iter().copied().collect();
    loop {
        let more: Vec<i32> = parents
            .iter()
            .filter(|(pid, parent)| found.contains(parent) && !found.contains(pid))
            .map(|(pid, _)| *pid)
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

/// Nothing of a process that has just ended: its parent has its time.
fn of_one(pid: i32) -> Option<Use> {
    let stat = stat(pid)?;
    let ticks = |field: usize| stat.get(field)?.parse::<u64>().ok();
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let kib = |name: &str| {
        let line = rollup.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    Some(Use {
        // proc(5): fields 14 to 17 are utime, stime, cutime and cstime; the state, field 3, is the first here.
        user_ticks: ticks(11)? + ticks(13)?,
        system_ticks: ticks(12)? + ticks(14)?,
        switches: switches(pid),
        rss_kib: kib("Rss:")?,
        pss_kib: kib("Pss:")?,
    })
}

/// The fields from the third on: pid and (comm) come before.
fn stat(pid: i32) -> Option<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    Some(fields.split(' ').map(str::to_owned).collect())
}

/// How often its threads gave up the CPU by themselves: wake-ups.
fn switches(pid: i32) -> u64 {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return 0;
    };
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

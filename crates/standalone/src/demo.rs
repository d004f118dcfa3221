//! `millrace demo`: a simulated gateway with real video, the real loops and recorders, scripted troubles, and a
//! summary that says what was recorded, what was lost, and why.

mod live;
mod script;
mod summary;

use crate::archive::AnyArchive;
use crate::config::{Config, DataOptions, Gateway, LoopOptions, Options, PollOptions};
use crate::fleet::observe;
use crate::instance::Instance;
use crate::machine::Machine;
use crate::signals::Signals;
use anyhow::{Context, bail};
use domain::ChannelKey;
use jiff::{SignedDuration, Timestamp};
use live::Live;
use script::{Script, Step};
use simulator::Simulator;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// Arguments of `millrace demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long to record.
    #[arg(long, env = "DEMO_SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(30..=3600))]
    seconds: u32,
    /// The folder for tables and archive; what an earlier demo left there is removed.
    #[arg(long, default_value = "demo-data")]
    data: PathBuf,
    /// Write the summary as JSON, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// How a demo ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Played,
    Interrupted,
}

/// Runs the demo; fails when something was not recorded that should have been, or a hole has no cause. A signal ends
/// it early, with the summary so far; a second one at once.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    clear(&args.data)?;
    let _instance = Instance::take(&args.data)?;
    let log = start_log(&args.data)?;
    writeln!(
        out,
        "Starting a simulated gateway (its video is encoded once, with ffmpeg) …"
    )?;
    let script = Script::of_length(args.seconds);
    let simulator = Simulator::start(script.scenario()).await?;
    writeln!(
        out,
        "Recording its cameras for {} s; logs are in {}.\n",
        args.seconds,
        log.display()
    )?;

    let config = config(&args, &simulator)?;
    let mut signals = Signals::to_end_with_the_terminal()?;
    let machine = Machine::open(config.clone()).await?;
    machine.apply_settings().await?;
    let archive = AnyArchive::at(&config.archive).await;
    let started_at = Timestamp::now();
    let mut wanted: BTreeMap<ChannelKey, summary::Wanted> = BTreeMap::new();
    let ended = tokio::select! {
        () = machine.poll_for_ever(|_| {}) => Ok(Ended::Played),
        () = machine.dispatch_for_ever(|_| {}) => Ok(Ended::Played),
        played = play(&args, &script, &simulator, &machine, &mut wanted) => played.map(|()| Ended::Played),
        () = signals.next() => Ok(Ended::Interrupted),
    };
    let ended_at = Timestamp::now();
    // However it ended, no recorder stays behind: nobody would look for it.
    stop(&machine, &mut signals).await?;
    simulator.shutdown().await;
    let ended = ended?;

    let period = summary::Period { started_at, ended_at };
    let summary = summary::summarize(&archive, machine.table(), &wanted, &script, &period).await?;
    tell(&args, &summary)?;
    let problems = summary.problems();
    if !problems.is_empty() && ended == Ended::Played {
        bail!("the demo is not as it should be:\n  {}", problems.join("\n  "));
    }
    Ok(())
}

fn tell(args: &Args, summary: &summary::Summary) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "\n{}", summary.render())?;
    writeln!(
        out,
        "The archive is in {}; look at it with\n",
        args.data.join("archive").display()
    )?;
    writeln!(
        out,
        "  {} segments --data {} {} 1\n",
        std::env::args().next().unwrap_or_else(|| "millrace".to_owned()),
        args.data.display(),
        script::GATE
    )?;
    if let Some(file) = &args.json {
        let json = serde_json::to_vec_pretty(summary)?;
        std::fs::write(file, json).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}

/// Drains the recorders; at another signal they are killed.
async fn stop(machine: &Machine, signals: &mut Signals) -> anyhow::Result<()> {
    // Whoever ended the demo may have closed the terminal.
    _ = writeln!(
        std::io::stdout(),
        "\nStopping: recorders close their segments and upload them …"
    );
    tokio::select! {
        drained = machine.drain(|_| {}) => drained,
        () = signals.next() => {
            machine.kill().await?;
            bail!("second signal: the recorders were killed")
        }
    }
}

/// Removes an earlier demo, and nothing that is not one.
fn clear(data: &std::path::Path) -> anyhow::Result<()> {
    if !data.exists() {
        return Ok(());
    }
    let empty = std::fs::read_dir(data)
        .with_context(|| format!("reading {}", data.display()))?
        .next()
        .is_none();
    if !empty && !data.join("demo.log").exists() {
        bail!(
            "{} is not from an earlier demo; name another folder with --data",
            data.display()
        );
    }
    drop(Instance::take(data)?);
    std::fs::remove_dir_all(data).with_context(|| format!("removing {}", data.display()))
}

fn start_log(data: &std::path::Path) -> anyhow::Result<PathBuf> {
    let path = data.join("demo.log");
    let file = std::fs::File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    tracing_subscriber::fmt()
        .with_env_filter("info,simulator=warn")
        .with_ansi(false)
        .with_writer(std::sync::Mutex::new(file))
        .try_init()
        .map_err(|error| anyhow::anyhow!(error))?;
    Ok(path)
}

/// A minute of demo has room for what takes a quarter of an hour with the usual settings.
fn config(args: &Args, simulator: &Simulator) -> anyhow::Result<Config> {
    let gateway = Gateway {
        url: simulator
            .api_url()
            .parse()
            .context("reading the simulator's URL")?,
        username: simulator.username().to_owned(),
        password: simulator.password().to_owned().into(),
        tls: isapi::Tls::WebPki,
        devices_per_page: None,
    };
    let second = Some(SignedDuration::from_secs(1));
    let options = Options {
        data: DataOptions {
            data: Some(args.data.clone()),
            ..DataOptions::default()
        },
        poll: PollOptions {
            offline_grace: Some(SignedDuration::from_secs(5)),
            ..PollOptions::default()
        },
        loops: LoopOptions {
            poll_interval: second,
            dispatch_interval: second,
            pull_interval: second,
            channels_per_task: Some(3),
            stop_deadline: Some(SignedDuration::from_secs(20)),
            ..LoopOptions::default()
        },
        ..Options::default()
    };
    let mut config = Config::with_gateway(options, gateway)?;
    config.poll.settings.segment_seconds = script::SEGMENT_SECONDS;
    config.channels = script::settings();
    Ok(config)
}

/// Plays the script and shows what is going on, until the time is over.
async fn play(
    args: &Args,
    script: &Script,
    simulator: &Simulator,
    machine: &Machine,
    wanted: &mut BTreeMap<ChannelKey, summary::Wanted>,
) -> anyhow::Result<()> {
    let live = Live::new(args.seconds);
    let start = Instant::now();
    let mut steps = script.steps.iter().peekable();
    for second in 0..args.seconds {
        while let Some(step) = steps.next_if(|step| step.at_seconds <= second) {
            live.say(step.said);
            act(step, simulator, machine).await?;
        }
        let fleet = observe(machine.table(), Timestamp::now(), SignedDuration::from_secs(10)).await?;
        for channel in &fleet {
            wanted
                .entry(channel.key.clone())
                .or_insert_with(|| summary::Wanted {
                    name: format!("{} {}", channel.device_name, channel.key.channel),
                    since: channel.wanted_since,
                });
        }
        live.show(second, &fleet);
        sleep_until(start + Duration::from_secs(u64::from(second) + 1)).await;
    }
    live.end();
    Ok(())
}

async fn act(step: &Step, simulator: &Simulator, machine: &Machine) -> anyhow::Result<()> {
    match &step.act {
        script::Act::Simulator(operations) => {
            for operation in operations {
                simulator.control().apply(operation.clone())?;
            }
            Ok(())
        }
        script::Act::KillRecorderOf(key) => {
            for _ in 0..20 {
                if machine.kill_recorder_of(key).await? {
                    return Ok(());
                }
                sleep(Duration::from_millis(100)).await;
            }
            bail!("no recorder of {key} to kill")
        }
    }
}

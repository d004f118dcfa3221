use crate::deployment::{Deployment, FunctionNetwork, GatewayMachine, RecorderNetwork};
use crate::dollars::Dollars;
use crate::prices::{MONTH_HOURS, NoPrice, Prices};
use crate::storage::{footage, is_moved, moved, stored};
use serde::Serialize;
use std::fmt;

/// Seconds of a month.
pub(crate) const MONTH_SECONDS: f64 = MONTH_HOURS * 3_600.0;

/// Interface endpoints recorders need without a public address: two of the image registry, and the log's.
const RECORDER_ENDPOINTS: f64 = 3.0;
/// Write units of a heartbeat: the row's, and its index's.
const HEARTBEAT_WRITES: f64 = 2.0;
/// Seconds between a recorder's pulls (`MILLRACE_PULL_INTERVAL`, which the template leaves at its default).
const PULL_SECONDS: f64 = 10.0;
/// Assignments that half a read unit holds: 4 KB of rows of 500 B, read with eventual consistency.
const PULL_ROWS: u32 = 8;
/// Seconds between a recorder's looks at a channel's known gaps, each a read unit.
const GAP_LOOK_SECONDS: f64 = 600.0;
/// What the rows of a channel take of a scan: its own, and its assignment's. A read unit is 4 KB, read consistently.
const ROW_BYTES: f64 = 1_400.0;
/// Seconds between runs of health-check, and of snapshot-recovery.
const CHECK_SECONDS: f64 = 60.0;
/// Memory of a function in GB, and how long a run takes at most as a rule, in seconds.
const FUNCTION_GB_SECONDS: f64 = 0.25;

/// What it takes to look after a stack.
struct Care {
    /// Interface endpoints that functions need within the network.
    endpoints: f64,
    /// What the programs measure for the alarms and the dashboard.
    metrics: f64,
    /// Alarms of the template.
    alarms: u32,
    /// What functions log a month.
    log_gb: f64,
}

/// With a gateway that others run: endpoints for passwords and alerts.
const OTHERS_GATEWAY: Care = Care {
    endpoints: 2.0,
    metrics: 28.0,
    alarms: 16,
    log_gb: 0.2,
};

/// With a gateway of its own: an endpoint for EC2, too, and what snapshot-recovery measures and logs.
const OWN_GATEWAY: Care = Care {
    endpoints: 3.0,
    metrics: 39.0,
    alarms: 22,
    log_gb: 0.3,
};

impl Care {
    fn of(deployment: &Deployment) -> &'static Self {
        match deployment.gateway {
            GatewayMachine::Windows | GatewayMachine::Linux => &OWN_GATEWAY,
            GatewayMachine::None => &OTHERS_GATEWAY,
        }
    }
}

/// What something is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Item {
    /// Fargate.
    Recorders,
    /// Their public addresses.
    RecorderAddresses,
    /// Writes of heartbeats.
    Heartbeats,
    /// Reads of assignments and known gaps.
    Pulls,
    /// Reads of rows by polls, checks and dispatches.
    RowReads,
    /// Segments put into the archive.
    Puts,
    /// Segments moved to another class.
    Transitions,
    /// What lies where it was put.
    Storage,
    /// What lies where it was moved.
    MovedStorage,
    /// Endpoints of recorders without public addresses.
    RecorderEndpoints,
    /// Endpoints of the functions.
    FunctionEndpoints,
    /// The gateway's instance.
    Gateway,
    /// Its disk.
    GatewayDisk,
    /// Its address.
    GatewayAddress,
    /// Its images.
    Images,
    /// Metrics, alarms, dashboard.
    Monitoring,
    /// Runs of the functions.
    Functions,
    /// Their logs.
    Logs,
}

impl Item {
    /// Whether it grows with the channels.
    pub fn is_per_channel(self) -> bool {
        self <= Self::MovedStorage
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Recorders => "recorders",
            Self::RecorderAddresses => "public addresses",
            Self::Heartbeats => "heartbeats",
            Self::Pulls => "pulls, looks at gaps",
            Self::RowReads => "reads of polls, checks, dispatches",
            Self::Puts => "PUT of segments",
            Self::Transitions => "transition of segments",
            Self::Storage => "storage, STANDARD",
            Self::MovedStorage => "storage after transition",
            Self::RecorderEndpoints => "endpoints of recorders",
            Self::FunctionEndpoints => "endpoints of functions",
            Self::Gateway => "gateway instance",
            Self::GatewayDisk => "its disk",
            Self::GatewayAddress => "its address",
            Self::Images => "its images",
            Self::Monitoring => "metrics, alarms, dashboard",
            Self::Functions => "functions",
            Self::Logs => "their logs",
        })
    }
}

/// A line of the bill.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// What for.
    pub item: Item,
    /// A month of the whole fleet.
    pub per_month: Dollars,
    /// What it comes from.
    pub from: String,
}

/// A month of a stack.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bill {
    /// How many channels it is for.
    pub channels: u32,
    /// What is paid, in the order of [`Item`]; what is not paid has no line.
    pub lines: Vec<Line>,
}

impl Bill {
    /// Everything.
    pub fn total(&self) -> Dollars {
        self.lines.iter().map(|line| line.per_month).sum()
    }

    /// What a channel's share of everything is.
    pub fn per_channel(&self) -> Dollars {
        self.total() * f64::from(self.channels.max(1)).recip()
    }

    /// What there is to pay without any channel.
    pub fn fixed(&self) -> Dollars {
        let fixed = self.lines.iter().filter(|line| !line.item.is_per_channel());
        fixed.map(|line| line.per_month).sum()
    }

    /// What one item costs; nothing when it has no line.
    pub fn of(&self, item: Item) -> Dollars {
        let lines = self.lines.iter().filter(|line| line.item == item);
        lines.map(|line| line.per_month).sum()
    }

    /// The items that make up half of the bill or more, the dearest first.
    pub fn dominant(&self) -> Vec<&Line> {
        let mut lines: Vec<&Line> = self.lines.iter().collect();
        lines.sort_by(|one, other| other.per_month.0.total_cmp(&one.per_month.0));
        let half = self.total() * 0.5;
        let mut sum = Dollars::default();
        let enough = lines.iter().position(|line| {
            sum = sum + line.per_month;
            sum >= half
        });
        lines.truncate(enough.map_or(lines.len(), |place| place + 1));
        lines
    }
}

/// What a deployment costs a month, with its archive as old as it gets.
///
/// # Errors
/// [`NoPrice`] when the table does not have the type of machine or the storage class.
pub fn bill(prices: &Prices, deployment: &Deployment) -> Result<Bill, NoPrice> {
    let mut lines = recorders(prices, deployment);
    lines.extend(rows(prices, deployment));
    lines.extend(archive(prices, deployment)?);
    lines.extend(gateway(prices, deployment)?);
    lines.extend(operation(prices, deployment));
    lines.retain(|line| line.per_month > Dollars::default());
    lines.sort_by_key(|line| line.item);
    Ok(Bill {
        channels: deployment.channels,
        lines,
    })
}

fn line(item: Item, per_month: Dollars, from: String) -> Line {
    Line {
        item,
        per_month,
        from,
    }
}

fn recorders(prices: &Prices, deployment: &Deployment) -> Vec<Line> {
    let tasks = deployment.tasks();
    let (vcpus, gb) = (
        f64::from(deployment.recorder_cpu) / 1_024.0,
        f64::from(deployment.recorder_memory) / 1_024.0,
    );
    let task = prices.fargate.task_month(deployment.architecture, vcpus, gb);
    let beyond_base = f64::from(tasks.saturating_sub(deployment.on_demand_base));
    let on_spot = beyond_base * f64::from(deployment.spot_percent) / 100.0;
    let paid = f64::from(tasks) - on_spot * prices.fargate.spot_discount;
    let compute = line(
        Item::Recorders,
        task * paid,
        format!("{tasks} tasks of {vcpus} vCPU and {gb} GB at {task}, {on_spot} of them on Spot"),
    );
    let outside = match deployment.recorder_network {
        RecorderNetwork::Public => {
            let address = prices.network.address_month();
            let from = format!("{tasks} tasks at {address}");
            line(Item::RecorderAddresses, address * f64::from(tasks), from)
        }
        RecorderNetwork::Private => {
            let endpoint = prices.network.endpoint_month();
            let from = format!("{RECORDER_ENDPOINTS} endpoints at {endpoint}");
            line(Item::RecorderEndpoints, endpoint * RECORDER_ENDPOINTS, from)
        }
    };
    vec![compute, outside]
}

/// From how many tasks on endpoints are cheaper than public addresses.
pub(crate) fn private_from_tasks(prices: &Prices) -> f64 {
    let endpoints = prices.network.endpoint_month() * RECORDER_ENDPOINTS;
    (endpoints.0 / prices.network.address_month().0).floor() + 1.0
}

fn rows(prices: &Prices, deployment: &Deployment) -> Vec<Line> {
    let (channels, tasks) = (f64::from(deployment.channels), f64::from(deployment.tasks()));
    let reads = |units: f64| prices.table.read_million * (units / 1e6);
    let every = deployment.heartbeat_interval.as_secs_f64();
    let heartbeats = channels * MONTH_SECONDS / every;
    let pulls = tasks * MONTH_SECONDS / PULL_SECONDS;
    let rows_of_task = deployment.channels_per_task.min(deployment.channels);
    let units_of_pull = f64::from(rows_of_task.div_ceil(PULL_ROWS)) / 2.0;
    let gap_looks = channels * MONTH_SECONDS / GAP_LOOK_SECONDS;
    let scans = runs(deployment);
    vec![
        line(
            Item::Heartbeats,
            prices.table.write_million * (heartbeats * HEARTBEAT_WRITES / 1e6),
            format!("every {every} s, {HEARTBEAT_WRITES} write units each"),
        ),
        line(
            Item::Pulls,
            reads(pulls * units_of_pull + gap_looks),
            format!("every {PULL_SECONDS} s a task, every {GAP_LOOK_SECONDS} s a channel"),
        ),
        line(
            Item::RowReads,
            reads(scans * channels * ROW_BYTES / 4_096.0),
            format!("{scans:.0} times {ROW_BYTES} B a channel"),
        ),
    ]
}

/// Runs of the functions that look at everything.
fn runs(deployment: &Deployment) -> f64 {
    [
        deployment.poll_interval.as_secs_f64(),
        deployment.dispatch_interval.as_secs_f64(),
        CHECK_SECONDS,
    ]
    .map(|every| MONTH_SECONDS / every)
    .iter()
    .sum()
}

fn archive(prices: &Prices, deployment: &Deployment) -> Result<Vec<Line>, NoPrice> {
    let footage = footage(deployment);
    let puts = prices.class(domain::StorageClass::Standard)?.put_thousand * (footage.segments / 1e3);
    let segments = format!("{:.0} segments of {} s", footage.segments, deployment.segment);
    let stored = stored(prices, deployment)?;
    let mut lines = vec![
        line(Item::Puts, puts, segments.clone()),
        line(Item::Storage, stored.cost, stored.from),
    ];
    if is_moved(deployment) {
        let class = deployment.transition_storage_class;
        let moves = prices.class(class)?.put_thousand * (footage.segments / 1e3);
        let moved = moved(prices, deployment)?;
        lines.push(line(Item::Transitions, moves, format!("{segments} to {class}")));
        lines.push(line(Item::MovedStorage, moved.cost, moved.from));
    }
    Ok(lines)
}

fn gateway(prices: &Prices, deployment: &Deployment) -> Result<Vec<Line>, NoPrice> {
    if deployment.gateway == GatewayMachine::None {
        return Ok(Vec::new());
    }
    let machine = prices.machine(&deployment.machine_type)?;
    let hour = match deployment.gateway {
        GatewayMachine::Windows => machine.windows,
        GatewayMachine::Linux | GatewayMachine::None => machine.linux,
    };
    let disk = f64::from(deployment.gateway_disk);
    Ok(vec![
        line(
            Item::Gateway,
            hour * MONTH_HOURS,
            format!("{} at ${} an hour", deployment.machine_type, hour.0),
        ),
        line(
            Item::GatewayDisk,
            prices.disk.volume_gb * disk,
            format!("{disk} GB"),
        ),
        line(
            Item::GatewayAddress,
            prices.network.address_month(),
            "one Elastic IP".to_owned(),
        ),
        line(
            Item::Images,
            prices.disk.snapshot_gb * disk,
            format!("{disk} GB once; each further image only what changed"),
        ),
    ])
}

fn operation(prices: &Prices, deployment: &Deployment) -> Vec<Line> {
    let monitoring = &prices.monitoring;
    let care = Care::of(deployment);
    let recoveries = match deployment.gateway {
        GatewayMachine::Windows | GatewayMachine::Linux => MONTH_SECONDS / CHECK_SECONDS,
        GatewayMachine::None => 0.0,
    };
    let runs = runs(deployment) + recoveries;
    let run = prices.functions.gb_second(deployment.architecture) * FUNCTION_GB_SECONDS;
    let call = prices.functions.call_million * 1e-6;
    let mut lines = vec![
        line(
            Item::Monitoring,
            monitoring.metric * care.metrics
                + monitoring.alarm * f64::from(care.alarms)
                + monitoring.dashboard,
            format!("{} metrics, {} alarms, a dashboard", care.metrics, care.alarms),
        ),
        line(
            Item::Functions,
            (run + call) * runs,
            format!("{runs:.0} runs of {FUNCTION_GB_SECONDS} GB-seconds"),
        ),
        line(
            Item::Logs,
            monitoring.log_gb * care.log_gb,
            format!("{} GB", care.log_gb),
        ),
    ];
    if deployment.function_network == FunctionNetwork::Vpc {
        let endpoint = prices.network.endpoint_month();
        let from = format!("{} endpoints at {endpoint}", care.endpoints);
        lines.push(line(Item::FunctionEndpoints, endpoint * care.endpoints, from));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_has_as_many_alarms_as_are_billed() {
        let template = template::Template::of_this_workspace().unwrap();
        let alarms = template.resources_of("AWS::CloudWatch::Alarm");
        let count = |alarms: usize| u32::try_from(alarms).unwrap();
        assert_eq!(count(alarms.len()), OWN_GATEWAY.alarms);
        let conditional = alarms
            .values()
            .filter(|alarm| alarm["Condition"] == "ManagedGateway");
        assert_eq!(count(alarms.len() - conditional.count()), OTHERS_GATEWAY.alarms);
    }
}

//! What would be cheaper: deployments that differ in one parameter.

use crate::bill::{bill, private_from_tasks};
use crate::deployment::{
    Architecture, Deployment, FunctionNetwork, GatewayMachine, RecorderNetwork, TRANSITION_CLASSES,
};
use crate::dollars::Dollars;
use crate::prices::{ClassPrices, NoPrice, Prices};
use domain::StorageClass;
use jiff::SignedDuration;
use serde::Serialize;

/// A cheaper deployment.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Neighbour {
    /// The template's parameter and its value: `ChannelsPerTask=10`.
    pub change: String,
    /// What it saves a month.
    pub saves: Dollars,
    /// What is given up for it.
    pub gives_up: String,
}

/// The cheaper neighbours, by what they save.
///
/// # Errors
/// [`NoPrice`] as for [`bill`].
pub fn neighbours(prices: &Prices, deployment: &Deployment) -> Result<Vec<Neighbour>, NoPrice> {
    let now = bill(prices, deployment)?.total();
    let mut cheaper = Vec::new();
    for candidate in candidates(prices, deployment) {
        let saves = now - bill(prices, &candidate.deployment)?.total();
        if saves.0 >= 0.005 {
            cheaper.push(Neighbour {
                change: candidate.change,
                saves,
                gives_up: candidate.gives_up,
            });
        }
    }
    cheaper.sort_by(|one, other| other.saves.0.total_cmp(&one.saves.0));
    Ok(cheaper)
}

struct Candidate {
    deployment: Deployment,
    change: String,
    gives_up: String,
}

fn candidates(prices: &Prices, here: &Deployment) -> Vec<Candidate> {
    let mut found = recorders(prices, here);
    found.extend(archive(prices, here));
    if here.heartbeat_interval < SignedDuration::from_mins(1) {
        let mut there = here.clone();
        there.heartbeat_interval = SignedDuration::from_mins(1);
        found.push(candidate(
            there,
            "HeartbeatInterval=60s",
            "a hung recorder is seen half a minute later",
        ));
    }
    if here.function_network == FunctionNetwork::Vpc && here.gateway == GatewayMachine::None {
        let mut there = here.clone();
        there.function_network = FunctionNetwork::Internet;
        found.push(candidate(
            there,
            "FunctionNetwork=Internet",
            "the gateway must have a public address and a certificate that is checked",
        ));
    }
    found
}

fn candidate(deployment: Deployment, change: impl Into<String>, gives_up: impl Into<String>) -> Candidate {
    Candidate {
        deployment,
        change: change.into(),
        gives_up: gives_up.into(),
    }
}

fn recorders(prices: &Prices, here: &Deployment) -> Vec<Candidate> {
    let mut found = Vec::new();
    for channels_per_task in [20, 50, 100] {
        if here.channels_per_task < channels_per_task && here.channels > here.channels_per_task {
            let mut there = here.clone();
            there.channels_per_task = channels_per_task;
            let gives_up =
                format!("a recorder that dies takes {channels_per_task} channels along until it is replaced");
            found.push(candidate(
                there,
                format!("ChannelsPerTask={channels_per_task}"),
                gives_up,
            ));
        }
    }
    if here.spot_percent < 100 {
        let mut there = here.clone();
        there.spot_percent = 100;
        found.push(candidate(
            there,
            "SpotPercent=100",
            "recorders are moved at two minutes' notice, with a gap of seconds each time",
        ));
    }
    if here.architecture == Architecture::X86_64 {
        let mut there = here.clone();
        there.architecture = Architecture::Arm64;
        found.push(candidate(
            there,
            "Architecture=arm64",
            "images and functions are built anew",
        ));
    }
    let mut there = here.clone();
    found.push(match here.recorder_network {
        RecorderNetwork::Public => {
            there.recorder_network = RecorderNetwork::Private;
            let from = private_from_tasks(prices);
            candidate(
                there,
                "RecorderNetwork=Private",
                format!("endpoints lie in one zone; cheaper from {from} tasks on"),
            )
        }
        RecorderNetwork::Private => {
            there.recorder_network = RecorderNetwork::Public;
            candidate(
                there,
                "RecorderNetwork=Public",
                "recorders have public addresses, with no open port",
            )
        }
    });
    found
}

fn archive(prices: &Prices, here: &Deployment) -> Vec<Candidate> {
    let mut found = Vec::new();
    for segment in [60, 300] {
        if here.segment < segment {
            let mut there = here.clone();
            there.segment = segment;
            let gives_up = format!("video is in the archive up to {segment} s after it was recorded");
            found.push(candidate(there, format!("Segment={segment}"), gives_up));
        }
    }
    if here.bucket_transition == 0 {
        return found;
    }
    let mut there = here.clone();
    there.bucket_transition = 0;
    found.push(candidate(
        there,
        "BucketTransition=0",
        "nothing: segments stay where they are read at once",
    ));
    for class in TRANSITION_CLASSES {
        let Ok(class_prices) = prices.class(class) else {
            continue;
        };
        if class == here.transition_storage_class {
            continue;
        }
        let mut there = here.clone();
        there.transition_storage_class = class;
        found.push(candidate(
            there,
            format!("TransitionStorageClass={class}"),
            reading(class, class_prices),
        ));
    }
    found
}

fn reading(class: StorageClass, prices: &ClassPrices) -> String {
    if !class.needs_restore() {
        return format!("reading what is old costs {} a GB", prices.read_gb);
    }
    let hours = prices.restore.values().map(|restore| restore.hours[1]);
    let slowest = hours.fold(0.0, f64::max);
    format!("what is old must be restored before it plays, at the lowest price within {slowest} h")
}

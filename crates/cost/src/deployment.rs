use clap::{Args, ValueEnum, value_parser};
use domain::StorageClass;
use jiff::SignedDuration;
use serde::Serialize;

/// What is deployed: the template's parameters under their names, with their defaults, and what the template cannot
/// know.
#[derive(Debug, Clone, Args, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deployment {
    /// How many channels are recorded.
    #[arg(long, value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub channels: u32,
    /// What a channel sends, in kbit/s, day and night.
    #[arg(long, value_name = "KBPS", default_value_t = 2_000, value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub bit_rate: u32,
    /// A segment's length in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = value_parser!(u32).range(2..=3600))]
    pub segment: u32,
    /// For how many days the archive keeps what no episode covers; 0 keeps all.
    #[arg(long, value_name = "DAYS", default_value_t = 0, value_parser = value_parser!(u32).range(..=36_500))]
    pub retention_days: u32,
    /// How old the archive is, in days, whose storage is counted when it keeps all: it grows for ever.
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = value_parser!(u32).range(1..=36_500))]
    pub archive_age: u32,
    /// After how many days segments move to the other storage class; 0 for never.
    #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = value_parser!(u32).range(..=36_500))]
    pub bucket_transition: u32,
    /// Where they move: GLACIER, GLACIER_IR or DEEP_ARCHIVE.
    #[arg(long, value_name = "CLASS", default_value_t = StorageClass::Glacier, value_parser = transition_class)]
    pub transition_storage_class: StorageClass,
    /// How many channels a recorder may record.
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = value_parser!(u32).range(1..=100))]
    pub channels_per_task: u32,
    /// How many of a hundred recorders run on Spot.
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = value_parser!(u32).range(..=100))]
    pub spot_percent: u32,
    /// How many recorders run on demand before that applies.
    #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = value_parser!(u32).range(..=1_000))]
    pub on_demand_base: u32,
    /// CPU units of a recorder (1024 is one vCPU).
    #[arg(long, value_name = "UNITS", default_value_t = 256, value_parser = value_parser!(u32).range(256..=4_096))]
    pub recorder_cpu: u32,
    /// Memory of a recorder in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = value_parser!(u32).range(512..=8_192))]
    pub recorder_memory: u32,
    /// How often a recorder writes that a channel is recorded.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = interval)]
    pub heartbeat_interval: SignedDuration,
    /// Public gives each recorder a public address, Private pays interface endpoints instead.
    #[arg(long, value_name = "NETWORK", value_enum, ignore_case = true, default_value_t = RecorderNetwork::Public)]
    pub recorder_network: RecorderNetwork,
    /// From where the functions reach the gateway.
    #[arg(long, value_name = "NETWORK", value_enum, ignore_case = true, default_value_t = FunctionNetwork::Vpc)]
    pub function_network: FunctionNetwork,
    /// How often the gateway is asked for its devices.
    #[arg(long, value_name = "TIME", default_value = "1 minute", value_parser = interval)]
    pub poll_interval: SignedDuration,
    /// How often everything is reconciled.
    #[arg(long, value_name = "TIME", default_value = "5 minutes", value_parser = interval)]
    pub dispatch_interval: SignedDuration,
    /// What functions and recorders are built for.
    #[arg(long, value_enum, default_value_t = Architecture::Arm64)]
    pub architecture: Architecture,
    /// The gateway's instance: its system, or none when the stack does not have it.
    #[arg(long, value_name = "SYSTEM", value_enum, default_value_t = GatewayMachine::Windows)]
    pub gateway: GatewayMachine,
    /// The gateway's instance type.
    #[arg(long, value_name = "TYPE", default_value = "c5.xlarge")]
    pub machine_type: String,
    /// The size of its disk in GB.
    #[arg(long, value_name = "GB", default_value_t = 50, value_parser = value_parser!(u32).range(..=16_384))]
    pub gateway_disk: u32,
}

/// What the parameter `Architecture` may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// Graviton.
    Arm64,
    /// Intel and AMD.
    #[value(name = "x86_64")]
    #[serde(rename = "x86_64")]
    X86_64,
}

/// What the parameter `RecorderNetwork` may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
pub enum RecorderNetwork {
    /// A public address a task.
    #[value(name = "Public")]
    Public,
    /// Interface endpoints.
    #[value(name = "Private")]
    Private,
}

/// What the parameter `FunctionNetwork` may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
pub enum FunctionNetwork {
    /// In the stack's network, with interface endpoints.
    #[value(name = "Vpc")]
    Vpc,
    /// Outside.
    #[value(name = "Internet")]
    Internet,
}

/// What the gateway runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GatewayMachine {
    /// An instance with a Windows licence.
    Windows,
    /// An instance without.
    Linux,
    /// Not on an instance of the stack.
    None,
}

impl Deployment {
    /// How many recorders that takes.
    pub fn tasks(&self) -> u32 {
        self.channels.div_ceil(self.channels_per_task.max(1))
    }
}

/// The classes the parameter `TransitionStorageClass` may name.
pub(crate) const TRANSITION_CLASSES: [StorageClass; 3] = [
    StorageClass::GlacierIr,
    StorageClass::Glacier,
    StorageClass::DeepArchive,
];

fn transition_class(text: &str) -> Result<StorageClass, String> {
    let class = TRANSITION_CLASSES.into_iter().find(|class| class.name() == text);
    class.ok_or_else(|| "it is none of GLACIER, GLACIER_IR, DEEP_ARCHIVE".to_owned())
}

fn interval(text: &str) -> Result<SignedDuration, String> {
    let interval: SignedDuration = text.parse().map_err(|error| format!("{error}"))?;
    if interval < SignedDuration::from_secs(1) {
        return Err("at least a second".to_owned());
    }
    Ok(interval)
}

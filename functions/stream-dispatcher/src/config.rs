//! What the dispatcher is told by its environment.

use aws::ecs::{EcsConfig, LaunchMode};
use clap::{Parser, ValueEnum};
use domain::dispatch::DispatchPolicy;
use lambda::Stack;
use std::num::NonZeroUsize;

#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Config {
    #[command(flatten)]
    pub(crate) stack: Stack,
    /// The ECS cluster that recorders run in, name or ARN
    #[arg(long, env = "MILLRACE_CLUSTER")]
    cluster: String,
    /// Task definition of the recorder that copies streams
    #[arg(long, env = "MILLRACE_TASK_DEFINITION")]
    task_definition: String,
    /// Task definition of the recorder that has ffmpeg
    #[arg(long, env = "MILLRACE_TRANSFORM_TASK_DEFINITION")]
    transform_task_definition: String,
    /// Subnets of the recorders, separated by commas; empty where their tasks have no network of their own
    #[arg(long, env = "MILLRACE_SUBNETS", value_delimiter = ',', default_value = "")]
    subnets: Vec<String>,
    /// Security groups of the recorders, separated by commas
    #[arg(
        long,
        env = "MILLRACE_SECURITY_GROUPS",
        value_delimiter = ',',
        default_value = ""
    )]
    security_groups: Vec<String>,
    /// Gives recorders a public address: the way out where there is neither NAT nor an endpoint
    #[arg(long, env = "MILLRACE_ASSIGN_PUBLIC_IP", default_value_t = false, action = clap::ArgAction::Set)]
    assign_public_ip: bool,
    /// Who provides the machines
    #[arg(long, env = "MILLRACE_LAUNCH_MODE", value_enum, default_value_t = Mode::Fargate)]
    launch_mode: Mode,
    /// Percentage of the recorders beyond the base that run on Fargate Spot
    #[arg(long, env = "MILLRACE_SPOT_PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    spot_percent: u8,
    /// This many recorders run On-Demand before any runs on Spot
    #[arg(long, env = "MILLRACE_ON_DEMAND_BASE", default_value_t = 0)]
    on_demand_base: u32,
    /// Channels a recorder records at most
    #[arg(long, env = "MILLRACE_CHANNELS_PER_TASK", default_value = "20")]
    channels_per_task: NonZeroUsize,
    /// Channels a recorder records at most that runs an ffmpeg for each
    #[arg(long, env = "MILLRACE_TRANSFORMS_PER_TASK", default_value = "1")]
    transforms_per_task: NonZeroUsize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// AWS
    #[value(name = "FARGATE")]
    Fargate,
    /// Instances that are registered with the cluster
    #[value(name = "EC2")]
    Ec2,
}

impl Config {
    /// How recorders are run.
    pub(crate) fn ecs(&self) -> EcsConfig {
        EcsConfig {
            cluster: self.cluster.clone(),
            copy_definition: self.task_definition.clone(),
            transform_definition: self.transform_task_definition.clone(),
            subnets: given(&self.subnets),
            security_groups: given(&self.security_groups),
            assign_public_ip: self.assign_public_ip,
            launch: match self.launch_mode {
                Mode::Fargate => LaunchMode::Fargate {
                    spot_percent: self.spot_percent,
                    on_demand_base: self.on_demand_base,
                },
                Mode::Ec2 => LaunchMode::Ec2,
            },
            stack: self.stack.stack.clone(),
        }
    }

    /// How recorders are planned.
    pub(crate) fn policy(&self) -> DispatchPolicy {
        DispatchPolicy {
            channels_per_task: self.channels_per_task.get(),
            transforms_per_task: self.transforms_per_task.get(),
            ..DispatchPolicy::default()
        }
    }
}

/// A list that is empty in the environment arrives as one empty entry.
fn given(list: &[String]) -> Vec<String> {
    list.iter().filter(|entry| !entry.is_empty()).cloned().collect()
}

//! What the listener is told by its environment.

use clap::Parser;
use domain::episode::AlarmPolicy;
use jiff::SignedDuration;
use lambda::{GatewayOptions, Stack};

#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Config {
    #[command(flatten)]
    pub(crate) stack: Stack,
    #[command(flatten)]
    pub(crate) gateway: GatewayOptions,
    /// ARN of the SNS topic that makes the poller poll
    #[arg(long, env = "MILLRACE_POLL_TOPIC")]
    pub(crate) poll_topic: String,
    /// How long the video of an alarm is kept, such as `720h`; `0s` makes no episodes of alarms
    #[arg(long, env = "MILLRACE_ALARM_KEEP", default_value = "720h")]
    alarm_keep: SignedDuration,
    /// How much before an alarm its episode begins
    #[arg(long, env = "MILLRACE_ALARM_BEFORE", default_value = "10s")]
    alarm_before: SignedDuration,
    /// How much after an alarm its episode ends
    #[arg(long, env = "MILLRACE_ALARM_AFTER", default_value = "30s")]
    alarm_after: SignedDuration,
}

impl Config {
    /// How alarms become episodes, if they do.
    pub(crate) fn alarms(&self) -> Option<AlarmPolicy> {
        (self.alarm_keep > SignedDuration::ZERO).then(|| AlarmPolicy {
            keep: self.alarm_keep,
            pre: self.alarm_before,
            post: self.alarm_after,
            ..AlarmPolicy::default()
        })
    }
}

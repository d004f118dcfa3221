//! health-check: once a minute, is the gateway well, is the archive fresh, and what is done about it?
//!
//! The archive is looked at first: whether video arrives is part of the gateway's health. Then the ladder logs in
//! once, asks EC2 for the instance, and takes at most one step. What it remembers is written before the step is taken,
//! so an invocation that is lost, doubled or killed does no harm.
//!
//! Trouble it finds is not a failed invocation: Lambda's retries would only look again before the next minute does.

mod config;
mod measure;

use aws::ec2::{Endpoints, Machines, MachinesConfig, Scheme};
use aws::ssm::Parameters;
use clap::Parser;
use config::Config;
use domain::freshness::{self, SLACK_DEFAULT};
use domain::ladder;
use domain::ports::Site;
use lambda::metrics::gateway_traffic;
use lambda::{Invocation, Keyring, Outbox, run};
use measure::measure;
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// What a look at the gateway may take: a login and a page of devices. With less time a gateway that is only slow
/// would look silent.
const LOOK: Duration = Duration::from_secs(20);

/// The wide event of an invocation.
#[derive(Serialize)]
struct Report {
    archive: freshness::Report,
    gateway: ladder::Report,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    let (sdk, table) = config.stack.start().await?;
    let machines = Machines::new(&sdk, machines(&config));
    let alerts = Outbox::new(&config.stack, &sdk);
    let keyring = Keyring::new(config.gateway.login.clone(), None, Parameters::new(&sdk));
    let patient = config.patient();
    run(async |_event: Value, invocation: Invocation| {
        let now = invocation.now;
        let keys = keyring.read(invocation.until_the_writes()).await;
        let archive = freshness::check(SLACK_DEFAULT, &table, &alerts, now).await;
        let site = Site {
            host: &machines,
            connect: &keys,
            table: &table,
            alerts: &alerts,
        };
        let gateway = if invocation.until_the_writes() < Instant::now() + LOOK {
            ladder::Report::of_failure("there is no time left to look at the gateway")
        } else {
            let policy = config.policy(keys.password_version());
            ladder::check(&policy, &patient, site, archive.archive, now).await
        };
        let report = Report { archive, gateway };
        let traffic = keys.take_traffic();
        let metrics = measure(&report, traffic).and(gateway_traffic(traffic));
        config.stack.emit("check", &report, &metrics, now);
        Ok(Value::Null)
    })
    .await
}

/// The stack's instances, to be looked at and powered. Where the gateway's API is, the control item says, not its
/// instance.
fn machines(config: &Config) -> MachinesConfig {
    MachinesConfig {
        stack: config.stack.stack.clone(),
        endpoints: Endpoints {
            scheme: Scheme::Https,
            port: None,
        },
        recovery: None,
    }
}

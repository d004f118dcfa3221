//! snapshot-recovery: once a minute, are there images of the gateway, is it set up, and has it to be replaced?
//!
//! The first gateway of a stack comes into being the same way: there is none, so it is replaced from the base image.
//! Everything is remembered in the tables before it is done, so an invocation may be lost, come twice or be killed
//! between any two calls, and the next one goes on. The event `{"drill": true}` asks for a drill.

mod config;
mod event;
mod measure;

use anyhow::Context;
use aws::ec2::Machines;
use aws::ssm::Parameters;
use clap::Parser;
use config::Config;
use domain::ports::Site;
use domain::recover::recover;
use event::ask;
use lambda::metrics::gateway_traffic;
use lambda::{Invocation, Keyring, Outbox, run};
use measure::measure;
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    let (sdk, table) = config.stack.start().await?;
    let machines = Machines::new(&sdk, config.machines());
    let alerts = Outbox::new(&config.stack, &sdk);
    let initial = config.gateway_initial_password_parameter.0.clone();
    let keyring = Keyring::new(config.login.clone(), initial, Parameters::new(&sdk));
    let policy = config.policy();
    run(async |event: Value, invocation: Invocation| {
        let now = invocation.now;
        let asked = ask(&table, &event, now).await;
        let keys = keyring.read(invocation.until_the_writes()).await;
        let site = Site {
            host: &machines,
            connect: &keys,
            table: &table,
            alerts: &alerts,
        };
        // On the heap: a round holds a look at everything.
        let report = Box::pin(recover(&policy, &config.setup(&keys), site, now)).await;
        let metrics = measure(&report, now).and(gateway_traffic(keys.take_traffic()));
        config.stack.emit("recover", &report, &metrics, now);
        // Lambda delivers the event again.
        asked.context("asking for a drill")?;
        Ok(Value::Null)
    })
    .await
}

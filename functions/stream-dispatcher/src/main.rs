//! stream-dispatcher: woken by the channels table, by ended tasks and by schedule, it starts and stops recorders until
//! every wanted channel has one.
//!
//! Any number may run at once. Assignments are conditional writes fenced by generation, launches carry tokens that name
//! the decision, so two that decide the same do it once, and a recorder too many finds no assignment and ends. Nothing
//! an event says is needed: one that is lost costs the time until the next schedule.
//!
//! A dispatch that failed is asked for again where that is of use: a stream batch by its first record. The schedule
//! comes again by itself. An ended task whose alert could not be delivered fails the invocation, so that Lambda
//! delivers the event again.

mod config;
mod event;
mod rounds;

use anyhow::Context;
use aws::ecs::EcsTasks;
use clap::Parser;
use config::Config;
use domain::death;
use event::Event;
use jiff::Timestamp;
use lambda::{Invocation, Outbox, run};
use rounds::Dispatcher;
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    let (sdk, table) = config.stack.start().await?;
    let dispatcher = Dispatcher {
        policy: config.policy(),
        table,
        tasks: EcsTasks::new(&sdk, config.ecs()),
        alerts: Outbox::new(&config.stack, &sdk),
        stack: config.stack,
    };
    run(async |event: Value, invocation: Invocation| handle(&dispatcher, &event, &invocation).await).await
}

async fn handle(dispatcher: &Dispatcher, event: &Value, invocation: &Invocation) -> anyhow::Result<Value> {
    let stack = &dispatcher.stack.stack;
    let event = Event::of(event, stack, invocation.now);
    if event == Event::Strange {
        tracing::warn!("an event of an unknown shape; looking all the same");
    }
    // Before the dispatch: the assignments still say what the recorder recorded.
    let told = match &event {
        Event::Task { death: Some(death) } => {
            let told = death::tell(&dispatcher.table, &dispatcher.alerts, death, Timestamp::now()).await;
            Some(told)
        }
        Event::Task { death: None } | Event::Changes { .. } | Event::Schedule | Event::Strange => None,
    };
    let observed = dispatcher.dispatch(event.name(), invocation.deadline).await;
    let told = told.transpose().context("telling people of a recorder's end")?;
    tracing::debug!(?told, "dispatched");
    Ok(event.answer(!observed))
}

//! episodes-api: episodes over HTTP, for programs and people that IAM lets in.
//!
//! Its rules are those of `millrace episodes` (`domain::episode`). A request that cannot be granted is an answer that
//! says why, never a failed invocation. Asking again is safe: who gives a wish for an episode a `clientId` gets the
//! same episode, however often and whatever became of it meanwhile.

mod answer;
mod problem;
mod request;

use answer::{Answer, http};
use aws::dynamodb::Tables;
use clap::Parser;
use domain::ChannelKey;
use domain::episode::{self, Made};
use domain::ports::ChannelsTable;
use jiff::Timestamp;
use lambda::metrics::Metrics;
use lambda::{Invocation, Stack, run};
use problem::Problem;
use request::{Change, Command, List, Place};
use serde::Serialize;
use serde_json::Value;

#[derive(Debug, Parser)]
#[command(version, about)]
struct Config {
    #[command(flatten)]
    stack: Stack,
}

/// The wide event of a request: who asked for what, and what came of it.
#[derive(Serialize)]
struct Report<'a> {
    caller: &'a str,
    method: &'a str,
    query: &'a Value,
    status: u16,
    problem: Option<String>,
    cause: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let Config { stack } = Config::parse();
    let (_, table) = stack.start().await?;
    run(async |event: Value, invocation: Invocation| {
        let outcome = match request::command(&event) {
            Ok(command) => perform(&table, command, invocation.now).await,
            Err(problem) => Err(problem),
        };
        let (status, answer) = http(&outcome);
        let problem = outcome.as_ref().err();
        let report = Report {
            caller: request::caller(&event),
            method: request::method(&event),
            query: &event["rawQueryString"],
            status,
            problem: problem.map(ToString::to_string),
            cause: problem.and_then(Problem::cause),
        };
        stack.emit("episodes", &report, &Metrics::default(), invocation.now);
        Ok(answer)
    })
    .await
}

async fn perform(table: &Tables, command: Command, now: Timestamp) -> Result<Answer, Problem> {
    match command {
        Command::Create(row) => match episode::create(table, row, now).await? {
            Made::New(row) => Ok(Answer::Created(row)),
            Made::Already(row) => Ok(Answer::Is(row)),
        },
        Command::List(list) => page(table, &list).await,
        Command::Change(Place { key, start }, Change::ExtendTo(to)) => {
            Ok(Answer::Is(episode::extend(table, &key, start, to).await?))
        }
        Command::Change(Place { key, start }, Change::EndAt(at)) => {
            Ok(Answer::Is(episode::end(table, &key, start, at).await?))
        }
        Command::Delete(Place { key, start }) => {
            episode::delete(table, &key, start).await?;
            Ok(Answer::Deleted)
        }
    }
}

async fn page(table: &Tables, list: &List) -> Result<Answer, Problem> {
    let channels: Vec<ChannelKey> = match &list.channel {
        Some(channel) => vec![channel.clone()],
        None => table
            .list_channels()
            .await?
            .into_iter()
            .map(|row| row.key)
            .collect(),
    };
    let page = episode::page(table, &channels, &list.range, list.cursor.as_ref(), list.limit).await?;
    Ok(Answer::Listed(page))
}

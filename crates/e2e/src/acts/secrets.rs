//! The gateway's password is where ECS puts it, in its container's environment, and nowhere else.

use crate::deployment::{Deployment, FUNCTIONS, TABLES};
use anyhow::{Context, ensure};
use jiff::Timestamp;
use serde_json::Value;

/// The variable ECS fills in.
const VARIABLE: &str = "MILLRACE_GATEWAY_PASSWORD=";

/// Searches everything that was written down or could be looked at during the run.
pub(super) async fn are_nowhere(deployment: &Deployment<'_>, began: Timestamp) -> anyhow::Result<()> {
    let mut places: Vec<(String, String)> = Vec::new();
    let lines = deployment.log_lines(began).await?;
    ensure!(
        lines.len() > 100,
        "only {} log lines: nothing was searched",
        lines.len()
    );
    places.push(("the logs".to_owned(), lines.join("\n")));
    for file in std::fs::read_dir(&deployment.bed.logs).context("listing the harness's logs")? {
        let path = file.context("listing the harness's logs")?.path();
        let said = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        places.push((
            path.display().to_string(),
            String::from_utf8_lossy(&said).into_owned(),
        ));
    }
    for table in TABLES {
        places.push((
            format!("the table {table}"),
            Value::from(deployment.rows(table).await?).to_string(),
        ));
    }
    for call in deployment.bed.proxy.since(began) {
        places.push((format!("a request, {}", call.name), call.request));
    }
    places.push((
        "the tasks and their overrides".to_owned(),
        Value::from(deployment.tasks().await?).to_string(),
    ));
    places.push((
        "the alerts".to_owned(),
        Value::from(deployment.alerts().await?).to_string(),
    ));
    places.push((
        "the stack's outputs".to_owned(),
        deployment.stack.description().await?,
    ));
    for function in FUNCTIONS {
        let configuration = deployment.stack.configuration(function).await?;
        places.push((
            format!("the configuration of {function}"),
            configuration.to_string(),
        ));
    }
    places.push(("the processes' command lines".to_owned(), command_lines()?));
    places.extend(containers(deployment).await?);
    for (place, text) in places {
        ensure!(
            !text.contains(&deployment.bed.password),
            "the gateway's password is in {place}"
        );
    }
    Ok(())
}

/// What the engine knows of each container, without the variable that is meant to hold the password.
async fn containers(deployment: &Deployment<'_>) -> anyhow::Result<Vec<(String, String)>> {
    let docker = &deployment.bed.docker;
    let ids = docker
        .run(&["ps", "--quiet", "--filter", "label=com.amazonaws.ecs.task-arn"])
        .await?;
    let mut places = Vec::new();
    let mut found = 0;
    for id in ids.lines() {
        let mut inspected: Value = serde_json::from_str(&docker.run(&["inspect", id]).await?)?;
        let environment = inspected[0]["Config"]["Env"]
            .as_array_mut()
            .context("a container has an environment")?;
        found += environment.iter().filter(|entry| is_secret(entry)).count();
        environment.retain(|entry| !is_secret(entry));
        places.push((format!("container {id}"), inspected.to_string()));
    }
    ensure!(
        found > 0,
        "no container was given {VARIABLE}: nothing was searched"
    );
    Ok(places)
}

fn is_secret(entry: &Value) -> bool {
    entry.as_str().is_some_and(|entry| entry.starts_with(VARIABLE))
}

/// The arguments of every process of this machine, containers' too.
fn command_lines() -> anyhow::Result<String> {
    let mut all = String::new();
    for process in std::fs::read_dir("/proc").context("listing processes")? {
        // A process may end while it is looked at.
        let Ok(arguments) = std::fs::read(process.context("listing processes")?.path().join("cmdline"))
        else {
            continue;
        };
        all.push_str(&String::from_utf8_lossy(&arguments));
        all.push('\n');
    }
    Ok(all)
}

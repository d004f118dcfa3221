//! The environment the template gives a program is the one the program reads, both ways.

use crate::{between, source, template};
use serde_json::Value;
use std::collections::BTreeSet;

/// A Lambda function, and where its configuration is: its own, and the options it shares with others.
struct Function {
    id: &'static str,
    sources: &'static [&'static str],
}

const STACK: &str = "crates/lambda/src/options.rs";
const GATEWAY: &str = "crates/lambda/src/gateway.rs";
const LOGIN: &str = "crates/lambda/src/gateway/login.rs";

const FUNCTIONS: [Function; 7] = [
    Function {
        id: "DevicePoller",
        sources: &["functions/device-poller/src", STACK, GATEWAY, LOGIN],
    },
    Function {
        id: "StreamDispatcher",
        sources: &["functions/stream-dispatcher/src", STACK],
    },
    Function {
        id: "HealthCheck",
        sources: &["functions/health-check/src", STACK, GATEWAY, LOGIN],
    },
    Function {
        id: "SnapshotRecovery",
        sources: &["functions/snapshot-recovery/src", STACK, LOGIN],
    },
    Function {
        id: "ArchiveKeeper",
        sources: &["functions/archive-keeper/src", STACK],
    },
    Function {
        id: "EpisodesApi",
        sources: &["functions/episodes-api/src", STACK],
    },
    Function {
        id: "EventListener",
        sources: &["functions/event-listener/src", STACK, GATEWAY, LOGIN],
    },
];

/// What a recorder may be told and the template leaves at its default, with the reason.
const LEFT_TO_THE_RECORDER: [(&str, &str); 4] = [
    ("MILLRACE_TASK_ARN", "it asks ECS for its own name"),
    ("MILLRACE_PULL_INTERVAL", "one query; what costs is the heartbeat"),
    ("MILLRACE_ORPHAN_GRACE", "nobody on AWS needs another"),
    ("MILLRACE_UPLOADS_MAX", "nobody on AWS needs another"),
];

/// The same of the backfill.
const LEFT_TO_THE_BACKFILL: [(&str, &str); 3] = [
    ("MILLRACE_TASK_ARN", "it asks ECS for its own name"),
    ("MILLRACE_BACKFILL_AFTER", "devices close their files within it"),
    ("MILLRACE_BACKFILL_PLAYBACKS", "more would load the gateway"),
];

/// The variables a program reads: `env = "…"` of its clap fields.
fn read_by(sources: &[&str]) -> BTreeSet<String> {
    let text: String = sources.iter().map(|path| source(path)).collect();
    between(&text, "env = \"", "\"")
        .into_iter()
        .map(str::to_owned)
        .collect()
}

fn ours(names: impl Iterator<Item = String>) -> BTreeSet<String> {
    names.filter(|name| name.starts_with("MILLRACE_")).collect()
}

#[test]
fn a_function_is_given_what_it_reads_and_nothing_else() {
    let template = template();
    let common = template.at("/Globals/Function/Environment/Variables");
    for function in FUNCTIONS {
        let own = template.at(&format!(
            "/Resources/{}/Properties/Environment/Variables",
            function.id
        ));
        let given = [common, own].into_iter().filter_map(Value::as_object);
        let given = ours(given.flat_map(|variables| variables.keys().cloned()));
        assert_eq!(given, read_by(function.sources), "{}", function.id);
    }
}

#[test]
fn every_function_of_the_template_is_compared() {
    let compared: BTreeSet<&str> = FUNCTIONS.iter().map(|function| function.id).collect();
    let template = template();
    let functions = template.resources_of("AWS::Serverless::Function");
    assert_eq!(functions.into_keys().collect::<BTreeSet<_>>(), compared);
}

#[test]
fn the_shared_options_are_those_a_function_uses() {
    assert!(
        source(GATEWAY).contains("login: LoginOptions"),
        "one without the other"
    );
    for function in FUNCTIONS {
        let own = source(function.sources[0]);
        let gateway = own.contains(": GatewayOptions");
        let login = gateway || own.contains(": LoginOptions");
        let compared = [GATEWAY, LOGIN].map(|shared| function.sources.contains(&shared));
        assert_eq!([gateway, login], compared, "{}", function.id);
    }
}

/// The variables the only container of a task is given, those of a condition included.
fn given_to(task: &Value) -> BTreeSet<String> {
    let container = &task["Properties"]["ContainerDefinitions"][0];
    let lists = [&container["Environment"], &container["Secrets"]];
    let entries = lists.into_iter().filter_map(Value::as_array).flatten();
    let names = entries.filter_map(|entry| {
        let conditional = &entry["Fn::If"][1]["Name"];
        entry["Name"].as_str().or(conditional.as_str())
    });
    ours(names.map(str::to_owned))
}

/// What a program in a container reads, without what the template leaves to it.
fn read_in_a_container(sources: &[&str], left: &[(&str, &str)]) -> BTreeSet<String> {
    let mut read = read_by(sources);
    // It has no flag, because other users can read an argv.
    let cli = source("container/src/cli.rs");
    let password = between(&cli, "PASSWORD_ENV: &str = \"", "\"");
    read.extend(password.into_iter().map(str::to_owned));
    for (name, why) in left {
        assert!(read.remove(*name), "nobody reads {name} ({why})");
    }
    read
}

#[test]
fn a_recorder_is_given_what_it_reads_and_nothing_else() {
    let template = template();
    let sources = ["container/src/cli.rs", "container/src/cli/host.rs"];
    let read = read_in_a_container(&sources, &LEFT_TO_THE_RECORDER);
    for id in ["RecorderTask", "TransformTask"] {
        assert_eq!(given_to(template.at(&format!("/Resources/{id}"))), read, "{id}");
    }
}

#[test]
fn the_backfill_is_given_what_it_reads_and_nothing_else() {
    let template = template();
    let sources = ["container/src/cli/backfill.rs", "container/src/cli/host.rs"];
    let read = read_in_a_container(&sources, &LEFT_TO_THE_BACKFILL);
    let task = template.at("/Resources/BackfillTask");
    assert_eq!(given_to(task), read);
    let command = &task["Properties"]["ContainerDefinitions"][0]["Command"];
    let word = source("container/src/main.rs");
    let word = between(&word, "const BACKFILL: &str = \"", "\"");
    assert_eq!(
        word.into_iter().collect::<Vec<_>>(),
        [command[0].as_str().unwrap_or_default()]
    );
}

#[test]
fn every_task_of_the_template_is_compared() {
    let template = template();
    let tasks: Vec<&str> = template
        .resources_of("AWS::ECS::TaskDefinition")
        .into_keys()
        .collect();
    assert_eq!(tasks, ["BackfillTask", "RecorderTask", "TransformTask"]);
    let readers = source("container/src").matches("env = \"").count();
    let compared = ["cli.rs", "cli/backfill.rs", "cli/host.rs", "main.rs"].map(|file| {
        source(&format!("container/src/{file}"))
            .matches("env = \"")
            .count()
    });
    assert_eq!(
        readers,
        compared.iter().sum::<usize>(),
        "another file reads the environment"
    );
}

#[test]
fn a_password_reaches_a_program_only_as_an_ecs_secret_or_by_name() {
    let template = template();
    let mut plain = Vec::new();
    template::visit_objects(template.at("/Resources"), &mut |entries| {
        plain.extend(
            entries
                .keys()
                .filter(|name| name.starts_with("MILLRACE_"))
                .cloned(),
        );
        let name = entries.get("Name").and_then(Value::as_str).unwrap_or_default();
        if entries.contains_key("Value") {
            plain.push(name.to_owned());
        }
        if name.contains("PASSWORD") {
            assert!(entries.contains_key("ValueFrom"), "{name} is given in the clear");
        }
    });
    let about_passwords: BTreeSet<&str> = plain
        .iter()
        .map(String::as_str)
        .filter(|name| name.contains("PASSWORD"))
        .collect();
    assert_eq!(
        about_passwords,
        BTreeSet::from([
            "MILLRACE_GATEWAY_INITIAL_PASSWORD_PARAMETER",
            "MILLRACE_GATEWAY_PASSWORD_PARAMETER"
        ])
    );
}

#[test]
fn a_parameter_and_its_variable_bear_one_name() {
    let template = template();
    let mut compared = 0;
    for function in FUNCTIONS {
        let own = template.at(&format!(
            "/Resources/{}/Properties/Environment/Variables",
            function.id
        ));
        for (variable, value) in own.as_object().into_iter().flatten() {
            let Some(parameter) = value["Ref"].as_str() else {
                continue;
            };
            if template.section("Parameters").contains_key(parameter) {
                let named = match parameter {
                    // As the 2020 system called it.
                    "Timezone" => "MILLRACE_GATEWAY_TIMEZONE".to_owned(),
                    parameter => screaming(parameter),
                };
                assert_eq!(*variable, named, "{}", function.id);
                compared += 1;
            }
        }
    }
    assert!(compared > 30, "only {compared} were compared");
}

/// `OfflineGrace` as `MILLRACE_OFFLINE_GRACE`, `RPO` as `MILLRACE_RPO`.
fn screaming(parameter: &str) -> String {
    let mut name = "MILLRACE".to_owned();
    let mut before = ' ';
    for letter in parameter.chars() {
        if letter.is_uppercase() && !before.is_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
        before = letter;
    }
    name
}

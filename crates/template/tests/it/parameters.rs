//! Parameters: described, used, in a group, and none of them a secret.

use serde_json::Value;
use std::collections::BTreeSet;
use template::Template;

fn template() -> Template {
    Template::of_this_workspace().expect("template.yaml is a template")
}

#[test]
fn every_parameter_is_described_and_used() {
    let template = template();
    let used = template.references();
    for (name, parameter) in template.section("Parameters") {
        let description = parameter["Description"].as_str().unwrap_or_default();
        assert!(
            description.len() > 20,
            "{name} says not what it means: {description:?}"
        );
        assert!(used.contains(name), "nothing uses the parameter {name}");
    }
}

#[test]
fn every_condition_is_used() {
    let template = template();
    let used = template.references();
    for name in template.section("Conditions").into_keys() {
        assert!(used.contains(name), "nothing uses the condition {name}");
    }
}

#[test]
fn every_parameter_is_in_exactly_one_group() {
    let template = template();
    let groups = template.at("/Metadata/AWS::CloudFormation::Interface/ParameterGroups");
    let listed: Vec<&str> = groups
        .as_array()
        .expect("parameters are grouped")
        .iter()
        .flat_map(|group| group["Parameters"].as_array().into_iter().flatten())
        .filter_map(Value::as_str)
        .collect();
    let once: BTreeSet<&str> = listed.iter().copied().collect();
    assert_eq!(once.len(), listed.len(), "a parameter is in two groups");
    assert_eq!(once, template.section("Parameters").into_keys().collect());
}

#[test]
fn what_the_2020_system_asked_for_keeps_its_name_and_default() {
    let template = template();
    let defaults = [
        ("GatewayName", Value::from("Hikvision")),
        ("Timezone", Value::from(8)),
        ("MachineType", Value::from("c5.xlarge")),
        ("ElasticIP", Value::from("")),
        ("Segment", Value::from(30)),
        ("BucketTransition", Value::from(7)),
    ];
    for (name, default) in defaults {
        assert_eq!(
            *template.at(&format!("/Parameters/{name}/Default")),
            default,
            "{name}"
        );
    }
}

#[test]
fn without_a_schedule_there_is_nothing_of_the_backfill() {
    let template = template();
    assert_eq!(*template.at("/Parameters/BackfillSchedule/Default"), "");
    let of_it: Vec<_> = template
        .section("Resources")
        .into_iter()
        .filter(|(id, _)| id.starts_with("Backfill"))
        .collect();
    assert_eq!(of_it.len(), 4);
    for (id, resource) in of_it {
        assert_eq!(resource["Condition"], "Backfills", "{id}");
    }
}

/// A secret is named, in SSM; it is never a parameter's value, which everybody with access to the stack can read.
#[test]
fn no_parameter_is_a_secret_or_defaults_to_one() {
    let template = template();
    let about_passwords: Vec<(&str, &Value)> = template
        .section("Parameters")
        .into_iter()
        .filter(|(name, _)| name.contains("Password") || name.contains("Secret") || name.contains("Key"))
        .collect();
    let names: Vec<&str> = about_passwords.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        [
            "GatewayInitialPasswordParameter",
            "GatewayPasswordParameter",
            "PasswordKeyArn"
        ]
    );
    for (name, parameter) in about_passwords {
        assert_eq!(
            parameter["NoEcho"],
            Value::Null,
            "{name} is meant to hold a secret"
        );
        assert_eq!(
            parameter["Default"].as_str().unwrap_or_default(),
            "",
            "{name} has a default"
        );
        let pattern = parameter["AllowedPattern"].as_str().unwrap_or_default();
        assert!(
            ["^/", "^(/", "^(arn:"]
                .iter()
                .any(|start| pattern.starts_with(start)),
            "{name} takes more than a name"
        );
    }
}

#[test]
fn the_default_tag_is_this_version_of_the_recorder() {
    let template = template();
    let tag = template.at("/Parameters/RecorderTag/Default");
    assert_eq!(tag.as_str(), Some(env!("CARGO_PKG_VERSION")));
}

#[test]
fn nothing_has_a_fixed_name_so_that_stacks_never_meet() {
    const NAMES: [&str; 14] = [
        "FunctionName",
        "TableName",
        "BucketName",
        "TopicName",
        "QueueName",
        "RoleName",
        "ClusterName",
        "Family",
        "RepositoryName",
        "LogGroupName",
        "AlarmName",
        "DashboardName",
        "InstanceProfileName",
        "LaunchTemplateName",
    ];
    for (id, resource) in template().section("Resources") {
        let properties = resource["Properties"]
            .as_object()
            .expect("resources have properties");
        // A reference names another resource, whose name is not fixed either.
        let fixed = |name: &&&str| {
            properties.get(**name).is_some_and(|value| {
                let text = value["Fn::Sub"].as_str().unwrap_or_default();
                value.get("Ref").is_none() && !text.starts_with("${AWS::StackName}-")
            })
        };
        let named: Vec<&&str> = NAMES.iter().filter(fixed).collect();
        assert!(named.is_empty(), "{id} has a fixed name: {named:?}");
    }
}

#[test]
fn what_holds_data_stays_when_the_stack_goes() {
    let template = template();
    let kinds = ["AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::EC2::EIP"];
    let keepers: Vec<_> = kinds
        .iter()
        .flat_map(|kind| template.resources_of(kind))
        .collect();
    assert_eq!(keepers.len(), 7);
    for (id, resource) in keepers {
        assert_eq!(resource["DeletionPolicy"], "Retain", "{id}");
        assert_eq!(resource["UpdateReplacePolicy"], "Retain", "{id}");
    }
}

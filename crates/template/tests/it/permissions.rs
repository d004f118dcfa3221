//! What a program may do on AWS is what it does, both ways.
//!
//! Three things are compared: the operations that the adapters in `crates/aws` call, found in their source; the list
//! below of which program uses which of them on what; and the policies of the template. The emulated deployment runs
//! the programs under these policies, which shows that nothing is missing here.

use crate::{between, in_workspace, source, template};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Something a role may do to a resource, such as `dynamodb:Scan` to `Channels`.
type Grant = (String, String);

/// A program, its role, the services it is compiled with, and what it does.
struct Program {
    role: &'static str,
    /// The manifest that names the cargo features of `crates/aws`.
    manifest: &'static str,
    grants: &'static [(&'static str, &'static [&'static str])],
}

const ARCHIVE: &str = "Archive/*";
const BY_TASK: &str = "Tasks/index/taskARN-index";
const BY_END: &str = "Gaps/index/end-index";
const EPISODES_BY_END: &str = "Episodes/index/end-index";
const ONE_TASK: &str = "ecs task/Cluster/*";
const RECORDER_FAMILY: &str = "ecs task-definition/AWS::StackName-recorder:*";
const TRANSFORM_FAMILY: &str = "ecs task-definition/AWS::StackName-transform:*";
const BACKFILL_FAMILY: &str = "ecs task-definition/AWS::StackName-backfill:*";
const PASSWORD: &str = "ssm parameterGatewayPasswordParameter";
const INITIAL_PASSWORD: &str = "ssm parameterGatewayInitialPasswordParameter";
const INSTANCES: &str = "ec2 instance/*";
const VOLUMES: &str = "ec2 volume/*";
const INTERFACES: &str = "ec2 network-interface/*";
const MACHINE_IMAGES: &str = "ec2 image/*";
const SNAPSHOTS: &str = "ec2 snapshot/*";
const ELASTIC_IP: &str = "ec2 elastic-ip/Address";

const PROGRAMS: [Program; 9] = [
    Program {
        role: "DevicePollerRole",
        manifest: "functions/device-poller/Cargo.toml",
        grants: &[
            ("dynamodb:Scan", &["Channels", "Tasks"]),
            ("dynamodb:UpdateItem", &["Channels", "Control"]),
            ("dynamodb:DeleteItem", &["Channels"]),
            ("dynamodb:GetItem", &["Control"]),
            ("ssm:GetParameter", &[PASSWORD]),
            ("sns:Publish", &["AlertsTopic"]),
        ],
    },
    Program {
        role: "StreamDispatcherRole",
        manifest: "functions/stream-dispatcher/Cargo.toml",
        grants: &[
            ("dynamodb:Scan", &["Channels", "Tasks"]),
            ("dynamodb:Query", &[BY_TASK]),
            ("dynamodb:UpdateItem", &["Tasks", "Control"]),
            ("dynamodb:DeleteItem", &["Tasks"]),
            ("dynamodb:GetItem", &["Control"]),
            ("ecs:RunTask", &[RECORDER_FAMILY, TRANSFORM_FAMILY]),
            ("ecs:ListTasks", &["*"]),
            ("ecs:DescribeTasks", &[ONE_TASK]),
            ("ecs:StopTask", &[ONE_TASK]),
            ("sns:Publish", &["AlertsTopic"]),
        ],
    },
    Program {
        role: "HealthCheckRole",
        manifest: "functions/health-check/Cargo.toml",
        grants: &[
            ("dynamodb:Scan", &["Channels", "Tasks"]),
            ("dynamodb:Query", &[BY_END]),
            ("dynamodb:GetItem", &["Control"]),
            ("dynamodb:UpdateItem", &["Control"]),
            ("ssm:GetParameter", &[PASSWORD]),
            ("sns:Publish", &["AlertsTopic"]),
            ("ec2:DescribeInstances", &["*"]),
            ("ec2:DescribeInstanceStatus", &["*"]),
            ("ec2:RebootInstances", &[INSTANCES]),
            ("ec2:StopInstances", &[INSTANCES]),
            ("ec2:StartInstances", &[INSTANCES]),
        ],
    },
    Program {
        role: "SnapshotRecoveryRole",
        manifest: "functions/snapshot-recovery/Cargo.toml",
        grants: &[
            ("dynamodb:Scan", &["Channels"]),
            ("dynamodb:GetItem", &["Control"]),
            ("dynamodb:UpdateItem", &["Control"]),
            ("ssm:GetParameter", &[PASSWORD, INITIAL_PASSWORD]),
            ("sns:Publish", &["AlertsTopic"]),
            ("ec2:DescribeAddresses", &["*"]),
            ("ec2:DescribeImages", &["*"]),
            ("ec2:DescribeInstances", &["*"]),
            ("ec2:DescribeInstanceStatus", &["*"]),
            ("ec2:DescribeLaunchTemplateVersions", &["*"]),
            ("ec2:DescribeSnapshots", &["*"]),
            ("ec2:DescribeInstanceAttribute", &[INSTANCES]),
            (
                "ec2:RunInstances",
                &[
                    "ec2 launch-template/GatewayTemplate",
                    "ec2 image/GatewayImageId",
                    MACHINE_IMAGES,
                    INSTANCES,
                    VOLUMES,
                    INTERFACES,
                    "ec2 security-group/*",
                    "ec2 subnet/*",
                    "ec2 key-pair/*",
                ],
            ),
            ("ec2:CreateImage", &[INSTANCES, MACHINE_IMAGES, SNAPSHOTS]),
            ("ec2:CreateTags", &[INSTANCES, VOLUMES, MACHINE_IMAGES, SNAPSHOTS]),
            ("ec2:DeleteTags", &[SNAPSHOTS]),
            ("ec2:StopInstances", &[INSTANCES]),
            ("ec2:TerminateInstances", &[INSTANCES]),
            ("ec2:ModifyInstanceAttribute", &[INSTANCES]),
            ("ec2:AssociateAddress", &[ELASTIC_IP, INSTANCES, INTERFACES]),
            ("ec2:DisassociateAddress", &[ELASTIC_IP, INTERFACES]),
            ("ec2:DeregisterImage", &[MACHINE_IMAGES]),
            ("ec2:DeleteSnapshot", &[SNAPSHOTS]),
        ],
    },
    Program {
        role: "ArchiveKeeperRole",
        manifest: "functions/archive-keeper/Cargo.toml",
        grants: &[
            ("dynamodb:Scan", &["Channels"]),
            ("dynamodb:Query", &[BY_END, EPISODES_BY_END]),
            ("dynamodb:DeleteItem", &["Episodes"]),
            ("dynamodb:GetItem", &["Control"]),
            ("dynamodb:UpdateItem", &["Control"]),
            ("s3:ListBucket", &["Archive"]),
            ("s3:DeleteObject", &[ARCHIVE]),
            ("sns:Publish", &["AlertsTopic"]),
        ],
    },
    Program {
        role: "EpisodesApiRole",
        manifest: "functions/episodes-api/Cargo.toml",
        grants: &[
            ("dynamodb:Scan", &["Channels"]),
            ("dynamodb:Query", &[EPISODES_BY_END]),
            ("dynamodb:UpdateItem", &["Episodes"]),
            ("dynamodb:DeleteItem", &["Episodes"]),
        ],
    },
    Program {
        role: "EventListenerRole",
        manifest: "functions/event-listener/Cargo.toml",
        grants: &[
            ("dynamodb:Query", &[EPISODES_BY_END]),
            ("dynamodb:UpdateItem", &["Episodes", "Control"]),
            ("dynamodb:GetItem", &["Control"]),
            ("ssm:GetParameter", &[PASSWORD]),
            ("sns:Publish", &["PollTopic"]),
        ],
    },
    Program {
        role: "RecorderRole",
        manifest: "container/Cargo.toml",
        grants: &[
            ("dynamodb:Query", &[BY_TASK, BY_END]),
            ("dynamodb:GetItem", &["Tasks", "Control"]),
            ("dynamodb:UpdateItem", &["Tasks", "Control"]),
            ("dynamodb:PutItem", &["Gaps"]),
            ("s3:PutObject", &[ARCHIVE]),
            ("s3:GetObject", &[ARCHIVE]),
            ("sns:Publish", &["AlertsTopic"]),
        ],
    },
    // The recorder's program as `backfill`.
    Program {
        role: "BackfillRole",
        manifest: "container/Cargo.toml",
        grants: &[
            ("dynamodb:Scan", &["Channels"]),
            ("dynamodb:Query", &[BY_END]),
            ("dynamodb:GetItem", &["Control"]),
            ("dynamodb:UpdateItem", &["Control"]),
            ("s3:ListBucket", &["Archive"]),
            ("s3:PutObject", &[ARCHIVE]),
            ("s3:GetObject", &[ARCHIVE]),
            ("sns:Publish", &["AlertsTopic"]),
        ],
    },
];

/// Whose rights EventBridge uses to start the backfill; it is no program.
const BACKFILL_SCHEDULE: &str = "BackfillScheduleRole";

/// What is done in a program's name, or comes with one of its calls; none of it is an operation the program calls.
const COMES_WITH: [(&str, &str); 9] = [
    ("logs:CreateLogStream", "Lambda and ECS carry the log"),
    ("logs:PutLogEvents", "Lambda and ECS carry the log"),
    ("kms:Decrypt", "SSM decrypts the password with the caller's right"),
    ("dynamodb:DescribeStream", "Lambda reads the stream"),
    ("dynamodb:GetRecords", "Lambda reads the stream"),
    ("dynamodb:GetShardIterator", "Lambda reads the stream"),
    ("dynamodb:ListStreams", "Lambda reads the stream"),
    ("sqs:SendMessage", "Lambda sends what failed to the queue"),
    ("ecs:TagResource", "RunTask tags what it starts"),
];
const PASSES_ROLE: &str = "iam:PassRole";

/// What only the command `millrace` does, with the rights of who calls it: it lists segments, deletes old ones, and
/// restores those in an archive class.
const OF_THE_COMMAND_LINE: [&str; 3] = ["s3:ListBucket", "s3:DeleteObject", "s3:RestoreObject"];

/// The action an operation needs, where it is not the operation's own name: Service Authorization Reference, Amazon S3.
fn action(service: &str, operation: &str) -> String {
    match (service, operation) {
        ("s3", "head_object") => "s3:GetObject".to_owned(),
        ("s3", "list_objects_v2") => "s3:ListBucket".to_owned(),
        ("s3", "delete_objects") => "s3:DeleteObject".to_owned(),
        (service, operation) => {
            let words = operation
                .split('_')
                .map(|word| word[..1].to_uppercase() + &word[1..]);
            format!("{service}:{}", words.collect::<String>())
        }
    }
}

/// The operations of a service that its adapter calls. The SDK has one module an operation, named like the method.
fn actions_of_adapter(service: &str) -> BTreeSet<String> {
    let code: String = [
        format!("crates/aws/src/{service}"),
        format!("crates/aws/src/{service}.rs"),
    ]
    .iter()
    .filter(|path| in_workspace(path).exists())
    .map(|path| source(path))
    .collect();
    assert!(
        code.contains(&format!("aws_sdk_{service}")),
        "{service} has no adapter"
    );
    let operations = sdk_operations(service);
    let called = operations.into_iter().filter(|operation| {
        let builder: String = action("", operation)[1..].to_owned() + "InputBuilder::default()";
        code.contains(&format!(".{operation}()")) || code.contains(&builder)
    });
    called.map(|operation| action(service, &operation)).collect()
}

fn sdk_operations(service: &str) -> BTreeSet<String> {
    let metadata = cargo_metadata::MetadataCommand::new()
        .manifest_path(in_workspace("Cargo.toml"))
        .features(cargo_metadata::CargoOpt::AllFeatures)
        .other_options([
            "--locked".to_owned(),
            "--filter-platform".to_owned(),
            "host-tuple".to_owned(),
        ])
        .exec()
        .expect("cargo describes the workspace");
    let name = format!("aws-sdk-{service}");
    let package = metadata
        .packages
        .iter()
        .find(|package| package.name.as_str() == name);
    let manifest = &package
        .unwrap_or_else(|| panic!("{name} is not used"))
        .manifest_path;
    let folder = manifest.with_file_name("src").join("operation");
    let entries = std::fs::read_dir(folder).expect("the SDK's source is there");
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".rs").map(str::to_owned))
        .collect()
}

/// Everything the role's own policies allow.
fn granted(role: &str) -> BTreeSet<Grant> {
    let mut grants = BTreeSet::new();
    each_grant(role, |grant, _| _ = grants.insert(grant));
    grants
}

/// Visits what the role's own policies allow, each with its condition.
fn each_grant(role: &str, mut visit: impl FnMut(Grant, &Value)) {
    let template = template();
    template::visit_objects(
        template.at(&format!("/Resources/{role}/Properties/Policies")),
        &mut |statement| {
            let Some(actions) = statement.get("Action") else {
                return;
            };
            assert_eq!(statement["Effect"], "Allow", "{role}");
            let condition = statement.get("Condition").unwrap_or(&Value::Null);
            for action in list(actions) {
                let action = action.as_str().expect("an action is text");
                assert!(!action.contains('*'), "{role} may do {action}");
                for resource in list(&statement["Resource"]) {
                    visit((action.to_owned(), short(resource)), condition);
                }
            }
        },
    );
}

/// The entries of a list, or the only one; of a choice both.
fn list(value: &Value) -> Vec<&Value> {
    if let Some(choice) = value["Fn::If"].as_array() {
        return choice[1..].iter().flat_map(list).collect();
    }
    match value.as_array() {
        Some(items) => items.iter().flat_map(list).collect(),
        None if value["Ref"] == "AWS::NoValue" => Vec::new(),
        None => vec![value],
    }
}

/// A resource without the parts that every ARN has: `Tasks`, `Tasks/index/taskARN-index`, `ecs task/Cluster/*`.
fn short(resource: &Value) -> String {
    let text = resource
        .as_str()
        .or(resource["Ref"].as_str())
        .or(resource["Fn::GetAtt"].as_str());
    let text = text
        .map(str::to_owned)
        .or_else(|| template::substitution(resource))
        .expect("a resource is text, Ref, GetAtt or Sub");
    let everywhere = "arn:${AWS::Partition}:";
    let text = text
        .replace(everywhere, "")
        .replace(":${AWS::Region}:${AWS::AccountId}:", " ")
        .replace(":${AWS::Region}::", " ");
    text.replace("${", "").replace('}', "").replace(".Arn", "")
}

#[test]
fn a_program_may_do_what_it_does_and_nothing_else() {
    for program in PROGRAMS {
        let mut allowed = granted(program.role);
        allowed.retain(|(action, _)| {
            action != PASSES_ROLE && !COMES_WITH.iter().any(|(with, _)| with == action)
        });
        let does: BTreeSet<Grant> = program
            .grants
            .iter()
            .flat_map(|(action, on)| on.iter().map(|on| ((*action).to_owned(), (*on).to_owned())))
            .collect();
        assert_eq!(allowed, does, "{}", program.role);
    }
}

#[test]
fn every_operation_of_an_adapter_is_some_programs_and_every_programs_is_an_adapters() {
    let mut of_programs: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let actions = PROGRAMS
        .iter()
        .flat_map(|program| program.grants)
        .map(|(action, _)| *action);
    for action in actions.chain(OF_THE_COMMAND_LINE) {
        let service = action.split(':').next().expect("an action names its service");
        of_programs.entry(service).or_default().insert(action.to_owned());
    }
    for (service, actions) in of_programs {
        assert_eq!(actions, actions_of_adapter(service), "{service}");
    }
}

#[test]
fn a_program_is_compiled_with_the_services_it_may_use() {
    for program in PROGRAMS {
        let services: BTreeSet<&str> = program
            .grants
            .iter()
            .filter_map(|(action, _)| action.split(':').next())
            .collect();
        let manifest = source(program.manifest);
        let known = ["dynamodb", "ec2", "ecs", "s3", "sns", "ssm"];
        let compiled = known.iter().filter(|service| {
            manifest.contains(&format!("\"aws/{service}\""))
                || manifest
                    .lines()
                    .any(|line| line.starts_with("aws = ") && line.contains(&format!("\"{service}\"")))
        });
        assert_eq!(
            compiled.copied().collect::<BTreeSet<_>>(),
            services,
            "{}",
            program.manifest
        );
    }
}

/// Who may hand which roles to whom.
#[test]
fn a_role_is_passed_only_to_whom_it_is_for() {
    let mut passed = BTreeSet::new();
    let programs = PROGRAMS.iter().map(|program| program.role);
    for who in programs.chain([BACKFILL_SCHEDULE]) {
        each_grant(who, |(action, role), condition| {
            if action == PASSES_ROLE {
                let to = &condition["StringEquals"]["iam:PassedToService"];
                let to = template::substitution(to).expect("a role is passed to somebody");
                passed.insert((who, role, to));
            }
        });
    }
    let expected = [
        (BACKFILL_SCHEDULE, "BackfillRole", "ecs-tasks.amazonaws.com"),
        (
            BACKFILL_SCHEDULE,
            "RecorderExecutionRole",
            "ecs-tasks.amazonaws.com",
        ),
        ("SnapshotRecoveryRole", "GatewayRole", "ec2.${AWS::URLSuffix}"),
        (
            "StreamDispatcherRole",
            "RecorderExecutionRole",
            "ecs-tasks.amazonaws.com",
        ),
        ("StreamDispatcherRole", "RecorderRole", "ecs-tasks.amazonaws.com"),
    ];
    let expected = expected.map(|(who, role, to)| (who, role.to_owned(), to.to_owned()));
    assert_eq!(passed, expected.into());
}

#[test]
fn the_schedule_of_the_backfill_may_start_it_and_nothing_else() {
    let started = ("ecs:RunTask".to_owned(), BACKFILL_FAMILY.to_owned());
    let mut allowed = granted(BACKFILL_SCHEDULE);
    allowed.retain(|(action, _)| action != PASSES_ROLE);
    assert_eq!(allowed, BTreeSet::from([started]));
}

#[test]
fn a_task_is_started_of_the_family_it_is_defined_in() {
    let template = template();
    let tasks = [
        ("RecorderTask", RECORDER_FAMILY),
        ("TransformTask", TRANSFORM_FAMILY),
        ("BackfillTask", BACKFILL_FAMILY),
    ];
    for (id, started) in tasks {
        let family = short(template.at(&format!("/Resources/{id}/Properties/Family")));
        assert_eq!(started, format!("ecs task-definition/{family}:*"));
    }
}

/// A call with one key more is refused whole (`ForAllValues` and `aws:TagKeys`, IAM User Guide, "Controlling access
/// during AWS requests"), and neither emulator looks.
#[test]
fn a_snapshot_is_given_the_one_tag_that_may_be_given() {
    let mut allowed = BTreeSet::new();
    each_grant("SnapshotRecoveryRole", |(action, _), condition| {
        let keys = condition["ForAllValues:StringEquals"]["aws:TagKeys"].as_array();
        for key in keys.into_iter().flatten() {
            allowed.insert((action.clone(), key.as_str().expect("a key is text").to_owned()));
        }
    });
    let tags = source("crates/aws/src/ec2/tags.rs");
    let given = between(&tags, "DELETED_IMAGE: &str = \"", "\"");
    let expected = given.iter().flat_map(|key| {
        ["ec2:CreateTags", "ec2:DeleteTags"].map(|action| (action.to_owned(), (*key).to_owned()))
    });
    assert_eq!(allowed, expected.collect());
    assert_eq!(given.len(), 1, "{given:?}");
}

/// Instances, images and addresses of an account are not all this stack's.
#[test]
fn on_ec2_a_program_touches_only_what_is_the_stacks() {
    let of_the_stack = [
        "aws:ResourceTag/millrace:stack",
        "aws:RequestTag/millrace:stack",
        "ec2:CreateAction",
        "ec2:LaunchTemplate",
        "ec2:Vpc",
    ];
    let mut bound = 0;
    for program in PROGRAMS {
        each_grant(program.role, |(action, on), condition| {
            let reads = action.starts_with("ec2:Describe");
            if !action.starts_with("ec2:") || !on.ends_with('*') || (reads && on == "*") {
                return;
            }
            let condition = condition.to_string();
            let is_bound = of_the_stack.iter().any(|key| condition.contains(key));
            assert!(is_bound, "{} may do {action} to any of {on}", program.role);
            bound += 1;
        });
    }
    assert!(bound > 20, "only {bound} were looked at");
}

/// An action on `*` is allowed only where AWS knows no narrower resource, and each has its reason in the template.
#[test]
fn only_what_has_no_resource_is_allowed_on_all() {
    let template = template();
    let mut on_all = BTreeSet::new();
    template::visit_objects(template.at("/Resources"), &mut |statement| {
        if statement.get("Effect") == Some(&"Allow".into()) && statement.get("Resource") == Some(&"*".into())
        {
            on_all.extend(
                list(&statement["Action"])
                    .iter()
                    .filter_map(|action| action.as_str())
                    .map(str::to_owned),
            );
        }
    });
    let expected = [
        "dynamodb:ListStreams",
        "ec2:AssignPrivateIpAddresses",
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:DescribeAddresses",
        "ec2:DescribeImages",
        "ec2:DescribeInstanceStatus",
        "ec2:DescribeInstances",
        "ec2:DescribeLaunchTemplateVersions",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSnapshots",
        "ec2:DescribeSubnets",
        "ec2:UnassignPrivateIpAddresses",
        "ecr:GetAuthorizationToken",
        "ecs:ListTasks",
    ];
    assert_eq!(on_all, expected.map(str::to_owned).into());
}

#[test]
fn no_arn_and_no_service_is_bound_to_one_partition() {
    let text = source("template.yaml");
    assert!(!text.contains("arn:aws:"), "an ARN of the partition aws");
    assert!(
        !text.contains("ec2.amazonaws.com"),
        "EC2 has another name in aws-cn"
    );
}

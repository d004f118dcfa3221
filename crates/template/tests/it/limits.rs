//! Times and sizes that only make sense together.

use crate::{between, source, template};
use domain::dispatch::DispatchPolicy;
use domain::ladder::LadderPolicy;
use domain::poll::PollPolicy;
use domain::recover::RecoverPolicy;
use jiff::SignedDuration;
use serde_json::Value;
use template::Template;

/// ECS kills a container so long after SIGTERM at the latest (task definition parameter `stopTimeout`, Fargate).
const STOP_TIMEOUT_MAX: i64 = 120;

fn default(template: &Template, parameter: &str) -> Value {
    template.at(&format!("/Parameters/{parameter}/Default")).clone()
}

/// A default such as `5m`, or `5 minutes` of a schedule.
fn time(template: &Template, parameter: &str) -> SignedDuration {
    let text = default(template, parameter);
    let text = text.as_str().expect("a time is text");
    text.parse()
        .unwrap_or_else(|error| panic!("{parameter} {text}: {error}"))
}

fn seconds(value: &Value) -> SignedDuration {
    SignedDuration::from_secs(
        value
            .as_i64()
            .unwrap_or_else(|| panic!("{value} is no number of seconds")),
    )
}

/// A constant of ours that is written as `Duration::from_secs(N)`.
fn constant(file: &str, name: &str) -> SignedDuration {
    let text = source(file);
    let before = format!("const {name}: Duration = Duration::from_secs(");
    let found = between(&text, &before, ")");
    let number = found
        .first()
        .unwrap_or_else(|| panic!("{file} has no {name} in seconds"));
    SignedDuration::from_secs(number.parse().expect("a number of seconds"))
}

/// The longest a call to AWS can take: two tries, each with a handshake.
fn longest_aws_call() -> SignedDuration {
    let client = "crates/aws/src/client.rs";
    let tries = source(client);
    assert!(
        tries.contains("const TRIES: u32 = 2;"),
        "a call is tried otherwise than twice"
    );
    constant(client, "ANSWER_TIMEOUT") * 2 + constant(client, "CONNECT_TIMEOUT")
}

#[test]
fn a_recorder_ends_before_ecs_kills_it() {
    let template = template();
    for id in ["RecorderTask", "TransformTask"] {
        let container = template.at(&format!("/Resources/{id}/Properties/ContainerDefinitions/0"));
        let stop = seconds(&container["StopTimeout"]);
        assert!(stop <= SignedDuration::from_secs(STOP_TIMEOUT_MAX), "{id}");
        let environment = container["Environment"]
            .as_array()
            .expect("a recorder has an environment");
        let time = |name: &str| -> SignedDuration {
            let entry = environment.iter().find(|entry| entry["Name"] == name);
            let text = entry.and_then(|entry| entry["Value"].as_str());
            text.and_then(|text| text.parse().ok())
                .unwrap_or_else(|| panic!("{id} has no {name}"))
        };
        assert!(
            time("MILLRACE_HAND_OVER_WITHIN") + time("MILLRACE_STOP_DEADLINE") + SignedDuration::from_secs(5)
                <= stop,
            "{id} has no time to exit"
        );
    }
    let user_data = template
        .at("/Resources/InstanceTemplate/Properties/LaunchTemplateData/UserData")
        .to_string();
    assert!(
        user_data.contains("ECS_CONTAINER_STOP_TIMEOUT=120s"),
        "instances kill recorders sooner"
    );
}

#[test]
fn a_function_outlives_its_slowest_single_call() {
    let template = template();
    let gateway = constant("crates/lambda/src/gateway/login.rs", "REQUEST_TIMEOUT");
    let for_writes = constant("crates/lambda/src/runtime.rs", "FOR_WRITES");
    for (id, function) in template.resources_of("AWS::Serverless::Function") {
        let timeout = seconds(&function["Properties"]["Timeout"]);
        assert!(
            longest_aws_call() < timeout,
            "{id} may be killed while AWS is slow"
        );
        assert!(
            gateway + for_writes < timeout,
            "{id} may be killed while the gateway is slow"
        );
        assert!(
            timeout <= SignedDuration::from_secs(900),
            "{id}: Lambda allows 15 minutes"
        );
    }
}

#[test]
fn a_scheduled_run_that_is_late_gives_way_to_the_next() {
    let template = template();
    for id in ["DevicePoller", "HealthCheck"] {
        let invoke = template.at(&format!("/Resources/{id}/Properties/EventInvokeConfig"));
        assert_eq!(invoke["MaximumRetryAttempts"], 0, "{id}");
        assert!(
            seconds(&invoke["MaximumEventAgeInSeconds"]) <= SignedDuration::from_mins(1),
            "{id}"
        );
    }
    assert_eq!(
        *template.at("/Resources/DevicePoller/Properties/ReservedConcurrentExecutions"),
        1
    );
}

#[test]
fn a_poison_record_blocks_its_shard_no_longer_than_the_schedule_needs_to_repair_it() {
    let template = template();
    let stream = template.at("/Resources/StreamDispatcher/Properties/Events/ChannelsChanged/Properties");
    let age = seconds(&stream["MaximumRecordAgeInSeconds"]);
    assert!(
        age >= time(&template, "DispatchInterval") * 3,
        "the schedule has not looked yet"
    );
    assert!(
        age <= SignedDuration::from_mins(15),
        "the shard is blocked for {age}"
    );
    assert_eq!(stream["StartingPosition"], "TRIM_HORIZON");
    assert_eq!(stream["BisectBatchOnFunctionError"], true);
    assert_eq!(stream["FunctionResponseTypes"][0], "ReportBatchItemFailures");
    assert!(
        stream["MaximumRetryAttempts"]
            .as_i64()
            .is_some_and(|retries| retries > 0)
    );
    assert!(stream["DestinationConfig"]["OnFailure"]["Destination"].is_object());
}

#[test]
fn a_device_is_missed_in_at_least_two_polls_before_its_recorder_stops() {
    let template = template();
    assert!(time(&template, "OfflineGrace") >= time(&template, "PollInterval") * 2);
}

#[test]
fn a_heartbeat_may_be_lost_twice_before_its_recorder_is_replaced() {
    let template = template();
    let stale = DispatchPolicy::default().heartbeat_stale;
    assert!(time(&template, "HeartbeatInterval") * 3 <= stale);
    let described = template.at("/Parameters/HeartbeatInterval/Description");
    assert!(
        described
            .as_str()
            .is_some_and(|text| text.contains("three minutes"))
    );
    assert_eq!(stale, SignedDuration::from_mins(3));
}

#[test]
fn what_the_template_leaves_alone_the_policies_decide_the_same() {
    let template = template();
    let (poll, dispatch) = (PollPolicy::default(), DispatchPolicy::default());
    assert_eq!(
        default(&template, "MassRemovalPercent"),
        poll.mass_removal_percent
    );
    assert_eq!(time(&template, "OfflineGrace"), poll.offline_grace);
    assert_eq!(
        default(&template, "RecordAccessControl"),
        poll.record_access_control.to_string()
    );
    assert_eq!(default(&template, "ChannelsPerTask"), dispatch.channels_per_task);
    assert_eq!(
        default(&template, "TransformsPerTask"),
        dispatch.transforms_per_task
    );
}

#[test]
fn a_gateway_is_treated_and_recovered_by_default_as_the_policies_say() {
    let template = template();
    let (ladder, recover) = (LadderPolicy::default(), RecoverPolicy::default());
    for (parameter, policy) in [
        ("RestartCoolDown", ladder.restart_cool_down),
        ("RebootCoolDown", ladder.reboot_cool_down),
        ("StopStartCoolDown", ladder.stop_start_cool_down),
        ("ReplaceCoolDown", ladder.replace_cool_down),
        ("RPO", recover.rpo),
        ("RTO", recover.rto),
        ("ImageAgeMax", recover.image_age_max),
    ] {
        assert_eq!(time(&template, parameter), policy, "{parameter}");
    }
    for (parameter, policy) in [
        ("SuspectLooks", ladder.suspect_looks as usize),
        ("ConfirmLooks", ladder.confirm_looks as usize),
        ("RecoverLooks", ladder.recover_looks as usize),
        ("ImagesMax", recover.images_max),
        ("ImagesMin", recover.images_min),
    ] {
        assert_eq!(default(&template, parameter), policy, "{parameter}");
    }
    let hours = recover.quarantine.as_hours();
    assert_eq!(default(&template, "QuarantineHours"), hours);
    assert_eq!(default(&template, "RepairUpTo"), "replace");
}

#[test]
fn an_image_may_take_its_time_before_the_alarm_and_is_not_deleted_before_the_next() {
    let template = template();
    let (rpo, age) = (time(&template, "RPO"), time(&template, "ImageAgeMax"));
    assert!(rpo >= RecoverPolicy::default().image_completion_max);
    assert!(rpo * 2 <= age, "an image goes before it is replaced");
    // The alarm reads the number of hours out of the text.
    assert_eq!(*template.at("/Parameters/RPO/AllowedPattern"), r"^[1-9]\d{0,2}h$");
}

#[test]
fn a_full_spool_leaves_room_for_the_image_on_the_disk() {
    let template = template();
    let spool = default(&template, "SpoolMax");
    let spool: i64 = spool
        .as_str()
        .and_then(|text| text.strip_suffix("GiB")?.parse().ok())
        .expect("the spool is measured in GiB");
    let disk = default(&template, "RecorderDisk")
        .as_i64()
        .expect("the disk is measured in GiB");
    assert!(spool + 4 <= disk, "{spool} GiB of spool on {disk} GiB of disk");
}

#[test]
fn no_alarm_is_shorter_than_what_it_watches() {
    let template = template();
    for (parameter, alarm) in [
        ("PollInterval", "PollFailing"),
        ("DispatchInterval", "DispatchFailing"),
    ] {
        let pattern = template.at(&format!("/Parameters/{parameter}/AllowedPattern"));
        assert_eq!(*pattern, "^(1 minute|[2-5] minutes)$", "{parameter}");
        let period = seconds(template.at(&format!("/Resources/{alarm}/Properties/Period")));
        assert!(
            period >= SignedDuration::from_mins(5),
            "{alarm} misses runs that are on time"
        );
    }
}

#[test]
fn who_listens_is_taken_over_before_it_ends() {
    let template = template();
    let listener = template.at("/Resources/EventListener/Properties");
    let kept = constant("functions/event-listener/src/main.rs", "FOR_THE_LAST_STORE");
    let listens = seconds(&listener["Timeout"]) - kept;
    let schedule = listener["Events"]["Always"]["Properties"]["Schedule"].as_str();
    let next: SignedDuration = schedule
        .and_then(|rate| rate.strip_prefix("rate(")?.strip_suffix(')')?.parse().ok())
        .expect("it is started at a rate");
    // A start of a function takes some seconds, and EventBridge is some late.
    assert!(
        next + SignedDuration::from_secs(30) <= listens,
        "nobody listens in between"
    );
}

#[test]
fn a_keep_run_ends_before_lambda_ends_it() {
    let config = source("functions/archive-keeper/src/config.rs");
    let kept = between(
        &config,
        "const FOR_THE_LAST_PAGE: SignedDuration = SignedDuration::from_secs(",
        ")",
    );
    let kept = kept.first().and_then(|seconds| seconds.parse().ok());
    let kept = SignedDuration::from_secs(kept.expect("it keeps some seconds"));
    assert!(
        longest_aws_call() * 3 < kept,
        "a page may last longer than what is kept for it"
    );
    let timeout = seconds(template().at("/Resources/ArchiveKeeper/Properties/Timeout"));
    let measures = domain::coverage::HourPolicy::default().run_max;
    assert!(
        measures + longest_aws_call() + kept < timeout,
        "no time is left to keep anything"
    );
}

//! What a launch says to ECS: names, tags and network, and no overrides, so that nothing secret can be in them.

use super::capacity::Capacity;
use super::{EcsConfig, event};
use aws_sdk_ecs::operation::run_task::builders::RunTaskInputBuilder;
use aws_sdk_ecs::types::{
    AssignPublicIp, AwsVpcConfiguration, CapacityProviderStrategyItem, LaunchType, NetworkConfiguration,
    PropagateTags, Tag,
};
use domain::{ChannelKey, Launch, TaskArn, TaskKind};
use sha2::{Digest, Sha256};

/// Tag: which build of the recorder a task runs.
const KIND_TAG: &str = "millrace:kind";
/// Tag: the stack a task belongs to.
const STACK_TAG: &str = "millrace:stack";
/// Tag: the channels a task was started for.
const CHANNELS_TAG: &str = "millrace:channels";

/// "Maximum value length - 256 Unicode characters" (RunTask, `tags`).
const TAG_VALUE_MAX: usize = 256;

/// Room for how many more channels there are: a sign and the digits of any number.
const MORE_MAX: usize = 21;

/// What every edition of the API takes (RunTask says 128 now, StartTask still 36).
const STARTED_BY_MAX: usize = 36;

/// "Up to 255 characters are allowed in this message" (StopTask, `reason`, in the API's older references; the newer
/// ones name no limit).
const REASON_MAX: usize = 255;

/// Tasks of this stack are listed, and their events told from others', by this `startedBy`: the stack's name, or its
/// beginning and a hash where it is too long or has other characters than letters, digits, `-`, `_` and `/`.
pub fn started_by(stack: &str) -> String {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'/');
    if (1..=STARTED_BY_MAX).contains(&stack.len()) && stack.bytes().all(fits) {
        return stack.to_owned();
    }
    let name: String = stack
        .chars()
        .filter(|char| u8::try_from(*char).is_ok_and(fits))
        .take(STARTED_BY_MAX - 17)
        .collect();
    format!("{name}-{}", hex::encode(&Sha256::digest(stack)[..8]))
}

pub(super) fn request(
    config: &EcsConfig,
    launch: &Launch,
    capacity: Capacity,
    token: &str,
) -> RunTaskInputBuilder {
    let request = RunTaskInputBuilder::default()
        .cluster(&config.cluster)
        .task_definition(definition(config, launch.kind))
        .count(1)
        .client_token(token)
        .started_by(started_by(&config.stack))
        .set_tags(Some(tags(config, launch)))
        .propagate_tags(PropagateTags::TaskDefinition)
        .enable_ecs_managed_tags(true)
        .set_network_configuration(network(config, capacity));
    match capacity {
        Capacity::Fargate => request
            .capacity_provider_strategy(only("FARGATE"))
            .platform_version("LATEST"),
        Capacity::FargateSpot => request
            .capacity_provider_strategy(only(Capacity::SPOT_PROVIDER))
            .platform_version("LATEST"),
        Capacity::Ec2 => request.launch_type(LaunchType::Ec2),
    }
}

/// The token of a launch whose own token, or the one before, names a task that has ended. Who finds the same task ended
/// goes on under the same token.
pub(super) fn next_token(token: &str, ended: &TaskArn) -> String {
    let hash = Sha256::digest(format!("after {ended} {token}"));
    hex::encode(&hash[..16])
}

/// The task definition of a build.
pub(super) fn definition(config: &EcsConfig, kind: TaskKind) -> &str {
    match kind {
        TaskKind::Copy => &config.copy_definition,
        TaskKind::Transform => &config.transform_definition,
    }
}

fn only(provider: &str) -> CapacityProviderStrategyItem {
    CapacityProviderStrategyItem::builder()
        .capacity_provider(provider)
        .weight(1)
        .build()
        .expect("the provider is set")
}

fn network(config: &EcsConfig, capacity: Capacity) -> Option<NetworkConfiguration> {
    if config.subnets.is_empty() {
        return None;
    }
    let public = match capacity {
        // Tasks on instances cannot have public addresses; ECS refuses to be asked for them.
        Capacity::Ec2 => None,
        Capacity::Fargate | Capacity::FargateSpot if config.assign_public_ip => Some(AssignPublicIp::Enabled),
        Capacity::Fargate | Capacity::FargateSpot => Some(AssignPublicIp::Disabled),
    };
    let interface = AwsVpcConfiguration::builder()
        .set_subnets(Some(config.subnets.clone()))
        .set_security_groups(Some(config.security_groups.clone()))
        .set_assign_public_ip(public)
        .build()
        .expect("the subnets are set");
    Some(
        NetworkConfiguration::builder()
            .awsvpc_configuration(interface)
            .build(),
    )
}

fn tags(config: &EcsConfig, launch: &Launch) -> Vec<Tag> {
    let tag = |key: &str, value: String| Tag::builder().key(key).value(value).build();
    vec![
        tag(STACK_TAG, started_by(&config.stack)),
        tag(KIND_TAG, kind_name(launch.kind).to_owned()),
        tag(CHANNELS_TAG, channels(&launch.channels)),
    ]
}

/// The build a task runs, by its tags; `None` if they do not say.
pub(super) fn kind(tags: &[Tag]) -> Option<TaskKind> {
    let value = tags.iter().find(|tag| tag.key() == Some(KIND_TAG))?.value()?;
    [TaskKind::Copy, TaskKind::Transform]
        .into_iter()
        .find(|kind| kind_name(*kind) == value)
}

fn kind_name(kind: TaskKind) -> &'static str {
    match kind {
        TaskKind::Copy => "copy",
        TaskKind::Transform => "transform",
    }
}

/// As many of the channels as a tag holds, and how many more there are. Tags allow letters, digits, spaces and
/// `+ - = . _ : / @`, so the percent signs of the encoded names become `=`.
fn channels(channels: &[ChannelKey]) -> String {
    let mut words = Vec::new();
    let mut length = MORE_MAX;
    for key in channels {
        let name = key.prefix().replace('%', "=");
        length += name.len() + 1;
        if length > TAG_VALUE_MAX {
            break;
        }
        words.push(name);
    }
    let more = channels.len() - words.len();
    if more > 0 {
        words.push(format!("+{more}"));
    }
    words.join(" ")
}

/// Says to whoever reads of the stopped task that it was the dispatcher, and why.
pub(super) fn stop_reason(reason: &str) -> String {
    let whole = format!("{}{reason}", event::OUR_REASON);
    whole.chars().take(REASON_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_ordinary_stack_goes_by_its_name() {
        assert_eq!(started_by("millrace-north"), "millrace-north");
    }

    #[test]
    fn stacks_with_long_alike_names_stay_apart() {
        let [a, b] =
            ["a", "b"].map(|end| started_by(&format!("{}{end}", "recorders-of-a-large-site-".repeat(4))));
        assert_ne!(a, b);
        assert!(a.starts_with("recorders-of-a-larg-"), "{a}");
    }

    #[test]
    fn a_short_list_of_channels_is_all_on_the_tag() {
        let keys = [ChannelKey::new("A", "1"), ChannelKey::new("камера", "2")];
        assert_eq!(channels(&keys), "A/1 =D0=BA=D0=B0=D0=BC=D0=B5=D1=80=D0=B0/2");
        assert_eq!(channels(&[]), "");
        assert_eq!(channels(&[ChannelKey::new("x".repeat(300).as_str(), "1")]), "+1");
    }

    proptest! {
        #[test]
        fn any_stack_has_a_name_that_ecs_accepts(stack in ".*") {
            let name = started_by(&stack);
            prop_assert!((1..=STARTED_BY_MAX).contains(&name.len()));
            prop_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_/".contains(&byte)));
        }

        #[test]
        fn any_channels_make_a_tag_that_ecs_accepts(names in prop::collection::vec(".{1,40}", 0..40)) {
            let keys: Vec<_> = names.iter().map(|name| ChannelKey::new(name.as_str(), "1")).collect();
            let value = channels(&keys);
            prop_assert!(value.len() <= TAG_VALUE_MAX);
            prop_assert!(value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" +-=._:/@".contains(&byte)));
            let (named, more) = value.split_once('+').unwrap_or((&value, "0"));
            let named = named.split_whitespace().count();
            prop_assert_eq!(named + more.parse::<usize>().unwrap(), keys.len());
        }

        #[test]
        fn a_reason_is_never_longer_than_ecs_allows(reason in ".*") {
            prop_assert!(stop_reason(&reason).chars().count() <= REASON_MAX);
        }
    }
}

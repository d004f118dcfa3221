//! What is said to EC2 at a launch, where the emulator does not hear all of it.

use crate::service::{FakeEc2, instance, instances, tag_set};
use domain::ImageId;
use domain::ports::{Instances, NewInstance, PortError, Source};

const TEMPLATE: &str = "<launchTemplateVersionSet><item><versionNumber>7</versionNumber><launchTemplateData>\
    <networkInterfaceSet><item><deviceIndex>0</deviceIndex><subnetId>subnet-1</subnetId>\
    <associatePublicIpAddress>true</associatePublicIpAddress>\
    <groupSet><groupId>sg-template</groupId></groupSet></item></networkInterfaceSet>\
    <tagSpecificationSet><item><resourceType>volume</resourceType>\
    <tagSet><item><key>Name</key><value>North</value></item></tagSet></item></tagSpecificationSet>\
    </launchTemplateData></item></launchTemplateVersionSet>";

const LAUNCHED: &str = "<instancesSet><item><instanceId>i-new</instanceId></item></instancesSet>";

fn new(isolated: bool) -> NewInstance {
    NewInstance {
        token: "gateway-20261121T081500Z-1".into(),
        source: Source::Image(ImageId::new("ami-1")),
        like: Some("i-old".into()),
        isolated,
    }
}

/// A service with a template and an old instance.
fn service() -> FakeEc2 {
    let ec2 = FakeEc2::default();
    let tags = [
        ("Name", "North"),
        ("team", "video"),
        ("millrace:token", "old"),
        ("aws:ec2launchtemplate:id", "lt-1"),
    ];
    let more = format!(
        "<instanceType>m5.xlarge</instanceType><keyName>key</keyName><networkInterfaceSet><item>\
         <attachment><deviceIndex>0</deviceIndex></attachment><subnetId>subnet-2</subnetId>\
         <groupSet><item><groupId>sg-own</groupId></item></groupSet></item></networkInterfaceSet>\
         <iamInstanceProfile><arn>arn:aws:iam::1:instance-profile/p</arn></iamInstanceProfile>{}",
        tag_set(&tags)
    );
    let old = instance("i-old", "stopped", &more);
    ec2.answer("DescribeInstances", ""); // by token
    ec2.answer("DescribeInstances", &instances(&[old]));
    ec2.answer("DescribeLaunchTemplateVersions", TEMPLATE);
    ec2.answer(
        "DescribeInstanceAttribute",
        "<userData><value>am9pbg==</value></userData>",
    );
    let protected = "<disableApiTermination><value>true</value></disableApiTermination>";
    ec2.answer("DescribeInstanceAttribute", protected);
    ec2
}

/// The tags that a request asks for on its `nth` kind of resource.
fn tags(request: &crate::service::Form, nth: usize) -> Vec<(&str, &str)> {
    let prefix = format!("TagSpecification.{nth}.Tag.");
    let keys = request
        .iter()
        .filter(|(name, _)| name.starts_with(&prefix) && name.ends_with(".Key"));
    let value = |name: &str| request[&name.replace(".Key", ".Value")].as_str();
    let mut tags: Vec<_> = keys.map(|(name, key)| (key.as_str(), value(name))).collect();
    tags.sort_unstable();
    tags
}

#[tokio::test]
async fn a_launch_says_all_that_the_old_instance_was() {
    let ec2 = service();
    ec2.answer("RunInstances", LAUNCHED);
    let launched = ec2.machines().launch_instance(&new(false)).await.unwrap();
    assert_eq!(launched.as_str(), "i-new");
    let request = &ec2.requests("RunInstances")[0];
    for (name, value) in [
        ("LaunchTemplate.LaunchTemplateId", "lt-1"),
        ("LaunchTemplate.Version", "7"),
        ("ImageId", "ami-1"),
        ("InstanceType", "m5.xlarge"),
        ("KeyName", "key"),
        ("IamInstanceProfile.Arn", "arn:aws:iam::1:instance-profile/p"),
        ("UserData", "am9pbg=="),
        ("DisableApiTermination", "true"),
        ("NetworkInterface.1.SubnetId", "subnet-2"),
        ("NetworkInterface.1.SecurityGroupId.1", "sg-own"),
        ("NetworkInterface.1.AssociatePublicIpAddress", "true"),
        ("TagSpecification.1.ResourceType", "instance"),
        ("TagSpecification.2.ResourceType", "volume"),
    ] {
        assert_eq!(request.get(name).map(String::as_str), Some(value), "{name}");
    }
    let own = [
        ("Name", "North"),
        ("millrace:stack", "north"),
        ("millrace:token", "gateway-20261121T081500Z-1"),
        ("team", "video"),
    ];
    assert_eq!(tags(request, 1), own);
    assert_eq!(tags(request, 2), own[..3]);
    assert_eq!(request["ClientToken"].len(), 64);
}

#[tokio::test]
async fn a_drill_says_who_may_reach_it_and_that_it_is_one() {
    let ec2 = service();
    ec2.answer("RunInstances", LAUNCHED);
    ec2.machines().launch_instance(&new(true)).await.unwrap();
    let request = &ec2.requests("RunInstances")[0];
    for (name, value) in [
        ("NetworkInterface.1.SecurityGroupId.1", "sg-drill"),
        ("NetworkInterface.1.AssociatePublicIpAddress", "false"),
        ("DisableApiTermination", "false"),
    ] {
        assert_eq!(request.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert_eq!(request.get("NetworkInterface.1.SecurityGroupId.2"), None);
    assert!(tags(request, 1).contains(&("Name", "North (drill)")));
    assert!(tags(request, 2).contains(&("Name", "North (drill)")));
}

#[tokio::test]
async fn a_token_that_made_an_instance_launches_no_other() {
    let ec2 = FakeEc2::default();
    let gone = instance("i-gone", "terminated", "");
    ec2.answer("DescribeInstances", &instances(&[gone]));
    let launched = ec2.machines().launch_instance(&new(false)).await.unwrap();
    assert_eq!(launched.as_str(), "i-gone");
    assert!(ec2.requests("RunInstances").is_empty());
    let looked = &ec2.requests("DescribeInstances")[0];
    assert_eq!(looked["Filter.2.Name"], "tag:millrace:token");
    assert_eq!(looked["Filter.2.Value.1"], "gateway-20261121T081500Z-1");
}

#[tokio::test]
async fn without_a_look_by_token_nothing_is_launched() {
    let ec2 = FakeEc2::default();
    ec2.lose("DescribeInstances");
    let launched = ec2.machines().launch_instance(&new(false)).await;
    assert!(matches!(launched, Err(PortError::Unknown { .. })), "{launched:?}");
    assert!(ec2.requests("RunInstances").is_empty());
}

#[tokio::test]
async fn a_template_without_a_network_needs_a_person() {
    let ec2 = FakeEc2::default();
    let bare = "<launchTemplateVersionSet><item><versionNumber>1</versionNumber>\
        <launchTemplateData/></item></launchTemplateVersionSet>";
    ec2.answer("DescribeLaunchTemplateVersions", bare);
    let launched = ec2.machines().launch_instance(&new(false)).await;
    assert!(matches!(launched, Err(PortError::Refused { .. })), "{launched:?}");
}

#[tokio::test]
async fn a_program_that_is_not_set_up_for_it_launches_nothing() {
    let ec2 = FakeEc2::default();
    let machines = ec2.machines_with("north", None);
    let launched = machines.launch_instance(&new(false)).await;
    assert!(matches!(launched, Err(PortError::Refused { .. })), "{launched:?}");
    assert!(ec2.requests("RunInstances").is_empty());
}

#[tokio::test]
async fn two_stacks_never_share_a_client_token() {
    let token = async |stack: &str| {
        let ec2 = service();
        ec2.answer("RunInstances", LAUNCHED);
        ec2.machines_of(stack).launch_instance(&new(false)).await.unwrap();
        ec2.requests("RunInstances")[0]["ClientToken"].clone()
    };
    assert_eq!(token("north").await, token("north").await);
    assert_ne!(token("north").await, token("south").await);
}

#[tokio::test]
async fn what_a_failed_launch_means() {
    use PortError::{Refused, Throttled, Unknown};
    let throttled = |error: &PortError| matches!(error, Throttled { .. });
    let unknown = |error: &PortError| matches!(error, Unknown { .. });
    let refused = |error: &PortError| matches!(error, Refused { .. });
    for (status, code, check) in [
        (503, "RequestLimitExceeded", throttled as fn(&PortError) -> bool),
        (500, "InsufficientInstanceCapacity", throttled),
        (500, "InternalError", unknown),
        (503, "Unavailable", unknown),
        (400, "IdempotentParameterMismatch", unknown),
        (400, "InvalidAMIID.NotFound", refused),
        (400, "VcpuLimitExceeded", refused),
        (403, "UnauthorizedOperation", refused),
        (400, "InvalidLaunchTemplateId.NotFound", refused),
    ] {
        let ec2 = service();
        ec2.fail("RunInstances", status, code);
        let error = ec2.machines().launch_instance(&new(false)).await.unwrap_err();
        assert!(check(&error), "{code}: {error:?}");
        assert!(error.chain().contains(code), "{}", error.chain());
    }
    let ec2 = service();
    ec2.lose("RunInstances");
    let error = ec2.machines().launch_instance(&new(false)).await.unwrap_err();
    assert!(unknown(&error), "{error:?}");
    let error = service()
        .machines()
        .launch_instance(&new(false))
        .await
        .unwrap_err();
    assert!(unknown(&error), "an answer without an instance: {error:?}");
}

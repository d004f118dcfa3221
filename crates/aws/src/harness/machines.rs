//! What a stack has of EC2 before its first gateway, in an emulator.

use crate::ec2::{Endpoints, MachinesConfig, RecoveryConfig};
use aws_config::SdkConfig;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    DomainType, InstanceType, LaunchTemplateInstanceNetworkInterfaceSpecificationRequest,
    LaunchTemplateTagSpecificationRequest, RequestLaunchTemplateData, ResourceType, Tag,
};
use std::net::Ipv4Addr;

/// A network, an address and a launch template, and a client to look at what becomes of them from behind.
#[derive(Debug)]
pub struct Site {
    /// For all of EC2.
    pub client: Client,
    /// What the adapter needs to know of it.
    pub config: MachinesConfig,
    /// Where instances are launched: each has a private address of this network.
    pub subnet: String,
    /// Security group of the gateway.
    pub group: String,
    /// Security group of drills.
    pub drill_group: String,
}

/// The last byte of a site's public address; its instances' begin at 4.
const PUBLIC: u8 = 200;

/// Makes a site for the stack of this name in a network of its own. With `[10, 9, 8]` its instances have private
/// addresses such as 10.9.8.4, and its public one is 10.9.8.200.
pub async fn create_site(sdk: &SdkConfig, stack: &str, network: [u8; 3], endpoints: Endpoints) -> Site {
    let client = Client::new(sdk);
    let [a, b, c] = network;
    let range = format!("{}/24", Ipv4Addr::new(a, b, c, 0));
    let vpc = client.create_vpc().cidr_block(&range).send().await;
    let vpc = vpc.expect("the emulator makes a network").vpc;
    let vpc = vpc.and_then(|vpc| vpc.vpc_id).expect("it has an id");
    let subnet = client.create_subnet().vpc_id(&vpc).cidr_block(&range);
    let subnet = subnet.send().await.expect("the emulator makes a subnet").subnet;
    let subnet = subnet.and_then(|subnet| subnet.subnet_id).expect("it has an id");
    let group = security_group(&client, &vpc, "gateway").await;
    let drill_group = security_group(&client, &vpc, "drill").await;
    let address = client.allocate_address().domain(DomainType::Vpc);
    let address = address.address(Ipv4Addr::new(a, b, c, PUBLIC).to_string());
    let address = address.send().await;
    let address = address.expect("the emulator has an address").allocation_id;
    let recovery = RecoveryConfig {
        launch_template: launch_template(&client, stack, &subnet, &group).await,
        drill_security_group: drill_group.clone(),
        address: address.expect("it has an id").parse().expect("of an allocation"),
    };
    let config = MachinesConfig {
        stack: stack.to_owned(),
        endpoints,
        recovery: Some(recovery),
    };
    Site {
        client,
        config,
        subnet,
        group,
        drill_group,
    }
}

async fn security_group(client: &Client, vpc: &str, name: &str) -> String {
    let group = client.create_security_group().vpc_id(vpc).group_name(name);
    let made = group.description(name).send().await;
    let made = made.expect("the emulator makes a security group");
    made.group_id.expect("it has an id")
}

/// As the template of the deployment describes it.
async fn launch_template(client: &Client, stack: &str, subnet: &str, group: &str) -> String {
    let interface = LaunchTemplateInstanceNetworkInterfaceSpecificationRequest::builder()
        .device_index(0)
        .subnet_id(subnet)
        .groups(group)
        .associate_public_ip_address(true)
        .build();
    let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
    let tags = LaunchTemplateTagSpecificationRequest::builder()
        .resource_type(ResourceType::Instance)
        .tags(tag("Name", "Gateway North"))
        .tags(tag("millrace:stack", stack))
        .build();
    let data = RequestLaunchTemplateData::builder()
        .image_id("ami-base")
        .instance_type(InstanceType::M5Large)
        .network_interfaces(interface)
        .tag_specifications(tags)
        .build();
    let made = client
        .create_launch_template()
        .launch_template_name(stack)
        .launch_template_data(data)
        .send()
        .await;
    let template = made
        .expect("the emulator makes a launch template")
        .launch_template;
    let id = template.and_then(|template| template.launch_template_id);
    id.expect("it has an id")
}

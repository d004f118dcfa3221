//! Launching an instance, once a token.

use super::Machines;
use super::error::Said;
use super::shape::Shape;
use super::tags::{self, STACK, TOKEN};
use aws_sdk_ec2::operation::run_instances::RunInstancesOutput;
use aws_sdk_ec2::operation::run_instances::builders::RunInstancesInputBuilder;
use aws_sdk_ec2::types::{
    IamInstanceProfileSpecification, InstanceNetworkInterfaceSpecification, LaunchTemplateSpecification,
    ResourceType,
};
use domain::InstanceId;
use domain::ports::{NewInstance, PortError, Source};
use sha2::{Digest, Sha256};

/// The instance of this token: the one that is there, or a new one.
pub(super) async fn launch(machines: &Machines, new: &NewInstance) -> Result<InstanceId, PortError> {
    let doing = format!("launching an instance ({})", new.token);
    let recovery = machines.recovery(&doing)?;
    let mut made: Vec<_> = machines.of_stack(Some(&new.token)).await?;
    made.sort_by(|a, b| a.instance_id.cmp(&b.instance_id));
    if let Some(id) = made.into_iter().find_map(|instance| instance.instance_id) {
        return Ok(InstanceId::new(id));
    }
    let shape = machines.shape(recovery, new).await?;
    let request = request(&machines.config.stack, &recovery.launch_template, new, shape);
    match request.send_with(&machines.client).await {
        Ok(output) => launched(output, &doing),
        Err(error) => {
            let said = Said::new(error, &doing);
            // The token is taken by a launch in another shape: it was made a moment ago, and is not listed yet.
            if said.is("IdempotentParameterMismatch") {
                return Err(said.unknown(&doing));
            }
            Err(said.into())
        }
    }
}

fn launched(output: RunInstancesOutput, doing: &str) -> Result<InstanceId, PortError> {
    let mut instances = output.instances.unwrap_or_default().into_iter();
    let id = instances.find_map(|instance| instance.instance_id);
    id.map(InstanceId::new)
        .ok_or_else(|| PortError::unknown(doing, "the answer names no instance"))
}

fn request(stack: &str, template: &str, new: &NewInstance, shape: Shape) -> RunInstancesInputBuilder {
    let template = LaunchTemplateSpecification::builder()
        .launch_template_id(template)
        .version(shape.template_version)
        .build();
    let interface = InstanceNetworkInterfaceSpecification::builder()
        .device_index(0)
        .subnet_id(shape.subnet)
        .set_groups(Some(shape.security_groups))
        .set_associate_public_ip_address(shape.public_address)
        .delete_on_termination(true)
        .build();
    let image = match &new.source {
        Source::Base => None,
        Source::Image(image) => Some(image.to_string()),
    };
    let profile = shape
        .profile
        .map(|arn| IamInstanceProfileSpecification::builder().arn(arn).build());
    let (mut tags, mut volume_tags) = (shape.tags, shape.volume_tags);
    for tags in [&mut tags, &mut volume_tags] {
        tags.insert(STACK.into(), stack.into());
        tags.insert(TOKEN.into(), new.token.clone());
    }
    RunInstancesInputBuilder::default()
        .min_count(1)
        .max_count(1)
        .client_token(client_token(stack, &new.token))
        .launch_template(template)
        .set_image_id(image)
        .set_instance_type(shape.instance_type)
        .set_key_name(shape.key)
        .set_iam_instance_profile(profile)
        .set_user_data(shape.user_data)
        .set_disable_api_termination(shape.protected)
        .network_interfaces(interface)
        .tag_specifications(tags::on(ResourceType::Instance, &tags))
        .tag_specifications(tags::on(ResourceType::Volume, &volume_tags))
}

/// "Up to 64 ASCII characters", and one name space for all of an account and Region.
fn client_token(stack: &str, token: &str) -> String {
    hex::encode(Sha256::digest(format!("{stack}/{token}")))
}

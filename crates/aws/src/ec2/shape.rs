//! What a new instance shall be like: as the launch template says, and in all that can be read of it like the
//! instance it follows.

use super::error::Said;
use super::instances::{first_interface, has_ended};
use super::tags::{self, NAME, RESERVED, TOKEN, Tags};
use super::{Machines, RecoveryConfig};
use aws_sdk_ec2::types::{
    self, InstanceAttributeName, InstanceType, LaunchTemplateVersion, ResourceType,
    ResponseLaunchTemplateData,
};
use domain::InstanceId;
use domain::ports::{NewInstance, PortError};

/// What the stack has now. CloudFormation makes a new version of a template it updates, but not the default one.
const LATEST: &str = "$Latest";

/// What is said to RunInstances besides the template; the template says what is `None` here.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) template_version: String,
    pub(super) subnet: String,
    pub(super) security_groups: Vec<String>,
    pub(super) public_address: Option<bool>,
    pub(super) instance_type: Option<InstanceType>,
    pub(super) key: Option<String>,
    /// ARN of the instance profile.
    pub(super) profile: Option<String>,
    /// In base64, as EC2 gives and takes it.
    pub(super) user_data: Option<String>,
    /// From termination.
    pub(super) protected: Option<bool>,
    pub(super) tags: Tags,
    pub(super) volume_tags: Tags,
}

impl Machines {
    /// The shape of `new`.
    pub(super) async fn shape(
        &self,
        recovery: &RecoveryConfig,
        new: &NewInstance,
    ) -> Result<Shape, PortError> {
        let mut shape = self.template(&recovery.launch_template).await?;
        let like = match &new.like {
            Some(id) => self.one(id).await?.filter(|instance| !has_ended(instance)),
            None => None,
        };
        if let (Some(id), Some(instance)) = (&new.like, &like) {
            shape.resemble(instance);
            self.read_hidden(id, &mut shape).await?;
        }
        if new.isolated {
            shape.isolate(&recovery.drill_security_group);
        }
        Ok(shape)
    }

    async fn template(&self, id: &str) -> Result<Shape, PortError> {
        let doing = format!("reading the launch template {id}");
        let versions = self
            .client
            .describe_launch_template_versions()
            .launch_template_id(id)
            .versions(LATEST)
            .send()
            .await;
        let versions = versions.map_err(|error| Said::new(error, &doing))?;
        let Some(version) = versions.launch_template_versions().first() else {
            return Err(PortError::unknown(doing, "the answer has no version"));
        };
        of_template(version).ok_or_else(|| {
            let why = "it does not describe its first network interface, with a subnet";
            PortError::refused(doing, why)
        })
    }

    /// What DescribeInstances does not tell.
    async fn read_hidden(&self, id: &InstanceId, shape: &mut Shape) -> Result<(), PortError> {
        let doing = format!("reading the attributes of {id}");
        let attribute = async |name: InstanceAttributeName| {
            let asked = self.client.describe_instance_attribute();
            let answer = asked.instance_id(id.as_str()).attribute(name).send().await;
            answer.map_err(|error| Said::new(error, &doing))
        };
        let user_data = attribute(InstanceAttributeName::UserData).await?.user_data;
        let user_data = user_data.and_then(|attribute| attribute.value);
        if let Some(user_data) = user_data.filter(|data| !data.is_empty()) {
            shape.user_data = Some(user_data);
        }
        let protection = attribute(InstanceAttributeName::DisableApiTermination).await?;
        let protection = protection.disable_api_termination;
        shape.protected = protection.and_then(|attribute| attribute.value);
        Ok(())
    }
}

fn of_template(version: &LaunchTemplateVersion) -> Option<Shape> {
    let data = version.launch_template_data()?;
    let mut interfaces = data.network_interfaces().iter();
    let interface = interfaces.find(|interface| interface.device_index().unwrap_or_default() == 0)?;
    Some(Shape {
        template_version: version.version_number()?.to_string(),
        subnet: interface.subnet_id()?.to_owned(),
        security_groups: interface.groups().to_vec(),
        public_address: interface.associate_public_ip_address(),
        instance_type: None,
        key: None,
        profile: None,
        user_data: None,
        protected: None,
        tags: tags_for(data, &ResourceType::Instance),
        volume_tags: tags_for(data, &ResourceType::Volume),
    })
}

fn tags_for(data: &ResponseLaunchTemplateData, resource: &ResourceType) -> Tags {
    let specifications = data.tag_specifications().iter();
    let of_resource = specifications.filter(|it| it.resource_type() == Some(resource));
    of_resource.flat_map(|it| tags::read(it.tags())).collect()
}

impl Shape {
    /// An instance's own public address goes when it is given the Elastic IP, so whether it had one stays the
    /// template's to say.
    fn resemble(&mut self, instance: &types::Instance) {
        if let Some(interface) = first_interface(instance)
            && let Some(subnet) = interface.subnet_id()
        {
            self.subnet = subnet.to_owned();
            let groups = interface.groups().iter();
            let ids = groups.filter_map(|group| group.group_id().map(str::to_owned));
            self.security_groups = ids.collect();
        }
        self.instance_type = instance.instance_type.clone();
        self.key = instance.key_name.clone();
        let profile = instance.iam_instance_profile();
        self.profile = profile.and_then(|profile| profile.arn.clone());
        self.tags = tags::read(instance.tags());
        let own = |key: &str| !key.starts_with(RESERVED) && key != TOKEN;
        self.tags.retain(|key, _| own(key));
    }

    /// Reached by nobody but whom the drill's group lets in, and not taken for the gateway by its name.
    fn isolate(&mut self, security_group: &str) {
        self.security_groups = vec![security_group.to_owned()];
        self.public_address = Some(false);
        self.protected = Some(false);
        for tags in [&mut self.tags, &mut self.volume_tags] {
            if let Some(name) = tags.get_mut(NAME) {
                name.push_str(" (drill)");
            }
        }
    }
}

//! The host of gateways on Amazon EC2: instances, their images, and the Elastic IP that devices know.
//!
//! The idea: what belongs to a stack says so itself. Everything made here is tagged with its stack and with the token
//! of the decision it was made by, so a list needs no memory, and asking again finds what the first asking made even
//! where EC2 has no idempotency (CreateImage) or forgets it (RunInstances, a day after the instance is gone).
//!
//! The API is eventually consistent. What was just made may be missing from a list, and what is gone stays listed for
//! an hour; the planner waits for both and looks twice before it destroys anything.
//!
//! An instance that a person makes joins the stack when they tag it `millrace:stack`.
//!
//! | what | the actions it needs |
//! | --- | --- |
//! | list instances | DescribeInstances, DescribeInstanceStatus |
//! | power | RebootInstances, StopInstances, StartInstances, DescribeInstances |
//! | launch | DescribeInstances, DescribeInstanceAttribute, DescribeLaunchTemplateVersions, RunInstances, with it CreateTags on `ec2:CreateAction` RunInstances and `iam:PassRole` for the gateway's role |
//! | terminate | TerminateInstances; for an instance that is protected from it, ModifyInstanceAttribute |
//! | list images | DescribeImages, DescribeSnapshots |
//! | create an image | DescribeImages, CreateImage, with it CreateTags on `ec2:CreateAction` CreateImage |
//! | delete an image | DescribeImages, DescribeSnapshots, DeregisterImage, DeleteSnapshot; CreateTags and DeleteTags on the snapshots |
//! | find the address | DescribeAddresses |
//! | move the address | DescribeAddresses, DescribeInstances, DisassociateAddress, AssociateAddress |

mod address;
mod error;
mod images;
mod instances;
mod launch;
mod pages;
mod shape;
mod snapshots;
mod tags;

use aws_config::SdkConfig;
use aws_sdk_ec2::Client;
use domain::ports::PortError;
use std::sync::Arc;

pub use address::{AddressName, NotAnAddressName};

/// What the machines of a stack are known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachinesConfig {
    /// Name of the stack: the tag `millrace:stack` of all that is its own.
    pub stack: String,
    /// How the API of the gateway on an instance is reached.
    pub endpoints: Endpoints,
    /// What replacing takes; `None` for a program that only looks at instances and powers them, and is refused the
    /// rest.
    pub recovery: Option<RecoveryConfig>,
}

/// What is needed to launch an instance and make it the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryConfig {
    /// Id of the launch template (`lt-…`) that every instance of the gateway is launched from, in its latest
    /// version. It must describe the first network interface, with subnet and security groups.
    pub launch_template: String,
    /// Id of the one security group (`sg-…`) of a drill's instance.
    pub drill_security_group: String,
    /// The Elastic IP.
    pub address: AddressName,
}

/// How the API of a gateway is reached, given its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoints {
    /// With or without TLS.
    pub scheme: Scheme,
    /// `None`: that of the scheme.
    pub port: Option<u16>,
}

/// Whether a gateway's API is reached by TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// It is.
    Https,
    /// It is not.
    Http,
}

impl Endpoints {
    /// The base URL at this IPv4 address.
    fn at(self, address: &str) -> String {
        let scheme = match self.scheme {
            Scheme::Https => "https",
            Scheme::Http => "http",
        };
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{scheme}://{address}{port}")
    }
}

/// The stack's instances, images and address.
#[derive(Debug, Clone)]
pub struct Machines {
    client: Client,
    config: Arc<MachinesConfig>,
}

impl Machines {
    /// The machines of the stack that `config` names.
    pub fn new(sdk: &SdkConfig, config: MachinesConfig) -> Self {
        Self {
            client: Client::new(sdk),
            config: Arc::new(config),
        }
    }

    fn recovery(&self, doing: &str) -> Result<&RecoveryConfig, PortError> {
        let recovery = self.config.recovery.as_ref();
        recovery.ok_or_else(|| PortError::refused(doing, "this program is not set up for it"))
    }
}

//! What a stack says of itself: its outputs, which name its tables, and the parameters it was deployed with.

use aws_config::SdkConfig;
use aws_sdk_cloudformation::Client;
use domain::ports::PortError;
use std::collections::BTreeMap;

/// The stacks of the account and Region.
#[derive(Debug, Clone)]
pub struct Stacks {
    client: Client,
}

/// One stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// Its outputs by name.
    pub outputs: BTreeMap<String, String>,
    /// Its parameters by name.
    pub parameters: BTreeMap<String, String>,
}

impl Stacks {
    /// The stacks that the configuration's credentials may describe (`cloudformation:DescribeStacks`).
    pub fn new(sdk: &SdkConfig) -> Self {
        Self {
            client: Client::new(sdk),
        }
    }

    /// The stack with this name or ARN.
    ///
    /// # Errors
    /// [`PortError::Refused`] when there is none, or it may not be described.
    pub async fn describe(&self, name: &str) -> Result<Stack, PortError> {
        let doing = || format!("describing the stack `{name}`");
        let answer = self.client.describe_stacks().stack_name(name).send().await;
        let answer = answer.map_err(|error| crate::error::failed(error, doing()))?;
        let found = answer.stacks.unwrap_or_default().into_iter().next();
        let stack = found.ok_or_else(|| PortError::refused(doing(), "there is none"))?;
        let outputs = stack.outputs.unwrap_or_default().into_iter();
        let parameters = stack.parameters.unwrap_or_default().into_iter();
        Ok(Stack {
            outputs: outputs
                .filter_map(|output| Some((output.output_key?, output.output_value?)))
                .collect(),
            parameters: parameters
                .filter_map(|parameter| Some((parameter.parameter_key?, parameter.parameter_value?)))
                .collect(),
        })
    }
}

//! Secrets in the Parameter Store of AWS Systems Manager.
//!
//! Only a `SecureString` is taken. A password in a parameter of type `String` is readable by everybody who may list
//! parameters; using it would hide that mistake for ever.

use aws_config::SdkConfig;
use aws_sdk_ssm::Client;
use aws_sdk_ssm::error::SdkError;
use aws_sdk_ssm::types::ParameterType;
use domain::ports::PortError;
use secrecy::SecretString;

/// The parameters of the account and Region.
#[derive(Debug, Clone)]
pub struct Parameters {
    client: Client,
}

impl Parameters {
    /// The parameters that the configuration's credentials may read.
    pub fn new(sdk: &SdkConfig) -> Self {
        Self {
            client: Client::new(sdk),
        }
    }

    /// The secret with this name or ARN, decrypted, and its version, which grows when it is changed.
    ///
    /// # Errors
    /// [`PortError::Refused`] when there is none, it may not be read, or it is not a `SecureString` with a value.
    pub async fn secret(&self, name: &str) -> Result<(SecretString, u64), PortError> {
        let doing = || format!("reading the parameter {name}");
        let answer = self
            .client
            .get_parameter()
            .name(name)
            .with_decryption(true)
            .send()
            .await;
        let answer = match answer {
            Ok(answer) => answer,
            // Such an error shows the answer, in which the secret may be, to whoever prints it.
            Err(SdkError::ResponseError(_)) => {
                return Err(PortError::unknown(doing(), "the answer cannot be read"));
            }
            Err(error) => return Err(crate::error::failed(error, doing())),
        };
        let Some(parameter) = answer.parameter else {
            return Err(PortError::unknown(doing(), "the answer has no parameter"));
        };
        if parameter.r#type != Some(ParameterType::SecureString) {
            let why = "it is not a SecureString: delete it and create it again as one";
            return Err(PortError::refused(doing(), why));
        }
        let version = u64::try_from(parameter.version).unwrap_or_default();
        match parameter.value.filter(|value| !value.is_empty()) {
            Some(value) => Ok((SecretString::from(value), version)),
            None => Err(PortError::refused(doing(), "it has no value")),
        }
    }
}

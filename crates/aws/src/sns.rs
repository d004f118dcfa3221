//! Messages to an SNS topic: alerts, which people have from there by e-mail or chat, and words between programs.

use aws_config::SdkConfig;
use aws_sdk_sns::Client;
use aws_sdk_sns::types::MessageAttributeValue;
use domain::ports::{Alerts, PortError};
use domain::{Alert, Severity};

/// "Must be less than 100 characters long" (Publish, `Subject`).
const SUBJECT_MAX: usize = 99;

/// Far below the 256 KiB that Publish takes, and more than anybody reads.
const TEXT_MAX: usize = 16 * 1024;

/// Message attribute for subscriptions that filter: `critical`, `warning` or `resolved`.
const SEVERITY_ATTRIBUTE: &str = "severity";

/// One topic.
#[derive(Debug, Clone)]
pub struct Topic {
    client: Client,
    arn: String,
}

impl Topic {
    /// The topic with this ARN.
    pub fn new(sdk: &SdkConfig, arn: impl Into<String>) -> Self {
        Self {
            client: Client::new(sdk),
            arn: arn.into(),
        }
    }
}

impl Topic {
    /// Sends `message` to the programs that have subscribed.
    ///
    /// # Errors
    /// [`PortError`], as for every call.
    pub async fn publish(&self, message: &str) -> Result<(), PortError> {
        let call = self.client.publish().topic_arn(&self.arn).message(message);
        let doing = || format!("publishing to {}", self.arn);
        let published = call.send().await;
        published.map_err(|error| crate::error::failed(error, doing()))?;
        Ok(())
    }
}

impl Alerts for Topic {
    async fn send(&self, alert: &Alert) -> Result<(), PortError> {
        let severity = MessageAttributeValue::builder()
            .data_type("String")
            .string_value(name(alert.severity))
            .build()
            .expect("the data type is set");
        let published = self
            .client
            .publish()
            .topic_arn(&self.arn)
            .subject(subject(alert))
            .message(message(alert))
            .message_attributes(SEVERITY_ATTRIBUTE, severity)
            .send()
            .await;
        let doing = || format!("sending the alert about {} to {}", alert.subject, self.arn);
        published.map_err(|error| crate::error::failed(error, doing()))?;
        Ok(())
    }
}

fn name(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical",
        Severity::Warning => "warning",
        Severity::Resolved => "resolved",
    }
}

/// "ASCII text that begins with a letter, number, or punctuation mark" without line breaks and control characters
/// (Publish, `Subject`). What is more is in the message.
fn subject(alert: &Alert) -> String {
    let plain = |char: char| if matches!(char, ' '..='~') { char } else { '?' };
    format!("Millrace {}: {}", name(alert.severity), alert.subject)
        .chars()
        .map(plain)
        .take(SUBJECT_MAX)
        .collect()
}

fn message(alert: &Alert) -> String {
    let mut text = format!("{}\n\n{}", alert.subject, alert.text);
    text.truncate(text.floor_char_boundary(TEXT_MAX));
    format!("{text}\n\n{}, since {:.0}\n", name(alert.severity), alert.since)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use proptest::prelude::*;

    fn alert(subject: &str, text: &str) -> Alert {
        Alert {
            severity: Severity::Critical,
            subject: subject.into(),
            text: text.into(),
            since: Timestamp::from_second(1_795_000_000).unwrap(),
        }
    }

    #[test]
    fn a_message_says_what_since_when_and_how_urgent() {
        let message = message(&alert("channel A/1", "no frame; look at the camera"));
        assert_eq!(
            message,
            "channel A/1\n\nno frame; look at the camera\n\ncritical, since 2026-11-18T11:06:40Z\n"
        );
    }

    proptest! {
        #[test]
        fn any_alert_has_a_subject_that_sns_accepts(about in "(.|\n){0,200}") {
            let subject = subject(&alert(&about, ""));
            prop_assert!(subject.len() < 100);
            prop_assert!(subject.starts_with("Millrace critical: "));
            prop_assert!(subject.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        }

        #[test]
        fn no_alert_is_longer_than_sns_takes(char: char) {
            let message = message(&alert("x", &String::from(char).repeat(TEXT_MAX)));
            prop_assert!(message.len() < 256 * 1024);
            prop_assert!(message.ends_with("\n"));
        }
    }
}

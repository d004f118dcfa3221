//! What a subscriber of the topic gets.

use crate::subscriber::Subscriber;
use aws::harness::Emulator;
use aws::sns::Topic;
use aws_config::SdkConfig;
use aws_sdk_sns::Client;
use domain::ports::{Alerts, PortError};
use domain::{Alert, Severity};
use jiff::Timestamp;

async fn topic(sdk: &SdkConfig, name: &str) -> String {
    let client = Client::new(sdk);
    let created = client.create_topic().name(name).send().await;
    let created = created.expect("the emulator makes a topic");
    created.topic_arn.expect("a topic has an ARN")
}

/// A subscriber whose subscription is confirmed.
async fn subscriber(sdk: &SdkConfig, arn: &str) -> Subscriber {
    let client = Client::new(sdk);
    let mut subscriber = Subscriber::new().await;
    let subscription = client.subscribe().topic_arn(arn).protocol("http");
    let subscribed = subscription.endpoint(&subscriber.endpoint).send().await;
    subscribed.expect("the emulator takes a subscription");
    let invitation = subscriber.next("SubscriptionConfirmation").await;
    let token = invitation["Token"].as_str().unwrap_or_default();
    let confirmed = client
        .confirm_subscription()
        .topic_arn(arn)
        .token(token)
        .send()
        .await;
    confirmed.expect("the emulator takes the confirmation");
    subscriber
}

#[tokio::test]
async fn an_alert_reaches_a_subscriber_as_it_is_meant() {
    let sdk = Emulator::ministack().sdk_config();
    let arn = topic(&sdk, "alerts").await;
    let mut subscriber = subscriber(&sdk, &arn).await;
    let alert = Alert {
        severity: Severity::Critical,
        subject: "channel камера/1".into(),
        text: "no frame for 5 minutes: “кабель”?\nLook at the camera.".into(),
        since: Timestamp::from_second(1_795_000_000).unwrap(),
    };
    Topic::new(&sdk, arn).send(&alert).await.unwrap();
    let post = subscriber.next("Notification").await;
    assert_eq!(post["Subject"], "Millrace critical: channel ??????/1");
    assert_eq!(post["MessageAttributes"]["severity"]["Value"], "critical");
    assert_eq!(
        post["Message"],
        "channel камера/1\n\nno frame for 5 minutes: “кабель”?\nLook at the camera.\n\n\
         critical, since 2026-11-18T11:06:40Z\n"
    );
}

#[tokio::test]
async fn an_alert_to_a_topic_that_is_gone_is_refused() {
    let sdk = Emulator::ministack().sdk_config();
    let arn = topic(&sdk, "gone").await;
    Client::new(&sdk)
        .delete_topic()
        .topic_arn(&arn)
        .send()
        .await
        .unwrap();
    let alert = Alert {
        severity: Severity::Resolved,
        subject: "poll".into(),
        text: "poll is well again".into(),
        since: Timestamp::UNIX_EPOCH,
    };
    let sent = Topic::new(&sdk, arn).send(&alert).await;
    assert!(matches!(sent, Err(PortError::Refused { .. })), "{sent:?}");
}

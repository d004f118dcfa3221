use super::{CAMERA, client_of, start, usual_world, world};
use futures::StreamExt;
use isapi::events::{Event, EventError, EventKind, Subscription};
use simulator::scenario::{DeviceStatus, GatewaySpec};
use simulator::{Operation, Simulator};
use std::time::Duration;
use tokio::time::timeout;

/// Longest wait for what should come at once; generous, for a busy machine.
const SOON: Duration = Duration::from_secs(20);

async fn next(subscription: &mut Subscription) -> Option<Result<Event, EventError>> {
    timeout(SOON, subscription.next()).await.unwrap()
}

fn motion(active: bool) -> Operation {
    Operation::SendEvent {
        device: CAMERA.to_owned(),
        channel: Some(1.into()),
        kind: "VMD".to_owned(),
        active,
        description: "Motion".to_owned(),
    }
}

#[tokio::test]
async fn events_arrive_at_once_with_and_without_part_lengths() {
    for event_part_lengths in [true, false] {
        // No heartbeat comes to push an event out.
        let spec = GatewaySpec {
            event_part_lengths,
            heartbeat_seconds: 3600.0,
            ..GatewaySpec::default()
        };
        let (gateway, client) = start(world(spec)).await;
        let mut subscription = client.subscribe().await.unwrap();
        gateway.control().apply(motion(true)).unwrap();
        let event = next(&mut subscription).await.unwrap().unwrap();
        assert_eq!((event.kind, event.active), (EventKind::Motion, true));
        assert_eq!(
            (event.device, event.channel),
            (Some(CAMERA.into()), Some("1".into()))
        );
        gateway.control().apply(motion(false)).unwrap();
        assert!(!next(&mut subscription).await.unwrap().unwrap().active);

        let offline = Operation::SetStatus {
            device: CAMERA.to_owned(),
            status: DeviceStatus::Offline,
            hint: None,
        };
        gateway.control().apply(offline).unwrap();
        assert_eq!(
            next(&mut subscription).await.unwrap().unwrap().kind,
            EventKind::DeviceStatusChanged
        );
    }
}

#[tokio::test]
async fn heartbeats_keep_a_subscription_alive_and_their_silence_ends_it() {
    let spec = GatewaySpec {
        heartbeat_seconds: 0.1,
        ..GatewaySpec::default()
    };
    let gateway = Simulator::start(world(spec)).await.unwrap();
    let client = client_of(&gateway, |config| {
        config.event_silence_max = Duration::from_secs(2);
    });
    let mut subscription = client.subscribe().await.unwrap();
    for _ in 0..3 {
        assert_eq!(
            next(&mut subscription).await.unwrap().unwrap().kind,
            EventKind::HeartBeat
        );
    }
    gateway
        .control()
        .apply(Operation::SilenceHeartbeats { on: true })
        .unwrap();
    let end = loop {
        match next(&mut subscription).await.unwrap() {
            Ok(event) => assert_eq!(event.kind, EventKind::HeartBeat),
            Err(error) => break error,
        }
    };
    assert!(matches!(end, EventError::Silent { .. }), "{end:?}");
    assert!(next(&mut subscription).await.is_none());

    gateway
        .control()
        .apply(Operation::SilenceHeartbeats { on: false })
        .unwrap();
    let mut rebuilt = client.subscribe().await.unwrap();
    assert!(next(&mut rebuilt).await.unwrap().is_ok());
}

#[tokio::test]
async fn a_cut_stream_says_so() {
    let (gateway, client) = start(usual_world()).await;
    let mut subscription = client.subscribe().await.unwrap();
    gateway.control().apply(Operation::CutEvents).unwrap();
    let error = next(&mut subscription).await.unwrap().unwrap_err();
    assert!(
        matches!(error, EventError::Broken(_) | EventError::Ended),
        "{error:?}"
    );
    assert!(next(&mut subscription).await.is_none());
}

#[tokio::test]
async fn unsubscribing_ends_the_stream_and_dropping_it_tells_the_gateway() {
    let (gateway, client) = start(usual_world()).await;
    let mut subscription = client.subscribe().await.unwrap();
    client
        .unsubscribe(&subscription.id().unwrap().clone())
        .await
        .unwrap();
    assert!(matches!(
        next(&mut subscription).await.unwrap(),
        Err(EventError::Ended)
    ));
    drop(subscription);

    let dropped = client.subscribe().await.unwrap();
    assert_eq!(gateway.control().state().subscriptions, 1);
    drop(dropped);
    let gone = async {
        while gateway.control().state().subscriptions > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, gone).await.unwrap();
}

#[tokio::test]
async fn subscriptions_need_alarm_forwarding_and_say_so() {
    let spec = GatewaySpec {
        alarm_forwarding: false,
        ..GatewaySpec::default()
    };
    let (gateway, client) = start(world(spec)).await;
    let error = client.subscribe().await.unwrap_err();
    assert!(matches!(error, EventError::ForwardingOff(_)), "{error:?}");
    gateway
        .control()
        .apply(Operation::SetAlarmForwarding { on: true })
        .unwrap();
    client.subscribe().await.unwrap();
}

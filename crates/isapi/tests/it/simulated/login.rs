use super::{CAMERA, client_of, start, usual_world, world};
use futures::future::join_all;
use isapi::{Client, IsapiError};
use simulator::scenario::{DigestAlgorithm, GatewaySpec, Lockout};
use simulator::{Operation, Simulator};
use std::time::Duration;
use tokio::time::{sleep, timeout};

#[tokio::test]
async fn every_kind_of_challenge_is_answered_once_and_then_costs_nothing() {
    for digest in [
        DigestAlgorithm::Md5,
        DigestAlgorithm::Md5Sess,
        DigestAlgorithm::Sha256,
    ] {
        for (qop, opaque, basic_first) in [
            (true, true, false),
            (true, false, true),
            (false, true, true),
            (false, false, false),
        ] {
            let spec = GatewaySpec {
                digest,
                qop,
                opaque,
                basic_first,
                ..GatewaySpec::default()
            };
            let (gateway, client) = start(world(spec.clone())).await;
            let first = client.check_login().await;
            let requests = || gateway.requests();
            if digest == DigestAlgorithm::Md5Sess && !qop {
                assert!(
                    matches!(first, Err(IsapiError::NoUsableChallenge { .. })),
                    "{spec:?}: {first:?}"
                );
                assert_eq!((requests().total(), requests().challenged), (1, 1));
                continue;
            }
            first.unwrap();
            for _ in 0..4 {
                client.device_info().await.unwrap();
            }
            assert_eq!(
                (requests().total(), requests().challenged, requests().granted),
                (6, 1, 5),
                "{spec:?}"
            );
            assert_eq!(requests().basic, 0);
        }
    }
}

#[tokio::test]
async fn a_forgotten_nonce_costs_one_more_round_trip_and_no_try() {
    let (gateway, client) = start(usual_world()).await;
    client.check_login().await.unwrap();
    gateway.control().apply(Operation::ForgetNonces).unwrap();
    client.check_login().await.unwrap();
    client.check_login().await.unwrap();
    let requests = gateway.requests();
    assert_eq!(
        (
            requests.total(),
            requests.challenged,
            requests.stale,
            requests.rejected
        ),
        (5, 1, 1, 0)
    );
}

#[tokio::test]
async fn many_calls_at_once_over_short_lived_nonces_all_succeed() {
    let spec = GatewaySpec {
        nonce_lifetime_requests: Some(3),
        ..GatewaySpec::default()
    };
    let gateway = Simulator::start(world(spec)).await.unwrap();
    let client = client_of(&gateway, |config| config.concurrency_max = 8);
    for result in join_all((0..60).map(|_| client.check_login())).await {
        result.unwrap();
    }
    let requests = gateway.requests();
    assert_eq!(
        (
            requests.granted,
            requests.challenged,
            requests.rejected,
            requests.replayed
        ),
        (60, 1, 0, 0)
    );
}

#[tokio::test]
async fn a_wrong_password_costs_one_try_however_many_calls_wait_and_return() {
    let gateway = Simulator::start(usual_world()).await.unwrap();
    let client = client_of(&gateway, |config| config.password = "wrong".into());
    for _ in 0..3 {
        for result in join_all((0..50).map(|_| client.devices())).await {
            assert!(
                matches!(
                    result,
                    Err(IsapiError::CredentialsRejected {
                        tries_left: Some(4),
                        ..
                    })
                ),
                "{result:?}"
            );
        }
    }
    assert_eq!((gateway.requests().rejected, gateway.requests().total()), (1, 2));
    client.set_credentials(gateway.username(), gateway.password().into());
    client.devices().await.unwrap();
}

/// A gateway that locks the account at the first wrong password, and a client that has one.
async fn locked_by_the_first_try(seconds: u32) -> (Simulator, Client) {
    let lockout = Lockout { tries: 1, seconds };
    let gateway = Simulator::start(world(GatewaySpec {
        lockout,
        ..GatewaySpec::default()
    }))
    .await
    .unwrap();
    let client = client_of(&gateway, |config| config.password = "wrong".into());
    (gateway, client)
}

#[tokio::test]
async fn the_try_that_locks_the_account_says_for_how_long() {
    let (gateway, client) = locked_by_the_first_try(60).await;
    for _ in 0..3 {
        let Err(IsapiError::Locked {
            locked_for: Some(time),
            ..
        }) = client.check_login().await
        else {
            panic!("not locked");
        };
        assert!((1..=60).contains(&time.as_secs()), "{time:#}");
    }
    assert_eq!(gateway.requests().rejected, 1);
}

#[tokio::test]
async fn a_password_changed_by_someone_else_is_noticed_once() {
    let (gateway, client) = start(usual_world()).await;
    client.check_login().await.unwrap();
    gateway
        .control()
        .apply(Operation::SetPassword {
            password: "Somebody-else-1".to_owned(),
        })
        .unwrap();
    for _ in 0..5 {
        let result = client.channels(&CAMERA.into()).await;
        assert!(
            matches!(result, Err(IsapiError::CredentialsRejected { .. })),
            "{result:?}"
        );
    }
    assert_eq!(gateway.requests().rejected, 1);
    client.set_credentials("admin", "Somebody-else-1".into());
    client.check_login().await.unwrap();
}

#[tokio::test]
async fn a_locked_account_is_left_alone_until_credentials_change() {
    let (gateway, client) = start(usual_world()).await;
    client.check_login().await.unwrap();
    gateway.control().apply(Operation::Lock { seconds: 600 }).unwrap();
    for _ in 0..5 {
        assert!(matches!(
            client.check_login().await,
            Err(IsapiError::Locked { .. })
        ));
    }
    assert_eq!(gateway.requests().locked, 1);
    gateway.control().apply(Operation::Unlock).unwrap();
    client.set_credentials(gateway.username(), gateway.password().into());
    client.check_login().await.unwrap();
}

/// Calls until the gateway is asked again: until the client takes the lock for over.
async fn wait_for_the_lock_to_end(gateway: &Simulator, client: &Client) {
    let asked = gateway.requests().total();
    let asking = async {
        while gateway.requests().total() == asked {
            sleep(Duration::from_millis(20)).await;
            _ = client.check_login().await;
        }
    };
    let asks = timeout(Duration::from_secs(20), asking).await;
    assert!(asks.is_ok(), "the gateway is never asked again");
}

#[tokio::test]
async fn a_lock_that_is_over_is_forgotten_and_the_account_was_left_alone_meanwhile() {
    let (gateway, client) = start(usual_world()).await;
    client.check_login().await.unwrap();
    gateway.control().apply(Operation::Lock { seconds: 2 }).unwrap();
    let result = client.check_login().await;
    assert!(matches!(result, Err(IsapiError::Locked { .. })), "{result:?}");
    wait_for_the_lock_to_end(&gateway, &client).await;
    client.check_login().await.unwrap();
    assert_eq!((gateway.requests().locked, gateway.requests().rejected), (1, 0));
    assert!(client.refusal().is_none());
}

#[tokio::test]
async fn a_wrong_password_is_tried_once_after_each_lock_however_many_calls_wait() {
    let (gateway, client) = locked_by_the_first_try(1).await;
    for _ in 0..2 {
        for result in join_all((0..20).map(|_| client.check_login())).await {
            assert!(matches!(result, Err(IsapiError::Locked { .. })), "{result:?}");
        }
        wait_for_the_lock_to_end(&gateway, &client).await;
    }
    // Each try locks anew, so that a second one would have met the lock.
    assert!(gateway.requests().rejected > 2);
    assert_eq!(gateway.requests().locked, 0);
}

#[tokio::test]
async fn a_changed_password_is_used_at_once_by_all_clones_and_no_try_is_lost() {
    let (gateway, client) = start(usual_world()).await;
    let clone = client.clone();
    let calls = join_all((0..10).map(|_| clone.check_login()));
    let new = "Quite-new-1".into();
    let (changed, calls) = tokio::join!(client.change_password(&new), calls);
    changed.unwrap();
    assert!(calls.into_iter().all(|call| call.is_ok()));
    clone.check_login().await.unwrap();
    assert_eq!(gateway.requests().rejected, 0);
    let too_short = client.change_password(&"short".into()).await;
    assert!(
        matches!(too_short, Err(IsapiError::Refused { .. })),
        "{too_short:?}"
    );
    client.check_login().await.unwrap();
}

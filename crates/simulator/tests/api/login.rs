use crate::client::{Challenge, TIME, USER_CHECK, challenges, start};
use reqwest::{Method, StatusCode};
use serde_json::json;
use simulator::scenario::{DigestAlgorithm, GatewaySpec, Lockout};
use simulator::{Operation, Scenario};

fn gateway(gateway: GatewaySpec) -> Scenario {
    Scenario {
        gateway,
        ..Scenario::default()
    }
}

async fn logs_in(spec: GatewaySpec) {
    let (simulator, mut client) = start(gateway(spec)).await;
    for _ in 0..3 {
        assert_eq!(client.get(USER_CHECK).await.status, StatusCode::OK);
    }
    let requests = simulator.requests();
    assert_eq!(requests.of("GET /ISAPI/Security/userCheck"), 4, "{requests:?}");
    assert_eq!((requests.challenged, requests.granted), (1, 3));
}

#[tokio::test]
async fn every_kind_of_digest_logs_in_and_a_nonce_can_be_kept() {
    for digest in [
        DigestAlgorithm::Md5,
        DigestAlgorithm::Md5Sess,
        DigestAlgorithm::Sha256,
    ] {
        for opaque in [false, true] {
            logs_in(GatewaySpec {
                digest,
                opaque,
                ..GatewaySpec::default()
            })
            .await;
        }
    }
    logs_in(GatewaySpec {
        qop: false,
        ..GatewaySpec::default()
    })
    .await;
}

#[tokio::test]
async fn a_basic_challenge_can_come_first_but_basic_is_never_accepted() {
    let spec = GatewaySpec {
        basic_first: true,
        ..GatewaySpec::default()
    };
    let (simulator, mut client) = start(gateway(spec)).await;
    let response = client.bare(Method::GET, TIME, None, None).await.unwrap();
    let offered = challenges(&response);
    assert!(offered[0].starts_with("Basic ") && offered[1].starts_with("Digest "));
    let basic = Some("Basic YWRtaW46TWlsbHJhY2UtMjAyMA==".to_owned());
    let response = client.bare(Method::GET, TIME, None, basic).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(simulator.requests().basic, 1);
    assert_eq!(client.get(TIME).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_used_up_nonce_is_stale_and_not_a_wrong_password() {
    let spec = GatewaySpec {
        nonce_lifetime_requests: Some(2),
        ..GatewaySpec::default()
    };
    let (simulator, mut client) = start(gateway(spec)).await;
    for _ in 0..5 {
        assert_eq!(client.get(TIME).await.status, StatusCode::OK);
    }
    let requests = simulator.requests();
    assert_eq!((requests.granted, requests.stale, requests.rejected), (5, 2, 0));
}

#[tokio::test]
async fn a_forgotten_nonce_is_stale() {
    let (simulator, mut client) = start(Scenario::default()).await;
    client.get(TIME).await;
    simulator.control().apply(Operation::ForgetNonces).unwrap();
    assert_eq!(client.get(TIME).await.status, StatusCode::OK);
    assert_eq!(simulator.requests().stale, 1);
}

#[tokio::test]
async fn a_replayed_count_is_refused_but_counts_may_arrive_in_any_order() {
    let (simulator, mut client) = start(Scenario::default()).await;
    client.get(TIME).await;
    for (count, expected) in [(7, 200), (5, 200), (7, 401)] {
        let header = client.authorization("GET", TIME, count);
        let response = client.bare(Method::GET, TIME, None, Some(header)).await;
        assert_eq!(response.unwrap().status().as_u16(), expected);
    }
    let requests = simulator.requests();
    assert_eq!((requests.replayed, requests.rejected), (1, 0));
}

#[tokio::test]
async fn a_digest_for_another_uri_is_malformed() {
    let (simulator, mut client) = start(Scenario::default()).await;
    client.get(TIME).await;
    let header = client.authorization("GET", "/ISAPI/System/time", 9);
    let response = client.bare(Method::GET, TIME, None, Some(header)).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(simulator.requests().malformed, 1);
}

#[tokio::test]
async fn wrong_passwords_lock_the_account_and_the_lock_ends() {
    let spec = GatewaySpec {
        lockout: Lockout {
            tries: 3,
            seconds: 600,
        },
        ..GatewaySpec::default()
    };
    let (simulator, mut client) = start(gateway(spec)).await;
    let right = std::mem::replace(&mut client.password, "wrong".to_owned());
    for (tries_left, lock) in [(2, "unlock"), (1, "unlock"), (0, "lock")] {
        let answer = client.get(TIME).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.status_field("retryTimes"), tries_left);
        assert_eq!(answer.status_field("lockStatus"), lock);
    }
    client.password = right;
    let answer = client.get(TIME).await;
    assert_eq!(
        answer.status,
        StatusCode::UNAUTHORIZED,
        "locked, although the password is right"
    );
    let seconds = answer.status_field("resLockTime").as_i64().unwrap();
    assert!((590..=600).contains(&seconds), "{seconds}");

    simulator.control().apply(Operation::Unlock).unwrap();
    assert_eq!(client.get(TIME).await.status, StatusCode::OK);
    let requests = simulator.requests();
    assert_eq!((requests.rejected, requests.locked), (3, 1));
}

#[tokio::test]
async fn a_lock_ends_by_itself() {
    let (simulator, mut client) = start(Scenario::default()).await;
    simulator.control().apply(Operation::Lock { seconds: 3 }).unwrap();
    assert_eq!(client.get(TIME).await.status, StatusCode::UNAUTHORIZED);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while client.get(TIME).await.status != StatusCode::OK {
        assert!(std::time::Instant::now() < deadline, "still locked");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_right_password_forgives_the_wrong_ones_before() {
    let (_simulator, mut client) = start(Scenario::default()).await;
    for _ in 0..10 {
        let right = std::mem::replace(&mut client.password, "wrong".to_owned());
        assert_eq!(client.get(TIME).await.status_field("retryTimes"), 4);
        client.password = right;
        assert_eq!(client.get(TIME).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn the_password_changes_only_with_the_old_one_and_everyone_logs_in_anew() {
    let (simulator, mut client) = start(Scenario::default()).await;
    let users = "/ISAPI/Security/users?format=json";
    let user = |old: &str, new: &str| {
        json!({"UserList": [{"User":
            {"id": 1, "userName": "admin", "password": new, "loginPassword": old}}]})
    };
    let wrong = client.put(users, user("no", "Another-1")).await;
    assert_eq!(wrong.status_field("subStatusCode"), "badAuthorization");
    let short = client.put(users, user("Millrace-2020", "short")).await;
    assert_eq!(short.status_field("statusCode"), 6);
    let done = client.put(users, user("Millrace-2020", "Another-1")).await;
    assert_eq!(done.status_field("statusCode"), 1);

    assert_eq!(client.get(TIME).await.status, StatusCode::UNAUTHORIZED);
    client.password = "Another-1".to_owned();
    assert_eq!(client.get(TIME).await.status, StatusCode::OK);
    assert_eq!(simulator.requests().rejected, 1);
}

#[tokio::test]
async fn a_gateway_nobody_activated_refuses_everything() {
    let spec = GatewaySpec {
        activated: false,
        ..GatewaySpec::default()
    };
    let (simulator, mut client) = start(gateway(spec)).await;
    let answer = client.get(TIME).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(answer.status_field("subStatusCode"), "notActivated");
    simulator
        .control()
        .apply(Operation::SetActivated { on: true })
        .unwrap();
    assert_eq!(client.get(TIME).await.status, StatusCode::OK);
}

#[tokio::test]
async fn https_is_served_with_the_certificate_it_shows() {
    let spec = GatewaySpec {
        tls: true,
        ..GatewaySpec::default()
    };
    let (simulator, mut client) = start(gateway(spec)).await;
    assert!(simulator.api_url().starts_with("https://"));
    assert_eq!(client.get(TIME).await.status, StatusCode::OK);
    assert_eq!(simulator.certificate().unwrap().fingerprint.len(), 64);
    let challenge: &Challenge = client.challenge.as_ref().unwrap();
    assert_eq!(challenge.get("realm"), Some("DS-GWAS0101(6419)"));
}

#[tokio::test]
async fn a_simulator_does_not_show_its_password() {
    let (simulator, mut client) = start(Scenario::default()).await;
    client.get(TIME).await;
    for shown in [
        format!("{simulator:?}"),
        format!("{:?}", simulator.control().state()),
        format!("{:?}", Scenario::default()),
    ] {
        assert!(!shown.contains(simulator.password()), "{shown}");
    }
}

//! What the client does when a gateway challenges, forgets, rejects, locks or lies: how often it asks, and
//! what it never sends.

use crate::support::{Scripted, Step, challenge, ok, reply, wrong_password};
use futures::future::join_all;
use isapi::IsapiError;
use jiff::SignedDuration;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

#[tokio::test]
async fn a_call_is_one_round_trip_once_an_answer_was_accepted() {
    let gateway = Scripted::start(|request| match request.authorization {
        Some(_) => ok("{}"),
        None => challenge("n1", "", ""),
    })
    .await;
    let client = gateway.client(|_| {});
    for _ in 0..5 {
        client.check_login().await.unwrap();
    }
    assert_eq!(gateway.seen().len(), 6, "one challenge and five answers");
}

#[tokio::test]
async fn concurrent_calls_share_a_challenge_and_never_a_nonce_count() {
    let gateway = Scripted::start(|request| match request.authorization {
        Some(_) => ok("{}"),
        None => challenge("n1", "", ""),
    })
    .await;
    let client = gateway.client(|config| config.concurrency_max = 8);
    for result in join_all((0..40).map(|_| client.check_login())).await {
        result.unwrap();
    }
    let counts: BTreeSet<_> = gateway
        .seen()
        .iter()
        .filter_map(|request| request.digest("nc"))
        .collect();
    assert_eq!((gateway.seen().len(), counts.len()), (41, 40));
}

#[tokio::test]
async fn never_more_than_the_allowed_calls_are_under_way() {
    let gateway = Scripted::start(|request| match request.digest("nc").as_deref() {
        None => challenge("n1", "", ""),
        Some("00000001") => ok("{}"),
        Some(_) => vec![Step::Hang],
    })
    .await;
    let client = gateway.client(|config| config.concurrency_max = 3);
    client.check_login().await.unwrap();
    let watch = async {
        while gateway.seen().len() < 2 + 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        gateway.seen().len()
    };
    let calls = join_all((0..10).map(|_| client.check_login()));
    tokio::select! {
        seen = watch => assert_eq!(seen, 2 + 3),
        results = calls => panic!("hanging calls returned: {results:?}"),
    }
}

#[tokio::test]
async fn a_wrong_password_reaches_the_gateway_once_however_many_calls_wait() {
    let gateway = Scripted::start(|request| match request.authorization {
        Some(_) => challenge("n2", "", &wrong_password(4)),
        None => challenge("n1", "", ""),
    })
    .await;
    let client = gateway.client(|config| config.concurrency_max = 16);
    for result in join_all((0..50).map(|_| client.check_login())).await {
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
    assert_eq!(gateway.attempts(), 1);

    let before = gateway.seen().len();
    assert!(client.clone().devices().await.is_err());
    assert_eq!(
        gateway.seen().len(),
        before,
        "a rejected password is not even mentioned again"
    );

    client.set_credentials("admin", "another".into());
    assert!(client.check_login().await.is_err());
    assert_eq!(gateway.attempts(), 2, "new credentials are tried once");
}

#[tokio::test]
async fn a_password_that_stops_working_is_not_tried_again() {
    let gateway = Scripted::start(|request| match request.digest("nc").as_deref() {
        None => challenge("n1", "", ""),
        Some("00000001") => ok("{}"),
        Some(_) => challenge("n2", "", &wrong_password(5)),
    })
    .await;
    let client = gateway.client(|_| {});
    client.check_login().await.unwrap();
    for _ in 0..3 {
        let result = client.check_login().await;
        assert!(
            matches!(result, Err(IsapiError::CredentialsRejected { .. })),
            "{result:?}"
        );
    }
    assert_eq!(gateway.attempts(), 2);
}

#[tokio::test]
async fn a_lock_is_named_with_its_time_and_remembered() {
    let locked = r#"{"statusCode":4,"subStatusCode":"MgmtLokedError","lockStatus":"lock","retryTimes":0,"resLockTime":1800}"#;
    let gateway = Scripted::start(move |request| match request.authorization {
        Some(_) => challenge("n2", "", locked),
        None => challenge("n1", "", ""),
    })
    .await;
    let client = gateway.client(|_| {});
    for _ in 0..3 {
        let Err(IsapiError::Locked {
            locked_for: Some(time),
            ..
        }) = client.check_login().await
        else {
            panic!("not locked");
        };
        assert!(
            SignedDuration::from_secs(1790) < time && time.as_secs() <= 1800,
            "{time:#}"
        );
    }
    assert_eq!(gateway.attempts(), 1);
}

#[tokio::test]
async fn a_lock_that_is_not_our_doing_passes_without_a_change_of_credentials() {
    static LOCKED: AtomicBool = AtomicBool::new(true);
    let gateway = Scripted::start(
        |request| match (LOCKED.load(Ordering::SeqCst), &request.authorization) {
            (true, None) => reply(
                "401 Unauthorized",
                &[],
                r#"{"lockStatus":"lock","resLockTime":60}"#,
            ),
            (false, None) => challenge("n1", "", ""),
            (_, Some(_)) => ok("{}"),
        },
    )
    .await;
    let client = gateway.client(|_| {});
    assert!(matches!(
        client.check_login().await,
        Err(IsapiError::Locked { .. })
    ));
    assert_eq!(gateway.attempts(), 0);
    LOCKED.store(false, Ordering::SeqCst);
    client.check_login().await.unwrap();
}

#[tokio::test]
async fn a_lock_told_in_a_body_instead_of_a_401_is_remembered_too() {
    let gateway = Scripted::start(|request| match request.authorization {
        Some(_) => reply(
            "403 Forbidden",
            &[],
            r#"{"statusCode":4,"subStatusCode":"MgmtLokedError"}"#,
        ),
        None => challenge("n1", "", ""),
    })
    .await;
    let client = gateway.client(|_| {});
    for _ in 0..3 {
        assert!(matches!(
            client.check_login().await,
            Err(IsapiError::Locked { .. })
        ));
    }
    assert_eq!(gateway.attempts(), 1);
}

#[tokio::test]
async fn a_gateway_that_forgot_its_nonces_in_a_restart_is_answered_anew() {
    let gateway = Scripted::start(|request| {
        match (
            request.digest("nonce").as_deref(),
            request.digest("nc").as_deref(),
        ) {
            (None, _) => challenge("before", "", ""),
            (Some("before"), Some("00000001")) | (Some("after"), _) => ok("{}"),
            (Some(_), _) => challenge("after", "", ""),
        }
    })
    .await;
    let client = gateway.client(|_| {});
    for _ in 0..4 {
        client.check_login().await.unwrap();
    }
    assert_eq!(
        gateway.seen().len(),
        6,
        "one trip each, one more for the first challenge and one for the second"
    );
}

#[tokio::test]
async fn a_stale_nonce_is_no_wrong_password_even_when_the_body_says_so() {
    let gateway = Scripted::start(|request| {
        match (
            request.digest("nonce").as_deref(),
            request.digest("nc").as_deref(),
        ) {
            (None, _) => challenge("n1", "", ""),
            (Some("n1"), Some("00000001")) | (Some("n2"), _) => ok("{}"),
            (Some(_), _) => challenge("n2", ", stale=true", &wrong_password(5)),
        }
    })
    .await;
    let client = gateway.client(|_| {});
    for _ in 0..4 {
        client.check_login().await.unwrap();
    }
    assert_eq!(gateway.seen().len(), 6);
}

#[tokio::test]
async fn nonces_that_serve_one_request_only_serve_many_calls_at_once() {
    static NONCES: AtomicUsize = AtomicUsize::new(0);
    let gateway = Scripted::start(|request| match request.digest("nc").as_deref() {
        Some("00000001") => ok("{}"),
        _ => challenge(
            &format!("n{}", NONCES.fetch_add(1, Ordering::SeqCst)),
            ", stale=true",
            "",
        ),
    })
    .await;
    let client = gateway.client(|config| config.concurrency_max = 8);
    for result in join_all((0..40).map(|_| client.check_login())).await {
        result.unwrap();
    }
    assert!(gateway.seen().len() <= 80, "at most two trips a call");
}

#[tokio::test]
async fn a_gateway_for_which_every_nonce_is_stale_is_left_alone_after_three_round_trips() {
    let gateway = Scripted::start(|_| challenge("n", ", stale=true", "")).await;
    let result = gateway.client(|_| {}).check_login().await;
    assert!(
        matches!(result, Err(IsapiError::ChallengedAgain { .. })),
        "{result:?}"
    );
    assert_eq!(gateway.seen().len(), 3);
}

#[tokio::test]
async fn basic_beside_digest_is_passed_over_and_basic_alone_gets_nothing() {
    let gateway = Scripted::start(|request| match request.authorization {
        Some(_) => ok("{}"),
        None => {
            let digest = r#"WWW-Authenticate: Digest realm="r", nonce="n", qop="auth""#;
            reply(
                "401 Unauthorized",
                &[r#"WWW-Authenticate: Basic realm="r""#, digest],
                "",
            )
        }
    })
    .await;
    gateway.client(|_| {}).check_login().await.unwrap();
    assert!(gateway.seen().iter().all(|request| {
        !request
            .authorization
            .as_deref()
            .unwrap_or("")
            .starts_with("Basic")
    }));

    let gateway =
        Scripted::start(|_| reply("401 Unauthorized", &[r#"WWW-Authenticate: Basic realm="r""#], "")).await;
    let result = gateway.client(|_| {}).check_login().await;
    assert!(
        matches!(&result, Err(IsapiError::NoUsableChallenge { offered, .. }) if offered == &["Basic"]),
        "{result:?}"
    );
    assert_eq!(gateway.attempts(), 0);
}

#[tokio::test]
async fn a_late_verdict_on_old_credentials_is_not_held_against_new_ones() {
    let gateway = Scripted::start(|request| match request.digest("username").as_deref() {
        None => challenge("n1", "", ""),
        Some("old") => {
            let verdict = challenge("n1", "", &wrong_password(3));
            std::iter::once(Step::Wait(Duration::from_millis(300)))
                .chain(verdict)
                .collect()
        }
        Some(_) => ok("{}"),
    })
    .await;
    let client = gateway.client(|config| config.username = "old".to_owned());
    let old = client.check_login();
    let new = async {
        while gateway.attempts() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        client.set_credentials("new", "secret".into());
    };
    let (old, ()) = tokio::join!(old, new);
    assert!(
        matches!(&old, Err(IsapiError::CredentialsRejected { username, .. }) if username == "old"),
        "{old:?}"
    );
    client.check_login().await.unwrap();
}

#[tokio::test]
async fn a_changed_password_is_used_from_then_on() {
    let gateway = Scripted::start(|request| match request.authorization {
        Some(_) => ok(r#"{"ResponseStatus":{"statusCode":1,"statusString":"OK","subStatusCode":"ok"}}"#),
        None => challenge("n1", "", ""),
    })
    .await;
    let client = gateway.client(|_| {});
    client.change_password(&"brand-new".into()).await.unwrap();
    client.change_password(&"newer-still".into()).await.unwrap();
    let bodies: Vec<_> = gateway
        .seen()
        .into_iter()
        .filter(|r| r.authorization.is_some())
        .map(|r| r.body)
        .collect();
    assert!(
        bodies[0].contains(r#""loginPassword":"the-secret""#)
            && bodies[0].contains(r#""password":"brand-new""#)
    );
    assert!(bodies[1].contains(r#""loginPassword":"brand-new""#));
}

#[tokio::test]
async fn a_refused_change_of_password_changes_nothing_and_repeats_no_secret() {
    let gateway =
        Scripted::start(
            |request| match (request.authorization.is_some(), request.method.as_str()) {
                (false, _) => challenge("n1", "", ""),
                (true, "PUT") => ok(&format!(
                    r#"{{"statusCode":6,"subStatusCode":"badParameters","errorMsg":{:?}}}"#,
                    request.body
                )),
                (true, _) => ok("{}"),
            },
        )
        .await;
    let client = gateway.client(|_| {});
    let error = client.change_password(&"brand-new".into()).await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(
        !text.contains("brand-new") && !text.contains("the-secret"),
        "{text}"
    );
    client.check_login().await.unwrap();
}

use super::*;
use domain::fakes::{FakeTables, Weather};
use futures::FutureExt;
use jiff::SignedDuration;
use std::pin::pin;

const LOOK_AGAIN: Duration = Duration::from_secs(30);

fn rejection(by: &str, version: Option<u64>) -> Rejection {
    Rejection {
        version,
        since: Timestamp::now(),
        by: by.to_owned(),
        locked_until: None,
    }
}

/// What a recorder's word says while its loop runs.
async fn with<R>(word: &Word, tables: &FakeTables, work: impl Future<Output = R>) -> R {
    tokio::select! {
        result = work => result,
        never = listen(word, tables, LOOK_AGAIN) => match never {},
    }
}

fn fresh() -> (FakeTables, Word) {
    (FakeTables::new(Weather::calm()), Word::new(&TaskArn::new("a")))
}

async fn time_for_a_look() {
    sleep(LOOK_AGAIN + Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn what_one_recorder_found_out_no_other_tries() {
    let (tables, word) = fresh();
    with(&word, &tables, async {
        assert!(word.permits().await.is_ok());
        word.tried(Some(GapCause::CredentialsRejected), Timestamp::now());
        time_for_a_look().await;
        assert!(
            word.permits().await.is_ok(),
            "its own word is the gate's business"
        );
    })
    .await;
    let other = Word::new(&TaskArn::new("b"));
    let failure = with(&other, &tables, other.permits()).await.unwrap_err();
    assert_eq!(failure.cause, GapCause::CredentialsRejected);
    assert!(failure.text.contains("recorder a"), "{}", failure.text);
}

#[tokio::test(start_paused = true)]
async fn a_password_that_was_accepted_is_not_doubted_for_the_polls_newer_one() {
    let (tables, word) = fresh();
    credentials::reject(&tables, &rejection("poll", Some(7)))
        .await
        .unwrap();
    with(&word, &tables, async {
        assert!(word.permits().await.is_err(), "it may be the same");
        word.tried(None, Timestamp::now());
        assert!(word.permits().await.is_ok());
        word.tried(Some(GapCause::GatewayDown), Timestamp::now());
        assert!(word.permits().await.is_err());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_locked_account_is_left_alone_even_with_a_password_that_was_right() {
    let (tables, word) = fresh();
    let locked = Rejection {
        locked_until: Some(Timestamp::now() + SignedDuration::from_hours(1)),
        ..rejection("poll", Some(7))
    };
    credentials::reject(&tables, &locked).await.unwrap();
    word.tried(None, Timestamp::now());
    assert!(with(&word, &tables, word.permits()).await.is_err());
}

/// A lock that was over so long ago; recorders wait for the poll for five minutes.
async fn unlocked(tables: &FakeTables, minutes_ago: i64) {
    let locked = Rejection {
        locked_until: Some(Timestamp::now() - SignedDuration::from_mins(minutes_ago)),
        ..rejection("poll", Some(7))
    };
    credentials::reject(tables, &locked).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn after_a_lock_only_a_password_that_was_right_is_tried_before_the_poll_says_so() {
    let (tables, word) = fresh();
    unlocked(&tables, 1).await;
    assert!(with(&word, &tables, word.permits()).await.is_err());
    word.tried(None, Timestamp::now());
    assert!(with(&word, &tables, word.permits()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_over_forbids_nothing_when_the_poll_is_silent() {
    let (tables, word) = fresh();
    unlocked(&tables, 10).await;
    assert!(with(&word, &tables, word.permits()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn who_was_refused_during_a_lock_tries_again_after_it() {
    let (tables, word) = fresh();
    let locked = Rejection {
        locked_until: Some(Timestamp::now() + SignedDuration::from_hours(1)),
        ..rejection("poll", Some(7))
    };
    credentials::reject(&tables, &locked).await.unwrap();
    with(&word, &tables, async {
        word.tried(Some(GapCause::CredentialsRejected), Timestamp::now());
        time_for_a_look().await;
        assert_eq!(
            credentials::rejected(&tables).await.unwrap().as_ref(),
            Some(&locked)
        );
        assert_eq!(word.take_cleared(), None);
        credentials::accept(&tables, &locked).await.unwrap();
        time_for_a_look().await;
        assert_eq!(word.take_cleared(), Some(Cleared::Retry));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn those_held_back_by_a_lock_try_when_it_is_over_though_nobody_says_so() {
    let (tables, word) = fresh();
    unlocked(&tables, 1).await;
    with(&word, &tables, async {
        word.permits().await.unwrap_err();
        time_for_a_look().await;
        assert_eq!(word.take_cleared(), None);
        let standing = credentials::rejected(&tables).await.unwrap().unwrap();
        credentials::accept(&tables, &standing).await.unwrap();
        unlocked(&tables, 10).await;
        time_for_a_look().await;
        assert_eq!(word.take_cleared(), Some(Cleared::Retry));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_stale_before_it_is_seen_is_asked_for_again() {
    let (tables, word) = fresh();
    credentials::reject(&tables, &rejection("poll", Some(7)))
        .await
        .unwrap();
    let mut attempt = pin!(word.permits());
    assert!(attempt.as_mut().now_or_never().is_none(), "it has asked");
    with(&word, &tables, sleep(FRESH_FOR * 2)).await;
    let answer = with(&word, &tables, timeout(Duration::from_secs(60), attempt)).await;
    assert!(answer.expect("it waits for ever").is_err(), "and is told");
}

#[tokio::test(start_paused = true)]
async fn nobody_who_answers_forbids_nothing() {
    let (_, word) = fresh();
    let permitted = timeout(Duration::from_secs(60), word.permits()).await;
    assert!(permitted.expect("it waits for ever").is_ok());
}

#[tokio::test(start_paused = true)]
async fn after_the_poll_logs_in_the_held_back_try_and_the_refused_end() {
    let (tables, word) = fresh();
    let standing = rejection("recorder b", None);
    credentials::reject(&tables, &standing).await.unwrap();
    with(&word, &tables, async {
        word.permits().await.unwrap_err();
        time_for_a_look().await;
        assert_eq!(word.take_cleared(), None);
        credentials::accept(&tables, &standing).await.unwrap();
        time_for_a_look().await;
        assert_eq!(word.take_cleared(), Some(Cleared::Retry));
        assert_eq!(word.take_cleared(), None);

        word.tried(Some(GapCause::CredentialsRejected), Timestamp::now());
        time_for_a_look().await;
        assert_eq!(word.take_cleared(), None);
        let ours = credentials::rejected(&tables).await.unwrap().unwrap();
        credentials::accept(&tables, &ours).await.unwrap();
        time_for_a_look().await;
        assert_eq!(word.take_cleared(), Some(Cleared::Leave));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_table_that_does_not_answer_forbids_nothing_and_hears_of_it_later() {
    let (tables, word) = fresh();
    let weather = Weather::calm();
    let away = FakeTables::new(weather.clone());
    weather.set_trouble(100);
    with(&word, &away, async {
        assert!(word.permits().await.is_ok());
        word.tried(Some(GapCause::CredentialsRejected), Timestamp::now());
        time_for_a_look().await;
    })
    .await;
    with(&word, &tables, time_for_a_look()).await;
    assert!(credentials::rejected(&tables).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_hundred_channels_look_once_and_calm_recorders_never() {
    let weather = Weather::calm();
    let (tables, word) = (FakeTables::new(weather.clone()), Word::new(&TaskArn::new("a")));
    with(&word, &tables, async {
        let attempts = futures::future::join_all((0..100).map(|_| word.permits())).await;
        assert!(attempts.iter().all(Result::is_ok));
        word.tried(None, Timestamp::now());
        sleep(Duration::from_secs(3600)).await;
    })
    .await;
    assert_eq!(weather.calls(), 1);
}

//! How playbacks end.

use crate::bed::{Bed, PASSWORD, USER, channel, short_segments};
use domain::ports::{Ended, Fetch, Playback};
use jiff::{SignedDuration, Timestamp};
use recorder::backfill::{Fetcher, Player};
use secrecy::SecretString;
use simulator::rtsp::{Kind, StreamFault, StreamSpec};

const TARGET: &str = "/dac/playback/38941127-49B5-44B3-84FC-219747AFF04E1/MAIN/TCP?streamform=rtp";

/// What is asked for; it is played at the speed of life.
const ASKED: SignedDuration = SignedDuration::from_secs(8);

struct Played {
    ended: Ended,
    /// How much of it waits for the archive.
    kept: SignedDuration,
}

/// Plays a stretch of an hour ago that the device ends with a goodbye after so many seconds, if any.
async fn play(goodbye_after: Option<u32>) -> Played {
    let bed = Bed::with(&[]).await;
    let start = Timestamp::now() - SignedDuration::from_hours(1);
    let asked = start..start + ASKED;
    let spec = StreamSpec {
        kind: Kind::Playback {
            start: asked.start,
            end: asked.end,
        },
        ..StreamSpec::default()
    };
    bed.catalog.publish(TARGET, spec).await.unwrap();
    let fault = goodbye_after.map(|after_seconds| StreamFault::Goodbye { after_seconds });
    bed.catalog.fault(TARGET, fault).unwrap();
    let (player, archive) = (Player::new(USER, SecretString::from(PASSWORD)), bed.archive());
    let fetch = Fetcher::open(&bed.spool(), "backfill", &player, &archive)
        .await
        .unwrap();
    let playback = Playback {
        key: channel(1),
        url: bed.url(TARGET),
        missing: asked.clone(),
        asked,
        goes_on: false,
        before: None,
        after: None,
        settings: short_segments(),
    };
    let ended = fetch.fetch(&playback).await.unwrap();
    let waiting = fetch.waiting().await.unwrap();
    Played {
        ended,
        kept: waiting.iter().map(|segment| segment.duration).sum(),
    }
}

#[tokio::test]
async fn a_playback_that_comes_to_its_end_is_complete() {
    let played = play(None).await;
    assert_eq!(played.ended, Ended::Complete);
    assert!(
        played.kept >= ASKED - SignedDuration::from_secs(2),
        "{:#}",
        played.kept
    );
}

#[tokio::test]
async fn a_goodbye_without_a_picture_or_in_the_middle_is_not_the_end_of_what_the_device_has() {
    let played = play(Some(0)).await;
    assert_eq!((played.ended, played.kept), (Ended::Early, SignedDuration::ZERO));
    let played = play(Some(2)).await;
    assert_eq!(played.ended, Ended::Early);
    assert!(!played.kept.is_zero(), "what came before the goodbye is kept");
}

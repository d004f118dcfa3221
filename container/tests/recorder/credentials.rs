//! Rejected passwords: tried once, told once, repeated nowhere.

use crate::bed::{Bed, channel, eventually};
use domain::GapCause;
use domain::alert::Severity;
use domain::credentials::{self, Rejection};
use domain::ports::TasksTable;
use jiff::Timestamp;
use secrecy::SecretString;
use simulator::rtsp::StreamSpec;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// A gateway that rejects everybody, and counts who presented credentials.
struct Rejecting {
    addr: SocketAddr,
    tries: Arc<AtomicU32>,
}

impl Rejecting {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let tries = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&tries);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(reject(stream, Arc::clone(&counter)));
            }
        });
        Self { addr, tries }
    }

    fn tries(&self) -> u32 {
        self.tries.load(Ordering::Relaxed)
    }
}

async fn reject(stream: TcpStream, tries: Arc<AtomicU32>) {
    let mut stream = BufReader::new(stream);
    let (mut line, mut cseq) = (String::new(), String::new());
    while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
        let text = line.trim().to_owned();
        line.clear();
        if let Some(number) = text.strip_prefix("CSeq:") {
            cseq = number.trim().to_owned();
        }
        if text.starts_with("Authorization:") {
            tries.fetch_add(1, Ordering::Relaxed);
        }
        if text.is_empty() {
            let answer = format!(
                "RTSP/1.0 401 Unauthorized\r\nCSeq: {cseq}\r\n\
                 WWW-Authenticate: Digest realm=\"DS-GWAS0101(6419)\", nonce=\"abc\", qop=\"auth\"\r\n\r\n"
            );
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

#[tokio::test]
async fn a_wrong_password_is_tried_once_and_told_once() {
    let gateway = Rejecting::start().await;
    let bed = Bed::with(&[]).await;
    let mut assignment = bed.assignment(1, 1);
    assignment.media_url = format!("rtsp://{}/dac", gateway.addr);
    bed.assign(&assignment).await;
    let running = bed.run();
    let rejected = async || {
        bed.gaps(1)
            .await
            .iter()
            .any(|gap| gap.cause == GapCause::CredentialsRejected)
    };
    eventually("the rejection is noted", rejected).await;
    sleep(Duration::from_secs(3)).await;
    assert_eq!(gateway.tries(), 1);
    let row = bed.tables.assignment(&channel(1)).await.unwrap().unwrap();
    assert!(row.heartbeat.last_error.unwrap().contains("401"));

    assignment.media_url.push_str("?changed");
    bed.assign(&assignment).await;
    eventually("one more try after a change", async || gateway.tries() == 2).await;
    sleep(Duration::from_secs(2)).await;
    running.stops().await;
    assert_eq!(gateway.tries(), 2);
    let told = bed.alerts.told();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].severity, Severity::Critical);
}

#[tokio::test]
async fn twenty_channels_do_not_lock_the_account() {
    let gateway = Rejecting::start().await;
    let bed = Bed::with(&[]).await;
    for n in 1..=20 {
        let mut assignment = bed.assignment(n, 1);
        assignment.media_url = format!("rtsp://{}/dac/{n}", gateway.addr);
        bed.assign(&assignment).await;
    }
    let running = bed.run();
    for n in 1..=20 {
        let rejected = async || {
            bed.gaps(n)
                .await
                .iter()
                .any(|gap| gap.cause == GapCause::CredentialsRejected)
        };
        eventually("every channel knows", rejected).await;
    }
    running.stops().await;
    assert_eq!(gateway.tries(), 2);
    assert_eq!(bed.alerts.told().len(), 1, "{:?}", bed.alerts.told());
}

#[tokio::test]
async fn the_right_password_of_one_channel_resolves_the_alert() {
    let bed = Bed::with(&[StreamSpec::default()]).await;
    bed.catalog
        .set_credentials("admin", SecretString::from("changed"));
    bed.assign(&bed.assignment(1, 1)).await;
    let running = bed.run();
    eventually("people are told", async || bed.alerts.told().len() == 1).await;
    bed.catalog
        .set_credentials("admin", SecretString::from(crate::bed::PASSWORD));
    let mut assignment = bed.assignment(1, 1);
    assignment.attempts = 1;
    assignment.settings.segment_seconds = std::num::NonZeroU32::new(2).unwrap();
    bed.assign(&assignment).await;
    bed.records(1).await;
    let resolved = async || {
        bed.alerts
            .told()
            .last()
            .is_some_and(|alert| alert.severity == Severity::Resolved)
    };
    eventually("people are told that it is over", resolved).await;
    running.stops().await;
}

#[tokio::test]
async fn what_another_recorder_found_out_is_not_tried_until_a_poll_could_log_in() {
    let bed = Bed::with(&[StreamSpec::default()]).await;
    let rejection = Rejection {
        version: None,
        since: Timestamp::now(),
        by: "recorder another".to_owned(),
        locked_until: None,
    };
    credentials::reject(&bed.tables, &rejection).await.unwrap();
    bed.assign(&bed.assignment(1, 1)).await;
    let running = bed.run();
    let is_held_back = async || {
        let row = bed.tables.assignment(&channel(1)).await.unwrap().unwrap();
        row.heartbeat
            .last_error
            .is_some_and(|error| error.starts_with("not tried:"))
    };
    eventually("the recorder says that it does not try", is_held_back).await;
    credentials::accept(&bed.tables, &rejection).await.unwrap();
    bed.records(1).await;
    running.stops().await;
}

/// Waits until the recorder has told the others that it was refused, then a poll logs in.
async fn another_password_is_right(bed: &Bed) {
    let said = async || credentials::rejected(&bed.tables).await.unwrap();
    eventually("the others are told", async || said().await.is_some()).await;
    credentials::accept(&bed.tables, &said().await.unwrap())
        .await
        .unwrap();
}

async fn leaves(bed: &Bed, n: u32) {
    let says_so = async || {
        let row = bed.tables.assignment(&channel(n)).await.unwrap().unwrap();
        row.heartbeat.ends_at.is_some()
    };
    eventually("the recorder says that it leaves", says_so).await;
}

#[tokio::test]
async fn a_recorder_that_was_refused_leaves_when_another_password_is_right() {
    let gateway = Rejecting::start().await;
    let bed = Bed::with(&[]).await;
    let mut assignment = bed.assignment(1, 1);
    assignment.media_url = format!("rtsp://{}/dac", gateway.addr);
    bed.assign(&assignment).await;
    let running = bed.run();
    another_password_is_right(&bed).await;
    leaves(&bed, 1).await;
    bed.succeed(1, 2).await;
    running.ends().await;
    assert_eq!(gateway.tries(), 1);
}

#[tokio::test]
async fn one_refused_channel_ends_no_other_before_that_has_a_successor() {
    let gateway = Rejecting::start().await;
    let bed = Bed::with(&[StreamSpec::default()]).await;
    bed.assign(&bed.assignment(1, 1)).await;
    let mut config = bed.config();
    config.hand_over_within = Duration::ZERO;
    let running = bed.run_with(config, bed.archive());
    bed.records(1).await;
    let mut refused = bed.assignment(2, 1);
    refused.media_url = format!("rtsp://{}/dac", gateway.addr);
    bed.assign(&refused).await;
    another_password_is_right(&bed).await;
    leaves(&bed, 1).await;
    bed.succeed(2, 2).await;
    let before = bed.segments(1).await.len();
    let goes_on = async || bed.segments(1).await.len() >= before + 2;
    eventually("the other channel is recorded on", goes_on).await;
    bed.succeed(1, 2).await;
    running.ends().await;
    bed.footage(1, &StreamSpec::default()).await.is_whole();
}

//! The protocol itself, spoken by hand: what clients rarely do, or should not.

use crate::studio::{PASSWORD, PATIENCE, Studio, USER};
use futures::future::join_all;
use http_auth::{PasswordClient, PasswordParams};
use jiff::{SignedDuration, Timestamp};
use md5::{Digest, Md5};
use rtsp_types::{HeaderName, Message, Method, Request, Response, Version, headers};
use simulator::media::{Codec, LoopSpec};
use simulator::rtsp::{Kind, StreamSpec};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use url::Url;

const TARGET: &str = "/dac/realplay/X1/MAIN/TCP?streamform=rtp";

/// A client that says what it is told to.
struct Client {
    stream: TcpStream,
    inbox: Vec<u8>,
    auth: Option<PasswordClient>,
}

impl Client {
    async fn connect(studio: &Studio) -> Self {
        Self {
            stream: TcpStream::connect(studio.server.addr()).await.unwrap(),
            inbox: Vec::new(),
            auth: None,
        }
    }

    /// Sends a request and returns the answer; interleaved packets before it are skipped.
    async fn ask(&mut self, method: Method, url: &Url, more: &[(&'static str, &str)]) -> Response<Vec<u8>> {
        let mut request = Request::builder(method.clone(), Version::V1_0)
            .request_uri(url.clone())
            .header(headers::CSEQ, "1");
        if let Some(auth) = &mut self.auth {
            let method: &str = (&method).into();
            let params = PasswordParams {
                username: USER,
                password: PASSWORD,
                uri: url.as_str(),
                method,
                body: None,
            };
            request = request.header(headers::AUTHORIZATION, auth.respond(&params).unwrap());
        }
        for (name, value) in more {
            request = request.header(HeaderName::from_static_str(name).unwrap(), *value);
        }
        let mut bytes = Vec::new();
        request.empty().write(&mut bytes).unwrap();
        self.stream.write_all(&bytes).await.unwrap();
        loop {
            match self.next().await.expect("the server answers") {
                Message::Response(response) => return response,
                Message::Data(_) => {}
                Message::Request(request) => panic!("unexpected {request:?}"),
            }
        }
    }

    /// The next message; none when the server has closed the connection.
    async fn next(&mut self) -> Option<Message<Vec<u8>>> {
        loop {
            if let Ok((message, length)) = Message::parse(&self.inbox) {
                self.inbox.drain(..length);
                return Some(message);
            }
            match self.stream.read_buf(&mut self.inbox).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Learns the server's nonce.
    async fn log_in(&mut self, url: &Url) {
        let refused = self.ask(Method::Describe, url, &[]).await;
        assert_eq!(status(&refused), 401);
        let challenge = refused.header(&headers::WWW_AUTHENTICATE).unwrap();
        self.auth = Some(PasswordClient::try_from(challenge.as_str()).unwrap());
    }

    /// Sets up the video and returns the session.
    async fn set_up(&mut self, url: &Url) -> String {
        self.log_in(url).await;
        let transport = [("Transport", "RTP/AVP/TCP;unicast;interleaved=0-1")];
        let answer = self.ask(Method::Setup, &video(url), &transport).await;
        assert_eq!(status(&answer), 200);
        let session = answer.header(&headers::SESSION).unwrap().as_str();
        session.split(';').next().unwrap().to_owned()
    }
}

fn status(response: &Response<Vec<u8>>) -> u16 {
    response.status().into()
}

/// The URL of a stream's video track.
fn video(url: &Url) -> Url {
    let mut track = url.clone();
    track.set_path(&format!("{}/trackID=1", url.path()));
    track
}

#[tokio::test]
async fn a_url_without_its_query_is_unknown() {
    let studio = Studio::showing(TARGET, &StreamSpec::default()).await;
    let url = studio.url(TARGET);
    let mut client = Client::connect(&studio).await;
    client.log_in(&url).await;
    assert_eq!(status(&client.ask(Method::Describe, &url, &[]).await), 200);
    let mut without = url.clone();
    without.set_query(None);
    let mut other = url.clone();
    other.set_query(Some("streamform=ps"));
    for wrong in [without, other] {
        assert_eq!(status(&client.ask(Method::Describe, &wrong, &[]).await), 404);
        assert_eq!(
            status(
                &client
                    .ask(Method::Setup, &video(&wrong), &[("Transport", "RTP/AVP/TCP")])
                    .await
            ),
            404
        );
    }
}

#[tokio::test]
async fn what_is_not_on_offer_is_refused_by_its_own_status() {
    let studio = Studio::showing(TARGET, &StreamSpec::default()).await;
    let url = studio.url(TARGET);
    let mut client = Client::connect(&studio).await;
    let options = client.ask(Method::Options, &url, &[]).await;
    assert_eq!(status(&options), 200);
    assert!(
        !options
            .header(&headers::PUBLIC)
            .unwrap()
            .as_str()
            .contains("PAUSE")
    );

    let session = client.set_up(&url).await;
    let session = [("Session", session.as_str())];
    let udp = [("Transport", "RTP/AVP;unicast;client_port=5000-5001")];
    assert_eq!(status(&client.ask(Method::Setup, &video(&url), &udp).await), 461);
    assert_eq!(status(&client.ask(Method::Pause, &url, &session).await), 405);
    assert_eq!(status(&client.ask(Method::Record, &url, &session).await), 501);
    assert_eq!(
        status(&client.ask(Method::GetParameter, &url, &session).await),
        200
    );
    let unknown = [("Session", "unknown")];
    assert_eq!(status(&client.ask(Method::Play, &url, &unknown).await), 454);
    assert_eq!(
        status(&client.ask(Method::GetParameter, &url, &unknown).await),
        454
    );
    assert_eq!(status(&client.ask(Method::Teardown, &url, &session).await), 200);
    assert_eq!(status(&client.ask(Method::Play, &url, &session).await), 454);
}

#[tokio::test]
async fn a_digest_of_the_older_form_is_accepted() {
    let studio = Studio::showing(TARGET, &StreamSpec::default()).await;
    let url = studio.url(TARGET);
    let mut client = Client::connect(&studio).await;
    let refused = client.ask(Method::Describe, &url, &[]).await;
    let challenge = refused.header(&headers::WWW_AUTHENTICATE).unwrap().as_str();
    let field = |name: &str| {
        let from = challenge.split(&format!("{name}=\"")).nth(1).unwrap();
        from.split('"').next().unwrap().to_owned()
    };
    let (realm, nonce) = (field("realm"), field("nonce"));
    let hash = |text: String| hex::encode(Md5::digest(text));
    let authorization = |password: &str, nonce: &str, signed: &str| {
        let account = hash(format!("{USER}:{realm}:{password}"));
        let request = hash(format!("DESCRIBE:{signed}"));
        let response = hash(format!("{account}:{nonce}:{request}"));
        format!(
            "Digest username=\"{USER}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{signed}\", \
             response=\"{response}\""
        )
    };
    let url_text = url.as_str();
    let cases = [
        (authorization(PASSWORD, &nonce, url_text), 200),
        (authorization("wrong", &nonce, url_text), 401),
        (authorization(PASSWORD, "made up", url_text), 401),
        (authorization(PASSWORD, &nonce, "rtsp://elsewhere/"), 401),
    ];
    for (authorization, expected) in cases {
        let header = [("Authorization", authorization.as_str())];
        let answer = client.ask(Method::Describe, &url, &header).await;
        assert_eq!(status(&answer), expected, "{authorization}");
        if authorization.contains("made up") {
            let challenge = answer.header(&headers::WWW_AUTHENTICATE).unwrap().as_str();
            assert!(challenge.contains("stale=\"true\""), "{challenge}");
        }
    }
}

#[tokio::test]
async fn what_is_not_rtsp_ends_the_connection() {
    let studio = Studio::showing(TARGET, &StreamSpec::default()).await;
    let endless = [b"DESCRIBE rtsp://x/ RTSP/1.0\r\nX: ".as_slice(), &[b'x'; 200_000]].concat();
    let huge = b"DESCRIBE rtsp://x/ RTSP/1.0\r\nContent-Length: 4000000000\r\n\r\n".repeat(2_000);
    for bytes in [
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".as_slice(),
        &endless,
        &huge,
    ] {
        let mut client = Client::connect(&studio).await;
        // The server may have closed before all is written.
        let _ = client.stream.write_all(bytes).await;
        let closed = timeout(PATIENCE, client.next()).await;
        assert!(closed.expect("the connection is closed").is_none());
    }
}

#[tokio::test]
async fn a_playback_says_which_interval_it_is_and_can_be_faster_than_life() {
    let start: Timestamp = "2026-01-21T09:08:07Z".parse().unwrap();
    let end = start + SignedDuration::from_secs(12);
    let spec = StreamSpec {
        kind: Kind::Playback { start, end },
        ..StreamSpec::default()
    };
    let target = "/dac/playback/X1";
    let play = async |(header, value)| {
        let studio = Studio::showing(target, &spec).await;
        let url = studio.url(target);
        let mut client = Client::connect(&studio).await;
        let session = client.set_up(&url).await;
        let began = Instant::now();
        let answer = client
            .ask(Method::Play, &url, &[("Session", &session), (header, value)])
            .await;
        assert_eq!(status(&answer), 200);
        let range = answer.header(&headers::RANGE).unwrap().as_str();
        assert_eq!(range, "clock=20260121T090807.000Z-20260121T090819.000Z");
        assert_eq!(answer.header(&headers::SPEED).unwrap().as_str(), "8.000");

        let mut frames = 0;
        let mut goodbyes = 0;
        while let Some(message) = client.next().await {
            let Message::Data(data) = message else {
                panic!("unexpected {message:?}")
            };
            match data.channel_id() {
                0 => frames += usize::from(data.as_slice()[1] & 0x80 != 0),
                _ => goodbyes += usize::from(data.as_slice()[28..].starts_with(&[0x81, 203])),
            }
        }
        assert_eq!((frames, goodbyes), (12 * 25, 1));
        assert!(
            began.elapsed() >= Duration::from_millis(1_400),
            "an eighth of 12 s"
        );
    };
    join_all([("Speed", "8.0"), ("Rate-Control", "no")].map(play)).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let spec = StreamSpec {
        video: LoopSpec {
            bit_rate_kbps: 20_000,
            frames: 25,
            ..LoopSpec::full_hd(Codec::H264)
        },
        ..StreamSpec::default()
    };
    let studio = Studio::showing(TARGET, &spec).await;
    let url = studio.url(TARGET);
    let mut client = Client::connect(&studio).await;
    let session = client.set_up(&url).await;
    let answer = client.ask(Method::Play, &url, &[("Session", &session)]).await;
    assert_eq!(status(&answer), 200);
    studio.sessions_become(TARGET, 1).await;
    let began = Instant::now();
    studio.sessions_become(TARGET, 0).await;
    assert!(began.elapsed() >= Duration::from_secs(9), "it is given time");
}

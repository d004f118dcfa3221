//! Requests and their answers (RFC 2326 section 10), of one connection.

use super::auth::Guard;
use super::catalog::{Catalog, Entry};
use super::session::Session;
use super::timeline::Speed;
use super::transport::{self, TrackId};
use super::{StreamFault, sdp};
use bytes::{BufMut, BytesMut};
use rtsp_types::{HeaderName, Method, Request, Response, StatusCode, Version, headers};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// A session whose client is silent for so long is ended: what cameras announce, and RFC 2326's default
/// (section 12.37).
pub(super) const SESSION_TIMEOUT: Duration = Duration::from_secs(60);

/// What the server can do. PAUSE is refused: a camera cannot stop time.
const PUBLIC: &str = "OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN";
/// ONVIF Streaming Specification, section 6.4: `no` lets the server send as fast as it can.
const RATE_CONTROL: &str = "Rate-Control";

/// One client's dialogue.
pub(super) struct Exchange {
    catalog: Arc<Catalog>,
    guard: Guard,
    /// The client's session, once it has set up a track.
    pub(super) session: Option<Session>,
}

/// A successful answer.
#[derive(Default)]
struct Answer {
    headers: Vec<(HeaderName, String)>,
    body: String,
}

impl Answer {
    fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl Exchange {
    /// A dialogue that has not begun.
    pub(super) fn new(catalog: Arc<Catalog>) -> Self {
        Self {
            catalog,
            guard: Guard::new(),
            session: None,
        }
    }

    /// Carries a request out and appends the answer.
    pub(super) fn answer(&mut self, request: &Request<Vec<u8>>, out: &mut BytesMut) {
        let (status, answer) = match self.carry_out(request) {
            Ok(answer) => (StatusCode::Ok, answer),
            Err(status) => (status, self.refusal(status, request)),
        };
        let mut response = Response::builder(Version::V1_0, status);
        if let Some(sequence) = request.header(&headers::CSEQ) {
            response = response.header(headers::CSEQ, sequence.as_str());
        }
        for (name, value) in answer.headers {
            response = response.header(name, value);
        }
        response
            .build(answer.body)
            .write(&mut out.writer())
            .expect("writing to memory does not fail");
    }

    fn refusal(&self, status: StatusCode, request: &Request<Vec<u8>>) -> Answer {
        match status {
            StatusCode::Unauthorized => {
                Answer::default().with(headers::WWW_AUTHENTICATE, self.guard.challenge(request))
            }
            StatusCode::MethodNotAllowed => Answer::default().with(headers::ALLOW, PUBLIC),
            _ => Answer::default(),
        }
    }

    fn carry_out(&mut self, request: &Request<Vec<u8>>) -> Result<Answer, StatusCode> {
        if request.version() != Version::V1_0 {
            return Err(StatusCode::RTSPVersionNotSupported);
        }
        match request.method() {
            Method::Options => Ok(Answer::default().with(headers::PUBLIC, PUBLIC)),
            Method::Describe => self.describe(request),
            Method::Setup => self.setup(request),
            Method::Play => self.play(request),
            Method::GetParameter => self.keep_alive(request),
            Method::Teardown => self.tear_down(request),
            Method::Pause => Err(StatusCode::MethodNotAllowed),
            _ => Err(StatusCode::NotImplemented),
        }
    }

    fn describe(&mut self, request: &Request<Vec<u8>>) -> Result<Answer, StatusCode> {
        self.authenticate(request)?;
        let url = request.request_uri().ok_or(StatusCode::BadRequest)?;
        let entry = self.find(url.path(), url)?;
        let mut answer = Answer::default()
            .with(headers::CONTENT_BASE, url.as_str())
            .with(headers::CONTENT_TYPE, "application/sdp");
        answer.body = sdp::describe(&entry.watch().borrow().media, url);
        Ok(answer)
    }

    fn setup(&mut self, request: &Request<Vec<u8>>) -> Result<Answer, StatusCode> {
        self.authenticate(request)?;
        let url = request.request_uri().ok_or(StatusCode::BadRequest)?;
        let (path, track) = TrackId::split(url.path()).ok_or(StatusCode::NotFound)?;
        let entry = self.find(path, url)?;
        let transport = request
            .header(&headers::TRANSPORT)
            .ok_or(StatusCode::BadRequest)?;
        let channels =
            transport::choose(transport.as_str(), track).ok_or(StatusCode::UnsupportedTransport)?;
        let session = match request.header(&headers::SESSION) {
            None => self.session.insert(Session::open(entry.clone())),
            Some(_) => named(&mut self.session, request)?,
        };
        if !session.is_of(&entry) {
            return Err(StatusCode::SessionNotFound);
        }
        if session.is_playing() {
            return Err(StatusCode::MethodNotValidInThisState);
        }
        match track {
            TrackId::Video => session.chosen.video = Some(channels),
            TrackId::Audio if session.on_air().media.audio.is_some() => session.chosen.audio = Some(channels),
            TrackId::Audio => return Err(StatusCode::NotFound),
        }
        let named = format!("{};timeout={}", session.id(), SESSION_TIMEOUT.as_secs());
        Ok(Answer::default()
            .with(headers::TRANSPORT, transport::header(channels))
            .with(headers::SESSION, named))
    }

    fn play(&mut self, request: &Request<Vec<u8>>) -> Result<Answer, StatusCode> {
        self.authenticate(request)?;
        let url = request.request_uri().ok_or(StatusCode::BadRequest)?;
        let speed = asked_speed(request);
        let session = named(&mut self.session, request)?;
        refuse(session.on_air().fault)?;
        let answer = Answer::default().with(headers::SESSION, session.id());
        if session.is_playing() {
            // Some clients keep a session alive with PLAY.
            return Ok(answer);
        }
        let begin = session.play(&self.catalog, speed);
        let answer = answer.with(headers::RTP_INFO, transport::rtp_info(url, begin));
        Ok(match begin.until {
            Some(until) => answer
                .with(headers::RANGE, sdp::clock_range(begin.from, until))
                .with(headers::SPEED, speed.to_string()),
            None => answer.with(headers::RANGE, "npt=0.000-"),
        })
    }

    fn keep_alive(&mut self, request: &Request<Vec<u8>>) -> Result<Answer, StatusCode> {
        let session = named(&mut self.session, request)?;
        Ok(Answer::default().with(headers::SESSION, session.id()))
    }

    fn tear_down(&mut self, request: &Request<Vec<u8>>) -> Result<Answer, StatusCode> {
        named(&mut self.session, request)?;
        self.session = None;
        Ok(Answer::default())
    }

    fn authenticate(&self, request: &Request<Vec<u8>>) -> Result<(), StatusCode> {
        if self.guard.admits(request, &self.catalog.login()) {
            return Ok(());
        }
        Err(StatusCode::Unauthorized)
    }

    /// The stream at `path`, with the query of `url`, unless its fault refuses new sessions.
    fn find(&self, path: &str, url: &Url) -> Result<Arc<Entry>, StatusCode> {
        let entry = self.catalog.find(path, url.query()).ok_or(StatusCode::NotFound)?;
        refuse(entry.watch().borrow().fault)?;
        Ok(entry)
    }
}

/// The session the request names, when it is this client's.
fn named<'a>(
    session: &'a mut Option<Session>,
    request: &Request<Vec<u8>>,
) -> Result<&'a mut Session, StatusCode> {
    let header = request
        .header(&headers::SESSION)
        .ok_or(StatusCode::SessionNotFound)?;
    let id = header.as_str().split(';').next().unwrap_or_default().trim();
    session
        .as_mut()
        .filter(|session| session.id() == id)
        .ok_or(StatusCode::SessionNotFound)
}

fn refuse(fault: Option<StreamFault>) -> Result<(), StatusCode> {
    match fault {
        Some(StreamFault::Drop) => Err(StatusCode::ServiceUnavailable),
        Some(StreamFault::NotFound) => Err(StatusCode::NotFound),
        Some(StreamFault::Unauthorized) => Err(StatusCode::Unauthorized),
        Some(
            StreamFault::Freeze
            | StreamFault::Stutter { .. }
            | StreamFault::Goodbye { .. }
            | StreamFault::GarbageRtp,
        )
        | None => Ok(()),
    }
}

/// How fast a playback is wanted; a live stream has only one speed and is not asked.
fn asked_speed(request: &Request<Vec<u8>>) -> Speed {
    let rate_control = HeaderName::from_static_str(RATE_CONTROL).expect("it is ASCII");
    if request
        .header(&rate_control)
        .is_some_and(|value| value.as_str() == "no")
    {
        return Speed::FASTEST;
    }
    let speed = request.header(&headers::SPEED);
    speed
        .and_then(|value| Speed::parse(value.as_str()))
        .unwrap_or(Speed::NORMAL)
}

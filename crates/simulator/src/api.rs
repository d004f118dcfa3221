//! The HTTP API without HTTP: a request goes in, what to deliver comes out. In between: is the call known,
//! is the gateway activated, are the credentials right, which faults are in force, and only then the call.

mod call;
mod devices;
mod events;
mod media;
mod recordings;
mod system;

use crate::account::{Cause, Verdict};
use crate::reply::{Outcome, Refusal, Reply};
use crate::weather::{Damage, Instead, Spoilt};
use crate::world::World;
use call::Call;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

/// The longest body a client may send; the largest documented one is a few kilobytes.
pub(crate) const REQUEST_BYTES_MAX: usize = 1 << 20;

/// A request as it came over the wire.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    /// Path and query, as the digest covers them.
    pub(crate) uri: &'a str,
    pub(crate) authorization: Option<&'a str>,
    pub(crate) body: &'a [u8],
}

/// What to deliver, and how much later.
#[derive(Debug, PartialEq)]
pub(crate) struct Delivery {
    /// Whether it may hold the URL of a stream, which should be on air before anyone knows of it.
    pub(crate) names_stream: bool,
    pub(crate) delay: Duration,
    pub(crate) parcel: Parcel,
}

/// What is delivered.
#[derive(Debug, PartialEq)]
pub(crate) enum Parcel {
    /// An answer.
    Answer(Answer),
    /// An answer padded with spaces to so many bytes.
    Padded(Answer, u64),
    /// The event stream of a subscription.
    Events(u64),
    /// Nothing, for ever.
    Hang,
    /// A cut connection.
    Reset,
}

/// An HTTP answer.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    /// `WWW-Authenticate` headers.
    pub(crate) challenges: Vec<String>,
    pub(crate) body: Vec<u8>,
}

impl Request<'_> {
    pub(crate) fn path(&self) -> &str {
        self.uri.split('?').next().unwrap_or(self.uri)
    }

    /// A parameter of the query, decoded.
    fn parameter(&self, name: &str) -> Option<String> {
        let query = self.uri.split_once('?')?.1;
        url::form_urlencoded::parse(query.as_bytes())
            .find(|(key, _value)| key == name)
            .map(|(_key, value)| value.into_owned())
    }
}

/// Answers a request.
pub(crate) fn receive(world: &mut World, request: &Request<'_>, now: Timestamp) -> Delivery {
    let call = Call::of(request.method, request.path());
    let name = call.as_ref().map_or_else(|| "unknown".to_owned(), Call::name);
    *world.requests.calls.entry(name).or_default() += 1;
    if !world.gateway.activated {
        return at_once(refused(world, request, &Refusal::not_activated()));
    }
    if let Err(answer) = log_in(world, request, now) {
        return at_once(answer);
    }
    let is_device_list = call == Some(Call::DeviceList);
    let names_stream = call == Some(Call::StreamMedia);
    let damage = world.weather.strike(request.path(), is_device_list);
    let delay = damage.delay;
    let parcel = match damage.instead {
        Some(Instead::Hang) => Parcel::Hang,
        Some(Instead::Status(code)) => Parcel::Answer(proxy_page(code)),
        Some(Instead::Refusal(ref refusal)) => Parcel::Answer(refused(world, request, refusal)),
        None => {
            let outcome = carry_out(world, call, request, &damage, now);
            spoil(answer(world, request, outcome), damage.spoilt)
        }
    };
    Delivery {
        names_stream,
        delay,
        parcel,
    }
}

/// Refuses a body that was cut off at [`REQUEST_BYTES_MAX`].
pub(crate) fn refuse_large(world: &World, request: &Request<'_>) -> Delivery {
    at_once(refused(world, request, &Refusal::too_large()))
}

fn carry_out(
    world: &mut World,
    call: Option<Call>,
    request: &Request<'_>,
    damage: &Damage,
    now: Timestamp,
) -> Outcome {
    let Some(call) = call else {
        return Err(Refusal::no_such_call());
    };
    if request.parameter("format").as_deref() != Some("json") {
        return Err(Refusal::bad_parameters("only format=json is spoken here"));
    }
    match call {
        Call::DeviceList => devices::list(world, request, damage.list),
        Call::ChannelInfo => devices::channels(world, request),
        Call::StreamMedia => media::stream(world, request, now),
        Call::Search => recordings::search(world, request, now),
        Call::DeviceInfo => system::info(world),
        Call::SetDeviceInfo => system::set_info(world, request),
        Call::SetUsers => system::set_users(world, request),
        Call::Time => system::time(world, now),
        Call::SetTime => system::set_time(world, request, now),
        Call::PortMap(map) => system::port_map(world, map),
        Call::SetPortMap(map) => system::set_port_map(world, request, map),
        Call::Reboot => system::reboot(world),
        Call::UserCheck => system::user_check(),
        Call::Subscribe => events::subscribe(world, request),
        Call::Unsubscribe(id) => events::unsubscribe(world, &id),
        Call::AlarmHost => events::set_alarm_host(world, request),
    }
}

fn log_in(world: &mut World, request: &Request<'_>, now: Timestamp) -> Result<(), Answer> {
    let verdict = world
        .account
        .check(request.authorization, request.method, request.uri, now);
    match verdict {
        Verdict::Granted => {
            world.requests.granted += 1;
            Ok(())
        }
        Verdict::Challenged(cause) => {
            match cause {
                Cause::NoCredentials => world.requests.challenged += 1,
                Cause::Stale => world.requests.stale += 1,
                Cause::Replayed => world.requests.replayed += 1,
                Cause::Basic => world.requests.basic += 1,
            }
            Err(unauthorized(world, request, cause == Cause::Stale, json!({})))
        }
        Verdict::Rejected {
            tries_left,
            locked_seconds,
        } => {
            world.requests.rejected += 1;
            let lock = lock_fields(tries_left, locked_seconds);
            Err(unauthorized(world, request, false, lock))
        }
        Verdict::Locked { seconds } => {
            world.requests.locked += 1;
            Err(unauthorized(world, request, false, lock_fields(0, seconds)))
        }
        Verdict::Malformed(reason) => {
            world.requests.malformed += 1;
            Err(refused(world, request, &Refusal::bad_format(reason)))
        }
    }
}

fn lock_fields(tries_left: u32, locked_seconds: i64) -> Value {
    let status = if locked_seconds > 0 { "lock" } else { "unlock" };
    json!({"lockStatus": status, "retryTimes": tries_left, "resLockTime": locked_seconds})
}

fn unauthorized(world: &mut World, request: &Request<'_>, stale: bool, extra: Value) -> Answer {
    let body = world
        .status_style()
        .body(request.uri, 4, "badAuthorization", "Unauthorized", extra);
    Answer {
        challenges: world.account.challenges(stale),
        ..json_answer(401, &body)
    }
}

fn answer(world: &World, request: &Request<'_>, outcome: Outcome) -> Parcel {
    let done = |code, sub| {
        let body = world.status_style().body(request.uri, code, sub, sub, json!({}));
        Parcel::Answer(json_answer(200, &body))
    };
    match outcome {
        Ok(Reply::Document(document)) => Parcel::Answer(json_answer(200, &document)),
        Ok(Reply::Done) => done(1, "ok"),
        Ok(Reply::DoneAfterReboot) => done(7, "rebootRequired"),
        Ok(Reply::Events(id)) => Parcel::Events(id),
        Err(refusal) => Parcel::Answer(refused(world, request, &refusal)),
    }
}

fn refused(world: &World, request: &Request<'_>, refusal: &Refusal) -> Answer {
    let status = if world.gateway.errors_in_200 {
        200
    } else {
        refusal.http
    };
    let body = world.status_style().body(
        request.uri,
        refusal.code,
        &refusal.sub,
        &refusal.message,
        json!({}),
    );
    json_answer(status, &body)
}

fn json_answer(status: u16, body: &Value) -> Answer {
    Answer {
        status,
        content_type: "application/json; charset=\"UTF-8\"",
        challenges: Vec::new(),
        body: body.to_string().into_bytes(),
    }
}

fn proxy_page(status: u16) -> Answer {
    Answer {
        status,
        content_type: "text/html",
        challenges: Vec::new(),
        body: format!("<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>")
            .into_bytes(),
    }
}

/// Spoils an answer. Event streams are spoilt by operations of their own, not by API faults.
fn spoil(parcel: Parcel, spoilt: Option<Spoilt>) -> Parcel {
    let Some(spoilt) = spoilt else {
        return parcel;
    };
    let Parcel::Answer(mut answer) = parcel else {
        return parcel;
    };
    match spoilt {
        Spoilt::Garbage => {
            answer.body = rand::random_iter().take(answer.body.len().max(64)).collect();
            Parcel::Answer(answer)
        }
        Spoilt::Truncated => {
            answer.body.truncate(answer.body.len() / 2);
            Parcel::Answer(answer)
        }
        Spoilt::Padded(bytes) => Parcel::Padded(answer, bytes),
        Spoilt::Reset => Parcel::Reset,
    }
}

fn at_once(answer: Answer) -> Delivery {
    Delivery {
        names_stream: false,
        delay: Duration::ZERO,
        parcel: Parcel::Answer(answer),
    }
}

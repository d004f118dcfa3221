//! From an HTTP request to what is wanted. Pure: an event in, a command or a problem out.
//!
//! The event is API Gateway's for HTTP APIs, payload format 2.0 ("Create AWS Lambda proxy integrations for HTTP APIs in
//! API Gateway", API Gateway Developer Guide). Only the raw query is read: whether a path is decoded differs between
//! callers of a function, and the parsed query joins what is repeated.

use crate::problem::Problem;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::episode::{CLIENT_ID, Cursor, EpisodeOrigin};
use domain::{ChannelKey, Episode, Revision};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::Range;
use std::str::FromStr;

/// Far above the longest reason and all labels.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// Episodes of a page, unless asked for fewer or more.
const LIMIT_DEFAULT: usize = 100;
/// The most episodes of a page: with the longest reasons and labels they stay below the 6 MB of an answer.
const LIMIT_MAX: usize = 200;
/// The only path.
const PATH: &str = "/episodes";

/// What is wanted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Command {
    Create(Episode),
    List(List),
    Change(Place, Change),
    Delete(Place),
}

/// Which episodes to list.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct List {
    /// Of all known channels when absent.
    pub(crate) channel: Option<ChannelKey>,
    pub(crate) range: Range<Timestamp>,
    pub(crate) limit: usize,
    pub(crate) cursor: Option<Cursor>,
}

/// Which episode.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Place {
    pub(crate) key: ChannelKey,
    pub(crate) start: Timestamp,
}

/// What becomes of it: `{"extendTo": TIME}` or `{"endAt": TIME}`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Change {
    ExtendTo(Timestamp),
    EndAt(Timestamp),
}

/// The body of a wish for an episode.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wish {
    device: String,
    channel: String,
    start: Timestamp,
    end: Option<Timestamp>,
    reason: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    expires_at: Option<Timestamp>,
    client_id: Option<String>,
}

/// The method of a request, for the log; of anything else, nothing.
pub(crate) fn method(event: &Value) -> &str {
    let method = event.pointer("/requestContext/http/method");
    method.and_then(Value::as_str).unwrap_or_default()
}

/// Who asks, as IAM knows them.
pub(crate) fn caller(event: &Value) -> &str {
    let arn = event.pointer("/requestContext/authorizer/iam/userArn");
    arn.and_then(Value::as_str).unwrap_or_default()
}

/// Reads a request.
pub(crate) fn command(event: &Value) -> Result<Command, Problem> {
    let path = event["rawPath"].as_str().unwrap_or_default();
    if path.trim_end_matches('/') != PATH {
        return Err(Problem::NoSuchPath);
    }
    let mut query = Query::of(event)?;
    let command = match method(event) {
        "POST" => Command::Create(wish(body(event)?)?),
        "GET" => Command::List(list(&mut query)?),
        "PATCH" => Command::Change(place(&mut query)?, body(event)?),
        "DELETE" => Command::Delete(place(&mut query)?),
        _ => return Err(Problem::NoSuchMethod),
    };
    query.all_were_read()?;
    Ok(command)
}

fn wish(wish: Wish) -> Result<Episode, Problem> {
    let mut labels = wish.labels;
    if labels.contains_key(CLIENT_ID) {
        return Err(Problem::invalid(format!(
            "the label `{CLIENT_ID}` is given as `clientId`"
        )));
    }
    labels.extend(wish.client_id.map(|id| (CLIENT_ID.to_owned(), id)));
    Ok(Episode {
        key: key(&wish.device, &wish.channel)?,
        start: wish.start,
        end: wish.end,
        reason: wish.reason,
        labels,
        expires_at: wish.expires_at,
        preview: None,
        origin: EpisodeOrigin::Person,
        revision: Revision::default().next(),
    })
}

fn list(query: &mut Query) -> Result<List, Problem> {
    let channel = match (query.take("device"), query.take("channel")) {
        (Some(device), Some(channel)) => Some(key(&device, &channel)?),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            return Err(Problem::invalid("`device` and `channel` go together"));
        }
    };
    let limit = query.read("limit")?.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Problem::invalid(format!("`limit` is 1 to {LIMIT_MAX}")));
    }
    Ok(List {
        channel,
        range: query.read("from")?.unwrap_or(Timestamp::MIN)..query.read("to")?.unwrap_or(Timestamp::MAX),
        limit,
        cursor: query.read("next")?,
    })
}

fn place(query: &mut Query) -> Result<Place, Problem> {
    let mut needed = |name: &str| {
        let value = query.take(name);
        value.ok_or_else(|| Problem::invalid(format!("the query needs `{name}`")))
    };
    let (device, channel) = (needed("device")?, needed("channel")?);
    let start = read("start", &needed("start")?)?;
    Ok(Place {
        key: key(&device, &channel)?,
        start,
    })
}

fn key(device: &str, channel: &str) -> Result<ChannelKey, Problem> {
    if device.is_empty() || channel.is_empty() {
        return Err(Problem::invalid("`device` and `channel` must not be empty"));
    }
    Ok(ChannelKey::new(device, channel))
}

fn body<T: DeserializeOwned>(event: &Value) -> Result<T, Problem> {
    let text = event["body"].as_str().unwrap_or_default();
    if text.len() > BODY_BYTES_MAX {
        return Err(Problem::TooLarge);
    }
    let bytes = match event["isBase64Encoded"].as_bool() {
        Some(true) => STANDARD.decode(text).map_err(|error| {
            Problem::invalid(format!("the body is not the base64 it is said to be: {error}"))
        })?,
        Some(false) | None => text.as_bytes().to_vec(),
    };
    serde_json::from_slice(&bytes).map_err(|error| Problem::invalid(format!("the body: {error}")))
}

fn read<T: FromStr>(name: &str, text: &str) -> Result<T, Problem>
where
    T::Err: std::fmt::Display,
{
    text.parse()
        .map_err(|error| Problem::invalid(format!("`{name}`: {error}")))
}

/// The query's parameters; each is given at most once, and none that is not read.
struct Query(BTreeMap<String, String>);

impl Query {
    fn of(event: &Value) -> Result<Self, Problem> {
        let raw = event["rawQueryString"].as_str().unwrap_or_default();
        let mut parameters = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(raw.as_bytes()) {
            if parameters.insert(name.to_string(), value.into_owned()).is_some() {
                return Err(Problem::invalid(format!("`{name}` is given twice")));
            }
        }
        Ok(Self(parameters))
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    fn read<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, Problem>
    where
        T::Err: std::fmt::Display,
    {
        self.take(name).map(|text| read(name, &text)).transpose()
    }

    fn all_were_read(&self) -> Result<(), Problem> {
        match self.0.first_key_value() {
            None => Ok(()),
            Some((name, _)) => Err(Problem::invalid(format!(
                "the query has `{name}`, which means nothing here"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(method: &str, query: &str, body: &str) -> Value {
        json!({
            "version": "2.0", "routeKey": "$default", "rawPath": "/episodes", "rawQueryString": query,
            "requestContext": {"http": {"method": method}}, "body": body, "isBase64Encoded": false,
        })
    }

    fn refused(event: &Value) -> String {
        command(event).unwrap_err().to_string()
    }

    #[test]
    fn a_wish_keeps_the_clients_name_for_it_as_a_label() {
        let body = r#"{"device": "A", "channel": "1", "start": "2026-11-21T08:00:00Z", "reason": "break-in",
            "labels": {"case": "4711"}, "clientId": "ticket-1"}"#;
        let Command::Create(row) = command(&event("POST", "", body)).unwrap() else {
            panic!("no creation")
        };
        assert_eq!(
            (row.key, row.end, row.revision),
            (ChannelKey::new("A", "1"), None, Revision(1))
        );
        assert_eq!(row.labels[CLIENT_ID], "ticket-1");

        let mut encoded = event("POST", "", &STANDARD.encode(body));
        encoded["isBase64Encoded"] = true.into();
        assert!(matches!(command(&encoded), Ok(Command::Create(_))));
    }

    #[test]
    fn an_episode_is_named_by_the_query_and_changed_in_one_of_two_ways() {
        let query = "device=38941127-49B5&channel=1%2F2&start=2026-11-21T08%3A00%3A00.5Z";
        let start: Timestamp = "2026-11-21T08:00:00.5Z".parse().unwrap();
        let place = Place {
            key: ChannelKey::new("38941127-49B5", "1/2"),
            start,
        };
        let changed = command(&event("PATCH", query, r#"{"extendTo": "2026-11-21T09:00:00Z"}"#));
        let to = "2026-11-21T09:00:00Z".parse().unwrap();
        assert_eq!(
            changed.unwrap(),
            Command::Change(place.clone(), Change::ExtendTo(to))
        );
        assert_eq!(
            command(&event("DELETE", query, "")).unwrap(),
            Command::Delete(place)
        );
        for body in [
            "",
            "{}",
            r#"{"extendTo": 5}"#,
            r#"{"extendTo": "2026-11-21T09:00:00Z", "endAt": "2026-11-21T09:00:00Z"}"#,
        ] {
            assert!(
                refused(&event("PATCH", query, body)).starts_with("the body: "),
                "{body}"
            );
        }
    }

    #[test]
    fn a_list_is_of_one_channel_or_of_all_and_bounded() {
        let all = command(&event("GET", "", "")).unwrap();
        let Command::List(list) = all else {
            panic!("no list")
        };
        assert_eq!(
            (list.channel, list.limit, list.cursor),
            (None, LIMIT_DEFAULT, None)
        );
        let of_one = event(
            "GET",
            "device=A&channel=1&from=2026-11-21T08:00:00Z&limit=7&next=A/1@",
            "",
        );
        let Command::List(list) = command(&of_one).unwrap() else {
            panic!("no list")
        };
        assert_eq!((list.channel, list.limit), (Some(ChannelKey::new("A", "1")), 7));
        assert_eq!(list.cursor.unwrap().to_string(), "A/1@");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let of = |query: &str| refused(&event("GET", query, ""));
        let post = |body: &str| refused(&event("POST", "", body));
        let lines = [
            of("device=A"),
            of("limit=0"),
            of("limit=201"),
            of("limit=many"),
            of("from=yesterday"),
            of("next=nowhere"),
            of("form=2026-11-21T08:00:00Z"),
            of("limit=1&limit=2"),
            refused(&event("DELETE", "device=A&channel=1", "")),
            refused(&event(
                "DELETE",
                "device=&channel=1&start=2026-11-21T08:00:00Z",
                "",
            )),
            post("{"),
            post(
                r#"{"device": "A", "channel": "1", "start": "2026-11-21T08:00:00Z", "reason": "x", "ends": "?"}"#,
            ),
            post(
                r#"{"device": "A", "channel": "1", "start": "2026-11-21T08:00:00Z", "reason": "x", "labels": {"client-id": "1"}}"#,
            ),
            post(&"x".repeat(BODY_BYTES_MAX + 1)),
            refused(&event("PUT", "", "")),
            refused(&json!({"rawPath": "/", "requestContext": {"http": {"method": "GET"}}})),
            refused(&json!(null)),
        ];
        insta::assert_snapshot!(lines.join("\n"), @"
        `device` and `channel` go together
        `limit` is 1 to 200
        `limit` is 1 to 200
        `limit`: invalid digit found in string
        `from`: failed to parse four digit integer as year: invalid digit, expected 0-9 but got y
        `next`: `nowhere` is not where a page ended
        the query has `form`, which means nothing here
        `limit` is given twice
        the query needs `start`
        `device` and `channel` must not be empty
        the body: EOF while parsing an object at line 1 column 1
        the body: unknown field `ends`, expected one of `device`, `channel`, `start`, `end`, `reason`, `labels`, `expiresAt`, `clientId` at line 1 column 86
        the label `client-id` is given as `clientId`
        the body is longer than any episode
        episodes are made by POST, listed by GET, changed by PATCH and deleted by DELETE
        there is nothing here but /episodes
        there is nothing here but /episodes
        ");
    }
}

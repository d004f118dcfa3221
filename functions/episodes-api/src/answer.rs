//! From what was done to an HTTP answer, payload format 2.0.

use crate::problem::Problem;
use domain::Episode;
use domain::episode::{CLIENT_ID, EpisodesPage};
use serde_json::{Value, json};

/// What a request came to.
#[derive(Debug)]
pub(crate) enum Answer {
    Created(Episode),
    /// As it is now: after a change, or because the same wish was granted before.
    Is(Episode),
    Listed(EpisodesPage),
    Deleted,
}

/// The HTTP answer and its status.
pub(crate) fn http(outcome: &Result<Answer, Problem>) -> (u16, Value) {
    let (status, kind, body) = match outcome {
        Ok(Answer::Created(row)) => (201, JSON, Some(shown(row))),
        Ok(Answer::Is(row)) => (200, JSON, Some(shown(row))),
        Ok(Answer::Listed(page)) => (200, JSON, Some(listed(page))),
        Ok(Answer::Deleted) => (204, JSON, None),
        Err(problem) => (
            problem.status().0,
            "application/problem+json",
            Some(problem.body()),
        ),
    };
    let mut headers = json!({"content-type": kind, "cache-control": "no-store"});
    match status {
        405 => headers["allow"] = "POST, GET, PATCH, DELETE".into(),
        503 => headers["retry-after"] = "1".into(),
        _ => {}
    }
    let body = body.map_or_else(String::new, |body| body.to_string());
    (
        status,
        json!({"statusCode": status, "headers": headers, "body": body}),
    )
}

const JSON: &str = "application/json";

fn listed(page: &EpisodesPage) -> Value {
    let episodes: Vec<Value> = page.episodes.iter().map(shown).collect();
    json!({"episodes": episodes, "next": page.next.as_ref().map(ToString::to_string)})
}

fn shown(row: &Episode) -> Value {
    let mut labels = row.labels.clone();
    let client_id = labels.remove(CLIENT_ID);
    json!({
        "device": row.key.device,
        "channel": row.key.channel,
        "start": row.start,
        "end": row.end,
        "reason": row.reason,
        "labels": labels,
        "clientId": client_id,
        "expiresAt": row.expires_at,
        "preview": row.preview,
        "origin": row.origin,
        "revision": row.revision,
    })
}

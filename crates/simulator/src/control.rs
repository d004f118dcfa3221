//! The hand that changes the world from outside: as a Rust handle, and over HTTP for other programs.
//!
//! `POST /control` takes an [`Operation`] as JSON and answers when it has taken effect, `GET /state` answers a
//! [`State`]. There is no password: the
//! endpoint is for the machine the simulator runs on.

use crate::operation::Operation;
use crate::requests::RequestCounts;
use crate::shared::Shared;
use crate::video::Video;
use crate::world::State;
use axum::Router;
use axum::body::Bytes;
use axum::extract;
use axum::http::StatusCode;
use axum::routing::{get, post};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

/// Changes a running simulator. Clones control the same one.
#[derive(Debug, Clone)]
pub struct Control {
    shared: Arc<Shared>,
}

impl Control {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Carries out an operation. When this returns it has taken effect on the API, a reboot has begun, and
    /// streams have ended or suffer from their faults; new and changed streams may still have to be encoded:
    /// see [`Control::settle`].
    ///
    /// # Errors
    /// When it names something that does not exist or is out of range; nothing has changed then.
    pub fn apply(&self, operation: Operation) -> anyhow::Result<()> {
        self.shared.with(|world| world.apply(operation, Timestamp::now()))
    }

    /// Waits until all streams are on air as the operations so far want them, or known to be impossible.
    pub async fn settle(&self) {
        self.shared.settle().await;
    }

    /// Everything that can change, as it is now.
    pub fn state(&self) -> State {
        let stream_errors = self.shared.video().map(Video::errors);
        State {
            stream_errors: stream_errors.unwrap_or_default(),
            ..self.shared.with(|world| world.state(Timestamp::now()))
        }
    }

    /// What has reached the API so far.
    pub fn requests(&self) -> RequestCounts {
        self.shared.with(|world| world.requests.clone())
    }
}

/// The control endpoint.
pub(crate) fn router(control: Control) -> Router {
    Router::new()
        .route("/control", post(apply))
        .route("/state", get(state))
        .with_state(control)
}

async fn apply(
    extract::State(control): extract::State<Control>,
    body: Bytes,
) -> (StatusCode, axum::Json<Value>) {
    let operation = serde_json::from_slice(&body).map_err(anyhow::Error::from);
    match operation.and_then(|operation| control.apply(operation)) {
        Ok(()) => {
            control.settle().await;
            (StatusCode::OK, axum::Json(json!({"ok": true})))
        }
        Err(error) => {
            let error = format!("{error:#}");
            (StatusCode::BAD_REQUEST, axum::Json(json!({ "error": error })))
        }
    }
}

async fn state(extract::State(control): extract::State<Control>) -> axum::Json<State> {
    axum::Json(control.state())
}

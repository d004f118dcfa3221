//! Sending a call: its turn among others, its time limit, the rounds of authentication, its bounded answer.

use crate::answer::{self, Verdict};
use crate::auth::{Denial, Identity, Login};
use crate::call::Call;
use crate::client::Inner;
use crate::digest::{Challenge, Question};
use crate::error::IsapiError;
use crate::parse;
use crate::tls::certificate_problem;
use jiff::SignedDuration;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Response, StatusCode};
use serde_json::Value;
use std::time::Instant;
use tokio::time::timeout;

/// Round trips one call may take: ask, answer, and answer once more when the nonce went stale in between.
const ROUNDS_MAX: usize = 3;

/// An answer whose body has not been read yet.
pub(crate) struct Opened {
    pub(crate) response: Response,
    identity: Identity,
}

impl Inner {
    /// Makes a call and reads its whole answer.
    pub(crate) async fn call(&self, call: &Call) -> Result<Value, IsapiError> {
        let _permit = self
            .permits
            .acquire()
            .await
            .expect("the semaphore is never closed");
        self.call_with_permit(call).await
    }

    /// The same for who holds permits already.
    pub(crate) async fn call_with_permit(&self, call: &Call) -> Result<Value, IsapiError> {
        let exchange = async {
            let opened = self.open(call).await?;
            self.close(call, opened).await
        };
        timeout(self.request_timeout, exchange)
            .await
            .unwrap_or_else(|_| Err(self.timed_out(call)))
    }

    /// Opens an answer that goes on for ever; its headers come within the time limit.
    pub(crate) async fn open_endless(&self, call: &Call) -> Result<Opened, IsapiError> {
        let _permit = self
            .permits
            .acquire()
            .await
            .expect("the semaphore is never closed");
        timeout(self.request_timeout, self.open(call))
            .await
            .unwrap_or_else(|_| Err(self.timed_out(call)))
    }

    /// Reads an answer that turned out not to be endless.
    pub(crate) async fn close_in_time(&self, call: &Call, opened: Opened) -> Result<Value, IsapiError> {
        let closing = timeout(self.request_timeout, self.close(call, opened));
        closing.await.unwrap_or_else(|_| Err(self.timed_out(call)))
    }

    async fn close(&self, call: &Call, opened: Opened) -> Result<Value, IsapiError> {
        let http_status = opened.response.status();
        let body = self.body(call, opened.response).await?;
        match answer::read(call, http_status, &body)? {
            Verdict::Done(value) => Ok(value),
            Verdict::Unauthorized(status) => {
                Err(self.authenticator.rejected_in_body(&opened.identity, &status))
            }
        }
    }

    pub(crate) fn timed_out(&self, call: &Call) -> IsapiError {
        let limit = SignedDuration::try_from(self.request_timeout).unwrap_or(SignedDuration::MAX);
        IsapiError::TimedOut {
            request: call.to_string(),
            limit,
        }
    }

    async fn open(&self, call: &Call) -> Result<Opened, IsapiError> {
        let url = call.url(&self.base_url);
        let uri = url
            .query()
            .map_or(url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let question = Question {
            method: call.method.as_str(),
            uri: &uri,
            body: &call.body,
        };
        let mut login = Login::default();
        for _ in 0..ROUNDS_MAX {
            let attempt = self.authenticator.attempt(&mut login, &question).await?;
            let response = self
                .transmit(call, url.clone(), attempt.authorization.clone())
                .await?;
            let http_status = response.status();
            if http_status != StatusCode::UNAUTHORIZED {
                let identity = attempt.identity.clone();
                self.authenticator.passed(attempt, http_status.is_success());
                return Ok(Opened { response, identity });
            }
            let denial = self.denial(call, response).await?;
            self.authenticator.denied(&mut login, attempt, denial)?;
        }
        Err(IsapiError::ChallengedAgain {
            request: call.to_string(),
        })
    }

    async fn transmit(
        &self,
        call: &Call,
        url: reqwest::Url,
        authorization: Option<HeaderValue>,
    ) -> Result<Response, IsapiError> {
        let mut request = self.http.request(call.method.clone(), url);
        if !call.body.is_empty() {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .body(call.body.clone());
        }
        if let Some(authorization) = authorization {
            request = request.header(reqwest::header::AUTHORIZATION, authorization);
        }
        let begin = Instant::now();
        let answer = request.send().await;
        self.tally.note(begin.elapsed());
        let response = answer.map_err(|error| broken(call, error))?;
        tracing::debug!(request = %call, status = response.status().as_u16(), "gateway answered");
        Ok(response)
    }

    async fn denial(&self, call: &Call, response: Response) -> Result<Denial, IsapiError> {
        let challenge =
            Challenge::choose(response.headers()).map_err(|offered| IsapiError::NoUsableChallenge {
                request: call.to_string(),
                offered,
            });
        let body = self.body(call, response).await?;
        let status = parse::json(&body).ok().as_ref().and_then(parse::response_status);
        Ok(Denial { challenge, status })
    }

    async fn body(&self, call: &Call, mut response: Response) -> Result<Vec<u8>, IsapiError> {
        let limit_bytes = self.body_max_bytes;
        let too_large = || IsapiError::TooLarge {
            request: call.to_string(),
            limit_bytes,
        };
        if response
            .content_length()
            .is_some_and(|length| length > limit_bytes as u64)
        {
            return Err(too_large());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| broken(call, error))? {
            if body.len() + chunk.len() > limit_bytes {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

fn broken(call: &Call, error: reqwest::Error) -> IsapiError {
    let request = call.to_string();
    // The URL's query names devices and its host is the reader's own gateway: the request says enough.
    let source = error.without_url();
    if let Some(problem) = certificate_problem(&source) {
        return IsapiError::Certificate { request, problem };
    }
    match source.is_connect() {
        true => IsapiError::Unreachable { request, source },
        false => IsapiError::Broken { request, source },
    }
}

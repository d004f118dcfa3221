//! An HTTP client with a digest made by hand, independent of the simulator's.

use md5::Md5;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use simulator::{Scenario, Simulator};
use std::collections::BTreeMap;

pub(crate) const DEVICE_LIST: &str = "/ISAPI/ContentMgmt/DeviceMgmt/deviceList?format=json";
pub(crate) const TIME: &str = "/ISAPI/System/time?format=json";
pub(crate) const USER_CHECK: &str = "/ISAPI/Security/userCheck?format=json";

/// A client of one gateway that keeps its challenge, as a good one does.
pub(crate) struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) base: String,
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) challenge: Option<Challenge>,
    pub(crate) count: u32,
}

/// The parameters of a Digest challenge.
#[derive(Debug, Clone)]
pub(crate) struct Challenge(BTreeMap<String, String>);

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// A field of the `ResponseStatus`.
    pub(crate) fn status_field(&self, name: &str) -> Value {
        self.json()["ResponseStatus"][name].clone()
    }
}

impl Challenge {
    pub(crate) fn parse(headers: &[String]) -> Self {
        let digest = headers
            .iter()
            .find_map(|header| header.strip_prefix("Digest "))
            .expect("a Digest challenge");
        let fields = digest.split(", ").map(|field| {
            let (name, value) = field.split_once('=').expect("name=value");
            (name.to_owned(), value.trim_matches('"').to_owned())
        });
        Self(fields.collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

pub(crate) async fn start(scenario: Scenario) -> (Simulator, Client) {
    let simulator = Simulator::start(scenario.api_only())
        .await
        .expect("the simulator starts");
    let client = Client::of(&simulator);
    (simulator, client)
}

impl Client {
    pub(crate) fn of(simulator: &Simulator) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let mut http = reqwest::Client::builder().no_proxy();
        if let Some(certificate) = simulator.certificate() {
            let certificate = reqwest::Certificate::from_pem(certificate.pem.as_bytes()).unwrap();
            http = http.tls_certs_only([certificate]);
        }
        Self {
            http: http.build().unwrap(),
            base: simulator.api_url(),
            username: simulator.username().to_owned(),
            password: simulator.password().to_owned(),
            challenge: None,
            count: 0,
        }
    }

    pub(crate) async fn get(&mut self, uri: &str) -> Answer {
        self.call(Method::GET, uri, None).await
    }

    pub(crate) async fn put(&mut self, uri: &str, body: Value) -> Answer {
        self.call(Method::PUT, uri, Some(body)).await
    }

    pub(crate) async fn post(&mut self, uri: &str, body: Value) -> Answer {
        self.call(Method::POST, uri, Some(body)).await
    }

    /// Calls with the challenge at hand, or after asking for one; once more when the nonce was stale.
    pub(crate) async fn call(&mut self, method: Method, uri: &str, body: Option<Value>) -> Answer {
        let response = self.send(method, uri, body).await.expect("the gateway answers");
        let status = response.status();
        let text = response.text().await.expect("a whole body");
        Answer { status, text }
    }

    /// The same without reading the body.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        uri: &str,
        body: Option<Value>,
    ) -> reqwest::Result<reqwest::Response> {
        if self.challenge.is_none() {
            let response = self.bare(method.clone(), uri, body.clone(), None).await?;
            if response.status() != StatusCode::UNAUTHORIZED {
                return Ok(response);
            }
            self.adopt(&challenges(&response));
        }
        let response = self.with_digest(method.clone(), uri, body.clone()).await?;
        let offered = challenges(&response);
        let stale = offered
            .iter()
            .any(|challenge| challenge.contains("stale=\"true\""));
        if !stale {
            return Ok(response);
        }
        self.adopt(&offered);
        self.with_digest(method, uri, body).await
    }

    pub(crate) fn adopt(&mut self, headers: &[String]) {
        self.challenge = Some(Challenge::parse(headers));
        self.count = 0;
    }

    async fn with_digest(
        &mut self,
        method: Method,
        uri: &str,
        body: Option<Value>,
    ) -> reqwest::Result<reqwest::Response> {
        self.count += 1;
        let header = self.authorization(method.as_str(), uri, self.count);
        self.bare(method, uri, body, Some(header)).await
    }

    /// One request with exactly this `Authorization`.
    pub(crate) async fn bare(
        &self,
        method: Method,
        uri: &str,
        body: Option<Value>,
        authorization: Option<String>,
    ) -> reqwest::Result<reqwest::Response> {
        let mut request = self.http.request(method, format!("{}{uri}", self.base));
        if let Some(body) = body {
            request = request.json(&body);
        }
        if let Some(header) = authorization {
            request = request.header("Authorization", header);
        }
        request.send().await
    }

    /// The header of a request by RFC 7616, written down a second time.
    pub(crate) fn authorization(&self, method: &str, uri: &str, count: u32) -> String {
        let challenge = self.challenge.as_ref().expect("a challenge");
        let realm = challenge.get("realm").unwrap();
        let nonce = challenge.get("nonce").unwrap();
        let algorithm = challenge.get("algorithm");
        let hash = |text: String| -> String {
            if algorithm == Some("SHA-256") {
                hex::encode(Sha256::digest(text))
            } else {
                hex::encode(Md5::digest(text))
            }
        };
        let mut key = hash(format!("{}:{realm}:{}", self.username, self.password));
        if algorithm == Some("MD5-sess") {
            key = hash(format!("{key}:{nonce}:cafe"));
        }
        let request = hash(format!("{method}:{uri}"));
        let (response, session) = if challenge.get("qop").is_some() {
            let response = hash(format!("{key}:{nonce}:{count:08x}:cafe:auth:{request}"));
            (response, format!(", qop=auth, nc={count:08x}, cnonce=\"cafe\""))
        } else {
            (hash(format!("{key}:{nonce}:{request}")), String::new())
        };
        let echo = |name: &str| {
            challenge
                .get(name)
                .map_or_else(String::new, |value| format!(", {name}=\"{value}\""))
        };
        let algorithm = algorithm.map_or_else(String::new, |name| format!(", algorithm={name}"));
        format!(
            "Digest username=\"{}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{response}\"{session}{}{algorithm}",
            self.username,
            echo("opaque"),
        )
    }

    /// One page of the device list.
    pub(crate) async fn page(&mut self, position: usize, max: usize) -> Value {
        let body = json!({"SearchDescription": {"position": position, "maxResult": max}});
        self.post(DEVICE_LIST, body).await.json()["SearchResult"].clone()
    }

    /// The names on a page.
    pub(crate) async fn names(&mut self, position: usize, max: usize) -> Vec<String> {
        let page = self.page(position, max).await;
        entries(&page)
            .iter()
            .map(|device| device["devName"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// The devices of a page.
pub(crate) fn entries(page: &Value) -> Vec<Value> {
    let list = page["MatchList"].as_array().map_or(&[][..], Vec::as_slice);
    list.iter().map(|entry| entry["Device"].clone()).collect()
}

pub(crate) fn challenges(response: &reqwest::Response) -> Vec<String> {
    let values = response.headers().get_all("WWW-Authenticate");
    values
        .iter()
        .map(|value| value.to_str().unwrap().to_owned())
        .collect()
}

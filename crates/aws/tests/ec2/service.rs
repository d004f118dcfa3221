//! A service that speaks EC2's protocol (forms in, XML out) and answers what it is told to. It stands where the
//! SDK's HTTP client would, so that every request and answer is a real one.

use aws::ec2::{Endpoints, Machines, MachinesConfig, RecoveryConfig, Scheme};
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ec2::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a request says, by the names of its fields.
pub(crate) type Form = BTreeMap<String, String>;

/// Status and body; `None` is an answer that got lost.
pub(crate) type Answer = Option<(u16, String)>;

/// Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct FakeEc2(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    answers: VecDeque<(&'static str, Answer)>,
    requests: Vec<Form>,
}

impl FakeEc2 {
    /// The stack "north" on this service.
    pub(crate) fn machines(&self) -> Machines {
        self.machines_of("north")
    }

    pub(crate) fn machines_of(&self, stack: &str) -> Machines {
        let recovery = RecoveryConfig {
            launch_template: "lt-1".into(),
            drill_security_group: "sg-drill".into(),
            address: "eipalloc-1".parse().expect("it is the name of one"),
        };
        self.machines_with(stack, Some(recovery))
    }

    pub(crate) fn machines_with(&self, stack: &str, recovery: Option<RecoveryConfig>) -> Machines {
        let connector = SharedHttpConnector::new(self.clone());
        let sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(credentials())
            .retry_config(RetryConfig::disabled())
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .build();
        let endpoints = Endpoints {
            scheme: Scheme::Https,
            port: None,
        };
        let config = MachinesConfig {
            stack: stack.into(),
            endpoints,
            recovery,
        };
        Machines::new(&sdk, config)
    }

    /// Answers the next call of `action` with this content. A call that no answer waits for is told that there is
    /// nothing.
    pub(crate) fn answer(&self, action: &'static str, content: &str) -> &Self {
        let body = format!("<{action}Response><requestId>1</requestId>{content}</{action}Response>");
        self.push(action, Some((200, body)))
    }

    /// Answers the next call of `action` with this error.
    pub(crate) fn fail(&self, action: &'static str, status: u16, code: &str) -> &Self {
        let error = format!("<Error><Code>{code}</Code><Message>a message</Message></Error>");
        let body = format!("<Response><Errors>{error}</Errors><RequestID>1</RequestID></Response>");
        self.push(action, Some((status, body)))
    }

    /// The answer to the next call of `action` gets lost.
    pub(crate) fn lose(&self, action: &'static str) -> &Self {
        self.push(action, None)
    }

    fn push(&self, action: &'static str, answer: Answer) -> &Self {
        self.state().answers.push_back((action, answer));
        self
    }

    /// The requests of an action so far.
    pub(crate) fn requests(&self, action: &str) -> Vec<Form> {
        let state = self.state();
        let of_action = state.requests.iter().filter(|form| form["Action"] == action);
        of_action.cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpConnector for FakeEc2 {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body = request.body().bytes().expect("requests are whole");
        let form: Form = url::form_urlencoded::parse(body).into_owned().collect();
        let action = form["Action"].clone();
        let mut state = self.state();
        state.requests.push(form);
        let scripted = state.answers.iter().position(|(name, _)| *name == action);
        let scripted = scripted.and_then(|at| state.answers.remove(at));
        let nothing = || Some((200, format!("<{action}Response></{action}Response>")));
        match scripted.map_or_else(nothing, |(_, answer)| answer) {
            Some((status, body)) => {
                let status = status.try_into().expect("tests use real status codes");
                HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(body))))
            }
            None => HttpConnectorFuture::ready(Err(ConnectorError::io("connection reset".into()))),
        }
    }
}

pub(crate) fn credentials() -> SharedCredentialsProvider {
    SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "tests"))
}

/// An instance as DescribeInstances tells of it, in this state, with more to say of it.
pub(crate) fn instance(id: &str, state: &str, more: &str) -> String {
    format!(
        "<item><instancesSet><item><instanceId>{id}</instanceId>\
         <instanceState><code>0</code><name>{state}</name></instanceState>\
         <launchTime>2026-11-21T08:00:00.000Z</launchTime>{more}</item></instancesSet></item>"
    )
}

/// The content of DescribeInstances' answer.
pub(crate) fn instances(instances: &[String]) -> String {
    format!("<reservationSet>{}</reservationSet>", instances.concat())
}

pub(crate) fn tag_set(tags: &[(&str, &str)]) -> String {
    let item = |(key, value): &(&str, &str)| format!("<item><key>{key}</key><value>{value}</value></item>");
    format!("<tagSet>{}</tagSet>", tags.iter().map(item).collect::<String>())
}

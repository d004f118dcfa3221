//! A service in memory that speaks ECS's protocol (AWS JSON 1.1) and keeps its promises, with faults on request. It
//! stands where the SDK's HTTP client would, so that every request and answer is a real one.

use crate::service_state::{Answer, State};
use aws::ecs::{EcsConfig, EcsTasks, LaunchMode};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ecs::config::retry::RetryConfig;
use aws_sdk_ecs::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use domain::{ChannelKey, Launch, TaskKind};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// ECS in one process. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct FakeEcs(Arc<Mutex<State>>);

impl FakeEcs {
    /// The stack "millrace-north" on this service, half of it on Spot.
    pub(crate) fn tasks(&self) -> EcsTasks {
        self.tasks_on(LaunchMode::Fargate {
            spot_percent: 50,
            on_demand_base: 0,
        })
    }

    pub(crate) fn tasks_on(&self, launch: LaunchMode) -> EcsTasks {
        self.tasks_with(EcsConfig { launch, ..config() })
    }

    pub(crate) fn tasks_with(&self, config: EcsConfig) -> EcsTasks {
        EcsTasks::new(&self.sdk_config(), config)
    }

    fn sdk_config(&self) -> SdkConfig {
        let connector = SharedHttpConnector::new(self.clone());
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(credentials())
            .retry_config(RetryConfig::disabled())
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .build()
    }

    /// Answers the next call of `operation` as told, instead of doing it.
    pub(crate) fn answer_next(&self, operation: &'static str, answer: Answer) {
        self.state().scripted.push_back((operation, answer));
    }

    /// From now on calls are carried out but their answers lost.
    pub(crate) fn lose_answers(&self, losing: bool) {
        self.state().losing_answers = losing;
    }

    /// These capacity providers have no room.
    pub(crate) fn fill(&self, providers: &[&'static str]) {
        self.state().full = providers.to_vec();
    }

    /// The bodies of the requests of an operation so far.
    pub(crate) fn requests(&self, operation: &str) -> Vec<Value> {
        let state = self.state();
        let of_operation = state.requests.iter().filter(|(name, _)| name == operation);
        of_operation.map(|(_, body)| body.clone()).collect()
    }

    /// Puts a task there, or changes it.
    pub(crate) fn put_task(&self, arn: &str, fields: &[(&str, Value)]) {
        let mut state = self.state();
        let task = state.tasks.entry(arn.to_owned()).or_insert_with(|| {
            json!({
                "taskArn": arn,
                "startedBy": "millrace-north",
                "lastStatus": "RUNNING",
                "desiredStatus": "RUNNING",
                "createdAt": 1_795_000_000.25,
            })
        });
        for (name, value) in fields {
            task[*name] = value.clone();
        }
    }

    /// How many tasks ECS wants to run.
    pub(crate) fn running(&self) -> usize {
        let state = self.state();
        state
            .tasks
            .values()
            .filter(|task| task["desiredStatus"] == "RUNNING")
            .count()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpConnector for FakeEcs {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let body = request.body().bytes().expect("requests are whole");
        let body: Value = serde_json::from_slice(body).expect("requests are JSON");
        let (status, answer) = self.state().answer(&operation, &body);
        if self.state().losing_answers {
            return HttpConnectorFuture::ready(Err(ConnectorError::io("connection reset".into())));
        }
        let status = status.try_into().expect("tests use real status codes");
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(answer.to_string()))))
    }
}

pub(crate) fn credentials() -> SharedCredentialsProvider {
    SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "tests"))
}

pub(crate) fn config() -> EcsConfig {
    EcsConfig {
        cluster: "cell".into(),
        copy_definition: "recorder".into(),
        transform_definition: "transform-recorder".into(),
        subnets: vec!["subnet-1".into(), "subnet-2".into()],
        security_groups: vec!["sg-1".into()],
        assign_public_ip: true,
        launch: LaunchMode::Fargate {
            spot_percent: 50,
            on_demand_base: 0,
        },
        stack: "millrace-north".into(),
    }
}

pub(crate) fn launch(token: &str) -> Launch {
    Launch {
        token: token.into(),
        kind: TaskKind::Copy,
        channels: vec![ChannelKey::new("A", "1"), ChannelKey::new("камера", "2")],
    }
}

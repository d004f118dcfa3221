//! The emulator's API in the few calls the harness makes of it, without an SDK for each service.
//!
//! The harness is the account's owner: MiniStack does not check the signatures of the key `test`, it only reads from
//! them which service is meant.

use anyhow::{Context, bail};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use std::time::Duration;

/// The Region everything is deployed in.
pub(crate) const REGION: &str = "us-east-1";

/// The account's owner, as id and as secret.
pub(crate) const OWNER: &str = "test";

/// Of one call; the slowest one creates a function from its archive.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// A service that speaks AWS JSON, by its name in signatures and the prefix of its targets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Service(&'static str, &'static str);

pub(crate) const DYNAMODB: Service = Service("dynamodb", "DynamoDB_20120810");
pub(crate) const ECR: Service = Service("ecr", "AmazonEC2ContainerRegistry_V20150921");
pub(crate) const ECS: Service = Service("ecs", "AmazonEC2ContainerServiceV20141113");
pub(crate) const EVENTS: Service = Service("events", "AWSEvents");
pub(crate) const LOGS: Service = Service("logs", "Logs_20140328");
pub(crate) const SQS: Service = Service("sqs", "AmazonSQS");
pub(crate) const SSM: Service = Service("ssm", "AmazonSSM");

/// A client of the emulator.
#[derive(Debug, Clone)]
pub(crate) struct Aws {
    http: reqwest::Client,
    endpoint: String,
}

impl Aws {
    pub(crate) fn new(endpoint: String) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(ANSWER_TIMEOUT)
            .build()
            .context("making an HTTP client")?;
        Ok(Self { http, endpoint })
    }

    /// Where it serves.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// One operation of a service that speaks AWS JSON.
    pub(crate) async fn json(
        &self,
        service: Service,
        operation: &str,
        input: &Value,
    ) -> anyhow::Result<Value> {
        let Service(name, target) = service;
        let request = self
            .request(Method::POST, name, "/")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("{target}.{operation}"))
            .body(input.to_string());
        let answer = text(send(request, operation).await?).await?;
        if answer.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&answer).with_context(|| format!("{operation} answered no JSON"))
    }

    /// One operation of a service that speaks the older query protocol; answers XML.
    pub(crate) async fn query(
        &self,
        service: &str,
        operation: &str,
        fields: &[(&str, &str)],
    ) -> anyhow::Result<String> {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", operation).extend_pairs(fields);
        let request = self
            .request(Method::POST, service, "/")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.finish());
        text(send(request, operation).await?).await
    }

    /// One operation of Lambda, which has a path for each.
    pub(crate) async fn lambda(
        &self,
        method: Method,
        path: &str,
        input: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let what = format!("{method} {path}");
        let request = self.request(method, "lambda", path);
        let request = match input {
            Some(input) => request.body(input.to_string()),
            None => request,
        };
        let answer = text(send(request, &what).await?).await?;
        serde_json::from_str(&answer).with_context(|| format!("{what} answered no JSON"))
    }

    /// An object, or the listing of a bucket.
    pub(crate) async fn s3(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let request = self.request(Method::GET, "s3", path);
        let answer = send(request, path).await?.bytes().await;
        Ok(answer.with_context(|| format!("reading {path}"))?.to_vec())
    }

    fn request(&self, method: Method, service: &str, path: &str) -> RequestBuilder {
        let scope = format!("{OWNER}/20260101/{REGION}/{service}/aws4_request");
        let signature = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
        self.http
            .request(method, format!("{}{path}", self.endpoint))
            .header("authorization", signature)
    }
}

async fn send(request: RequestBuilder, what: &str) -> anyhow::Result<Response> {
    let answer = request.send().await.with_context(|| what.to_owned())?;
    if answer.status().is_success() {
        return Ok(answer);
    }
    let status = answer.status();
    bail!("{what} answered {status}: {}", text(answer).await?);
}

async fn text(answer: Response) -> anyhow::Result<String> {
    answer.text().await.context("reading an answer")
}

/// The texts between all `<name>` and `</name>` of an XML answer, in their order.
pub(crate) fn elements<'a>(xml: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let parts = xml.split(open.as_str()).skip(1);
    parts
        .filter_map(|part| part.split(close.as_str()).next())
        .collect()
}

/// The first of them.
pub(crate) fn element<'a>(xml: &'a str, name: &str) -> anyhow::Result<&'a str> {
    let first = elements(xml, name).into_iter().next();
    first.with_context(|| format!("an answer without <{name}>"))
}

/// A DynamoDB item as plain JSON; numbers become text, as they are on the wire.
pub(crate) fn plain(item: &Value) -> Value {
    let Some(item) = item.as_object() else {
        return Value::Null;
    };
    Value::Object(
        item.iter()
            .map(|(name, value)| (name.clone(), plain_value(value)))
            .collect(),
    )
}

fn plain_value(value: &Value) -> Value {
    let Some((kind, inner)) = value.as_object().and_then(|value| value.iter().next()) else {
        return Value::Null;
    };
    match kind.as_str() {
        "M" => plain(inner),
        "L" => Value::Array(inner.as_array().into_iter().flatten().map(plain_value).collect()),
        _ => inner.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn elements_are_found_in_their_order() {
        let xml = "<r><Key>a/1</Key><Size>3</Size><Key>b/2</Key></r>";
        assert_eq!(elements(xml, "Key"), ["a/1", "b/2"]);
        assert!(element(xml, "Owner").is_err());
    }

    #[test]
    fn an_item_becomes_plain_json_however_deep() {
        let item = json!({"a": {"S": "x"}, "n": {"N": "3"}, "m": {"M": {"l": {"L": [{"BOOL": true}]}}}});
        assert_eq!(plain(&item), json!({"a": "x", "n": "3", "m": {"l": [true]}}));
    }
}

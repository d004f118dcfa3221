//! The deployed stack, and everything one can see of it from outside.

use crate::api::{DYNAMODB, ECS, EVENTS, LOGS, SQS, SSM, elements, plain};
use crate::bed::Bed;
use crate::proxy::Call;
use crate::stack::Stack;
use anyhow::Context;
use domain::{ChannelKey, SegmentKey};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use tokio::sync::Mutex;

/// The name of the stack.
const STACK: &str = "millrace-e2e";

/// What MiniStack makes of that name and `Cluster`.
pub(crate) const CLUSTER_ARN: &str = "arn:aws:ecs:us-east-1:000000000000:cluster/millrace-e2e-Cluster";

/// Where the harness puts the gateway's password.
pub(crate) const PASSWORD_PARAMETER: &str = "/millrace/e2e/gateway-password";

/// What differs from the defaults: where the gateway is, what can run here, and shorter waits.
const PARAMETERS: [(&str, &str); 6] = [
    ("GatewayPasswordParameter", PASSWORD_PARAMETER),
    ("RecorderTag", "e2e"),
    ("Segment", "10"),
    ("OfflineGrace", "2m"),
    ("DispatchInterval", "1 minute"),
    // What befalls one camera's recorder is not to befall another's.
    ("ChannelsPerTask", "1"),
];

/// The logical ids of the template that the harness needs.
const IMAGES: &str = "Images";
const CLUSTER: &str = "Cluster";
const ARCHIVE: &str = "Archive";
const TOPIC: &str = "AlertsTopic";
pub(crate) const CHANNELS: &str = "Channels";
pub(crate) const TASKS: &str = "Tasks";
pub(crate) const GAPS: &str = "Gaps";
pub(crate) const CONTROL: &str = "Control";
pub(crate) const EPISODES: &str = "Episodes";
pub(crate) const TABLES: [&str; 5] = [CHANNELS, TASKS, GAPS, EPISODES, CONTROL];
pub(crate) const POLLER: &str = "DevicePoller";
pub(crate) const HEALTH_CHECK: &str = "HealthCheck";
pub(crate) const DISPATCHER: &str = "StreamDispatcher";
pub(crate) const ARCHIVE_KEEPER: &str = "ArchiveKeeper";
pub(crate) const EPISODES_API: &str = "EpisodesApi";
const EVENT_LISTENER: &str = "EventListener";
/// Only of a stack with a gateway of its own.
pub(crate) const RECOVERY: &str = "SnapshotRecovery";
/// Every function of the stack here, whose gateway others run.
pub(crate) const FUNCTIONS: [&str; 6] = [
    POLLER,
    DISPATCHER,
    HEALTH_CHECK,
    ARCHIVE_KEEPER,
    EPISODES_API,
    EVENT_LISTENER,
];

/// The name of whoever has no function's key.
pub(crate) const RECORDER: &str = "recorder";

/// A row of a table, or a description, as JSON.
pub(crate) type Row = Value;

/// The stack, deployed.
pub(crate) struct Deployment<'a> {
    pub(crate) bed: &'a Bed,
    pub(crate) stack: Stack<'a>,
    /// The access keys functions use, and their logical ids.
    keys: BTreeMap<String, String>,
    /// The queue that hears the topic.
    queue: String,
    heard: Mutex<Vec<Value>>,
}

/// Deploys the template as `sam build` left it, with a local image as the recorder's.
pub(crate) async fn deploy<'a>(bed: &'a Bed, template: &Path, image: &str) -> anyhow::Result<Deployment<'a>> {
    let parameter = json!({"Name": PASSWORD_PARAMETER, "Type": "SecureString", "Value": bed.password});
    bed.aws.json(SSM, "PutParameter", &parameter).await?;
    let gateway = bed.simulator.api_url();
    let parameters = PARAMETERS
        .into_iter()
        .chain([("GatewayEndpoint", gateway.as_str())]);
    let stack = Stack::deploy(bed, STACK, template, &parameters.collect::<Vec<_>>()).await?;
    let mut deployment = Deployment {
        bed,
        stack,
        keys: BTreeMap::new(),
        queue: String::new(),
        heard: Mutex::new(Vec::new()),
    };
    deployment.queue = deployment
        .hear_alerts()
        .await
        .context("subscribing to the topic")?;
    for function in FUNCTIONS {
        let key = deployment.stack.access_key(function).await?;
        deployment.keys.insert(key, function.to_owned());
    }
    deployment
        .push_image(image)
        .await
        .context("giving the image its name")?;
    Ok(deployment)
}

impl Deployment<'_> {
    async fn push_image(&self, image: &str) -> anyhow::Result<()> {
        let name = json!({"repositoryNames": [self.stack.resource(IMAGES)?]});
        let ecr = crate::api::ECR;
        let answer = self.bed.aws.json(ecr, "DescribeRepositories", &name).await?;
        let uri = answer["repositories"][0]["repositoryUri"]
            .as_str()
            .context("the repository has an address")?;
        self.bed.docker.tag(image, &format!("{uri}:e2e")).await
    }

    /// A queue that gets what the topic gets.
    async fn hear_alerts(&self) -> anyhow::Result<String> {
        let aws = &self.bed.aws;
        let policy = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": "*",
        }]});
        let wanted = json!({
            "QueueName": "millrace-e2e-alerts",
            "Attributes": {"Policy": policy.to_string()},
        });
        let queue = aws.json(SQS, "CreateQueue", &wanted).await?;
        let url = queue["QueueUrl"].as_str().context("the queue has an address")?;
        let wanted = json!({"QueueUrl": url, "AttributeNames": ["QueueArn"]});
        let attributes = aws.json(SQS, "GetQueueAttributes", &wanted).await?;
        let arn = attributes["Attributes"]["QueueArn"]
            .as_str()
            .context("the queue has an ARN")?;
        let fields = [
            ("TopicArn", self.stack.resource(TOPIC)?),
            ("Protocol", "sqs"),
            ("Endpoint", arn),
        ];
        aws.query("sns", "Subscribe", &fields).await?;
        Ok(url.to_owned())
    }

    /// All alerts so far, as the topic carried them.
    pub(crate) async fn alerts(&self) -> anyhow::Result<Vec<Value>> {
        let mut heard = self.heard.lock().await;
        loop {
            let wanted = json!({"QueueUrl": self.queue, "MaxNumberOfMessages": 10});
            let answer = self.bed.aws.json(SQS, "ReceiveMessage", &wanted).await?;
            let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
            if messages.is_empty() {
                return Ok(heard.clone());
            }
            for message in messages {
                let delete = json!({"QueueUrl": self.queue, "ReceiptHandle": message["ReceiptHandle"]});
                self.bed.aws.json(SQS, "DeleteMessage", &delete).await?;
                let body = message["Body"].as_str().context("a message has a body")?;
                heard.push(serde_json::from_str(body).context("SNS wraps messages in JSON")?);
            }
        }
    }

    /// Who made a call: a function by its logical id, or a recorder.
    pub(crate) fn caller(&self, call: &Call) -> &str {
        self.keys.get(&call.key).map_or(RECORDER, String::as_str)
    }

    /// All rows of a table, in key order.
    pub(crate) async fn rows(&self, table: &str) -> anyhow::Result<Vec<Row>> {
        let wanted = json!({"TableName": self.stack.resource(table)?, "ConsistentRead": true});
        let answer = self.bed.aws.json(DYNAMODB, "Scan", &wanted).await?;
        anyhow::ensure!(
            answer["LastEvaluatedKey"].is_null(),
            "{table} has grown beyond a page"
        );
        let items = answer["Items"].as_array().context("a scan has items")?;
        let mut rows: Vec<Row> = items.iter().map(plain).collect();
        rows.sort_by_key(|row| format!("{} {} {}", row["deviceIndex"], row["channel"], row["name"]));
        Ok(rows)
    }

    /// The assignment of a channel.
    pub(crate) async fn assignment(&self, channel: &ChannelKey) -> anyhow::Result<Option<Row>> {
        let rows = self.rows(TASKS).await?;
        let of_it = |row: &Row| {
            row["deviceIndex"] == channel.device.as_str() && row["channel"] == channel.channel.as_str()
        };
        Ok(rows.into_iter().find(of_it))
    }

    /// The task that records a channel, if it runs.
    pub(crate) async fn task_of(&self, channel: &ChannelKey) -> anyhow::Result<Option<String>> {
        let Some(row) = self.assignment(channel).await? else {
            return Ok(None);
        };
        let assigned = row["taskARN"].as_str().map(str::to_owned);
        let running = self.tasks().await?;
        let runs = |arn: &String| {
            running
                .iter()
                .any(|task| task["taskArn"] == **arn && task["lastStatus"] == "RUNNING")
        };
        Ok(assigned.filter(runs))
    }

    /// All tasks of the cluster that are to run, and those that stopped lately.
    pub(crate) async fn tasks(&self) -> anyhow::Result<Vec<Row>> {
        let cluster = self.stack.resource(CLUSTER)?;
        let mut arns = Vec::new();
        for status in ["RUNNING", "STOPPED"] {
            let wanted = json!({"cluster": cluster, "desiredStatus": status});
            let answer = self.bed.aws.json(ECS, "ListTasks", &wanted).await?;
            arns.extend(answer["taskArns"].as_array().cloned().unwrap_or_default());
        }
        let mut tasks = Vec::new();
        for some in arns.chunks(100) {
            let wanted = json!({"cluster": cluster, "tasks": some, "include": ["TAGS"]});
            let answer = self.bed.aws.json(ECS, "DescribeTasks", &wanted).await?;
            tasks.extend(answer["tasks"].as_array().cloned().unwrap_or_default());
        }
        Ok(tasks)
    }

    /// Puts an event of ECS on the bus.
    pub(crate) async fn put_task_event(&self, detail: &Value) -> anyhow::Result<()> {
        let event = json!({"Entries": [{
            "Source": "aws.ecs",
            "DetailType": "ECS Task State Change",
            "Resources": [detail["taskArn"]],
            "Detail": detail.to_string(),
        }]});
        let answer = self.bed.aws.json(EVENTS, "PutEvents", &event).await?;
        anyhow::ensure!(
            answer["FailedEntryCount"] == 0,
            "an event was not taken: {answer}"
        );
        Ok(())
    }

    /// The segments of a channel in the archive, oldest first.
    pub(crate) async fn segments(&self, channel: &ChannelKey) -> anyhow::Result<Vec<SegmentKey>> {
        let prefix: String =
            url::form_urlencoded::byte_serialize(format!("{}/", channel.prefix()).as_bytes()).collect();
        let path = format!("/{}?list-type=2&prefix={prefix}", self.stack.resource(ARCHIVE)?);
        let answer = self.bed.aws.s3(&path).await?;
        let answer = String::from_utf8(answer).context("a listing is text")?;
        let keys = elements(&answer, "Key").into_iter().map(str::parse);
        let mut keys: Vec<SegmentKey> = keys.collect::<Result<_, _>>()?;
        keys.sort_by_key(|key| key.start);
        Ok(keys)
    }

    /// Every object of the archive, by name.
    pub(crate) async fn object(&self, key: &SegmentKey) -> anyhow::Result<Vec<u8>> {
        self.bed
            .aws
            .s3(&format!("/{}/{key}", self.stack.resource(ARCHIVE)?))
            .await
    }

    /// All log lines since a moment, each with its group before it.
    pub(crate) async fn log_lines(&self, since: Timestamp) -> anyhow::Result<Vec<String>> {
        let groups = self.bed.aws.json(LOGS, "DescribeLogGroups", &json!({})).await?;
        let mut lines = Vec::new();
        for group in groups["logGroups"].as_array().context("there are log groups")? {
            let name = group["logGroupName"].as_str().unwrap_or_default();
            let mut wanted = json!({"logGroupName": name, "startTime": since.as_millisecond()});
            loop {
                let answer = self.bed.aws.json(LOGS, "FilterLogEvents", &wanted).await?;
                let events = answer["events"].as_array().cloned().unwrap_or_default();
                lines.extend(
                    events
                        .iter()
                        .map(|event| format!("{name} {}", event["message"].as_str().unwrap_or_default())),
                );
                if answer["nextToken"].is_null() || events.is_empty() {
                    break;
                }
                wanted["nextToken"] = answer["nextToken"].clone();
            }
        }
        Ok(lines)
    }
}

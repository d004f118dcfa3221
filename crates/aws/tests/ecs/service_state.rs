//! What the service in memory remembers, and what its operations do to it.

use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

/// An answer: HTTP status and body.
pub(crate) type Answer = (u16, Value);

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) tasks: BTreeMap<String, Value>,
    tokens: BTreeMap<String, (Value, String)>,
    pub(crate) requests: Vec<(String, Value)>,
    pub(crate) scripted: VecDeque<(&'static str, Answer)>,
    pub(crate) losing_answers: bool,
    pub(crate) full: Vec<&'static str>,
}

pub(crate) fn error(code: &str, message: &str) -> Answer {
    (400, json!({"__type": code, "message": message}))
}

fn text<'a>(request: &'a Value, field: &str) -> &'a str {
    request[field].as_str().unwrap_or_default()
}

impl State {
    pub(crate) fn answer(&mut self, operation: &str, request: &Value) -> Answer {
        self.requests.push((operation.to_owned(), request.clone()));
        if let Some((_, answer)) = self.scripted.pop_front_if(|(on, _)| *on == operation) {
            return answer;
        }
        match operation {
            "RunTask" => self.run_task(request),
            "ListTasks" => self.list_tasks(request),
            "DescribeTasks" => self.describe_tasks(request),
            "StopTask" => self.stop_task(request),
            other => error("UnknownOperationException", other),
        }
    }

    /// "Ensuring idempotency", Amazon ECS API Reference: the token of an earlier request gives that request's task,
    /// and other parameters are a conflict that names it.
    fn run_task(&mut self, request: &Value) -> Answer {
        let token = text(request, "clientToken").to_owned();
        if !(1..=64).contains(&token.len()) || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return error("InvalidParameterException", "clientToken");
        }
        match self.tokens.get(&token) {
            Some((parameters, arn)) if parameters == request => {
                return (200, json!({"tasks": [self.tasks[arn]], "failures": []}));
            }
            Some((_, arn)) => {
                let (status, mut body) = error("ConflictException", "the clientToken is in use");
                body["resourceIds"] = json!([arn]);
                return (status, body);
            }
            None => {}
        }
        let provider = &request["capacityProviderStrategy"][0]["capacityProvider"];
        if self.full.iter().any(|full| provider == full) {
            let reason = "Capacity is unavailable at this time. Please try again later or in a different availability zone";
            return (200, json!({"tasks": [], "failures": [{"reason": reason}]}));
        }
        let arn = format!(
            "arn:aws:ecs:eu-west-1:111122223333:task/cell/{:032x}",
            self.tasks.len()
        );
        let task = json!({
            "taskArn": arn,
            "taskDefinitionArn":
                format!("arn:aws:ecs:eu-west-1:111122223333:task-definition/{}:3", text(request, "taskDefinition")),
            "capacityProviderName": provider,
            "createdAt": jiff::Timestamp::now().as_second(),
            "lastStatus": "PROVISIONING",
            "desiredStatus": "RUNNING",
            "startedBy": request["startedBy"],
            "tags": request["tags"],
        });
        self.tokens.insert(token, (request.clone(), arn.clone()));
        self.tasks.insert(arn, task.clone());
        (200, json!({"tasks": [task], "failures": []}))
    }

    /// A page is up to 100 names of tasks that ECS wants to run.
    fn list_tasks(&self, request: &Value) -> Answer {
        let listed = self.tasks.iter().filter(|(_, task)| {
            task["startedBy"] == request["startedBy"] && task["desiredStatus"] == "RUNNING"
        });
        let arns: Vec<&String> = listed.map(|(arn, _)| arn).collect();
        let from: usize = text(request, "nextToken").parse().unwrap_or(0);
        let to = arns.len().min(from + 100);
        let next = (to < arns.len()).then(|| to.to_string());
        (200, json!({"taskArns": arns[from..to], "nextToken": next}))
    }

    fn describe_tasks(&self, request: &Value) -> Answer {
        let asked: Vec<&str> = request["tasks"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        if asked.len() > 100 {
            return error("InvalidParameterException", "more than 100 tasks");
        }
        let (known, missing): (Vec<&str>, Vec<&str>) =
            asked.into_iter().partition(|arn| self.tasks.contains_key(*arn));
        let tasks: Vec<&Value> = known.into_iter().map(|arn| &self.tasks[arn]).collect();
        let failures: Vec<Value> = missing
            .into_iter()
            .map(|arn| json!({"arn": arn, "reason": "MISSING"}))
            .collect();
        (200, json!({"tasks": tasks, "failures": failures}))
    }

    fn stop_task(&mut self, request: &Value) -> Answer {
        let Some(task) = self.tasks.get_mut(text(request, "task")) else {
            return error("InvalidParameterException", "The referenced task was not found.");
        };
        task["desiredStatus"] = json!("STOPPED");
        task["stoppedReason"] = request["reason"].clone();
        (200, json!({"task": task}))
    }
}

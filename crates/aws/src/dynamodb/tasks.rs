use super::Tables;
use super::item::{Item, Key, Row, attribute, number, text};
use super::pages;
use super::write::{If, Update, delete};
use crate::error::failed;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::ports::{PortError, Put, TasksTable};
use domain::{Assignment, AssignmentRow, ChannelKey, DeviceState, Generation, Heartbeat, TaskArn};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The global index a recorder pulls by.
const BY_TASK: &str = "taskARN-index";

impl TasksTable for Tables {
    async fn list_assignments(&self) -> Result<Vec<AssignmentRow>, PortError> {
        let table = self.names.tasks()?;
        let scan = self.client.scan().table_name(table).consistent_read(true);
        in_key_order(pages::scan(scan, "listing the assignments").await?)
    }

    async fn assignment(&self, key: &ChannelKey) -> Result<Option<AssignmentRow>, PortError> {
        let call = self
            .client
            .get_item()
            .table_name(self.names.tasks()?)
            .set_key(Some(Key::of_channel(key).into_item()))
            .consistent_read(true);
        let found = call.send().await;
        let found = found.map_err(|error| failed(error, format!("reading the assignment of {key}")))?;
        let row = found.item.map(from_item).transpose()?;
        Ok(row.map(|(_, row)| row))
    }

    async fn assignments_of(&self, task: &TaskArn) -> Result<Vec<AssignmentRow>, PortError> {
        let query = self
            .client
            .query()
            .table_name(self.names.tasks()?)
            .index_name(BY_TASK)
            .key_condition_expression("taskARN = :task")
            .expression_attribute_values(":task", text(task.as_str()));
        in_key_order(pages::query(query, &format!("reading the assignments of {task}")).await?)
    }

    async fn put_assignment(
        &self,
        assignment: &Assignment,
        expected: Option<Generation>,
    ) -> Result<Put, PortError> {
        let table = self.names.tasks()?;
        let doing = format!("storing the assignment of {}", assignment.key);
        let condition = match expected {
            None => If::Absent,
            Some(generation) => If::Has(vec![("generation", number(generation.0))]),
        };
        let mut update = dispatchers_part(assignment, &doing)?;
        if expected != Some(assignment.generation) {
            update
                .remove
                .extend(["heartbeatAt", "lastError", "firstPicture", "endsAt"]);
        }
        let key = Key::of_channel(&assignment.key);
        update.write(&self.client, table, key, condition, &doing).await
    }

    async fn delete_assignment(&self, key: &ChannelKey, expected: Generation) -> Result<Put, PortError> {
        let table = self.names.tasks()?;
        let doing = format!("deleting the assignment of {key}");
        let expected = ("generation", number(expected.0));
        delete(&self.client, table, Key::of_channel(key), expected, &doing).await
    }

    async fn heartbeat(
        &self,
        key: &ChannelKey,
        task: &TaskArn,
        generation: Generation,
        heartbeat: &Heartbeat,
    ) -> Result<Put, PortError> {
        let table = self.names.tasks()?;
        let doing = format!("reporting the heartbeat of {key}");
        let fence = If::Has(vec![
            ("taskARN", text(task.as_str())),
            ("generation", number(generation.0)),
        ]);
        let mut update = Update::default();
        update.set_or_remove("heartbeatAt", heartbeat.heartbeat_at.map(time));
        update.set_or_remove("lastSegmentAt", heartbeat.last_segment_at.map(time));
        update.set_or_remove("lastError", heartbeat.last_error.as_deref().map(text));
        let first_picture = heartbeat.first_picture.as_ref();
        let first_picture = first_picture.map(|first| attribute(first, &doing)).transpose()?;
        update.set_or_remove("firstPicture", first_picture);
        update.set_or_remove("endsAt", heartbeat.ends_at.map(time));
        let key = Key::of_channel(key);
        update.write(&self.client, table, key, fence, &doing).await
    }
}

fn dispatchers_part(assignment: &Assignment, doing: &str) -> Result<Update, PortError> {
    let mut update = Update {
        set: vec![
            ("generation", number(assignment.generation.0)),
            ("deviceURL", text(&assignment.media_url)),
            ("settings", attribute(&assignment.settings, doing)?),
            ("deviceState", attribute(&assignment.device_state, doing)?),
            ("startedAt", time(assignment.started_at)),
            ("attempts", number(assignment.attempts.into())),
        ],
        remove: Vec::new(),
    };
    let task = assignment.task.as_ref();
    update.set_or_remove("taskARN", task.map(|task| text(task.as_str())));
    let predecessor = assignment.predecessor.as_ref();
    let predecessor = predecessor.map(|old| attribute(old, doing)).transpose()?;
    update.set_or_remove("predecessor", predecessor);
    Ok(update)
}

fn time(at: Timestamp) -> AttributeValue {
    text(at.to_string())
}

/// The rows by their keys; an index has them in no order.
fn in_key_order(items: Vec<Item>) -> Result<Vec<AssignmentRow>, PortError> {
    let rows: BTreeMap<_, _> = items.into_iter().map(from_item).collect::<Result<_, _>>()?;
    Ok(rows.into_values().collect())
}

fn from_item(item: Item) -> Result<(ChannelKey, AssignmentRow), PortError> {
    let (key, mut row) = Row::of_channel("tasks", item)?;
    let assignment = Assignment {
        key: key.clone(),
        task: row.optional("taskARN"),
        generation: row.or_default("generation"),
        media_url: row.or_default("deviceURL"),
        settings: row.or_default("settings"),
        device_state: row.required("deviceState").unwrap_or(DeviceState::Present),
        started_at: row.or_default("startedAt"),
        attempts: row.or_default("attempts"),
        predecessor: row.optional("predecessor"),
    };
    let heartbeat = Heartbeat {
        heartbeat_at: row.optional("heartbeatAt"),
        last_segment_at: row.optional("lastSegmentAt"),
        last_error: row.optional("lastError"),
        first_picture: row.optional("firstPicture"),
        ends_at: row.optional("endsAt"),
    };
    Ok((
        key,
        AssignmentRow {
            assignment,
            heartbeat,
        },
    ))
}

use super::Tables;
use super::item::{Item, Key, number, text};
use super::write::{If, Update};
use crate::error::failed;
use domain::ports::{ControlItem, ControlTable, PortError, Put};
use serde::Deserialize;
use serde_json::Value;

impl ControlTable for Tables {
    async fn get_control(&self, name: &str) -> Result<Option<ControlItem>, PortError> {
        let doing = format!("reading the control item `{name}`");
        let call = self
            .client
            .get_item()
            .table_name(self.names.control()?)
            .set_key(Some(Key::of_name(name).into_item()))
            .consistent_read(true);
        let found = call.send().await.map_err(|error| failed(error, &*doing))?;
        found.item.map(|item| from_item(item, &doing)).transpose()
    }

    async fn put_control(&self, name: &str, value: &Value, expected: Option<u64>) -> Result<Put, PortError> {
        let table = self.names.control()?;
        let doing = format!("storing the control item `{name}`");
        let condition = match expected {
            None => If::Absent,
            Some(version) => If::Has(vec![("version", number(version))]),
        };
        let update = Update {
            set: vec![
                ("version", number(expected.unwrap_or(0).saturating_add(1))),
                // As text, because DynamoDB's numbers are decimals of 38 digits and its maps 32 deep.
                ("value", text(value.to_string())),
            ],
            remove: Vec::new(),
        };
        let key = Key::of_name(name);
        update.write(&self.client, table, key, condition, &doing).await
    }
}

#[derive(Deserialize)]
struct Stored {
    version: u64,
    value: String,
}

/// Unlike a row, a loop's memory has no safe value to go on with.
fn from_item(item: Item, doing: &str) -> Result<ControlItem, PortError> {
    let stored: Stored = serde_dynamo::from_item(item).map_err(|error| PortError::refused(doing, error))?;
    let value = serde_json::from_str(&stored.value).map_err(|error| PortError::refused(doing, error))?;
    Ok(ControlItem {
        version: stored.version,
        value,
    })
}

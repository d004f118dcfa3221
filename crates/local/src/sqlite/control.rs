use super::error::Failure;
use super::{Durability, Sqlite, put_of};
use domain::ports::{ControlItem, ControlTable, PortError, Put};
use rusqlite::{OptionalExtension, params};
use serde_json::Value;

impl ControlTable for Sqlite {
    async fn get_control(&self, name: &str) -> Result<Option<ControlItem>, PortError> {
        let doing = format!("reading the control item {name}");
        let name = name.to_owned();
        self.read(doing, move |connection| {
            let stored: Option<(i64, String)> = connection
                .prepare_cached("SELECT version, value FROM control WHERE name = ?1")?
                .query_row([name], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let Some((version, value)) = stored else {
                return Ok(None);
            };
            Ok(Some(ControlItem {
                version: u64::try_from(version)?,
                value: serde_json::from_str(&value)
                    .map_err(|error| Failure::damaged("control item", error))?,
            }))
        })
        .await
    }

    async fn put_control(&self, name: &str, value: &Value, expected: Option<u64>) -> Result<Put, PortError> {
        let doing = format!("storing the control item {name}");
        let (name, value) = (name.to_owned(), value.to_string());
        self.write(doing, Durability::Synced, move |transaction| {
            let changed = match expected {
                None => transaction
                    .prepare_cached(
                        "INSERT INTO control (name, version, value) VALUES (?1, 1, ?2) ON CONFLICT DO NOTHING",
                    )?
                    .execute(params![name, value])?,
                Some(expected) => transaction
                    .prepare_cached(
                        "UPDATE control SET version = version + 1, value = ?2 WHERE name = ?1 AND version = ?3",
                    )?
                    .execute(params![name, value, i64::try_from(expected)?])?,
            };
            Ok(put_of(changed))
        })
        .await
    }
}

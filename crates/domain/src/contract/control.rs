//! What a [`ControlTable`] promises. Each function takes an empty table of its own.

use crate::ChannelKey;
use crate::ports::{ControlItem, ControlTable, Put};
use crate::settings::{Overrides, OwnSettings, RecordingSettings};
use serde_json::{Value, json};

async fn put(table: &impl ControlTable, name: &str, value: &Value, expected: Option<u64>) -> Put {
    table
        .put_control(name, value, expected)
        .await
        .expect("the table answers")
}

async fn get(table: &impl ControlTable, name: &str) -> Option<ControlItem> {
    table.get_control(name).await.expect("the table answers")
}

/// And what is absent cannot be updated.
pub async fn an_item_is_absent_until_written(table: &impl ControlTable) {
    assert_eq!(get(table, "poll").await, None);
    assert_eq!(put(table, "poll", &json!(1), Some(0)).await, Put::Stale);
    assert_eq!(get(table, "poll").await, None);
}

/// With versions 1, 2 and so on.
pub async fn a_value_reads_back_exactly(table: &impl ControlTable) {
    let values = [
        json!({"камера": ["a\"b", null, true, 1.5, -3, 18_446_744_073_709_551_615_u64], "empty": {}}),
        json!(null),
        json!("text"),
    ];
    let mut expected = None;
    for (value, version) in values.into_iter().zip(1..) {
        assert_eq!(put(table, "poll", &value, expected).await, Put::Written);
        assert_eq!(get(table, "poll").await, Some(ControlItem { version, value }));
        expected = Some(version);
    }
}

/// Neither a second creation nor a write over another version.
pub async fn a_write_on_a_stale_version_changes_nothing(table: &impl ControlTable) {
    assert_eq!(put(table, "poll", &json!("first"), None).await, Put::Written);
    assert_eq!(put(table, "poll", &json!("second"), Some(1)).await, Put::Written);
    for stale in [None, Some(1), Some(3)] {
        assert_eq!(put(table, "poll", &json!("never"), stale).await, Put::Stale);
    }
    let value = json!("second");
    assert_eq!(get(table, "poll").await, Some(ControlItem { version: 2, value }));
}

/// One loop's memory is not another's.
pub async fn items_are_independent(table: &impl ControlTable) {
    assert_eq!(put(table, "poll", &json!("a"), None).await, Put::Written);
    assert_eq!(put(table, "Poll", &json!("b"), None).await, Put::Written);
    assert_eq!(get(table, "poll").await.map(|item| item.value), Some(json!("a")));
    assert_eq!(get(table, "Poll").await.map(|item| item.value), Some(json!("b")));
}

/// A channel's own settings come back with what was said and no more, whatever was said in between of others.
pub async fn what_was_said_of_channels_is_read_as_it_was_said(table: &impl ControlTable) {
    let (first, second) = (
        ChannelKey::new("CAM", "1"),
        ChannelKey::new("камера 📷", "../%2F"),
    );
    let (retention, backfill) = (own(r#"{"retention-days": 30}"#), own(r#"{"backfill": true}"#));
    for (key, said) in [(&first, &retention), (&second, &retention), (&first, &backfill)] {
        let (mut overrides, version) = load(table).await;
        overrides.set(key, overrides.said(key).and(said.clone()));
        let put = overrides.store(table, version).await;
        assert_eq!(put.expect("the table answers"), Put::Written);
    }
    let (overrides, _) = load(table).await;
    assert_eq!(overrides.said(&first), retention.clone().and(backfill));
    assert_eq!(overrides.said(&second), retention);
}

/// It stored all of a channel's settings at once.
pub async fn settings_that_an_older_program_stored_are_read(table: &impl ControlTable) {
    let key = ChannelKey::new("CAM", "1");
    let settings = RecordingSettings {
        retention_days: 7,
        ..RecordingSettings::default()
    };
    let stored = json!({ key.prefix(): settings });
    assert_eq!(put(table, "settings", &stored, None).await, Put::Written);
    let all = RecordingSettings {
        retention_days: 30,
        ..RecordingSettings::default()
    };
    let (overrides, _) = load(table).await;
    assert_eq!(overrides.settings(&key, &all), settings);
}

fn own(json: &str) -> OwnSettings {
    serde_json::from_str(json).expect("samples are settings")
}

async fn load(table: &impl ControlTable) -> (Overrides, Option<u64>) {
    Overrides::load(table).await.expect("the table answers")
}

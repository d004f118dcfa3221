use super::Tables;
use super::item::{Item, Key, Row, attribute, number, text};
use super::pages;
use super::write::{If, Update, delete};
use domain::ports::{ChannelsTable, PortError, Put};
use domain::{ChannelKey, ChannelRow, DeviceState, Revision};
use std::collections::BTreeMap;

impl ChannelsTable for Tables {
    async fn list_channels(&self) -> Result<Vec<ChannelRow>, PortError> {
        let table = self.names.channels()?;
        let scan = self.client.scan().table_name(table).consistent_read(true);
        let items = pages::scan(scan, "listing the channels").await?;
        let rows: BTreeMap<_, _> = items.into_iter().map(from_item).collect::<Result<_, _>>()?;
        Ok(rows.into_values().collect())
    }

    async fn put_channel(&self, row: &ChannelRow, expected: Option<Revision>) -> Result<Put, PortError> {
        let table = self.names.channels()?;
        let doing = format!("storing the channel {}", row.key);
        let condition = match expected {
            None => If::Absent,
            Some(revision) => If::Has(vec![("revision", number(revision.0))]),
        };
        let update = Update {
            set: vec![
                ("mediaURL", text(&row.media_url)),
                ("deviceName", text(&row.device_name)),
                ("channelName", text(&row.channel_name)),
                ("state", attribute(&row.state, &doing)?),
                ("deviceChannels", number(row.device_channels.into())),
                ("listedChannels", number(row.listed_channels.into())),
                ("wantedSince", attribute(&row.wanted_since, &doing)?),
                ("settings", attribute(&row.settings, &doing)?),
                ("revision", number(row.revision.0)),
            ],
            remove: Vec::new(),
        };
        let key = Key::of_channel(&row.key);
        update.write(&self.client, table, key, condition, &doing).await
    }

    async fn delete_channel(&self, key: &ChannelKey, expected: Revision) -> Result<Put, PortError> {
        let table = self.names.channels()?;
        let doing = format!("deleting the channel {key}");
        let expected = ("revision", number(expected.0));
        delete(&self.client, table, Key::of_channel(key), expected, &doing).await
    }
}

fn from_item(item: Item) -> Result<(ChannelKey, ChannelRow), PortError> {
    let (key, mut row) = Row::of_channel("channels", item)?;
    let channel = ChannelRow {
        key: key.clone(),
        media_url: row.or_default("mediaURL"),
        device_name: row.or_default("deviceName"),
        channel_name: row.or_default("channelName"),
        state: row.required("state").unwrap_or(DeviceState::Present),
        device_channels: row.or_default("deviceChannels"),
        listed_channels: row.or_default("listedChannels"),
        wanted_since: row.or_default("wantedSince"),
        settings: row.or_default("settings"),
        revision: row.or_default("revision"),
    };
    Ok((key, channel))
}

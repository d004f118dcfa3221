//! What each operation does to the world.

use crate::media::LoopSpec;
use crate::operation::Operation;
use crate::rtsp::StreamFault;
use crate::scenario::{DeviceStatus, WireId};
use crate::world::{Effect, World};
use anyhow::ensure;
use jiff::Timestamp;
use serde_json::json;

impl World {
    /// Carries out an operation.
    ///
    /// # Errors
    /// When it names something that does not exist or is out of range; nothing has changed then.
    pub(crate) fn apply(&mut self, operation: Operation, now: Timestamp) -> anyhow::Result<()> {
        match operation {
            Operation::AddDevice { device } => self.fleet.add(device)?,
            Operation::RemoveDevice { device } => {
                self.fleet.remove(&device)?;
                self.alarm_hosts.remove(&device);
            }
            Operation::SetStatus { device, status, hint } => self.set_status(&device, status, hint, now)?,
            Operation::Flap { device, lists } => self.fleet.get_mut(&device)?.flap(lists),
            Operation::RenameDevice { device, name } => self.fleet.get_mut(&device)?.spec.name = name,
            Operation::SetChannels { device, channels } => self.fleet.set_channels(&device, channels)?,
            Operation::MoveStream { device, channel } => {
                self.fleet.get_mut(&device)?.channel_mut(&channel)?.relocate();
            }
            Operation::SetVideo {
                device,
                channel,
                video,
            } => self.set_video(&device, &channel, video)?,
            Operation::StreamFault {
                device,
                channel,
                fault,
            } => self.set_stream_fault(&device, channel.as_ref(), fault)?,
            Operation::SetPassword { password } => {
                ensure!(!password.is_empty(), "a password must not be empty");
                self.set_password(&password);
            }
            Operation::Lock { seconds } => self.account.lock(now, seconds),
            Operation::Unlock => self.account.unlock(),
            Operation::ForgetNonces => self.account.forget_nonces(),
            Operation::Reboot => self.cause(Effect::Reboot),
            Operation::SetActivated { on } => self.gateway.activated = on,
            Operation::SetAlarmForwarding { on } => self.gateway.alarm_forwarding = on,
            Operation::ApiFault { fault, path, calls } => self.weather.add(fault, path, calls)?,
            Operation::ClearApiFaults => self.weather.clear(),
            Operation::SilenceHeartbeats { on } => self.silence_heartbeats(on),
            Operation::SendEvent {
                device,
                channel,
                kind,
                active,
                description,
            } => {
                let state = if active { "active" } else { "inactive" };
                let event = json!({
                    "channelID": channel, "eventType": kind, "eventState": state, "eventDescription": description,
                });
                self.tell(now, &device, event);
            }
            Operation::CutEvents => self.cause(Effect::CutEvents),
        }
        self.cause(Effect::Streams);
        Ok(())
    }

    fn set_video(&mut self, index: &str, channel: &WireId, video: LoopSpec) -> anyhow::Result<()> {
        video.validate()?;
        self.fleet.get_mut(index)?.channel_mut(channel)?.spec.video = video;
        Ok(())
    }

    fn set_status(
        &mut self,
        index: &str,
        status: DeviceStatus,
        hint: Option<u8>,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let device = self.fleet.get_mut(index)?;
        let changed = device.spec.status != status;
        device.spec.status = status;
        device.spec.offline_hint = hint;
        if changed {
            self.tell(
                now,
                index,
                json!({
                    "eventType": "devStatusChanged", "eventState": "active", "eventDescription": "devStatusChanged",
                    "devStatus": status,
                }),
            );
        }
        Ok(())
    }

    fn set_stream_fault(
        &mut self,
        index: &str,
        channel: Option<&WireId>,
        fault: Option<StreamFault>,
    ) -> anyhow::Result<()> {
        if let Some(StreamFault::Stutter { loss }) = fault {
            ensure!((0.0..=1.0).contains(&loss), "a loss must be 0 to 1");
        }
        let device = self.fleet.get_mut(index)?;
        if let Some(id) = channel {
            device.channel_mut(id)?.fault = fault;
            return Ok(());
        }
        for channel in &mut device.channels {
            channel.fault = fault;
        }
        Ok(())
    }
}

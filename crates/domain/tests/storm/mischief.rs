//! What devices, the cloud, its hosts and people do to a fleet in a storm.

use super::drive::drive;
use super::fleet::{NAMES, STEP, Sim};
use domain::death::Death;
use domain::dispatch::DispatchPolicy;
use domain::ports::{ChannelsTable, ControlTable, Tasks, TasksTable};
use domain::settings::{Audio, Overrides, OwnSettings, Transcode, Video, VideoCodec};
use domain::{
    AssignmentRow, ChannelKey, Device, DeviceIndex, DeviceKind, DeviceStatus, Launch, OfflineHint, TaskArn,
    TaskKind,
};
use jiff::{SignedDuration, Timestamp};

/// Spot's warning ("Amazon ECS clusters for Fargate Spot", two minutes), and some time to make it interesting.
const NOTICE: SignedDuration = SignedDuration::from_secs(120);

impl Sim {
    /// Perhaps something happens now.
    pub(crate) fn provoke(&mut self) {
        match self.random.below(8) {
            0 => self.provoke_devices(),
            1 => self.provoke_tasks(),
            2 => self.provoke_services(),
            3 => self.provoke_people(),
            _ => {}
        }
        // Five minutes on average.
        if self.random.below(30) == 0 {
            self.mend_services();
        }
    }

    fn provoke_devices(&mut self) {
        let name = self.any_name();
        let index = DeviceIndex::new(name);
        let gateway = &self.gateway.inner;
        match self.random.below(24) {
            0..=1 => self.add_device(name, DeviceKind::Encoder),
            2 => self.add_device(name, DeviceKind::AccessControl),
            3 => gateway.delete(&index),
            4..=11 => {
                let status = match self.random.below(4) {
                    0 => DeviceStatus::Sleep,
                    1 => DeviceStatus::Offline(OfflineHint::Network),
                    _ => DeviceStatus::Online,
                };
                gateway.change(&index, |device| device.status = status);
            }
            12..=13 => gateway.change_url(&ChannelKey::new(name, "1")),
            14..=15 => gateway.change(&index, |device| device.name.push('+')),
            16..=17 => self.rewire(name),
            18 if self.random.percent(30) => {
                for name in NAMES {
                    let offline =
                        |device: &mut Device| device.status = DeviceStatus::Offline(OfflineHint::Waiting);
                    gateway.change(&DeviceIndex::new(name), offline);
                }
            }
            _ => {}
        }
    }

    /// A recorder of cameras gets another camera, or loses one.
    fn rewire(&mut self, name: &str) {
        let all = self.gateway.inner.truth();
        let Some((device, _)) = all.into_iter().find(|(device, _)| device.index.as_str() == name) else {
            return;
        };
        let channels: &[&str] = match self.random.below(3) {
            0 => &["1"],
            1 => &["1", "5"],
            _ => &["1", "5", "9"],
        };
        let video_channels = u32::try_from(channels.len()).unwrap();
        self.gateway.inner.set(
            Device {
                video_channels,
                ..device
            },
            channels,
        );
    }

    fn provoke_tasks(&mut self) {
        let Some(task) = self.any_task() else { return };
        match self.random.below(20) {
            0..=2 => self.tasks.inner.end(&task),
            3 => self.recorders.hang(&task, self.now, Timestamp::MAX),
            4 => {
                let steps = i32::try_from(2 + self.random.below(60)).unwrap();
                self.recorders.hang(&task, self.now, self.now + STEP * steps);
            }
            5..=7 => self.warn(&task),
            8 => {
                self.reach("many interrupted", 1);
                let half: Vec<_> = self.tasks.inner.truth().into_iter().step_by(2).collect();
                half.iter().for_each(|task| self.warn(&task.arn));
            }
            9..=12 => {
                let steps = i32::try_from(self.random.below(60)).unwrap();
                self.recorders.blind(&task, self.now, self.now + STEP * steps);
            }
            13 if self.random.percent(20) => self.end_all(),
            _ => {}
        }
    }

    /// A host goes down with all its tasks, and with many that were about to end: their events are a flood.
    fn end_all(&mut self) {
        self.reach("all tasks die", 1);
        for task in self.tasks.inner.truth() {
            self.tasks.inner.end(&task.arn);
        }
        for number in 0..30 {
            let death = Death {
                task: TaskArn::new(format!("task-idle-{}-{number}", self.now.as_second())),
                at: self.now,
                text: "its host went down".into(),
            };
            self.wakes.ended(&death, true, &mut self.random);
        }
    }

    /// The host says that it will end a task; the recorder hears of it and hands over, or goes on until it must.
    fn warn(&mut self, task: &TaskArn) {
        self.reach("interrupted", 1);
        self.tasks.inner.warn(task, NOTICE);
        self.told_to_end.insert(task.clone());
        if self.random.percent(50) {
            self.recorders.tell_to_leave(task, self.now);
        }
    }

    fn provoke_services(&mut self) {
        match self.random.below(12) {
            0 => self.close_host(true),
            1 => self.close_host(false),
            2..=3 => self.archive_down = true,
            4 => self.let_in(false),
            5 => self.step_clock(),
            6 => self.streams_down = true,
            _ => {}
        }
    }

    /// The host takes no task: it has no room, or somebody took the permission away.
    fn close_host(&mut self, refusing: bool) {
        self.host_closed = true;
        if refusing {
            self.tasks.inner.refuse(true);
        } else {
            self.tasks.inner.fill(true);
        }
    }

    fn mend_services(&mut self) {
        self.host_closed = false;
        self.tasks.inner.refuse(false);
        self.tasks.inner.fill(false);
        self.archive_down = false;
        self.streams_down = false;
        self.let_in(true);
    }

    /// The gateway's password is changed by hand, or put right.
    fn let_in(&mut self, right: bool) {
        self.gateway_refusing = !right;
        self.gateway.inner.refuse(!right);
    }

    fn step_clock(&mut self) {
        self.reach("clock step", 1);
        self.clock_steps += 1;
        let seconds = i64::try_from(self.random.below(480)).unwrap() - 240;
        self.clock_off = match self.clock_off {
            SignedDuration::ZERO => SignedDuration::from_secs(seconds),
            _ => SignedDuration::ZERO,
        };
    }

    fn provoke_people(&mut self) {
        let key = ChannelKey::new(self.any_name(), if self.random.percent(50) { "1" } else { "5" });
        match self.random.below(20) {
            0..=2 => self.change_settings(&key),
            3 => self.delete_channel_by_hand(&key),
            4 => self.delete_assignment_by_hand(&key),
            5 => self.start_by_hand(),
            6 => self.end_by_hand(),
            18 => self.deploy(),
            7..=8 => {
                let channels_per_task = usize::try_from(1 + self.random.below(4)).unwrap();
                self.dispatch_policy = DispatchPolicy {
                    channels_per_task,
                    transforms_per_task: channels_per_task,
                    ..self.dispatch_policy.clone()
                };
            }
            9 => self.poll_policy.accept_removals = true,
            10..=12 => self.poll_policy.accept_removals = false,
            13 => self.spoil_a_memory(),
            14 => self.poison(Some(key)),
            15..=16 => self.poison(None),
            _ => self.take_back(),
        }
    }

    /// The channel's assignment can no longer be written.
    fn poison(&mut self, key: Option<ChannelKey>) {
        if let Some(before) = self.poisoned.take() {
            self.tables.poison(&before, false);
        }
        if let Some(key) = &key {
            self.tables.poison(key, true);
        }
        self.poisoned = key;
    }

    fn change_settings(&mut self, key: &ChannelKey) {
        let encoded_anew = Transcode {
            codec: VideoCodec::H264,
            bit_rate_kbps: None,
            size: None,
            frame_rate: None,
        };
        let (video, audio) = match self.random.below(4) {
            0 => (Video::default(), Audio::default()),
            1 => (Video::default(), Audio::Aac),
            _ => (Video::Transcode(encoded_anew), Audio::default()),
        };
        self.set(key, video, audio);
    }

    /// Somebody wants a channel as it comes after all, and ends the task that was to encode it.
    fn take_back(&mut self) {
        let mut rows = self.tables.assignments().into_iter();
        let is_new = rows.find(
            |AssignmentRow {
                 assignment,
                 heartbeat,
             }| {
                let moves = assignment.predecessor.is_some() && heartbeat.first_picture.is_none();
                moves && assignment.settings.needs_transform()
            },
        );
        let Some(assignment) = is_new.map(|row| row.assignment) else {
            return;
        };
        self.set(&assignment.key, Video::default(), Audio::default());
        if let Some(task) = assignment.task {
            self.told_to_end.insert(task.clone());
            self.tasks.inner.end(&task);
        }
    }

    fn set(&mut self, key: &ChannelKey, video: Video, audio: Audio) {
        let said = OwnSettings {
            video: Some(video),
            audio: Some(audio),
            ..OwnSettings::default()
        };
        let store = async {
            let (mut overrides, version) = Overrides::load(&self.tables).await.ok()?;
            overrides.set(key, said);
            overrides.store(&self.tables, version).await.ok()
        };
        let _ = drive(store, None);
    }

    fn delete_channel_by_hand(&mut self, key: &ChannelKey) {
        if let Some(row) = self.tables.channels().into_iter().find(|row| row.key == *key) {
            self.reach("row deleted by hand", 1);
            self.meddled_with.insert(key.clone());
            let _ = drive(self.tables.delete_channel(key, row.revision), None);
            self.wakes.record(key, self.now);
        }
    }

    fn delete_assignment_by_hand(&mut self, key: &ChannelKey) {
        let rows = self.tables.assignments().into_iter().map(|row| row.assignment);
        if let Some(assignment) = rows.into_iter().find(|assignment| assignment.key == *key) {
            self.reach("assignment deleted by hand", 1);
            self.generations.remove(key);
            self.meddled_with.insert(key.clone());
            let _ = drive(self.tables.delete_assignment(key, assignment.generation), None);
        }
    }

    /// Recorders that start from now on are of another build.
    fn deploy(&mut self) {
        self.reach("deploy", 1);
        self.tasks.inner.deploy();
    }

    fn start_by_hand(&mut self) {
        self.reach("started by hand", 1);
        let launch = Launch {
            token: format!("by hand {}", self.random.below(1_000_000)),
            kind: TaskKind::Copy,
            channels: Vec::new(),
        };
        let _ = drive(self.tasks.start_task(&launch), None);
    }

    fn end_by_hand(&mut self) {
        if let Some(task) = self.any_task() {
            self.reach("ended by hand", 1);
            self.told_to_end.insert(task.clone());
            self.tasks.inner.end(&task);
        }
    }

    /// Somebody edits the memory of a loop into something nobody can read.
    fn spoil_a_memory(&mut self) {
        self.reach("memory spoilt", 1);
        // By a clock that may be off by four minutes.
        self.memory_spoilt_at = Some(self.now + SignedDuration::from_mins(5));
        let name =
            ["poll", "dispatch", "freshness", "deaths"][usize::try_from(self.random.below(4)).unwrap()];
        let spoil = async {
            let version = self.tables.get_control(name).await.ok()?.map(|item| item.version);
            self.tables
                .put_control(name, &serde_json::json!({"?": 7}), version)
                .await
                .ok()
        };
        let _ = drive(spoil, None);
    }

    fn any_name(&mut self) -> &'static str {
        NAMES[usize::try_from(self.random.below(12)).unwrap()]
    }

    fn any_task(&mut self) -> Option<TaskArn> {
        let mut live = self.tasks.inner.truth();
        let at = usize::try_from(self.random.below(live.len() as u64)).unwrap();
        (at < live.len()).then(|| live.swap_remove(at).arn)
    }

    /// The weather calms, services come back, and people mend what they did. Recorders that hang go on hanging.
    pub(crate) fn calm_down(&mut self) {
        self.stormy = false;
        self.weather.set_trouble(0);
        self.mend_services();
        self.recorders.see_again(self.now);
        self.clock_steps += u64::from(!self.clock_off.is_zero());
        self.clock_off = SignedDuration::ZERO;
        for name in NAMES {
            self.gateway.inner.change(&DeviceIndex::new(name), |device| {
                device.status = DeviceStatus::Online;
            });
        }
        self.poll_policy.accept_removals = true;
    }
}

//! What every adapter of a port must do, as functions that fail loudly: the same promises are run on the fakes
//! and on each real adapter, so that what the storm proves on fakes holds in the field.
//!
//! [`contract!`](crate::contract!) turns a suite into one `#[test]` a promise:
//!
//! ```text
//! /// Runs the promise on a fresh, empty table.
//! fn with_sqlite(promise: &impl AsyncFn(&Sqlite)) { … }
//!
//! domain::contract!(channels, with_sqlite);
//! ```

pub mod archive;
pub mod channels;
pub mod control;
pub mod episodes;
pub mod gaps;
pub mod host;
pub mod machines;
pub mod sweep;
pub mod tasks;

/// One test a promise of the suite, each run by `$with`, which hands every promise a port of its own: empty, and
/// used by nobody else.
#[macro_export]
macro_rules! contract {
    (channels, $with:ident) => {
        $crate::contract!(@tests channels, $with, [
            a_row_reads_back_exactly,
            rows_are_listed_in_key_order,
            a_row_is_created_only_once,
            a_write_on_a_stale_read_changes_nothing,
            a_delete_on_a_stale_read_deletes_nothing,
            a_delete_repeated_is_no_error,
            of_two_writers_on_one_read_one_wins,
        ]);
    };
    (tasks, $with:ident) => {
        $crate::contract!(@tests tasks, $with, [
            an_assignment_reads_back_exactly,
            assignments_are_listed_in_key_order,
            a_pull_sees_the_rows_of_its_task_only,
            a_write_on_a_stale_generation_changes_nothing,
            a_heartbeat_stays_while_its_generation_does,
            a_new_generation_keeps_only_the_last_segment,
            a_heartbeat_of_anyone_else_is_fenced_off,
            a_delete_of_a_newer_generation_deletes_nothing,
        ]);
    };
    (host, $with:ident) => {
        $crate::contract!(@tests host, $with, [
            a_started_task_is_listed,
            the_same_launch_again_names_the_same_task,
            another_launch_is_another_task,
            the_two_builds_are_told_apart,
            a_stopped_task_is_not_taken_for_a_recorder,
            a_stop_of_what_is_gone_is_no_error,
        ]);
    };
    (gaps, $with:ident) => {
        $crate::contract!(@tests gaps, $with, [
            every_cause_reads_back_exactly,
            a_gap_with_the_same_start_is_replaced,
            only_what_overlaps_is_listed,
            an_open_gap_reaches_into_every_later_interval,
            gaps_of_other_channels_are_not_listed,
            gaps_are_listed_by_start_to_the_nanosecond,
        ]);
    };
    (episodes, $with:ident) => {
        $crate::contract!(@tests episodes, $with, [
            an_episode_reads_back_exactly,
            only_episodes_that_overlap_are_listed_by_start,
            an_episode_that_goes_on_reaches_into_every_later_interval,
            episodes_of_other_channels_are_not_listed,
            an_episode_is_created_only_once,
            an_episode_read_stale_is_not_written,
            an_episode_read_stale_is_not_deleted,
            an_episode_deleted_twice_is_no_error,
        ]);
    };
    (machines, $with:ident) => {
        $crate::contract!(@tests machines, $with, [
            a_token_names_one_instance,
            an_instance_that_is_gone_stays_gone,
            stopping_twice_is_no_error,
            an_image_token_names_one_image,
            an_image_deleted_twice_is_no_error,
            the_address_moves_only_from_where_it_was_seen,
            every_stay_of_the_address_has_its_own_name,
            the_address_of_an_instance_that_is_gone_is_nowhere,
        ]);
    };
    (control, $with:ident) => {
        $crate::contract!(@tests control, $with, [
            an_item_is_absent_until_written,
            a_value_reads_back_exactly,
            a_write_on_a_stale_version_changes_nothing,
            items_are_independent,
            what_was_said_of_channels_is_read_as_it_was_said,
            settings_that_an_older_program_stored_are_read,
        ]);
    };
    (archive, $with:ident) => {
        $crate::contract!(@tests archive, $with, [
            a_segment_is_listed_once_it_is_stored,
            the_same_content_again_is_already_there,
            another_content_never_replaces_an_object,
            a_file_that_is_not_what_its_hash_says_is_never_stored,
            a_file_that_is_gone_is_refused,
            only_segments_that_overlap_are_listed_by_start,
            a_segment_that_crosses_midnight_is_found_on_both_days,
            objects_that_are_not_segments_are_not_listed,
            channels_with_alike_names_stay_apart,
            names_with_odd_characters_are_kept,
            of_two_writers_of_one_key_one_content_wins,
        ]);
    };
    (sweep, $with:ident) => {
        $crate::contract!(@tests sweep, $with, [
            channels_are_found_by_what_they_have,
            a_page_lists_everything_with_its_size_in_key_order,
            pages_follow_each_other_without_a_hole_or_a_repeat,
            what_is_deleted_is_gone_and_nothing_else_is,
            what_is_gone_already_counts_as_deleted,
            more_keys_than_one_call_takes_are_refused,
            any_part_of_an_object_can_be_read,
            metadata_reads_back_exactly,
            what_is_not_there_is_refused,
            segments_of_a_range_tell_their_sizes,
            what_was_just_stored_is_read_at_once,
            a_deleted_key_can_be_stored_again,
        ]);
    };
    (@tests $suite:ident, $with:ident, [$($promise:ident),* $(,)?]) => {
        mod $suite {
            $(
                #[test]
                fn $promise() {
                    super::$with(&$crate::contract::$suite::$promise);
                }
            )*
        }
    };
}

mod samples {
    //! Values with the corners that storage gets wrong.

    use crate::settings::{Audio, RecordingSettings, Transcode, Video, VideoCodec};
    use crate::{
        Assignment, ChannelKey, ChannelRow, DeviceState, Generation, OfflineHint, Predecessor, Revision,
        TaskArn,
    };
    use jiff::Timestamp;
    use std::num::NonZeroU32;

    /// In the order of keys, byte by byte.
    pub(super) fn keys() -> Vec<ChannelKey> {
        vec![
            ChannelKey::new("38941127-49B5-44B3-84FC-219747AFF04E", "1"),
            ChannelKey::new("38941127-49B5-44B3-84FC-219747AFF04E", "10"),
            ChannelKey::new("38941127-49B5-44B3-84FC-219747AFF04E", "2"),
            ChannelKey::new("a'; DROP TABLE channels; --", "../%2F"),
            ChannelKey::new("камера 📷", "1"),
        ]
    }

    pub(super) fn key() -> ChannelKey {
        ChannelKey::new("CAM", "1")
    }

    pub(super) fn at(time: &str) -> Timestamp {
        format!("2026-11-21T{time}Z").parse().expect("samples are times")
    }

    pub(super) fn channel(key: ChannelKey) -> ChannelRow {
        ChannelRow {
            key,
            media_url: "rtsp://192.0.2.1:554/dac/realplay/CAM1/MAIN/TCP?streamform=rtp".into(),
            device_name: "Лифт \"B\"\n\u{1F4F7}".into(),
            channel_name: String::new(),
            state: missing(),
            device_channels: 5,
            listed_channels: 4,
            wanted_since: at("09:08:07.060504032"),
            settings: settings(),
            revision: Revision(1),
        }
    }

    pub(super) fn assignment(key: ChannelKey, task: &str) -> Assignment {
        Assignment {
            key,
            task: Some(TaskArn::new(task)),
            generation: Generation(1),
            media_url: "rtsp://192.0.2.1:554/live?a=b&c='d'".into(),
            settings: settings(),
            device_state: missing(),
            started_at: at("09:08:07.060504032"),
            attempts: 3,
            predecessor: Some(Predecessor {
                task: TaskArn::new("task-before"),
                generation: Generation(0),
                until: at("09:08:22.000000001"),
            }),
        }
    }

    fn missing() -> DeviceState {
        DeviceState::Missing {
            since: at("09:00:00.000000001"),
            missed_polls: 2,
            hint: Some(OfflineHint::WrongKey),
        }
    }

    fn settings() -> RecordingSettings {
        RecordingSettings {
            video: Video::Transcode(Transcode {
                codec: VideoCodec::H265,
                bit_rate_kbps: NonZeroU32::new(1_500),
                size: None,
                frame_rate: None,
            }),
            audio: Audio::Aac,
            ..RecordingSettings::default()
        }
    }
}

//! What a [`TasksTable`] promises. Each function takes an empty table of its own.

use super::samples;
use crate::ports::{Put, TasksTable};
use crate::{Assignment, AssignmentRow, FirstPicture, Generation, Heartbeat, PictureMark, TaskArn};

async fn put(table: &impl TasksTable, assignment: &Assignment, expected: Option<u64>) -> Put {
    table
        .put_assignment(assignment, expected.map(Generation))
        .await
        .expect("the table answers")
}

async fn beat(table: &impl TasksTable, task: &str, generation: u64, heartbeat: &Heartbeat) -> Put {
    table
        .heartbeat(
            &samples::key(),
            &TaskArn::new(task),
            Generation(generation),
            heartbeat,
        )
        .await
        .expect("the table answers")
}

async fn row(table: &impl TasksTable) -> Option<AssignmentRow> {
    table
        .assignment(&samples::key())
        .await
        .expect("the table answers")
}

fn heartbeat() -> Heartbeat {
    Heartbeat {
        heartbeat_at: Some(samples::at("10:00:05.000000001")),
        last_segment_at: Some(samples::at("10:00:00.123456789")),
        last_error: Some("stream refused: 404 \"не найдено\"".into()),
        first_picture: Some(FirstPicture {
            at: samples::at("09:59:30.000000009"),
            mark: PictureMark(u64::MAX - 1),
        }),
        ends_at: Some(samples::at("10:02:00.5")),
    }
}

fn of_generation(generation: u64) -> Assignment {
    Assignment {
        generation: Generation(generation),
        ..samples::assignment(samples::key(), "task-a")
    }
}

/// Every field of both parts comes back as it was.
pub async fn an_assignment_reads_back_exactly(table: &impl TasksTable) {
    assert_eq!(row(table).await, None);
    let assignment = of_generation(1);
    assert_eq!(put(table, &assignment, None).await, Put::Written);
    assert_eq!(beat(table, "task-a", 1, &heartbeat()).await, Put::Written);
    let heartbeat = heartbeat();
    assert_eq!(
        row(table).await,
        Some(AssignmentRow {
            assignment,
            heartbeat
        })
    );

    let nobodys = Assignment {
        task: None,
        predecessor: None,
        ..of_generation(2)
    };
    assert_eq!(put(table, &nobodys, Some(1)).await, Put::Written);
    assert_eq!(row(table).await.map(|row| row.assignment), Some(nobodys));
}

/// Whatever order they were written in, and whatever their names hold.
pub async fn assignments_are_listed_in_key_order(table: &impl TasksTable) {
    for key in samples::keys().into_iter().rev() {
        assert_eq!(
            put(table, &samples::assignment(key, "task-a"), None).await,
            Put::Written
        );
    }
    let listed = table.list_assignments().await.expect("the table answers");
    let keys: Vec<_> = listed.into_iter().map(|row| row.assignment.key).collect();
    assert_eq!(keys, samples::keys());
}

/// In key order; a row that moved to another task is that task's.
pub async fn a_pull_sees_the_rows_of_its_task_only(table: &impl TasksTable) {
    for (key, task) in samples::keys()
        .into_iter()
        .zip(["task-b", "task-a", "task-ab", "task-a", "task-a"])
    {
        assert_eq!(
            put(table, &samples::assignment(key, task), None).await,
            Put::Written
        );
    }
    let moved = Assignment {
        generation: Generation(2),
        ..samples::assignment(samples::keys().remove(4), "task-b")
    };
    assert_eq!(put(table, &moved, Some(1)).await, Put::Written);

    for (task, expected) in [("task-a", vec![1, 3]), ("task-b", vec![0, 4]), ("task", vec![])] {
        let pulled = table
            .assignments_of(&TaskArn::new(task))
            .await
            .expect("the table answers");
        let keys: Vec<_> = pulled.into_iter().map(|row| row.assignment.key).collect();
        let expected: Vec<_> = expected
            .into_iter()
            .map(|i: usize| samples::keys().remove(i))
            .collect();
        assert_eq!(keys, expected, "{task}");
    }
}

/// Neither a second creation, nor a write over another generation, nor one over a row that is gone.
pub async fn a_write_on_a_stale_generation_changes_nothing(table: &impl TasksTable) {
    assert_eq!(put(table, &of_generation(3), Some(2)).await, Put::Stale);
    assert_eq!(row(table).await, None);
    assert_eq!(put(table, &of_generation(5), None).await, Put::Written);
    assert_eq!(put(table, &of_generation(1), None).await, Put::Stale);
    assert_eq!(put(table, &of_generation(5), Some(4)).await, Put::Stale);
    assert_eq!(row(table).await.map(|row| row.assignment), Some(of_generation(5)));
}

/// New settings or a new URL for the same recorder do not hide what it last said.
pub async fn a_heartbeat_stays_while_its_generation_does(table: &impl TasksTable) {
    assert_eq!(put(table, &of_generation(1), None).await, Put::Written);
    assert_eq!(beat(table, "task-a", 1, &heartbeat()).await, Put::Written);
    let moved = Assignment {
        media_url: "rtsp://192.0.2.2/".into(),
        ..of_generation(1)
    };
    assert_eq!(put(table, &moved, Some(1)).await, Put::Written);
    let heartbeat = heartbeat();
    assert_eq!(
        row(table).await,
        Some(AssignmentRow {
            assignment: moved,
            heartbeat
        })
    );
}

/// The next recorder starts with a clean report, but the archive's edge is still known.
pub async fn a_new_generation_keeps_only_the_last_segment(table: &impl TasksTable) {
    assert_eq!(put(table, &of_generation(1), None).await, Put::Written);
    assert_eq!(beat(table, "task-a", 1, &heartbeat()).await, Put::Written);
    assert_eq!(put(table, &of_generation(2), Some(1)).await, Put::Written);
    let kept = Heartbeat {
        last_segment_at: heartbeat().last_segment_at,
        ..Heartbeat::default()
    };
    assert_eq!(row(table).await.map(|row| row.heartbeat), Some(kept));
}

/// Another task, another generation, or no row at all: stale, and nothing changes.
pub async fn a_heartbeat_of_anyone_else_is_fenced_off(table: &impl TasksTable) {
    assert_eq!(beat(table, "task-a", 1, &heartbeat()).await, Put::Stale);
    assert_eq!(row(table).await, None);
    assert_eq!(put(table, &of_generation(2), None).await, Put::Written);
    for (task, generation) in [("task-b", 2), ("task-a", 1), ("task-a", 3)] {
        assert_eq!(beat(table, task, generation, &heartbeat()).await, Put::Stale);
    }
    assert_eq!(
        row(table).await.map(|row| row.heartbeat),
        Some(Heartbeat::default())
    );
}

/// A row that is gone already is no error.
pub async fn a_delete_of_a_newer_generation_deletes_nothing(table: &impl TasksTable) {
    let delete = async |generation| {
        let put = table
            .delete_assignment(&samples::key(), Generation(generation))
            .await;
        put.expect("the table answers")
    };
    assert_eq!(put(table, &of_generation(2), None).await, Put::Written);
    assert_eq!(delete(1).await, Put::Stale);
    assert!(row(table).await.is_some());
    assert_eq!(delete(2).await, Put::Written);
    assert_eq!(row(table).await, None);
    assert_eq!(delete(2).await, Put::Written);
}

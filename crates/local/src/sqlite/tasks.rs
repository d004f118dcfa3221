use super::error::Failure;
use super::{Durability, Sqlite, columns, put_of};
use domain::ports::{PortError, Put, TasksTable};
use domain::{Assignment, AssignmentRow, ChannelKey, FirstPicture, Generation, Heartbeat, TaskArn};
use jiff::Timestamp;
use rusqlite::{Connection, Params, Row, params};

impl TasksTable for Sqlite {
    async fn list_assignments(&self) -> Result<Vec<AssignmentRow>, PortError> {
        self.read("listing the assignments", |connection| {
            select(connection, "ORDER BY device, channel", [])
        })
        .await
    }

    async fn assignment(&self, key: &ChannelKey) -> Result<Option<AssignmentRow>, PortError> {
        let (device, channel) = columns(key);
        self.read(format!("reading the assignment of {key}"), move |connection| {
            let rows = select(
                connection,
                "WHERE device = ?1 AND channel = ?2",
                [device, channel],
            )?;
            Ok(rows.into_iter().next())
        })
        .await
    }

    async fn assignments_of(&self, task: &TaskArn) -> Result<Vec<AssignmentRow>, PortError> {
        let name = task.as_str().to_owned();
        self.read(format!("reading the assignments of {task}"), move |connection| {
            select(connection, "WHERE task = ?1 ORDER BY device, channel", [name])
        })
        .await
    }

    async fn put_assignment(
        &self,
        assignment: &Assignment,
        expected: Option<Generation>,
    ) -> Result<Put, PortError> {
        let doing = format!("storing the assignment of {}", assignment.key);
        let assignment = assignment.clone();
        self.write(doing, Durability::Synced, move |transaction| {
            let (device, channel) = columns(&assignment.key);
            let task = assignment.task.as_ref().map(TaskArn::as_str);
            let generation = i64::try_from(assignment.generation.0)?;
            let body = serde_json::to_string(&assignment)?;
            let changed = match expected {
                None => transaction
                    .prepare_cached(
                        "INSERT INTO assignments (device, channel, task, generation, body)
                         VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
                    )?
                    .execute(params![device, channel, task, generation, body])?,
                Some(Generation(expected)) => transaction
                    .prepare_cached(
                        "UPDATE assignments SET task = ?3, generation = ?4, body = ?5,
                             heartbeat_at = CASE WHEN generation = ?4 THEN heartbeat_at END,
                             last_error = CASE WHEN generation = ?4 THEN last_error END,
                             first_picture = CASE WHEN generation = ?4 THEN first_picture END,
                             ends_at = CASE WHEN generation = ?4 THEN ends_at END
                         WHERE device = ?1 AND channel = ?2 AND generation = ?6",
                    )?
                    .execute(params![
                        device,
                        channel,
                        task,
                        generation,
                        body,
                        i64::try_from(expected)?
                    ])?,
            };
            Ok(put_of(changed))
        })
        .await
    }

    async fn delete_assignment(&self, key: &ChannelKey, expected: Generation) -> Result<Put, PortError> {
        let doing = format!("deleting the assignment of {key}");
        let (device, channel) = columns(key);
        self.write(doing, Durability::Synced, move |transaction| {
            transaction
                .prepare_cached(
                    "DELETE FROM assignments WHERE device = ?1 AND channel = ?2 AND generation = ?3",
                )?
                .execute(params![device, channel, i64::try_from(expected.0)?])?;
            let stays = transaction
                .prepare_cached("SELECT 1 FROM assignments WHERE device = ?1 AND channel = ?2")?
                .exists(params![device, channel])?;
            Ok(if stays { Put::Stale } else { Put::Written })
        })
        .await
    }

    async fn heartbeat(
        &self,
        key: &ChannelKey,
        task: &TaskArn,
        generation: Generation,
        heartbeat: &Heartbeat,
    ) -> Result<Put, PortError> {
        let doing = format!("reporting the heartbeat of {key}");
        let (device, channel) = columns(key);
        let (task, heartbeat) = (task.as_str().to_owned(), heartbeat.clone());
        self.write(doing, Durability::Lazy, move |transaction| {
            let first_picture = heartbeat.first_picture.as_ref();
            let first_picture = first_picture.map(serde_json::to_string).transpose()?;
            let changed = transaction
                .prepare_cached(
                    "UPDATE assignments SET heartbeat_at = ?5, last_segment_at = ?6, last_error = ?7,
                         first_picture = ?8, ends_at = ?9
                     WHERE device = ?1 AND channel = ?2 AND task = ?3 AND generation = ?4",
                )?
                .execute(params![
                    device,
                    channel,
                    task,
                    i64::try_from(generation.0)?,
                    heartbeat.heartbeat_at.map(|at| at.to_string()),
                    heartbeat.last_segment_at.map(|at| at.to_string()),
                    heartbeat.last_error,
                    first_picture,
                    heartbeat.ends_at.map(|at| at.to_string()),
                ])?;
            Ok(put_of(changed))
        })
        .await
    }
}

fn select(
    connection: &Connection,
    clause: &str,
    parameters: impl Params,
) -> Result<Vec<AssignmentRow>, Failure> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT body, heartbeat_at, last_segment_at, last_error, first_picture, ends_at
         FROM assignments {clause}"
    ))?;
    let mut rows = statement.query(parameters)?;
    let mut assignments = Vec::new();
    while let Some(row) = rows.next()? {
        assignments.push(from_row(row)?);
    }
    Ok(assignments)
}

fn from_row(row: &Row<'_>) -> Result<AssignmentRow, Failure> {
    let body: String = row.get(0)?;
    Ok(AssignmentRow {
        assignment: serde_json::from_str(&body).map_err(|error| Failure::damaged("assignment", error))?,
        heartbeat: Heartbeat {
            heartbeat_at: time(row.get(1)?)?,
            last_segment_at: time(row.get(2)?)?,
            last_error: row.get(3)?,
            first_picture: first_picture(row.get(4)?)?,
            ends_at: time(row.get(5)?)?,
        },
    })
}

fn first_picture(text: Option<String>) -> Result<Option<FirstPicture>, Failure> {
    text.map(|text| serde_json::from_str(&text).map_err(|error| Failure::damaged("first picture", error)))
        .transpose()
}

fn time(text: Option<String>) -> Result<Option<Timestamp>, Failure> {
    text.map(|text| {
        text.parse()
            .map_err(|error: jiff::Error| Failure::damaged("time", error))
    })
    .transpose()
}

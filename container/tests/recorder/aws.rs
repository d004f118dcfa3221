//! The program as ECS runs it, on an emulated AWS: only an environment, the task's name from the metadata endpoint,
//! tables in DynamoDB, the archive on S3.

#![cfg(feature = "aws")]

use crate::bed::{Bed, PASSWORD, USER, channel, eventually, far_future};
use crate::cloud::Cloud;
use crate::footage::footage;
use crate::process::{Process, assert_nowhere, ends, terminate};
use aws::s3::S3Archive;
use domain::ports::{Archive, GapsTable, Put, TasksTable};
use domain::{Assignment, AssignmentRow, SegmentKey, TaskArn};
use jiff::Timestamp;
use simulator::rtsp::StreamSpec;
use std::process::{Command, Stdio};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const TASK: &str = "arn:aws:ecs:us-east-1:111122223333:task/cell/158d1c8083dd49d6b527399fd6414f5c";

/// What ECS answers every container that asks who it is.
async fn metadata_endpoint() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/v4/158d1c80-1", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            let answer = format!("HTTP/1.0 200 OK\r\n\r\n{{\"TaskARN\":\"{TASK}\",\"Family\":\"recorder\"}}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    base
}

/// The program with nothing but an environment.
fn start(bed: &Bed, cloud: &Cloud, metadata: &str) -> Process {
    let log = std::fs::File::create(bed.dir.path().join("log")).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_millrace-recorder"))
        .env_clear()
        .envs(cloud.environment())
        .env("ECS_CONTAINER_METADATA_URI_V4", metadata)
        .env("MILLRACE_SPOOL", bed.spool())
        .env("MILLRACE_PULL_INTERVAL", "1s")
        .env("MILLRACE_HEARTBEAT_INTERVAL", "2s")
        .env("MILLRACE_GATEWAY_USERNAME", USER)
        .env("MILLRACE_GATEWAY_PASSWORD", PASSWORD)
        .env("MILLRACE_LOG", "debug")
        .env("MILLRACE_LOG_FORMAT", "json")
        .stderr(Stdio::from(log))
        .spawn();
    Process(child.unwrap())
}

fn is_healthy(bed: &Bed) -> bool {
    let health = Command::new(env!("CARGO_BIN_EXE_millrace-recorder"))
        .arg("health")
        .env_clear()
        .env("MILLRACE_SPOOL", bed.spool())
        .stderr(Stdio::null())
        .status();
    health.unwrap().success()
}

async fn segments(archive: &S3Archive) -> Vec<SegmentKey> {
    let all = archive
        .list_segments(&channel(1), Timestamp::UNIX_EPOCH, far_future())
        .await;
    all.unwrap()
}

#[tokio::test]
async fn an_assignment_in_dynamodb_becomes_video_in_s3() {
    let (bed, cloud) = (Bed::with(&[StreamSpec::default()]).await, Cloud::start().await);
    let (tables, archive) = (&cloud.tables, cloud.archive());
    let assignment = Assignment {
        task: Some(TaskArn::new(TASK)),
        ..bed.assignment(1, 1)
    };
    assert_eq!(
        tables.put_assignment(&assignment, None).await.unwrap(),
        Put::Written
    );
    assert!(!is_healthy(&bed), "nobody is there yet");

    let child = start(&bed, &cloud, &metadata_endpoint().await);
    eventually("segments are in the bucket", async || {
        segments(&archive).await.len() >= 2
    })
    .await;
    let row = async || -> AssignmentRow { tables.assignment(&channel(1)).await.unwrap().unwrap() };
    let reported = async || row().await.heartbeat.last_segment_at.is_some();
    eventually("the heartbeat tells of a segment", reported).await;
    assert_eq!(row().await.heartbeat.last_error, None);
    assert!(is_healthy(&bed));
    terminate(&child);
    assert!(ends(child).await.success());

    let all = segments(&archive).await;
    let downloads = bed.dir.path().join("downloads");
    cloud.download(&all, &downloads).await;
    footage(&downloads, &all, &StreamSpec::default().video).is_whole();
    let gaps = tables
        .list_gaps(&channel(1), Timestamp::MIN, Timestamp::MAX)
        .await
        .unwrap();
    let open: Vec<_> = gaps.iter().filter(|gap| gap.end.is_none()).collect();
    assert_eq!(open.len(), 1, "{gaps:?}");
    assert_eq!(
        open[0].start,
        all.last().unwrap().end(),
        "it says from when on nothing is recorded"
    );
    assert_nowhere(bed.dir.path(), PASSWORD);
}

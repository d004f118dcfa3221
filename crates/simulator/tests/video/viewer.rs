//! Plays streams with `retina`, the client the recorder uses, and keeps what it saw.

use crate::studio::{PATIENCE, login};
use futures::StreamExt;
use jiff::Timestamp;
use retina::client::{
    Credentials, Demuxed, PlayOptions, Session, SessionOptions, SetupOptions, TcpTransportOptions, Transport,
};
use retina::codec::{CodecItem, FrameFormat};
use simulator::frames;
use std::path::Path;
use std::time::Duration;
use tokio::time::timeout;
use url::Url;

/// A frame of video, as a byte stream with start codes.
pub(crate) struct Picture {
    pub(crate) data: Vec<u8>,
    pub(crate) rtp: i64,
    pub(crate) key: bool,
    pub(crate) lost_before: u16,
    pub(crate) new_parameters: bool,
}

/// A packet of sound.
pub(crate) struct Sound {
    pub(crate) data: Vec<u8>,
    pub(crate) rtp: i64,
    pub(crate) lost_before: u16,
}

/// A sender report.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Report {
    pub(crate) video: bool,
    pub(crate) clock: Timestamp,
    pub(crate) rtp: u32,
}

/// A client and what it has seen.
pub(crate) struct Viewer {
    session: Demuxed,
    video_index: usize,
    pub(crate) pictures: Vec<Picture>,
    pub(crate) sounds: Vec<Sound>,
    pub(crate) reports: Vec<Report>,
}

impl Viewer {
    /// Plays all tracks of a stream.
    pub(crate) async fn connect(url: Url) -> Result<Self, retina::Error> {
        Self::connect_as(url, login()).await
    }

    pub(crate) async fn connect_as(url: Url, login: Credentials) -> Result<Self, retina::Error> {
        let options = SessionOptions::default()
            .creds(Some(login))
            .user_agent("viewer".to_owned());
        let mut session = Session::describe(url, options).await?;
        let video_index = session
            .streams()
            .iter()
            .position(|stream| stream.media() == "video")
            .unwrap();
        for index in 0..session.streams().len() {
            let transport = Transport::Tcp(TcpTransportOptions::default());
            let setup = SetupOptions::default()
                .transport(transport)
                .frame_format(FrameFormat::SIMPLE);
            session.setup(index, setup).await?;
        }
        let session = session.play(PlayOptions::default()).await?.demuxed()?;
        Ok(Self {
            session,
            video_index,
            pictures: Vec::new(),
            sounds: Vec::new(),
            reports: Vec::new(),
        })
    }

    /// Watches until so many pictures have been seen; fails when the stream ends or errs before.
    pub(crate) async fn watch(&mut self, pictures: usize) -> Result<(), retina::Error> {
        while self.pictures.len() < pictures {
            let item = self.next().await.expect("the stream goes on")?;
            self.keep(item);
        }
        Ok(())
    }

    /// Watches until the stream ends, in whatever way.
    pub(crate) async fn watch_to_the_end(&mut self) -> Result<(), retina::Error> {
        while let Some(item) = self.next().await {
            self.keep(item?);
        }
        Ok(())
    }

    /// Watches for a while; what arrives is kept.
    pub(crate) async fn watch_for(&mut self, time: Duration) -> Result<(), retina::Error> {
        match timeout(time, self.watch_to_the_end()).await {
            Ok(Ok(())) => panic!("the stream ended"),
            Ok(Err(error)) => Err(error),
            Err(_elapsed) => Ok(()),
        }
    }

    async fn next(&mut self) -> Option<Result<CodecItem, retina::Error>> {
        let next = timeout(PATIENCE, self.session.next()).await;
        next.expect("something arrives, or the stream ends")
    }

    fn keep(&mut self, item: CodecItem) {
        match item {
            CodecItem::VideoFrame(frame) => self.pictures.push(Picture {
                data: frame.data().to_vec(),
                rtp: frame.timestamp().timestamp(),
                key: frame.is_random_access_point(),
                lost_before: frame.loss(),
                new_parameters: frame.has_new_parameters(),
            }),
            CodecItem::AudioFrame(frame) => self.sounds.push(Sound {
                data: frame.data().to_vec(),
                rtp: frame.timestamp().timestamp(),
                lost_before: frame.loss(),
            }),
            CodecItem::Rtcp(compound) => {
                let video = compound.stream_id() == self.video_index;
                for report in compound
                    .pkts()
                    .filter_map(|packet| packet.as_sender_report().unwrap())
                {
                    self.reports.push(Report {
                        video,
                        clock: unix(report.ntp_timestamp().0),
                        rtp: report.rtp_timestamp(),
                    });
                }
            }
            other => panic!("unexpected {other:?}"),
        }
    }

    /// Decodes the pictures seen, from the first key frame on; their indexes, and the position of the first.
    pub(crate) fn decode(&self, folder: &Path) -> (usize, Vec<u32>) {
        let first = self.pictures.iter().position(|picture| picture.key).unwrap();
        let stream: Vec<u8> = self.pictures[first..]
            .iter()
            .flat_map(|picture| picture.data.clone())
            .collect();
        let file = folder.join(format!("viewed-{:08x}", rand::random::<u32>()));
        std::fs::write(&file, stream).unwrap();
        let read = frames::read(&file).unwrap();
        let indexes = read.iter().map(|frame| frame.index.unwrap()).collect();
        (first, indexes)
    }
}

/// An NTP time as Unix time.
fn unix(ntp: u64) -> Timestamp {
    let seconds = (ntp >> 32) as i64 - 2_208_988_800;
    let nanos = ((ntp & 0xffff_ffff) * 1_000_000_000) >> 32;
    Timestamp::new(seconds, nanos as i32).unwrap()
}

/// Asserts that each index is the one after the index before it, in a loop of `frames`.
pub(crate) fn assert_consecutive(indexes: &[u32], frames: u32) {
    for pair in indexes.windows(2) {
        assert_eq!(pair[1], (pair[0] + 1) % frames, "in {indexes:?}");
    }
}

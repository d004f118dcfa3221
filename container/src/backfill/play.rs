//! One playback, from the connection to segments on disk.

use super::Player;
use super::dating::Dating;
use super::footprint::Footprint;
use crate::channel::machine::Failure;
use crate::media::frame::{Frame, MediaTime, StreamParams, Track};
use crate::media::mark::Nal;
use crate::media::pipeline::{Event, Pipeline, PipelineError};
use crate::media::spool::{Pending, Spool, SpoolError};
use crate::source::{Item, Source, gateway_of};
use domain::ports::{ArchiveRead, Ended, Playback, PortError};
use domain::{GapCause, Generation, RecordingSettings};
use jiff::SignedDuration;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// A playback that gives nothing for so long has broken off: devices may have to turn a disk on.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// A playback may take this many times what it plays, and [`EXTRA`] ...
const TIMES_MAX: u32 = 2;
/// ... for a device that is slow to begin.
const EXTRA: Duration = Duration::from_secs(60);
/// Footage is taken no faster than so many times the speed of life, however fast it is sent: the live streams of the
/// same device, gateway and network come first.
const SPEED_MAX: i32 = 4;
/// Pictures further apart than this are a hole in the footage: what follows begins a segment of its own.
const HOLE_AFTER: SignedDuration = SignedDuration::from_secs(2);

/// Plays, and leaves segments in the spool. Of a playback that breaks off, the segment that was open is given up: it
/// would end in the middle of a group of pictures, and what follows may have to begin with a key frame. Of one that the
/// device ends it is kept, for there may be no more.
pub(super) async fn play<A: ArchiveRead>(
    player: &Player,
    archive: &A,
    spool: &Spool,
    playback: &Playback,
) -> Result<Ended, PortError> {
    let before = Footprint::read(archive, playback.before.as_ref()).await;
    let after = Footprint::read(archive, playback.after.as_ref()).await;
    let source = connect(player, playback).await?;
    let settings = RecordingSettings {
        stills_every_seconds: None,
        ..playback.settings.clone()
    };
    let place = spool.channel(playback.key.clone(), Generation::BACKFILL);
    let mut reel = Reel {
        source,
        dating: Dating::new(playback, Nal::H264, before, after),
        pipeline: Pipeline::new(place, settings, Some(playback.missing.start)),
        params: None,
        pace: Pace::default(),
        last_picture: None,
        closed: Vec::new(),
    };
    let length = playback.asked.end.duration_since(playback.asked.start);
    let patience = length.unsigned_abs() * TIMES_MAX + EXTRA;
    let ended = match timeout(patience, reel.run()).await {
        Ok(ended) => ended,
        Err(_) => Ok(Ended::CutShort),
    };
    reel.close(ended, playback).await
}

async fn connect(player: &Player, playback: &Playback) -> Result<Source, PortError> {
    let doing = || format!("playing footage of {}", playback.key);
    let connected = async {
        let (url, gateway) = gateway_of(&playback.url)?;
        let attempt = Source::connect(url, &gateway, &player.credentials);
        player.gate.attempt(&gateway, attempt).await
    };
    connected.await.map_err(|failure: Failure| {
        let is_for_people = matches!(
            failure.cause,
            GapCause::CredentialsRejected | GapCause::UnsupportedStream
        );
        if is_for_people {
            PortError::refused(doing(), failure.text)
        } else {
            PortError::throttled(doing(), failure.text)
        }
    })
}

/// A playback under way.
struct Reel {
    source: Source,
    dating: Dating,
    pipeline: Pipeline,
    params: Option<StreamParams>,
    pace: Pace,
    last_picture: Option<MediaTime>,
    closed: Vec<Pending>,
}

impl Reel {
    async fn run(&mut self) -> Result<Ended, PipelineError> {
        loop {
            let Ok(item) = timeout(SILENCE_MAX, self.source.next()).await else {
                return Ok(Ended::CutShort);
            };
            match item {
                Ok(Item::Params(params)) => self.encoded(params),
                Ok(Item::Frame(frame)) => {
                    self.pace.keep(frame.time).await;
                    self.dating.take(frame);
                }
                Ok(Item::CameraClock { camera, time, .. }) => self.dating.report(camera, time),
                Ok(Item::Goodbye) => {
                    self.dating.end();
                    self.record_ready().await?;
                    return Ok(if self.dating.is_played() {
                        Ended::Complete
                    } else {
                        // A device may say goodbye for any reason: RFC 3550 section 6.6.
                        Ended::Early
                    });
                }
                Err(failure) => {
                    tracing::info!(reason = failure.text, "a playback broke off");
                    return Ok(Ended::CutShort);
                }
            }
            self.record_ready().await?;
            if self.dating.is_over() {
                return Ok(Ended::Complete);
            }
        }
    }

    fn encoded(&mut self, params: StreamParams) {
        self.dating.encoded(Nal::of(&params.video.rfc6381));
        if self.last_picture.is_some() {
            self.pipeline.reconfigure(params.clone());
        }
        self.params = Some(params);
    }

    async fn record_ready(&mut self) -> Result<(), PipelineError> {
        while let Some(frame) = self.dating.next_frame() {
            self.record(frame).await?;
        }
        self.take_events();
        Ok(())
    }

    async fn record(&mut self, frame: Frame) -> Result<(), PipelineError> {
        if frame.track == Track::Video && self.begins(frame.time) {
            let Some(params) = self.params.clone() else {
                return Ok(());
            };
            self.pipeline.begin(params).await?;
            self.pipeline.lead_in(self.dating.take_lead_in());
        }
        self.pipeline.push(frame).await
    }

    /// Whether a picture is the first, or the first after a hole.
    fn begins(&mut self, time: MediaTime) -> bool {
        let before = self.last_picture.replace(time);
        before.is_none_or(|before| time.since_start() - before.since_start() > HOLE_AFTER)
    }

    fn take_events(&mut self) {
        while let Some(event) = self.pipeline.ready_event() {
            match event {
                Event::Closed { pending, .. } => self.closed.push(pending),
                Event::TransformFailed { what, error, .. } => {
                    tracing::warn!(?what, %error, "a transform of footage failed and is started again");
                }
                Event::Started { .. }
                | Event::OnDisk(_)
                | Event::Stopped { .. }
                | Event::Lost { .. }
                | Event::Still(_) => {}
            }
        }
    }

    async fn close(
        mut self,
        ended: Result<Ended, PipelineError>,
        playback: &Playback,
    ) -> Result<Ended, PortError> {
        let broken =
            |error: PipelineError| PortError::unknown(format!("writing footage of {}", playback.key), error);
        self.take_events();
        let whole = self.closed.len();
        let finished = self.pipeline.finish().await;
        self.take_events();
        let is_ended = matches!(ended, Ok(Ended::Complete | Ended::Early)) && finished.is_ok();
        if !is_ended {
            self.give_up_newest(whole).map_err(|error| {
                PortError::unknown(format!("giving up footage of {}", playback.key), error)
            })?;
        }
        tracing::info!(
            channel = %playback.key,
            from = %playback.missing.start,
            to = %playback.missing.end,
            segments = self.closed.len(),
            recognised = self.dating.is_recognised(),
            complete = matches!(ended, Ok(Ended::Complete)) && finished.is_ok(),
            "footage played"
        );
        finished.map_err(broken)?;
        ended.map_err(broken)
    }

    /// Removes the segment that was open when the playback broke off; those before it end at key frames.
    fn give_up_newest(&mut self, whole: usize) -> Result<(), SpoolError> {
        let open = self.closed.drain(whole..).max_by_key(|pending| pending.start);
        open.map_or(Ok(()), |pending| Spool::remove(&pending))
    }
}

/// Slows down who is sent footage faster than it is to be taken: what is not read waits in the network.
#[derive(Debug, Default)]
struct Pace {
    began: Option<(Instant, MediaTime)>,
}

impl Pace {
    async fn keep(&mut self, time: MediaTime) {
        let (began, first) = *self.began.get_or_insert((Instant::now(), time));
        let played = time.since_start() - first.since_start();
        let earliest = Duration::try_from(played / SPEED_MAX).unwrap_or_default();
        let ahead = earliest.saturating_sub(began.elapsed());
        if !ahead.is_zero() {
            sleep(ahead).await;
        }
    }
}

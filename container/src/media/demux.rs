//! Reads fragmented MP4 as it arrives: what ffmpeg writes to its standard output, and our own files.
//!
//! The one idea: bytes are pushed in pieces of any size and whole samples come out; nothing is trusted, and
//! nothing larger than [`BOX_MAX`] is kept.

use crate::media::frame::MediaTime;
use crate::media::mux::{TrackSpec, lead_in};
use bytes::{Buf, Bytes, BytesMut};
use mp4_atom::{Atom, DecodeAtom, DecodeMaybe, Header, Mdat, Moof, Moov, Traf, Trex};
use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;

/// The largest box that is read: a fragment of one raw 8K picture fits.
const BOX_MAX: usize = 64 * 1024 * 1024;
/// The most samples a fragment may announce: ten minutes of sound.
const SAMPLES_MAX: usize = 65_536;
/// `sample_is_non_sync_sample`, ISO/IEC 14496-12 section 8.8.3.1.
const NOT_KEY: u32 = 0x0001_0000;

/// Why bytes are not the fragmented MP4 that was expected.
#[derive(Debug, thiserror::Error)]
pub enum DemuxError {
    /// A box does not parse.
    #[error("while reading an MP4 box")]
    Boxes(#[source] mp4_atom::Error),
    /// A box is larger than [`BOX_MAX`] or has no size.
    #[error("box {kind} has {size:?} bytes")]
    TooLarge {
        /// Its kind.
        kind: String,
        /// Its size without the header, if it says one.
        size: Option<usize>,
    },
    /// A fragment speaks of a track, or of data, that is not there.
    #[error("fragment does not fit: {0}")]
    Fragment(&'static str),
}

/// What came out.
#[derive(Debug)]
pub enum Item {
    /// The tracks; before any sample.
    Tracks(Vec<TrackSpec>),
    /// One access unit.
    Sample(Access),
}

/// One access unit, with its times as the file has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Its `track_ID`.
    pub track: u32,
    /// When it is presented, before any edit list: a [`TrackSpec::lead_in`] counts.
    pub time: MediaTime,
    /// Until the next is decoded, in ticks.
    pub duration: u32,
    /// Decoding can start here.
    pub key: bool,
    /// The bytes for the decoder.
    pub data: Bytes,
}

/// The reader's state between two pieces.
#[derive(Debug, Default)]
pub struct Demuxer {
    bytes: BytesMut,
    tracks: BTreeMap<u32, TrackState>,
    /// The fragment whose data comes next, and the size of its `moof` with header.
    moof: Option<(Moof, usize)>,
    ready: VecDeque<Item>,
}

#[derive(Debug)]
struct TrackState {
    timescale: NonZeroU32,
    defaults: Trex,
    next: u64,
}

impl Demuxer {
    /// Takes more bytes.
    ///
    /// # Errors
    /// [`DemuxError`] when they cannot be what they should; the reader is of no use after.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), DemuxError> {
        self.bytes.extend_from_slice(bytes);
        while let Some((header, header_size)) = self.next_header()? {
            let size = header.size.unwrap_or(0);
            if self.bytes.len() < header_size + size {
                break;
            }
            self.bytes.advance(header_size);
            let body = self.bytes.split_to(size).freeze();
            self.read(&header, &body, header_size)?;
        }
        Ok(())
    }

    /// The next track list or sample that is complete.
    pub fn take(&mut self) -> Option<Item> {
        self.ready.pop_front()
    }

    fn next_header(&self) -> Result<Option<(Header, usize)>, DemuxError> {
        let mut rest: &[u8] = &self.bytes;
        let before = rest.len();
        let Some(header) = Header::decode_maybe(&mut rest).map_err(DemuxError::Boxes)? else {
            return Ok(None);
        };
        match header.size {
            Some(size) if size <= BOX_MAX => Ok(Some((header, before - rest.len()))),
            Some(_) | None => Err(DemuxError::TooLarge {
                kind: header.kind.to_string(),
                size: header.size,
            }),
        }
    }

    fn read(&mut self, header: &Header, body: &Bytes, header_size: usize) -> Result<(), DemuxError> {
        if header.kind == Moov::KIND {
            let moov = Moov::decode_atom(header, &mut body.as_ref()).map_err(DemuxError::Boxes)?;
            return self.read_movie(moov);
        }
        if header.kind == Moof::KIND {
            let moof = Moof::decode_atom(header, &mut body.as_ref()).map_err(DemuxError::Boxes)?;
            self.moof = Some((moof, header_size + body.len()));
            return Ok(());
        }
        if header.kind == Mdat::KIND {
            let (moof, moof_size) = self
                .moof
                .take()
                .ok_or(DemuxError::Fragment("mdat without moof"))?;
            for traf in &moof.traf {
                self.read_run(traf, body, moof_size + header_size)?;
            }
        }
        Ok(())
    }

    fn read_movie(&mut self, moov: Moov) -> Result<(), DemuxError> {
        let defaults = moov.mvex.map(|mvex| mvex.trex).unwrap_or_default();
        let mut specs = Vec::new();
        for trak in moov.trak {
            let id = trak.tkhd.track_id;
            let timescale = NonZeroU32::new(trak.mdia.mdhd.timescale)
                .ok_or(DemuxError::Fragment("a track without time scale"))?;
            let lead_in = lead_in(&trak);
            let entry = trak
                .mdia
                .minf
                .stbl
                .stsd
                .codecs
                .into_iter()
                .next()
                .ok_or(DemuxError::Fragment("a track without sample entry"))?;
            let state = TrackState {
                timescale,
                defaults: defaults
                    .iter()
                    .find(|trex| trex.track_id == id)
                    .cloned()
                    .unwrap_or_default(),
                next: 0,
            };
            self.tracks.insert(id, state);
            specs.push(TrackSpec {
                id,
                timescale,
                entry,
                lead_in,
            });
        }
        self.ready.push_back(Item::Tracks(specs));
        Ok(())
    }

    /// `data_at` is where the data begins, in bytes from the start of `moof` (default-base-is-moof).
    fn read_run(&mut self, traf: &Traf, data: &Bytes, data_at: usize) -> Result<(), DemuxError> {
        let track = self
            .tracks
            .get_mut(&traf.tfhd.track_id)
            .ok_or(DemuxError::Fragment("unknown track"))?;
        let mut time = traf
            .tfdt
            .as_ref()
            .map_or(track.next, |tfdt| tfdt.base_media_decode_time);
        let mut at = 0;
        if traf.trun.iter().map(|trun| trun.samples.len()).sum::<usize>() > SAMPLES_MAX {
            return Err(DemuxError::Fragment("more samples than a fragment can have"));
        }
        for trun in &traf.trun {
            if let Some(offset) = trun.data_offset {
                at = usize::try_from(offset)
                    .ok()
                    .and_then(|offset| offset.checked_sub(data_at))
                    .ok_or(DemuxError::Fragment("samples before their data"))?;
            }
            for entry in trun.samples.iter() {
                let sample = SampleFields::new(&entry, traf, &track.defaults);
                let end = at.saturating_add(sample.size);
                if end > data.len() {
                    return Err(DemuxError::Fragment("samples beyond their data"));
                }
                let presented = i64::try_from(time)
                    .unwrap_or(i64::MAX)
                    .saturating_add(sample.offset);
                self.ready.push_back(Item::Sample(Access {
                    track: traf.tfhd.track_id,
                    time: MediaTime::new(presented, track.timescale),
                    duration: sample.duration,
                    key: sample.key,
                    data: data.slice(at..end),
                }));
                at = end;
                time = time.saturating_add(u64::from(sample.duration));
            }
        }
        track.next = time;
        Ok(())
    }
}

struct SampleFields {
    size: usize,
    duration: u32,
    offset: i64,
    key: bool,
}

impl SampleFields {
    /// What a sample says itself, else its fragment's default, else its track's.
    fn new(entry: &mp4_atom::TrunEntry, traf: &Traf, defaults: &Trex) -> Self {
        let tfhd = &traf.tfhd;
        let size = entry
            .size
            .or(tfhd.default_sample_size)
            .unwrap_or(defaults.default_sample_size);
        let flags = entry
            .flags
            .or(tfhd.default_sample_flags)
            .unwrap_or(defaults.default_sample_flags);
        Self {
            size: usize::try_from(size).unwrap_or(usize::MAX),
            duration: entry
                .duration
                .or(tfhd.default_sample_duration)
                .unwrap_or(defaults.default_sample_duration),
            offset: entry.cts.unwrap_or(0),
            key: flags & NOT_KEY == 0,
        }
    }
}

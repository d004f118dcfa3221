//! What a dead recorder left behind becomes segments.
//!
//! The one idea: a `.part` file is cut after its last whole fragment, gets its duration and index from what the
//! fragments say, and is closed like any other. Every step can be repeated, so being killed in the middle costs
//! nothing but time.
//!
//! All functions block; call them where that is allowed.

use crate::media::codec;
use crate::media::mux::{self, Layout, MuxError, Piece, VIDEO_TRACK};
use crate::media::spool::{self, ChannelSpool, Pending, Spool, SpoolError, Unhashed};
use domain::{ChannelKey, Origin, SegmentKey};
use jiff::{SignedDuration, Timestamp};
use mp4_atom::{Atom, DecodeAtom, DecodeMaybe, Free, Header, Mdat, Mehd, Moof, Moov, Mvex, Sidx};
use std::fs::{self, File, OpenOptions};
use std::num::NonZeroU32;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The largest `moov` or `moof` that is read: ours have a few kilobytes.
const INDEX_BOX_MAX: u64 = 4 * 1024 * 1024;
/// A box header with a 64-bit size (ISO/IEC 14496-12 section 4.2.2).
const HEADER_MAX: usize = 16;

/// What became of the files of a dead recorder.
#[derive(Debug, Default)]
pub struct Salvaged {
    /// Segments that were open and are pending now.
    pub closed: Vec<Pending>,
    /// Files that held nothing that can be played; they are gone.
    pub damaged: Vec<Damaged>,
}

/// A file that held nothing that can be played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// Whose it was.
    pub channel: ChannelKey,
    /// UTC of its first frame by its name; `None` when the name says nothing.
    pub start: Option<Timestamp>,
    /// When it was last written, by our clock.
    pub written_at: Option<Timestamp>,
    /// What is wrong with it.
    pub reason: String,
}

/// Why a file is not a segment that was being written.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error("no whole picture in it")]
    Empty,
    #[error("its name does not say when it starts")]
    Name,
    #[error("its boxes are damaged")]
    Boxes(#[source] mp4_atom::Error),
    #[error("its tracks cannot be stored")]
    Mux(#[from] MuxError),
}

/// Closes what was open and removes what no crash-free run leaves. Call it before a channel of `spool` is
/// recorded into; on a dead recorder's spool at any time.
///
/// # Errors
/// [`SpoolError`] when the disk says no; calling it again goes on where it stopped.
pub fn salvage(spool: &Spool) -> Result<Salvaged, SpoolError> {
    let mut salvaged = Salvaged::default();
    let mut files = Vec::new();
    spool.each_file(|channel, path| {
        files.push((channel.clone(), path.to_owned()));
        Ok(())
    })?;
    for (channel, path) in files {
        if spool::is_open(&path) {
            salvage_open(spool, &channel, &path, &mut salvaged)?;
        } else if is_leftover(&path) {
            spool::remove_if_there(&path)?;
        } else if path.extension().is_some_and(|extension| extension == "mp4") {
            restore_meta(spool, &channel, &path, &mut salvaged)?;
        }
    }
    Ok(salvaged)
}

/// Closes a file of a living recorder that could not be written to its end.
pub(crate) fn close_broken(place: &ChannelSpool, path: &Path) -> Result<Pending, SpoolError> {
    let name = spool::parse_open_name(path).ok_or(Unreadable::Name);
    let closed = name.and_then(|(start, generation)| {
        close(place, path, |duration| {
            SegmentKey::new(place.key().clone(), start, duration, generation)
        })
    });
    closed.map_err(|unreadable| match unreadable {
        Unreadable::Spool(error) => error,
        Unreadable::Empty | Unreadable::Name | Unreadable::Boxes(_) | Unreadable::Mux(_) => {
            SpoolError::Damaged {
                path: path.to_owned(),
                reason: reason(&unreadable),
            }
        }
    })
}

fn salvage_open(
    spool: &Spool,
    channel: &ChannelKey,
    path: &Path,
    salvaged: &mut Salvaged,
) -> Result<(), SpoolError> {
    let name = spool::parse_open_name(path);
    let closed = name.ok_or(Unreadable::Name).and_then(|(start, generation)| {
        close(&spool.channel(channel.clone(), generation), path, |duration| {
            SegmentKey::new(channel.clone(), start, duration, generation)
        })
    });
    note(channel, path, name.map(|(start, _)| start), closed, salvaged)
}

/// A closed file whose metadata is lost keeps its name and gets new metadata from its content.
fn restore_meta(
    spool: &Spool,
    channel: &ChannelKey,
    path: &Path,
    salvaged: &mut Salvaged,
) -> Result<(), SpoolError> {
    if spool::read_pending(channel, path)?.is_some() {
        return Ok(());
    }
    let Some(segment) = spool::segment_of(channel, path) else {
        return Ok(());
    };
    let place = spool.channel(channel.clone(), segment.generation);
    let closed = close(&place, path, |_| segment.clone());
    note(channel, path, Some(segment.start), closed, salvaged)
}

fn note(
    channel: &ChannelKey,
    path: &Path,
    start: Option<Timestamp>,
    closed: Result<Pending, Unreadable>,
    salvaged: &mut Salvaged,
) -> Result<(), SpoolError> {
    match closed {
        Ok(pending) => salvaged.closed.push(pending),
        Err(Unreadable::Spool(error)) => return Err(error),
        Err(unreadable) => {
            salvaged.damaged.push(Damaged {
                channel: channel.clone(),
                start,
                written_at: written_at(path),
                reason: reason(&unreadable),
            });
            spool::remove_if_there(path)?;
        }
    }
    Ok(())
}

fn close(
    place: &ChannelSpool,
    path: &Path,
    name: impl FnOnce(SignedDuration) -> SegmentKey,
) -> Result<Pending, Unreadable> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(SpoolError::io("opening", path))?;
    let scan = Scan::read(&file, path)?;
    file.set_len(scan.end).map_err(SpoolError::io("cutting", path))?;
    for patch in mux::closing_patches(scan.layout, &scan.tracks, &scan.pieces)? {
        file.write_all_at(&patch.bytes, patch.at)
            .map_err(SpoolError::io("writing", path))?;
    }
    file.sync_all().map_err(SpoolError::io("flushing", path))?;
    let segment = name(scan.duration());
    let meta = Unhashed {
        captured_at: segment.start,
        codecs: scan.codecs,
        origin: Origin::Salvaged,
        clock_drift_ms: 0,
        note: None,
    };
    Ok(spool::finish_file(place, path, &segment, &meta)?)
}

/// Half-written small files, and metadata whose file is gone.
fn is_leftover(path: &Path) -> bool {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("tmp") => true,
        Some("json") => !path.with_extension("").exists(),
        Some(_) | None => false,
    }
}

fn written_at(path: &Path) -> Option<Timestamp> {
    fs::metadata(path).ok()?.modified().ok()?.try_into().ok()
}

fn reason(unreadable: &Unreadable) -> String {
    let source = std::error::Error::source(unreadable);
    source.map_or_else(
        || unreadable.to_string(),
        |source| format!("{unreadable}: {source}"),
    )
}

/// What a walk over a file's boxes finds.
struct Scan {
    layout: Layout,
    /// `track_ID` and time scale, pictures first.
    tracks: Vec<(u32, NonZeroU32)>,
    codecs: String,
    pieces: Vec<Piece>,
    /// Just after the last whole fragment.
    end: u64,
}

impl Scan {
    fn read(file: &File, path: &Path) -> Result<Self, Unreadable> {
        let size = file.metadata().map_err(SpoolError::io("reading", path))?.len();
        let mut walk = Walk {
            file,
            path,
            size,
            at: 0,
        };
        let (moov, moov_at) = walk.movie()?;
        let (tracks, codecs) = tracks(&moov)?;
        let index_at = walk.at;
        let index_room = walk.index()?;
        let mut scan = Self {
            layout: Layout {
                duration_at: duration_at(file, path, moov_at, index_at)?,
                index_at,
                index_room,
            },
            tracks,
            codecs,
            pieces: Vec::new(),
            end: walk.at,
        };
        while let Some(piece) = walk.fragment()? {
            scan.pieces.push(piece);
            scan.end = walk.at;
        }
        if scan.pieces.iter().all(|piece| piece.duration == 0) {
            return Err(Unreadable::Empty);
        }
        Ok(scan)
    }

    fn duration(&self) -> SignedDuration {
        let ticks: u64 = self.pieces.iter().map(|piece| piece.duration).sum();
        let timescale = self
            .tracks
            .first()
            .map_or(NonZeroU32::MIN, |(_, timescale)| *timescale);
        let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(timescale.get());
        SignedDuration::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
    }
}

/// A position in a file of boxes.
struct Walk<'a> {
    file: &'a File,
    path: &'a Path,
    size: u64,
    at: u64,
}

impl Walk<'_> {
    /// The next box that is whole: its header, and where its body begins. Stays where it is.
    fn peek(&self) -> Result<Option<(Header, u64, u64)>, SpoolError> {
        let mut bytes = [0; HEADER_MAX];
        let available = usize::try_from(self.size - self.at)
            .unwrap_or(HEADER_MAX)
            .min(HEADER_MAX);
        self.file
            .read_exact_at(&mut bytes[..available], self.at)
            .map_err(SpoolError::io("reading", self.path))?;
        let mut rest = &bytes[..available];
        // Bytes that are no header are where a crash cut the file.
        let Ok(Some(header)) = Header::decode_maybe(&mut rest) else {
            return Ok(None);
        };
        let body_at = self.at + (available - rest.len()) as u64;
        let end = header.size.and_then(|size| body_at.checked_add(size as u64));
        Ok(end
            .filter(|end| *end <= self.size)
            .map(|end| (header, body_at, end)))
    }

    fn body(&self, body_at: u64, end: u64) -> Result<Option<Vec<u8>>, SpoolError> {
        let size = end - body_at;
        if size > INDEX_BOX_MAX {
            return Ok(None);
        }
        let mut body = vec![0; usize::try_from(size).unwrap_or(0)];
        self.file
            .read_exact_at(&mut body, body_at)
            .map_err(SpoolError::io("reading", self.path))?;
        Ok(Some(body))
    }

    /// Walks to just after `moov`.
    fn movie(&mut self) -> Result<(Moov, u64), Unreadable> {
        while let Some((header, body_at, end)) = self.peek()? {
            self.at = end;
            if header.kind != Moov::KIND {
                continue;
            }
            let body = self.body(body_at, end)?.ok_or(Unreadable::Empty)?;
            let moov = Moov::decode_atom(&header, &mut body.as_slice()).map_err(Unreadable::Boxes)?;
            return Ok((moov, body_at));
        }
        Err(Unreadable::Empty)
    }

    /// Walks over the room for the index; its size.
    fn index(&mut self) -> Result<u64, SpoolError> {
        let start = self.at;
        while let Some((header, _, end)) = self.peek()? {
            if header.kind != Free::KIND && header.kind != Sidx::KIND {
                break;
            }
            self.at = end;
        }
        Ok(self.at - start)
    }

    /// Walks over a whole fragment; `None` where there is none, and stays there.
    fn fragment(&mut self) -> Result<Option<Piece>, SpoolError> {
        let start = self.at;
        let Some((header, body_at, moof_end)) = self.peek()? else {
            return Ok(None);
        };
        let body = if header.kind == Moof::KIND {
            self.body(body_at, moof_end)?
        } else {
            None
        };
        let moof = body.and_then(|body| Moof::decode_atom(&header, &mut body.as_slice()).ok());
        self.at = moof_end;
        let mdat = self.peek()?.filter(|(header, ..)| header.kind == Mdat::KIND);
        let (Some(moof), Some((_, _, end))) = (moof, mdat) else {
            self.at = start;
            return Ok(None);
        };
        self.at = end;
        let (duration, key) = mux::pictures(&moof);
        Ok(Some(Piece {
            size: end - start,
            duration,
            key,
        }))
    }
}

/// `track_ID` and time scale of all tracks, pictures first, and their codecs.
fn tracks(moov: &Moov) -> Result<(Vec<(u32, NonZeroU32)>, String), Unreadable> {
    let mut tracks = Vec::new();
    for trak in &moov.trak {
        let timescale = NonZeroU32::new(trak.mdia.mdhd.timescale).ok_or(Unreadable::Empty)?;
        tracks.push((trak.tkhd.track_id, timescale));
    }
    if tracks.first().is_none_or(|(id, _)| *id != VIDEO_TRACK) {
        return Err(Unreadable::Empty);
    }
    let names: Vec<String> = moov
        .trak
        .iter()
        .flat_map(|trak| &trak.mdia.minf.stbl.stsd.codecs)
        .filter_map(codec::rfc6381)
        .collect();
    Ok((tracks, names.join(",")))
}

/// Finds the duration in `moov/mvex/mehd`.
fn duration_at(file: &File, path: &Path, moov_at: u64, moov_end: u64) -> Result<u64, Unreadable> {
    let inside = |at, size| Walk { file, path, size, at };
    let mvex = find(inside(moov_at, moov_end), Mvex::KIND)?;
    let (mvex_at, mvex_end) = mvex.ok_or(Unreadable::Empty)?;
    let (mehd_at, _) = find(inside(mvex_at, mvex_end), Mehd::KIND)?.ok_or(Unreadable::Empty)?;
    // Version and flags come first (ISO/IEC 14496-12 section 4.2.2).
    Ok(mehd_at + 4)
}

fn find(mut walk: Walk<'_>, kind: mp4_atom::FourCC) -> Result<Option<(u64, u64)>, SpoolError> {
    while let Some((header, body_at, end)) = walk.peek()? {
        if header.kind == kind {
            return Ok(Some((body_at, end)));
        }
        walk.at = end;
    }
    Ok(None)
}

//! What a file learns when it is closed: how long it is, and where its fragments are.

use super::{MuxError, free};
use bytes::Bytes;
use mp4_atom::{Encode, SegmentReference, Sidx};
use std::num::NonZeroU32;

/// `referenced_size` has 31 bits.
const REFERENCED_SIZE_MAX: u64 = 0x7fff_ffff;

/// Where the rewritable parts of a file are, in bytes from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// The 64-bit duration in `mehd`.
    pub duration_at: u64,
    /// The `free` box that an index may replace.
    pub index_at: u64,
    /// The size of that box; 0 when there is none.
    pub index_room: u64,
}

/// Bytes that overwrite others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// Where, in bytes from the file's start.
    pub at: u64,
    /// What.
    pub bytes: Bytes,
}

/// What an index says of one fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// `moof` and `mdat`.
    pub size: u64,
    /// Of its pictures, in ticks of the video track.
    pub duration: u64,
    /// Its first picture is a key frame.
    pub key: bool,
}

/// The bytes that close a file of `tracks` (`track_ID` and time scale, pictures first): its duration and, where
/// there is room, an index of its fragments (`sidx`), so that a player knows the length and seeks without reading on.
///
/// # Errors
/// [`MuxError::Boxes`] when the index cannot be written.
pub fn closing_patches(
    layout: Layout,
    tracks: &[(u32, NonZeroU32)],
    pieces: &[Piece],
) -> Result<Vec<Patch>, MuxError> {
    let duration: u64 = pieces.iter().map(|piece| piece.duration).sum();
    let mut patches = vec![Patch {
        at: layout.duration_at,
        bytes: Bytes::copy_from_slice(&duration.to_be_bytes()),
    }];
    if !pieces.is_empty() {
        patches.extend(index(layout, tracks, pieces)?);
    }
    Ok(patches)
}

/// The index, in the room there is for it. ffmpeg, and so Chromium, seeks by it only when every track has its own.
fn index(layout: Layout, tracks: &[(u32, NonZeroU32)], pieces: &[Piece]) -> Result<Option<Patch>, MuxError> {
    let Some((_, pictures)) = tracks.first() else {
        return Ok(None);
    };
    let entries = layout.entries(tracks.len());
    let mut indexes: Vec<Sidx> = tracks
        .iter()
        .map(|(id, timescale)| Sidx {
            reference_id: *id,
            timescale: timescale.get(),
            references: references(pieces, entries, *pictures, *timescale),
            ..Sidx::default()
        })
        .collect();
    let mut bytes = Vec::new();
    indexes[0].encode(&mut bytes).map_err(MuxError::Boxes)?;
    // All have as many references, and so the same size.
    let size = bytes.len() as u64;
    let Some(rest) = layout.index_room.checked_sub(size * indexes.len() as u64) else {
        return Ok(None);
    };
    bytes.clear();
    for (following, index) in (0..indexes.len() as u64).rev().zip(&mut indexes) {
        index.first_offset = following * size + rest;
        index.encode(&mut bytes).map_err(MuxError::Boxes)?;
    }
    free(&mut bytes, rest);
    Ok(Some(Patch {
        at: layout.index_at,
        bytes: bytes.into(),
    }))
}

impl Layout {
    /// How many references each of `tracks` indexes has room for.
    fn entries(&self, tracks: usize) -> usize {
        let tracks = tracks.max(1) as u64;
        let room = self.index_room.saturating_sub(BOX_HEADER_SIZE) / tracks;
        usize::try_from(room.saturating_sub(SIDX_SIZE) / SIDX_ENTRY_SIZE).unwrap_or(0)
    }
}

/// A reference for each fragment, since players look for a `moof` at each; joined evenly when there are more
/// than `entries`.
fn references(pieces: &[Piece], entries: usize, from: NonZeroU32, to: NonZeroU32) -> Vec<SegmentReference> {
    if entries == 0 || pieces.is_empty() {
        return Vec::new();
    }
    let mut end = 0;
    pieces
        .chunks(pieces.len().div_ceil(entries))
        .filter_map(|chunk| {
            let mut whole = *chunk.first()?;
            chunk[1..].iter().for_each(|piece| join(&mut whole, *piece));
            // By way of the end, so that rounding does not add up.
            let start = scaled(end, from, to);
            end += whole.duration;
            whole.duration = scaled(end, from, to) - start;
            reference(whole)
        })
        .collect()
}

fn scaled(ticks: u64, from: NonZeroU32, to: NonZeroU32) -> u64 {
    let scaled = u128::from(ticks) * u128::from(to.get()) / u128::from(from.get());
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

fn join(group: &mut Piece, piece: Piece) {
    group.size += piece.size;
    group.duration += piece.duration;
}

fn reference(piece: Piece) -> Option<SegmentReference> {
    Some(SegmentReference {
        reference_type: false,
        referenced_size: u32::try_from(piece.size.min(REFERENCED_SIZE_MAX)).ok()?,
        subsegment_duration: u32::try_from(piece.duration).unwrap_or(u32::MAX),
        starts_with_sap: piece.key,
        sap_type: u8::from(piece.key),
        sap_delta_time: 0,
    })
}

/// A `sidx` of version 1 without references (ISO/IEC 14496-12 section 8.16.3); version 0 is 8 bytes smaller.
const SIDX_SIZE: u64 = 40;
const SIDX_ENTRY_SIZE: u64 = 12;
const BOX_HEADER_SIZE: u64 = 8;

/// Room for an index of every track and for the `free` box that fills what they leave.
pub(super) fn index_room(entries: u16, tracks: usize) -> u64 {
    (SIDX_SIZE + SIDX_ENTRY_SIZE * u64::from(entries)) * tracks as u64 + BOX_HEADER_SIZE
}

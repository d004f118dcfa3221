//! The bytes of a segment: fragmented MP4 (ISO/IEC 14496-12) that is readable wherever it is cut off.
//!
//! ```text
//! ftyp moov(mvhd trak.. mvex(mehd trex..)) free | moof mdat | moof mdat | ..      while it is written
//!                             ▲ duration    ▲ sidx                               patched when it is closed
//! ```
//! The one idea: everything a player likes to know at once (duration, where the key frames are) has its room
//! at the front from the start, so closing a file overwrites a few bytes and never moves any.

use bytes::Bytes;
use mp4_atom::{
    Atom, BufMut, Codec, Dinf, Dref, DrefEntry, Edts, Elst, ElstEntry, Encode, FourCC, Ftyp, Hdlr, Mdat,
    Mdhd, Mdia, Mehd, Mfhd, Minf, Moof, Moov, Mvex, Mvhd, Smhd, Stbl, Stco, Stsd, Tfdt, Tfhd, Tkhd, Traf,
    Trak, Trex, Trun, TrunEntry, TrunSamples, Url, Vmhd,
};
use std::num::NonZeroU32;

mod index;

use index::index_room;
pub use index::{Layout, Patch, Piece, closing_patches};

/// Why a stream cannot be written as MP4.
#[derive(Debug, thiserror::Error)]
pub enum MuxError {
    /// The boxes do not fit together; the source's parameters are not what they claim.
    #[error("while writing MP4 boxes")]
    Boxes(#[source] mp4_atom::Error),
    /// The sample entry is not one this recorder stores.
    #[error("sample entry is not avc1, hvc1, mp4a or PCM")]
    SampleEntry,
}

/// `track_ID` of the pictures, and of the only track where there is one.
pub const VIDEO_TRACK: u32 = 1;
/// `track_ID` of the sound beside pictures.
pub const AUDIO_TRACK: u32 = 2;

/// Depends on no other sample (`sample_depends_on` = 2), is a sync sample. ISO/IEC 14496-12 section 8.8.3.1.
const FLAGS_KEY: u32 = 0x0200_0000;
/// Depends on others (`sample_depends_on` = 1), `sample_is_non_sync_sample`.
const FLAGS_NOT_KEY: u32 = 0x0101_0000;

/// One track of a file.
#[derive(Debug, Clone)]
pub struct TrackSpec {
    /// Its `track_ID`.
    pub id: u32,
    /// Ticks a second.
    pub timescale: NonZeroU32,
    /// Its sample entry.
    pub entry: Codec,
    /// So many ticks at its beginning are there to decode what follows, and are not shown.
    pub lead_in: u32,
}

/// One access unit as the file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// What the decoder gets.
    pub data: Bytes,
    /// Until the next sample is decoded, in ticks.
    pub duration: u32,
    /// Presentation minus decode time, in ticks.
    pub offset: i32,
    /// Decoding can start here.
    pub key: bool,
}

/// Samples of one track that follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Which track.
    pub track: u32,
    /// Decode time of the first sample, in ticks since the file's start.
    pub decode_time: u64,
    /// In decode order; never empty.
    pub samples: Vec<Sample>,
}

/// Writes the part before the first fragment, with room for an index of `index_entries`.
///
/// # Errors
/// [`MuxError`] when a sample entry cannot be stored.
pub fn header(tracks: &[TrackSpec], index_entries: u16) -> Result<(Bytes, Layout), MuxError> {
    let mut out = Vec::with_capacity(2048);
    let mut duration_at = 0;
    let timescale = tracks.first().map_or(NonZeroU32::MIN, |track| track.timescale);
    let traks = tracks.iter().map(trak).collect::<Result<Vec<_>, _>>()?;
    file_type(tracks).encode(&mut out).map_err(MuxError::Boxes)?;
    out.encode_atom(Moov::KIND, |out| {
        movie_header(timescale, tracks).encode(out)?;
        for trak in &traks {
            trak.encode(out)?;
        }
        out.encode_atom(Mvex::KIND, |out| {
            // A `FullBox` header is 12 bytes (ISO/IEC 14496-12 section 4.2.2).
            duration_at = out.len() + 12;
            Mehd { fragment_duration: 0 }.encode(out)?;
            for track in tracks {
                trex(track.id).encode(out)?;
            }
            Ok(())
        })
    })
    .map_err(MuxError::Boxes)?;
    let layout = Layout {
        duration_at: duration_at as u64,
        index_at: out.len() as u64,
        index_room: index_room(index_entries, tracks.len()),
    };
    free(&mut out, layout.index_room);
    Ok((out.into(), layout))
}

/// Brands: `iso6` for `tfdt` and default-base-is-moof, and what the codecs ask for (ISO/IEC 14496-12 annex E).
fn file_type(tracks: &[TrackSpec]) -> Ftyp {
    let mut compatible_brands: Vec<FourCC> = [b"iso6", b"iso5", b"isom", b"mp41"].map(FourCC::new).to_vec();
    if tracks.iter().any(|track| matches!(track.entry, Codec::Avc1(_))) {
        compatible_brands.push(FourCC::new(b"avc1"));
    }
    Ftyp {
        major_brand: FourCC::new(b"iso6"),
        minor_version: 1,
        compatible_brands,
    }
}

fn movie_header(timescale: NonZeroU32, tracks: &[TrackSpec]) -> Mvhd {
    Mvhd {
        timescale: timescale.get(),
        rate: 1.into(),
        volume: 1.into(),
        next_track_id: tracks.iter().map(|track| track.id + 1).max().unwrap_or(1),
        ..Mvhd::default()
    }
}

fn trak(track: &TrackSpec) -> Result<Trak, MuxError> {
    let visual = track.entry.visual();
    if visual.is_none() && track.entry.audio().is_none() {
        return Err(MuxError::SampleEntry);
    }
    let (width, height) = visual.map_or((0, 0), |visual| (visual.width, visual.height));
    Ok(Trak {
        tkhd: Tkhd {
            track_id: track.id,
            enabled: true,
            in_movie: true,
            volume: u8::from(visual.is_none()).into(),
            width: width.into(),
            height: height.into(),
            ..Tkhd::default()
        },
        mdia: Mdia {
            mdhd: Mdhd {
                timescale: track.timescale.get(),
                language: "und".to_owned(),
                ..Mdhd::default()
            },
            hdlr: Hdlr {
                handler: FourCC::new(if visual.is_some() { b"vide" } else { b"soun" }),
                name: "Millrace".to_owned(),
            },
            minf: Minf {
                vmhd: visual.map(|_| Vmhd::default()),
                smhd: visual.is_none().then(Smhd::default),
                dinf: Dinf {
                    dref: Dref {
                        entries: vec![DrefEntry::Url(Url::default())],
                    },
                },
                stbl: Stbl {
                    stsd: Stsd {
                        codecs: vec![track.entry.clone()],
                    },
                    stco: Some(Stco::default()),
                    ..Stbl::default()
                },
                ..Minf::default()
            },
        },
        edts: (track.lead_in > 0).then(|| edit(track.lead_in)),
        ..Trak::default()
    })
}

/// Shows the media from `lead_in` on; a length of 0 is all there is, fragments too (ISO/IEC 14496-12 section 8.6.6.1).
fn edit(lead_in: u32) -> Edts {
    Edts {
        elst: Some(Elst {
            entries: vec![ElstEntry {
                segment_duration: 0,
                media_time: Some(lead_in.into()),
                media_rate: 1.into(),
            }],
        }),
    }
}

/// The ticks at a track's beginning that are not shown.
pub fn lead_in(trak: &Trak) -> u32 {
    let edits = trak.edts.as_ref().and_then(|edts| edts.elst.as_ref());
    let first = edits.and_then(|edits| edits.entries.first());
    let hidden = first.and_then(|edit| edit.media_time).unwrap_or(0);
    u32::try_from(hidden).unwrap_or(u32::MAX)
}

fn trex(track_id: u32) -> Trex {
    Trex {
        track_id,
        default_sample_description_index: 1,
        ..Trex::default()
    }
}

/// Writes one fragment: `moof`, the head of `mdat`, and the samples themselves, not copied.
///
/// # Errors
/// [`MuxError::Boxes`] when it is larger than 2 GiB.
pub fn fragment(sequence: u32, runs: &[Run]) -> Result<Vec<Bytes>, MuxError> {
    let mut moof = movie_fragment(sequence, runs);
    let mut head = Vec::with_capacity(256);
    moof.encode(&mut head).map_err(MuxError::Boxes)?;
    // The offsets have a fixed width, so the size is known after the first writing.
    let mut data_at = head.len() + 8;
    for (traf, run) in moof.traf.iter_mut().zip(runs) {
        let offset =
            i32::try_from(data_at).map_err(|_| MuxError::Boxes(mp4_atom::Error::TooLarge(Mdat::KIND)))?;
        for trun in &mut traf.trun {
            trun.data_offset = Some(offset);
        }
        data_at += run.samples.iter().map(|sample| sample.data.len()).sum::<usize>();
    }
    let mdat_size = u32::try_from(data_at - head.len())
        .map_err(|_| MuxError::Boxes(mp4_atom::Error::TooLarge(Mdat::KIND)))?;
    head.clear();
    moof.encode(&mut head).map_err(MuxError::Boxes)?;
    head.extend_from_slice(&mdat_size.to_be_bytes());
    head.extend_from_slice(b"mdat");
    let samples = runs.iter().flat_map(|run| &run.samples);
    Ok(std::iter::once(Bytes::from(head))
        .chain(samples.map(|sample| sample.data.clone()))
        .collect())
}

fn movie_fragment(sequence: u32, runs: &[Run]) -> Moof {
    Moof {
        mfhd: Mfhd {
            sequence_number: sequence,
        },
        traf: runs
            .iter()
            .map(|run| Traf {
                tfhd: Tfhd {
                    track_id: run.track,
                    default_base_is_moof: true,
                    ..Tfhd::default()
                },
                tfdt: Some(Tfdt {
                    base_media_decode_time: run.decode_time,
                }),
                trun: vec![Trun {
                    data_offset: Some(0),
                    samples: TrunSamples::Explicit(run.samples.iter().map(entry).collect()),
                }],
                ..Traf::default()
            })
            .collect(),
    }
}

fn entry(sample: &Sample) -> TrunEntry {
    TrunEntry {
        duration: Some(sample.duration),
        size: Some(u32::try_from(sample.data.len()).unwrap_or(u32::MAX)),
        flags: Some(if sample.key { FLAGS_KEY } else { FLAGS_NOT_KEY }),
        cts: (sample.offset != 0).then_some(i64::from(sample.offset)),
    }
}

/// How long the pictures of a fragment last, in ticks, and whether it begins with a key frame.
pub fn pictures(moof: &Moof) -> (u64, bool) {
    let runs = moof.traf.iter().filter(|traf| traf.tfhd.track_id == VIDEO_TRACK);
    let samples: Vec<TrunEntry> = runs
        .flat_map(|traf| &traf.trun)
        .flat_map(explicit)
        .copied()
        .collect();
    let duration = samples
        .iter()
        .map(|sample| u64::from(sample.duration.unwrap_or(0)))
        .sum();
    let key = samples
        .first()
        .is_some_and(|sample| sample.flags == Some(FLAGS_KEY));
    (duration, key)
}

/// Our own runs say everything of every sample.
fn explicit(trun: &Trun) -> &[TrunEntry] {
    match &trun.samples {
        TrunSamples::Explicit(entries) => entries,
        TrunSamples::Inherited { .. } => &[],
    }
}

fn free(out: &mut Vec<u8>, size: u64) {
    let size = u32::try_from(size).expect("an index of 65,535 entries is smaller than 4 GiB");
    out.extend_from_slice(&size.to_be_bytes());
    out.extend_from_slice(b"free");
    out.resize(out.len() + size as usize - 8, 0);
}

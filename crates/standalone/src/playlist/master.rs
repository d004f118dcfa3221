//! The playlist of one playlist: what a player must know before it begins (RFC 8216 section 4.3.4.2).
//!
//! Some players, those of H.265 first of all, decide by the codecs named here whether they try at all.

use super::Entry;
use crate::export::a_box;
use anyhow::Context;
use mp4_atom::{Atom, DecodeAtom, Moov};
use recorder::media::codec::rfc6381;
use std::collections::BTreeSet;

/// What a segment's header says of its tracks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tracks {
    /// RFC 6381 names.
    pub(crate) codecs: BTreeSet<String>,
    /// Pixels across and down; zero without a picture.
    pub(crate) picture: (u16, u16),
}

impl Tracks {
    /// Reads the header of a segment.
    ///
    /// # Errors
    /// It is not one.
    pub(crate) fn read(header: &[u8]) -> anyhow::Result<Self> {
        let moov = moov(header)?;
        let mut tracks = Self::default();
        for codec in moov.trak.iter().flat_map(|trak| &trak.mdia.minf.stbl.stsd.codecs) {
            tracks.codecs.extend(rfc6381(codec));
            if let Some(visual) = codec.visual() {
                tracks.picture = tracks.picture.max((visual.width, visual.height));
            }
        }
        Ok(tracks)
    }
}

fn moov(header: &[u8]) -> anyhow::Result<Moov> {
    let mut at = 0;
    loop {
        let (found, body) = a_box(header, at)?;
        if found.kind == Moov::KIND {
            return Moov::decode_atom(&found, &mut &header[body]).context("reading `moov`");
        }
        at = body.end;
    }
}

/// The playlist that names `playlist`, for segments in order.
pub(crate) fn master(entries: &[Entry], playlist: &str) -> String {
    let codecs: BTreeSet<&str> = entries
        .iter()
        .flat_map(|entry| entry.tracks.codecs.iter().map(String::as_str))
        .collect();
    // Video sorts before `mp4a`, as players expect it.
    let codecs: Vec<&str> = codecs.into_iter().collect();
    let (width, height) = entries
        .iter()
        .map(|entry| entry.tracks.picture)
        .max()
        .unwrap_or_default();
    let [peak, average] = bits_per_second(entries);
    format!(
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-STREAM-INF:BANDWIDTH={peak},\
         AVERAGE-BANDWIDTH={average},CODECS=\"{}\",RESOLUTION={width}x{height}\n{playlist}\n",
        codecs.join(",")
    )
}

/// Of the densest segment, and of all together; rounded up.
fn bits_per_second(entries: &[Entry]) -> [u128; 2] {
    let rate = |bytes: u64, milliseconds: i128| {
        let milliseconds = u128::try_from(milliseconds).unwrap_or(0).max(1);
        (u128::from(bytes) * 8_000).div_ceil(milliseconds)
    };
    let of = |entry: &Entry| rate(entry.size_bytes, entry.segment.duration.as_millis());
    let peak = entries.iter().map(of).max().unwrap_or(0);
    let bytes = entries.iter().map(|entry| entry.size_bytes).sum();
    let milliseconds = entries
        .iter()
        .map(|entry| entry.segment.duration.as_millis())
        .sum();
    [peak, rate(bytes, milliseconds)]
}

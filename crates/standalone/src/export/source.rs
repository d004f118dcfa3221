//! A segment's samples, found by its boxes (ISO/IEC 14496-12).

use anyhow::{Context, bail, ensure};
use mp4_atom::{Atom, Decode, DecodeAtom, Header, Mdat, Moof, Moov, Trak, TrunEntry};
use recorder::media::mux::lead_in;
use std::ops::Range;

/// `sample_is_non_sync_sample` of a sample's flags (section 8.8.3.1).
const NOT_KEY: u32 = 0x0001_0000;

/// A segment in memory.
#[derive(Debug)]
pub(crate) struct Source {
    pub(super) tracks: Vec<SourceTrack>,
}

/// One of its tracks.
#[derive(Debug)]
pub(super) struct SourceTrack {
    pub(super) trak: Trak,
    pub(super) samples: Vec<SourceSample>,
    /// Ticks at its beginning that are only there to decode what follows.
    lead_in: i64,
}

/// A sample, with times in ticks of its track since the segment's first frame; a lead-in is before it.
#[derive(Debug, Clone)]
pub(super) struct SourceSample {
    pub(super) decode_time: i64,
    pub(super) duration: u32,
    pub(super) offset: i64,
    pub(super) key: bool,
    /// Where its bytes are in the segment.
    pub(super) bytes: Range<usize>,
}

impl Source {
    /// Reads the boxes of a segment as our recorder writes them. Fails on anything else rather than leave frames out.
    pub(crate) fn read(file: &[u8]) -> anyhow::Result<Self> {
        let mut tracks: Vec<SourceTrack> = Vec::new();
        let mut at = 0;
        while at < file.len() {
            let (header, body) = a_box(file, at)?;
            if header.kind == Moov::KIND {
                let moov = Moov::decode_atom(&header, &mut &file[body.clone()]).context("reading `moov`")?;
                let empty = |trak| SourceTrack {
                    lead_in: lead_in(&trak).into(),
                    trak,
                    samples: Vec::new(),
                };
                tracks = moov.trak.into_iter().map(empty).collect();
            } else if header.kind == Moof::KIND {
                let moof = Moof::decode_atom(&header, &mut &file[body.clone()]).context("reading `moof`")?;
                let (next, data) = a_box(file, body.end)?;
                ensure!(next.kind == Mdat::KIND, "a `moof` without its `mdat`");
                for traf in moof.traf {
                    let of_traf = |track: &&mut SourceTrack| track.trak.tkhd.track_id == traf.tfhd.track_id;
                    let track = tracks
                        .iter_mut()
                        .find(of_traf)
                        .context("a fragment of no track")?;
                    track.add(&traf, at, &data)?;
                }
            }
            at = body.end;
        }
        ensure!(
            tracks.iter().any(|track| !track.samples.is_empty()),
            "no frame is in it"
        );
        Ok(Self { tracks })
    }
}

impl SourceTrack {
    /// A track of these samples, without a lead-in.
    #[cfg(test)]
    pub(super) fn new(trak: Trak, samples: Vec<SourceSample>) -> Self {
        Self {
            trak,
            samples,
            lead_in: 0,
        }
    }

    /// Whether it holds pictures.
    pub(super) fn is_video(&self) -> bool {
        self.trak.mdia.minf.vmhd.is_some()
    }

    fn add(&mut self, traf: &mp4_atom::Traf, moof_at: usize, data: &Range<usize>) -> anyhow::Result<()> {
        let base = traf
            .tfdt
            .as_ref()
            .context("a fragment without its time")?
            .base_media_decode_time;
        let since_lead_in = i64::try_from(base).context("reading a fragment's time")?;
        let mut decode_time = since_lead_in - self.lead_in;
        for run in &traf.trun {
            let offset = usize::try_from(run.data_offset.context("a run without its place")?)?;
            let mut from = moof_at.checked_add(offset).context("a run's place")?;
            for entry in run.samples.iter() {
                let sample = sample(&entry, decode_time, from)?;
                ensure!(
                    data.start <= sample.bytes.start && sample.bytes.end <= data.end,
                    "a sample outside its `mdat`"
                );
                from = sample.bytes.end;
                decode_time = decode_time.saturating_add(i64::from(sample.duration));
                self.samples.push(sample);
            }
        }
        Ok(())
    }
}

impl SourceSample {
    /// Whether it is part of a lead-in: decoded, and not shown.
    pub(super) fn is_hidden(&self) -> bool {
        self.decode_time < 0
    }
}

fn sample(entry: &TrunEntry, decode_time: i64, from: usize) -> anyhow::Result<SourceSample> {
    let (Some(duration), Some(size), Some(flags)) = (entry.duration, entry.size, entry.flags) else {
        bail!("a sample without duration, size or flags");
    };
    let end = from
        .checked_add(usize::try_from(size)?)
        .context("a sample's size")?;
    Ok(SourceSample {
        decode_time,
        duration,
        offset: entry.cts.unwrap_or(0),
        key: flags & NOT_KEY == 0,
        bytes: from..end,
    })
}

/// The header of the box at `at`, and where its body is.
///
/// # Errors
/// There is none, or it reaches past the end.
pub(crate) fn a_box(file: &[u8], at: usize) -> anyhow::Result<(Header, Range<usize>)> {
    let mut rest = file.get(at..).unwrap_or_default();
    let available = rest.len();
    let header = Header::decode(&mut rest).context("reading a box")?;
    let start = at + (available - rest.len());
    let size = header.size.context("a box without a size")?;
    let end = start.checked_add(size).filter(|end| *end <= file.len());
    Ok((header, start..end.context("a box is cut off")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_segment_is_refused_whatever_its_sizes_say() {
        for file in [
            &b""[..],
            b"\0\0\0",
            b"\0\0\0\x08free",
            b"\xff\xff\xff\xffmoov",
            b"\0\0\0\x01moof\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\0\0\0\0mdat",
        ] {
            assert!(Source::read(file).is_err(), "{file:?}");
        }
    }
}

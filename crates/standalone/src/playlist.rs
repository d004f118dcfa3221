//! HLS playlists (RFC 8216) of segments as they lie in the archive.
//!
//! The idea: nothing is copied or cut. Every segment is an fMP4 file of its own whose time starts at 0, so each is its
//! own timeline (`EXT-X-DISCONTINUITY`) with its own header (`EXT-X-MAP`), pinned to the clock on the wall
//! (`EXT-X-PROGRAM-DATE-TIME`); what is missing is told by date ranges, with the cause.

mod master;

pub(crate) use master::{Tracks, master};

use anyhow::{Context, bail};
use domain::SegmentKey;
use domain::coverage::{Span, State};
use jiff::Timestamp;
use std::fmt::Write;

/// A segment to play.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) segment: SegmentKey,
    /// How many bytes at its front are `ftyp` and `moov`.
    pub(crate) header_bytes: u64,
    /// What they say.
    pub(crate) tracks: Tracks,
    /// How many bytes the segment has.
    pub(crate) size_bytes: u64,
}

/// Of two recorders that overlapped, a segment that shows nothing new is left out; one that does is kept whole.
pub(crate) fn without_repeats(segments: Vec<SegmentKey>) -> Vec<SegmentKey> {
    let mut covered = Timestamp::MIN;
    let mut kept = Vec::new();
    for segment in segments {
        if segment.end() > covered {
            covered = segment.end();
            kept.push(segment);
        }
    }
    kept
}

/// How many bytes `ftyp` and `moov` take at the front of a file (boxes: ISO/IEC 14496-12 section 4.2).
pub(crate) fn header_bytes(beginning: &[u8]) -> anyhow::Result<u64> {
    let mut at = 0_usize;
    loop {
        let header = at
            .checked_add(8)
            .and_then(|end| beginning.get(at..end))
            .context("it has no `moov` where one must be")?;
        let size = u32::from_be_bytes(header[..4].try_into().expect("four bytes"));
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size < 8 {
            bail!("a box at its front has an impossible size");
        }
        at = at.saturating_add(size);
        match &header[4..] {
            b"moov" => return Ok(u64::try_from(at)?),
            b"moof" | b"mdat" => bail!("its video begins before its `moov`"),
            _ => {}
        }
    }
}

/// The playlist of `entries`, in order, of which the first may begin before `from`. `spans` tells what is missing.
pub(crate) fn playlist(entries: &[Entry], spans: &[Span], from: Timestamp, base_url: &str) -> String {
    let seconds = |entry: &Entry| entry.segment.duration.as_secs_f64();
    let longest = entries.iter().map(seconds).fold(1.0, f64::max);
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{}\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-INDEPENDENT-SEGMENTS\n",
        longest.ceil()
    );
    if let Some(first) = entries.first() {
        let early = from.duration_since(first.segment.start).as_secs_f64();
        if early > 0.0 {
            line(
                &mut text,
                format_args!("#EXT-X-START:TIME-OFFSET={early:.3},PRECISE=YES"),
            );
        }
    }
    for (number, span) in spans.iter().enumerate() {
        missing(&mut text, number, span);
    }
    for (number, entry) in entries.iter().enumerate() {
        if number > 0 {
            line(&mut text, format_args!("#EXT-X-DISCONTINUITY"));
        }
        // Bytes that keys have percent-encoded are names, not escapes of this URL.
        let url = format!("{base_url}{}", entry.segment.object_key().0.replace('%', "%25"));
        let header = entry.header_bytes;
        line(
            &mut text,
            format_args!("#EXT-X-MAP:URI=\"{url}\",BYTERANGE=\"{header}@0\""),
        );
        line(
            &mut text,
            format_args!("#EXT-X-PROGRAM-DATE-TIME:{:.3}", entry.segment.start),
        );
        line(&mut text, format_args!("#EXTINF:{:.3},\n{url}", seconds(entry)));
    }
    text.push_str("#EXT-X-ENDLIST\n");
    text
}

/// A date range for a stretch without video; players show them or not, programs can read them.
fn missing(text: &mut String, number: usize, span: &Span) {
    let cause = match span.state {
        State::Recorded => return,
        State::Gap(cause) => cause.to_string(),
        State::Unexplained => "unexplained".to_owned(),
    };
    let (start, length) = (span.start, span.duration().as_secs_f64());
    line(
        text,
        format_args!(
            "#EXT-X-DATERANGE:ID=\"gap-{number}\",CLASS=\"millrace.gap\",START-DATE=\"{start:.3}\",DURATION={length:.3},X-CAUSE=\"{cause}\""
        ),
    );
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a string takes any text");
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{ChannelKey, GapCause, Generation};
    use jiff::SignedDuration;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn segment(start: i64, seconds: i64) -> SegmentKey {
        let channel = ChannelKey::new("A/B", "1");
        SegmentKey::new(
            channel,
            at(start),
            SignedDuration::from_secs(seconds),
            Generation(1),
        )
    }

    fn entry(segment: SegmentKey) -> Entry {
        let codecs = ["mp4a.40.2", "hvc1.1.6.L93.B0"].map(str::to_owned).into();
        Entry {
            segment,
            header_bytes: 1_234,
            tracks: Tracks {
                codecs,
                picture: (1_920, 1_080),
            },
            size_bytes: 900_000,
        }
    }

    #[test]
    fn a_player_learns_the_codecs_before_it_begins() {
        let entries = [segment(0, 6), segment(6, 3)].map(entry);
        let text = master(&entries, "day.m3u8");
        let parsed = m3u8_rs::parse_master_playlist_res(text.as_bytes()).unwrap();
        let variant = &parsed.variants[0];
        assert_eq!(variant.uri, "day.m3u8");
        assert_eq!(
            (variant.bandwidth, variant.average_bandwidth),
            (2_400_000, Some(1_600_000))
        );
        assert_eq!(variant.codecs.as_deref(), Some("hvc1.1.6.L93.B0,mp4a.40.2"));
        let picture = variant.resolution.unwrap();
        assert_eq!((picture.width, picture.height), (1_920, 1_080));
    }

    #[test]
    fn players_learn_of_segments_of_their_headers_and_of_what_is_missing() {
        let entries = [segment(0, 6), segment(6, 6), segment(30, 7)].map(entry);
        let span = |start, end, state| Span {
            start: at(start),
            end: at(end),
            state,
        };
        let spans = [
            span(2, 12, State::Recorded),
            span(12, 30, State::Gap(GapCause::Network)),
            span(30, 37, State::Recorded),
        ];
        let text = playlist(&entries, &spans, at(2), "https://video.example/");
        let parsed = m3u8_rs::parse_media_playlist_res(text.as_bytes()).unwrap();
        assert_eq!((parsed.target_duration, parsed.end_list), (7, true));
        assert_eq!(parsed.start.unwrap().time_offset, 2.0);
        let told: Vec<_> = parsed
            .segments
            .iter()
            .map(|segment| (segment.duration, segment.discontinuity))
            .collect();
        assert_eq!(told, [(6.0, false), (6.0, true), (7.0, true)]);
        let last = &parsed.segments[2];
        assert_eq!(
            last.uri,
            "https://video.example/A%252FB/1/1970/01/01/19700101T000030.000Z_7000_1.mp4"
        );
        let map = last.map.as_ref().unwrap();
        assert_eq!(
            map.byte_range.as_ref().map(|range| (range.length, range.offset)),
            Some((1_234, Some(0)))
        );
        assert!(text.contains("DURATION=18.000,X-CAUSE=\"network\""), "{text}");
        assert_eq!(text.matches("DATERANGE").count(), 1);
    }

    #[test]
    fn what_shows_nothing_new_is_left_out() {
        let segments = vec![segment(0, 10), segment(2, 5), segment(8, 10), segment(30, 5)];
        let kept: Vec<_> = without_repeats(segments)
            .iter()
            .map(|segment| segment.start.as_second())
            .collect();
        assert_eq!(kept, [0, 8, 30]);
    }

    #[test]
    fn a_header_ends_with_its_moov_and_hostile_sizes_are_refused() {
        let a_box =
            |size: u32, kind: &[u8; 4], body: usize| [&size.to_be_bytes()[..], kind, &vec![0; body]].concat();
        let file = [
            a_box(16, b"ftyp", 8),
            a_box(20, b"moov", 12),
            a_box(8, b"moof", 0),
        ]
        .concat();
        assert_eq!(header_bytes(&file).unwrap(), 36);
        for file in [
            Vec::new(),
            a_box(0, b"moov", 0),
            a_box(u32::MAX, b"ftyp", 8),
            a_box(8, b"mdat", 0),
            a_box(16, b"ftyp", 8),
        ] {
            assert!(header_bytes(&file).is_err(), "{file:?}");
        }
    }
}

//! Bytes that are not what they should be: from a child that goes wrong, or a disk that does.

use crate::camera::{Camera, Sound, start};
use crate::harness::{Folder, channel, closed, record, settings};
use domain::segment::format_start;
use proptest::prelude::*;
use recorder::media::demux::{Demuxer, Item};
use recorder::media::salvage::salvage;
use simulator::media::Codec;
use std::fs;
use std::sync::OnceLock;

/// A small segment, made once.
fn segment() -> &'static [u8] {
    static SEGMENT: OnceLock<Vec<u8>> = OnceLock::new();
    SEGMENT.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let camera = Camera::film(Codec::H264, 2, Sound::Aac).await;
            let folder = Folder::new();
            let events = record(&mut folder.pipeline(settings(30)), &camera).await;
            fs::read(&closed(&events)[0].file).unwrap()
        })
    })
}

fn count(demuxer: &mut Demuxer) -> usize {
    std::iter::from_fn(|| demuxer.take())
        .filter(|item| matches!(item, Item::Sample(_)))
        .count()
}

/// Overwrites a few bytes, most of them in the boxes at the front.
fn damage() -> impl Strategy<Value = Vec<(usize, u8)>> {
    let place = prop_oneof![3 => 0_usize..5_000, 1 => 0_usize..60_000];
    proptest::collection::vec((place, any::<u8>()), 1..6)
}

fn damaged(damage: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = segment().to_vec();
    for (at, byte) in damage {
        let at = at % bytes.len();
        bytes[at] = *byte;
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_stream_reads_the_same_in_pieces_of_any_size(sizes in proptest::collection::vec(1_usize..9_000, 1..40)) {
        let mut whole = Demuxer::default();
        whole.push(segment()).unwrap();
        let (mut pieces, mut rest) = (Demuxer::default(), segment());
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at((*size).min(rest.len()));
            pieces.push(piece).unwrap();
            rest = after;
        }
        prop_assert_eq!(count(&mut whole), count(&mut pieces));
    }

    #[test]
    fn a_damaged_stream_is_an_error_or_other_samples_and_never_a_panic(damage in damage()) {
        let mut demuxer = Demuxer::default();
        let _ = demuxer.push(&damaged(&damage));
        prop_assert!(count(&mut demuxer) <= 65_536);
    }

    #[test]
    fn a_damaged_file_is_salvaged_or_reported_and_never_in_the_way(damage in damage()) {
        let folder = Folder::new();
        let place = folder.spool.folder().join(channel().prefix());
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join(format!("{}_7.part", format_start(start()))), damaged(&damage)).unwrap();
        let salvaged = salvage(&folder.spool).unwrap();
        prop_assert_eq!(salvaged.closed.len() + salvaged.damaged.len(), 1);
        prop_assert_eq!(folder.spool.pending().unwrap().len(), salvaged.closed.len());
        let again = salvage(&folder.spool).unwrap();
        prop_assert_eq!(again.closed.len() + again.damaged.len(), 0, "nothing is left to do");
    }
}

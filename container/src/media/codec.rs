//! Sample entries: how a codec's parameters look in a file, and what RFC 6381 calls them.

use crate::media::frame::VideoParams;
use crate::media::mux::MuxError;
use bytes::Bytes;
use mp4_atom::{Audio, Codec, Decode, Encode, Hvcc, Mp4a, Sowt, esds};
use std::num::NonZeroU32;

/// AAC-LC: `audioObjectType` 2 (ISO/IEC 14496-3 table 1.17).
const AAC_LC: u8 = 2;
/// `samplingFrequencyIndex` (ISO/IEC 14496-3 table 1.18).
const AAC_SAMPLE_RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350,
];
/// Samples of one AAC-LC access unit (ISO/IEC 14496-3 section 4.5.1.1).
pub const AAC_FRAME_SAMPLES: u32 = 1_024;
/// `objectTypeIndication` of MPEG-4 audio (ISO/IEC 14496-1 table 5).
const MPEG4_AUDIO: u8 = 0x40;
/// `streamType` of an audio stream (ISO/IEC 14496-1 table 6).
const AUDIO_STREAM: u8 = 5;

/// Reads a complete sample entry box and holds it to the kinds this recorder stores.
///
/// # Errors
/// [`MuxError`] when it is damaged or of another kind.
pub fn read_entry(bytes: &Bytes) -> Result<Codec, MuxError> {
    let codec = Codec::decode(&mut bytes.as_ref()).map_err(MuxError::Boxes)?;
    rfc6381(&codec).map(|_| codec).ok_or(MuxError::SampleEntry)
}

/// The bytes of a sample entry box.
///
/// # Errors
/// [`MuxError::Boxes`] when it cannot be written.
pub fn write_entry(codec: &Codec) -> Result<Bytes, MuxError> {
    let mut out = Vec::new();
    codec.encode(&mut out).map_err(MuxError::Boxes)?;
    Ok(out.into())
}

/// The parameters that a video sample entry stands for.
///
/// # Errors
/// [`MuxError::SampleEntry`] when it is no video this recorder stores.
pub fn video_params(codec: &Codec) -> Result<VideoParams, MuxError> {
    let (Some(rfc6381), Some(visual)) = (rfc6381(codec), codec.visual()) else {
        return Err(MuxError::SampleEntry);
    };
    Ok(VideoParams {
        rfc6381,
        width: visual.width.into(),
        height: visual.height.into(),
        sample_entry: write_entry(codec)?,
    })
}

/// The RFC 6381 name (section 3.3; ISO/IEC 14496-15 annex E) of a codec this recorder stores; `None` for others.
pub fn rfc6381(codec: &Codec) -> Option<String> {
    match codec {
        Codec::Avc1(entry) => Some(format!(
            "avc1.{:02x}{:02x}{:02x}",
            entry.avcc.avc_profile_indication,
            entry.avcc.profile_compatibility,
            entry.avcc.avc_level_indication
        )),
        Codec::Hvc1(entry) => Some(hevc_name(&entry.hvcc)),
        Codec::Mp4a(entry) => {
            let config = &entry.esds.es_desc.dec_config;
            let profile = config
                .dec_specific
                .as_ref()
                .map_or(AAC_LC, |specific| specific.profile);
            Some(format!("mp4a.{:x}.{profile}", config.object_type_indication))
        }
        // Not ours to list: what else a file may hold.
        _ => None,
    }
}

/// `hvc1.{space}{profile}.{compatibility, bits reversed}.{tier}{level}{.constraints, trailing zeros left off}`.
fn hevc_name(config: &Hvcc) -> String {
    let space = ["", "A", "B", "C"][usize::from(config.general_profile_space & 3)];
    let compatibility = u32::from_be_bytes(config.general_profile_compatibility_flags).reverse_bits();
    let tier = if config.general_tier_flag { 'H' } else { 'L' };
    let mut name = format!(
        "hvc1.{space}{}.{compatibility:X}.{tier}{}",
        config.general_profile_idc, config.general_level_idc
    );
    let constraints = config.general_constraint_indicator_flags;
    let used = constraints
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    for byte in &constraints[..used] {
        name.push_str(&format!(".{byte:X}"));
    }
    name
}

/// The sample entry of AAC-LC; `None` when AAC has no such rate or channel count.
pub fn aac_entry(sample_rate: NonZeroU32, channels: u16) -> Option<Codec> {
    let index = AAC_SAMPLE_RATES
        .iter()
        .position(|rate| *rate == sample_rate.get())?;
    let channel_count = u8::try_from(channels)
        .ok()
        .filter(|count| (1..=2).contains(count))?;
    Some(Codec::Mp4a(Mp4a {
        audio: audio(sample_rate, channels)?,
        esds: esds::Esds {
            es_desc: esds::EsDescriptor {
                dec_config: esds::DecoderConfig {
                    object_type_indication: MPEG4_AUDIO,
                    stream_type: AUDIO_STREAM,
                    dec_specific: Some(esds::DecoderSpecific {
                        profile: AAC_LC,
                        freq_index: u8::try_from(index).ok()?,
                        chan_conf: channel_count,
                        raw: Vec::new(),
                    }),
                    ..esds::DecoderConfig::default()
                },
                ..esds::EsDescriptor::default()
            },
        },
        btrt: None,
        taic: None,
    }))
}

/// The sample entry of 16-bit little-endian PCM (`sowt`, QuickTime): what ffmpeg is fed for G.711.
pub fn pcm_entry(sample_rate: NonZeroU32, channels: u16) -> Option<Codec> {
    Some(Codec::Sowt(Sowt {
        audio: audio(sample_rate, channels)?,
        pcmc: None,
        chnl: None,
        btrt: None,
    }))
}

fn audio(sample_rate: NonZeroU32, channels: u16) -> Option<Audio> {
    Some(Audio {
        data_reference_index: 1,
        channel_count: channels,
        sample_size: 16,
        sample_rate: u16::try_from(sample_rate.get()).ok()?.into(),
    })
}

//! The init section: what the tracks are, without any frame.

use bytes::Bytes;
use mp4_atom::{
    Atom, Audio, Av01, Av1c, Avc1, Avcc, Codec as Entry, Dinf, Dops, Dref, Encode, Esds, FourCC, Ftyp, Hdlr, Hvc1,
    Hvcc, Mdhd, Mdia, Minf, Moov, Mp4a, Mvex, Mvhd, Opus, Smhd, Stbl, Stco, Stsd, Tkhd, Trak, Trex, Url, Visual, Vmhd,
    esds,
};

use super::{Error, Output};
use crate::codec::{aac, av1};
use crate::frame::{Codec, Kind, Parameters};

/// Of the `mvhd`: milliseconds. Each track has its own.
const TIMESCALE: u32 = 1000;
/// `objectTypeIndication` of MPEG-4 audio and `streamType` of audio (ISO 14496-1, section 7.2.6.6).
const MPEG4_AUDIO: u8 = 0x40;
const AUDIO_STREAM: u8 = 5;

pub(super) fn section(outputs: &[Output]) -> Result<Bytes, Error> {
    let ftyp = Ftyp {
        major_brand: FourCC::new(b"iso5"),
        minor_version: 512,
        compatible_brands: [b"iso5", b"iso6", b"mp41"].into_iter().map(FourCC::new).collect(),
    };
    let moov = Moov {
        mvhd: Mvhd {
            timescale: TIMESCALE,
            next_track_id: outputs.iter().map(|output| output.id + 1).max().unwrap_or(1),
            rate: 1.into(),
            volume: 1.into(),
            ..Mvhd::default()
        },
        mvex: Some(Mvex {
            mehd: None,
            trex: outputs
                .iter()
                .map(|output| Trex { track_id: output.id, default_sample_description_index: 1, ..Trex::default() })
                .collect(),
        }),
        trak: outputs.iter().map(track).collect::<Result<_, _>>()?,
        ..Moov::default()
    };
    let mut out = Vec::with_capacity(2048);
    ftyp.encode(&mut out)?;
    moov.encode(&mut out)?;
    Ok(out.into())
}

fn track(output: &Output) -> Result<Trak, Error> {
    let is_video = output.track.kind == Kind::Video;
    let (width, height) = size(output);
    let (handler, name) = if is_video { (b"vide", "video") } else { (b"soun", "audio") };
    Ok(Trak {
        tkhd: Tkhd {
            track_id: output.id,
            enabled: true,
            in_movie: true,
            volume: u8::from(!is_video).into(),
            width: width.into(),
            height: height.into(),
            ..Tkhd::default()
        },
        mdia: Mdia {
            mdhd: Mdhd { timescale: output.track.clock_rate, language: "und".into(), ..Mdhd::default() },
            hdlr: Hdlr { handler: FourCC::new(handler), name: name.into() },
            minf: Minf {
                vmhd: is_video.then(Vmhd::default),
                smhd: (!is_video).then(Smhd::default),
                // Empty: the media is in this very file.
                dinf: Dinf { dref: Dref { entries: vec![Url::default().into()] } },
                stbl: Stbl {
                    stsd: Stsd { codecs: vec![entry(output)?] },
                    stco: Some(Stco::default()),
                    ..Stbl::default()
                },
                ..Minf::default()
            },
        },
        ..Trak::default()
    })
}

/// Pixels; 0 for audio. The parameter sets' parsers refuse what is above 16 bits.
fn size(output: &Output) -> (u16, u16) {
    let (width, height) = output.track.parameters.as_ref().and_then(Parameters::size).unwrap_or((0, 0));
    (u16::try_from(width).unwrap_or(u16::MAX), u16::try_from(height).unwrap_or(u16::MAX))
}

/// The sample entry (ISO 14496-15, sections 5.4.2 and 8.4.1; "AV1 Codec ISO Media File Format Binding",
/// section 2.2; ISO 14496-14, section 5.6; "Opus in ISO-BMFF", section 4.3).
fn entry(output: &Output) -> Result<Entry, Error> {
    let (width, height) = size(output);
    let visual = Visual { data_reference_index: 1, width, height, ..Visual::default() };
    match (&output.track.parameters, output.track.codec) {
        (Some(Parameters::H264(parameters)), _) => {
            let avcc = Avcc::decode_body(&mut &parameters.avcc()[..])?;
            Ok(Avc1 { visual, avcc, btrt: None, colr: None, pasp: None, taic: None, fiel: None, spatial: None }.into())
        }
        (Some(Parameters::H265(parameters)), _) => {
            let hvcc = Hvcc::decode_body(&mut &parameters.hvcc()[..])?;
            Ok(Hvc1 { visual, hvcc, ..Hvc1::default() }.into())
        }
        (Some(Parameters::Av1(config)), _) => Ok(Av01 { visual, av1c: av1c(config), ..Av01::default() }.into()),
        (Some(Parameters::Aac(config)), _) => Ok(mp4a(config).into()),
        (None, Codec::Opus) => Ok(opus(output).into()),
        (None, codec) => Err(Error::Entry(codec.name())),
    }
}

/// "AV1 Codec ISO Media File Format Binding", section 2.3.
fn av1c(config: &av1::Config) -> Av1c {
    Av1c {
        seq_profile: config.profile,
        seq_level_idx_0: config.level,
        seq_tier_0: config.high_tier,
        high_bitdepth: config.bit_depth > 8,
        twelve_bit: config.bit_depth == 12,
        monochrome: config.monochrome,
        chroma_subsampling_x: config.subsampling.0,
        chroma_subsampling_y: config.subsampling.1,
        chroma_sample_position: config.sample_position,
        initial_presentation_delay: None,
        config_obus: config.obu.to_vec(),
    }
}

fn mp4a(config: &aac::Config) -> Mp4a {
    // 16 bits before the point; rates above are 0 here, and said by the configuration.
    let rate = u16::try_from(config.sample_rate).unwrap_or(0);
    let channel_count = u16::from(config.channels);
    Mp4a {
        audio: Audio { data_reference_index: 1, channel_count, sample_size: 16, sample_rate: rate.into() },
        esds: Esds {
            es_desc: esds::EsDescriptor {
                dec_config: esds::DecoderConfig {
                    object_type_indication: MPEG4_AUDIO,
                    stream_type: AUDIO_STREAM,
                    dec_specific: Some(esds::DecoderSpecific { raw: config.raw.to_vec(), ..Default::default() }),
                    ..Default::default()
                },
                ..Default::default()
            },
        },
        btrt: None,
        taic: None,
    }
}

fn opus(output: &Output) -> Opus {
    // RFC 7587, section 4.1: always 48 kHz, and the RTP says two channels whatever is sent.
    let channels = if output.track.channels == 1 { 1 } else { 2 };
    Opus {
        audio: Audio { data_reference_index: 1, channel_count: channels, sample_size: 16, sample_rate: 48_000.into() },
        dops: Dops {
            output_channel_count: channels as u8,
            pre_skip: 0,
            input_sample_rate: 48_000,
            output_gain: 0,
            channel_mapping: None,
        },
        btrt: None,
    }
}

//! Reading.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::{Description, MAX_LINE, MAX_TRACKS, SdpError};
use crate::codec::latm::StreamMux;
use crate::codec::{aac, h264, h265};
use crate::frame::{Codec, Kind, Parameters, Track};
use crate::rtsp::message::quoted;

/// What an `m=` line and those below it say.
struct Media {
    line: usize,
    kind: Kind,
    /// At most one entry for each of the 128 types.
    payload_types: Vec<u8>,
    /// The first `a=rtpmap` of each payload type.
    maps: BTreeMap<u8, String>,
    /// The first `a=fmtp` of each payload type.
    formats: BTreeMap<u8, String>,
    control: String,
}

/// One encoding of a media line.
struct Encoding {
    codec: Codec,
    name: String,
    clock_rate: Option<u32>,
    channels: Option<u8>,
}

pub(super) fn parse(bytes: &[u8]) -> Result<Description, SdpError> {
    let text = String::from_utf8_lossy(bytes);
    let mut description =
        Description { tracks: Vec::new(), control: String::new(), name: String::new(), notes: Vec::new() };
    let mut medias: Vec<Media> = Vec::new();
    let mut number = 0;
    for line in text.trim_start_matches('\u{feff}').split('\n') {
        number += 1;
        if line.len() > MAX_LINE {
            return Err(SdpError::LineTooLong { line: number, len: line.len() });
        }
        let line = line.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        let Some((key, value)) = line.split_once('=') else { continue };
        let value = value.trim_start();
        match key.trim() {
            "m" if medias.len() == MAX_TRACKS => return Err(SdpError::TooManyTracks { line: number }),
            "m" => medias.push(Media::new(number, value)),
            // Some cameras repeat s= in front of each track.
            "s" if description.name.is_empty() && medias.is_empty() => description.name = value.to_owned(),
            "a" => match medias.last_mut() {
                Some(media) => media.attribute(value),
                None => {
                    if let Some(control) = attribute(value, "control") {
                        description.control = control.to_owned();
                    }
                }
            },
            _ => {}
        }
    }
    for media in medias {
        description.tracks.extend(media.into_track(&mut description.notes));
    }
    if description.tracks.is_empty() {
        return Err(SdpError::NoMedia { line: number });
    }
    Ok(description)
}

/// The value of an attribute, if it is this one.
fn attribute<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (key, value) = line.split_once(':')?;
    key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
}

/// `96 text`: a payload type and what is said about it.
fn by_payload_type(value: &str) -> Option<(u8, &str)> {
    let (number, text) = value.split_once(char::is_whitespace)?;
    Some((payload_type(number)?, text.trim()))
}

fn payload_type(text: &str) -> Option<u8> {
    text.parse().ok().filter(|number| *number < 128)
}

impl Media {
    /// `video 0 RTP/AVP 96 97`
    fn new(line: usize, value: &str) -> Self {
        let mut words = value.split_whitespace();
        let kind = match words.next().map(str::to_ascii_lowercase).as_deref() {
            Some("video") => Kind::Video,
            Some("audio") => Kind::Audio,
            _ => Kind::Other,
        };
        let mut payload_types = Vec::new();
        for number in words.skip(2).filter_map(payload_type) {
            if !payload_types.contains(&number) {
                payload_types.push(number);
            }
        }
        Self { line, kind, payload_types, maps: BTreeMap::new(), formats: BTreeMap::new(), control: String::new() }
    }

    fn attribute(&mut self, line: &str) {
        if let Some((number, map)) = attribute(line, "rtpmap").and_then(by_payload_type) {
            self.maps.entry(number).or_insert_with(|| map.to_owned());
        } else if let Some((number, format)) = attribute(line, "fmtp").and_then(by_payload_type) {
            self.formats.entry(number).or_insert_with(|| format.to_owned());
        } else if let Some(control) = attribute(line, "control") {
            self.control = control.to_owned();
        }
    }

    fn encoding(&self, payload_type: u8) -> Encoding {
        let fixed = static_encoding(payload_type);
        let Some(map) = self.maps.get(&payload_type) else {
            return fixed.unwrap_or(Encoding {
                codec: Codec::Other,
                name: String::new(),
                clock_rate: None,
                channels: None,
            });
        };
        let mut parts = map.split('/').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let encoding = Encoding {
            codec: Codec::from_encoding_name(name),
            name: name.to_owned(),
            clock_rate: parts.next().and_then(leading_number).filter(|rate| *rate > 0),
            channels: parts.next().and_then(leading_number).and_then(|channels| u8::try_from(channels).ok()),
        };
        // A static type with a name that nobody knows is what its number says.
        match (encoding.codec, fixed) {
            (Codec::Other, Some(fixed)) if fixed.codec != Codec::Other => fixed,
            _ => encoding,
        }
    }

    fn into_track(mut self, notes: &mut Vec<String>) -> Option<Track> {
        let line = self.line;
        if self.payload_types.is_empty() {
            self.payload_types.extend(self.maps.keys());
        }
        let known = |number: &&u8| self.encoding(**number).codec != Codec::Other;
        let Some(&payload_type) = self.payload_types.iter().find(known).or(self.payload_types.first()) else {
            notes.push(format!("line {line}: m= without an RTP payload type, left out"));
            return None;
        };
        let encoding = self.encoding(payload_type);
        let clock_rate = encoding.clock_rate.unwrap_or_else(|| {
            let rate = default_clock_rate(self.kind, encoding.codec);
            notes.push(format!("line {line}: no clock rate for payload type {payload_type}, {rate} assumed"));
            rate
        });
        let fmtp = self.formats.remove(&payload_type).unwrap_or_default();
        let latm = encoding.name.eq_ignore_ascii_case("MP4A-LATM");
        let parameters = parameters((encoding.codec, latm), &fmtp, line, notes);
        let channels = match self.kind {
            Kind::Audio => encoding.channels.unwrap_or_else(|| default_channels(encoding.codec)),
            Kind::Video | Kind::Other => 0,
        };
        Some(Track {
            kind: self.kind,
            codec: encoding.codec,
            encoding: encoding.name,
            payload_type,
            clock_rate,
            channels,
            fmtp,
            control: self.control,
            parameters,
        })
    }
}

/// Static payload types (RFC 3551, section 6).
fn static_encoding(payload_type: u8) -> Option<Encoding> {
    let (codec, clock_rate, channels) = match payload_type {
        0 => (Codec::Pcmu, 8_000, 1),
        8 => (Codec::Pcma, 8_000, 1),
        // 16 kHz sound on an 8 kHz clock, by an old mistake of the RFC that is kept (section 4.5.2).
        9 => (Codec::G722, 8_000, 1),
        10 => (Codec::L16, 44_100, 2),
        11 => (Codec::L16, 44_100, 1),
        14 => (Codec::Mp3, 90_000, 0),
        26 => (Codec::Jpeg, 90_000, 0),
        // MP2T
        33 => (Codec::Other, 90_000, 0),
        _ => return None,
    };
    Some(Encoding { codec, name: String::new(), clock_rate: Some(clock_rate), channels: Some(channels) })
}

/// What a payload format prescribes or most senders use.
fn default_clock_rate(kind: Kind, codec: Codec) -> u32 {
    match (kind, codec) {
        (_, Codec::Opus) => 48_000,
        (_, Codec::L16) => 44_100,
        (_, Codec::Mp3) => 90_000,
        (Kind::Audio, _) => 8_000,
        (Kind::Video | Kind::Other, _) => 90_000,
    }
}

/// One is meant where `a=rtpmap` says nothing (RFC 8866, section 6.6); for AAC only its configuration knows.
fn default_channels(codec: Codec) -> u8 {
    match codec {
        Codec::Pcmu | Codec::Pcma | Codec::G722 | Codec::G726 | Codec::L16 => 1,
        Codec::Opus => 2,
        _ => 0,
    }
}

/// The digits that a broken number begins with: `90000abc`.
fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

fn parameters((codec, latm): (Codec, bool), fmtp: &str, line: usize, notes: &mut Vec<String>) -> Option<Parameters> {
    match codec {
        Codec::Aac if latm => checked(StreamMux::from_fmtp(fmtp), line, notes).map(|mux| Parameters::Aac(mux.config)),
        Codec::H264 => checked(h264::Parameters::from_fmtp(fmtp), line, notes).map(Parameters::H264),
        Codec::H265 => checked(h265::Parameters::from_fmtp(fmtp), line, notes).map(Parameters::H265),
        Codec::Aac => checked(aac::Config::from_fmtp(fmtp), line, notes).map(Parameters::Aac),
        _ => None,
    }
}

/// Broken parameters are no error of the description: many cameras send the right ones in the stream.
fn checked<T, E: Display>(found: Option<Result<T, E>>, line: usize, notes: &mut Vec<String>) -> Option<T> {
    match found? {
        Ok(parameters) => Some(parameters),
        Err(error) => {
            notes.push(format!("line {line}: a=fmtp of this track left out: {}", quoted(&error.to_string())));
            None
        }
    }
}

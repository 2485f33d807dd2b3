//! Sample descriptions: `avc1`, `avc3`, `hvc1`, `hev1` (ISO 14496-15) and `mp4a` (ISO 14496-14).

use bytes::Bytes;

use super::Error;
use super::boxes::{Boxed, FourCc};
use crate::clip::ClipTrack;

/// Fields of a video description before its boxes (ISO 14496-12, section 12.1.3).
const VIDEO_FIELDS: usize = 78;
/// Fields of an audio description before its boxes (section 12.2.3), by QuickTime's version of them.
const AUDIO_FIELDS: [usize; 3] = [28, 44, 64];

/// Tags of descriptors (ISO 14496-1, section 7.2.2.1).
const ES_DESCRIPTOR: u8 = 3;
const DECODER_CONFIG: u8 = 4;
const DECODER_SPECIFIC: u8 = 5;

/// The track of the first description; the inner error says in words why the hub cannot play it.
pub(super) fn read(descriptions: &Boxed) -> Result<Result<ClipTrack, String>, Error> {
    let count = descriptions.u32(4)?;
    let first = descriptions.children(8).next().transpose()?;
    let Some(entry) = first else {
        return Err(Error::Invalid { what: descriptions.kind, at: descriptions.at, field: "entry count" });
    };
    if count > 1 {
        return Ok(Err(format!("it changes its parameters ({count} sample descriptions)")));
    }
    let refused = |error: crate::codec::Error| error.to_string();
    match &entry.kind.0 {
        b"avc1" | b"avc3" => Ok(ClipTrack::h264(&record(&entry, b"avcC")?).map_err(refused)),
        b"hvc1" | b"hev1" => Ok(ClipTrack::h265(&record(&entry, b"hvcC")?).map_err(refused)),
        b"mp4a" => audio(&entry),
        _ => Ok(Err(format!("the hub does not play {} from files", entry.kind))),
    }
}

/// The box of a video description that holds the parameter sets.
fn record(entry: &Boxed, kind: &[u8; 4]) -> Result<Bytes, Error> {
    let found = entry.children(VIDEO_FIELDS).find(|found| !matches!(found, Ok(found) if found.kind.0 != *kind));
    let missing = Error::Missing { what: FourCc(*kind), within: entry.kind, at: entry.at };
    found.transpose()?.map(|found| found.body).ok_or(missing)
}

fn audio(entry: &Boxed) -> Result<Result<ClipTrack, String>, Error> {
    let version = entry.body.get(8..10).and_then(|bytes| AUDIO_FIELDS.get(usize::from(bytes[1])));
    let fields = *version.ok_or(Error::Invalid { what: entry.kind, at: entry.at, field: "version" })?;
    let mut found = None;
    for child in entry.children(fields) {
        let child = child?;
        match &child.kind.0 {
            b"esds" => found = Some(child),
            // QuickTime wraps it.
            b"wave" => found = found.or(child.find(b"esds")?),
            _ => {}
        }
    }
    let esds = found.ok_or(Error::Missing { what: FourCc(*b"esds"), within: entry.kind, at: entry.at })?;
    let invalid = |field| Error::Invalid { what: esds.kind, at: esds.at, field };
    let body = esds.body.slice(4.min(esds.body.len())..);
    let stream = descriptor(&body, ES_DESCRIPTOR).ok_or(invalid("ES descriptor"))?;
    let flags = *stream.get(2).ok_or(invalid("ES descriptor"))?;
    // Stream dependence, URL, clock reference.
    let url = if flags & 0x40 != 0 { 1 + usize::from(stream.get(3).copied().unwrap_or(0)) } else { 0 };
    let skip = 3 + if flags & 0x80 != 0 { 2 } else { 0 } + url + if flags & 0x20 != 0 { 2 } else { 0 };
    let rest = stream.slice(skip.min(stream.len())..);
    let config = descriptor(&rest, DECODER_CONFIG).ok_or(invalid("decoder configuration"))?;
    let object = *config.first().ok_or(invalid("decoder configuration"))?;
    // MPEG-4 audio, and AAC of MPEG-2 in its three profiles.
    if !matches!(object, 0x40 | 0x66..=0x68) {
        return Ok(Err(format!("its audio is of object type {object:#04x}, not AAC")));
    }
    let rest = config.slice(13.min(config.len())..);
    let specific = descriptor(&rest, DECODER_SPECIFIC).ok_or(invalid("audio configuration"))?;
    Ok(ClipTrack::aac(specific).map_err(|error| error.to_string()))
}

/// The body of the first descriptor with that tag. Its length has up to four bytes of seven bits.
fn descriptor(bytes: &Bytes, tag: u8) -> Option<Bytes> {
    let mut at = 0;
    while let Some(found) = bytes.get(at) {
        at += 1;
        let mut len = 0;
        for _ in 0..4 {
            let byte = *bytes.get(at)?;
            at += 1;
            len = len << 7 | usize::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                break;
            }
        }
        let end = at.checked_add(len).filter(|end| *end <= bytes.len())?;
        if *found == tag {
            return Some(bytes.slice(at..end));
        }
        at = end;
    }
    None
}

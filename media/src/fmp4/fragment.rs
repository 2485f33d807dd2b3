//! A fragment: a `moof` that says what its frames are, and an `mdat` with them.

use bytes::{BufMut, Bytes, BytesMut};
use mp4_atom::{Encode, Mfhd, Moof, Tfdt, Tfhd, Traf, Trun, TrunEntry, TrunSamples};

use super::{Error, LEAD, Output, Sample};
use crate::frame::Codec;

/// `sample_flags` (ISO 14496-12, section 8.8.3.1) of a frame that depends on no other.
const KEY: u32 = 0x0200_0000;
/// Of one that depends on others and is no place to start.
const NOT_KEY: u32 = 0x0101_0000;
/// Bytes before an `mdat`'s data.
const MDAT_HEAD: usize = 8;

pub(super) fn write(outputs: &[Output], sequence: u32, samples: &[Sample]) -> Result<Bytes, Error> {
    let runs: Vec<_> = outputs
        .iter()
        .map(|output| (output, samples.iter().filter(|sample| sample.frame.track == output.index).collect::<Vec<_>>()))
        .filter(|(_, samples)| !samples.is_empty())
        .collect();
    let data: usize = runs.iter().flat_map(|(output, samples)| samples.iter().map(|s| stored(output, s))).sum();
    // The boxes are as long whatever the offsets are: the first time tells how long.
    let mut head = encoded(&moof(sequence, &runs, 0))?;
    let len = i32::try_from(head.len() + MDAT_HEAD + data).map_err(|_| Error::Box("a fragment of 2 GiB".into()))?;
    head = encoded(&moof(sequence, &runs, len - data as i32))?;
    let mut out = BytesMut::with_capacity(len as usize);
    out.put_slice(&head);
    out.put_u32((MDAT_HEAD + data) as u32);
    out.put_slice(b"mdat");
    for (output, samples) in &runs {
        for sample in samples {
            put(output, sample, &mut out);
        }
    }
    Ok(out.freeze())
}

fn encoded(moof: &Moof) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(1024);
    moof.encode(&mut out)?;
    Ok(out)
}

fn moof(sequence: u32, runs: &[(&Output, Vec<&Sample>)], mut offset: i32) -> Moof {
    let trafs = runs.iter().map(|(output, samples)| {
        let traf = traf(output, samples, offset);
        offset += samples.iter().map(|sample| stored(output, sample)).sum::<usize>() as i32;
        traf
    });
    Moof { mfhd: Mfhd { sequence_number: sequence }, traf: trafs.collect() }
}

fn traf(output: &Output, samples: &[&Sample], offset: i32) -> Traf {
    let begin = samples.first().map_or(0, |sample| sample.frame.dts) + LEAD * i64::from(output.track.clock_rate);
    let entries = samples.iter().map(|sample| {
        let frame = &sample.frame;
        TrunEntry {
            duration: Some(sample.duration),
            size: Some(stored(output, sample) as u32),
            flags: Some(if frame.key { KEY } else { NOT_KEY }),
            // Signed 32 bits; a wider difference is a broken clock's.
            cts: Some((frame.pts - frame.dts).clamp(i64::from(i32::MIN), i64::from(i32::MAX))),
        }
    });
    Traf {
        tfhd: Tfhd { track_id: output.id, default_base_is_moof: true, ..Tfhd::default() },
        tfdt: Some(Tfdt { base_media_decode_time: begin.max(0) as u64 }),
        trun: vec![Trun { data_offset: Some(offset), samples: TrunSamples::Explicit(entries.collect()) }],
        ..Traf::default()
    }
}

fn has_lengths(output: &Output) -> bool {
    matches!(output.track.codec, Codec::H264 | Codec::H265)
}

/// Bytes of a sample as it is stored.
fn stored(output: &Output, sample: &Sample) -> usize {
    let units = &sample.frame.units;
    units.len() + if has_lengths(output) { 4 * units.count() } else { 0 }
}

fn put(output: &Output, sample: &Sample, out: &mut BytesMut) {
    for unit in sample.frame.units.iter() {
        if has_lengths(output) {
            out.put_u32(unit.len() as u32);
        }
        unit.write_to(out);
    }
}

//! Writes frames as PES packets (section 2.4.3.6): one an access unit, complete in whole transport packets.

use bytes::{Bytes, BytesMut};

use super::packets::{Start, Writer, put_empty};
use super::{PACKET, psi, refusal};
use crate::codec::aac::AdtsHeader;
use crate::frame::{Codec, Frame, Kind, Parameters, Track};
use crate::output::{Mux, has_parameters};

/// TS time of the timeline's 0: decode times before it (reordered frames, audio that arrived first) stay above zero, and so
/// does the clock that runs before them.
const LEAD: i64 = 90_000;
/// How far the clock reference is behind decode times: room for tracks that come a little apart. Players that follow the
/// clock show pictures this much later, so it is short.
const CLOCK_BEHIND: i64 = 90 * 200;
/// The clock comes at least this often as long as anything comes (section 2.7.2 asks for 100 ms).
const CLOCK_EVERY: i64 = 90 * 80;
/// The tables come at least this often, for those who begin in the middle.
const TABLES_EVERY: i64 = 90 * 500;

const VIDEO_PID: u16 = 0x100;
const AUDIO_PID: u16 = 0x101;
const START_CODE: [u8; 4] = [0, 0, 0, 1];
/// `primary_pic_type` 7, `pic_type` 2: any slices.
const AUD_264: [u8; 2] = [9, 0xf0];
const AUD_265: [u8; 3] = [0x46, 1, 0x50];

/// Writes one source's frames. The continuity counters are those of all its viewers.
#[derive(Debug, Clone)]
pub struct Muxer {
    video: Option<Output>,
    audio: Option<Output>,
    /// The video while sound goes alone.
    absent: Option<Output>,
    /// Of the last packets of PAT and PMT.
    tables: [u8; 2],
    version: u8,
    /// Decode time at which the tables were last written.
    told: Option<i64>,
    /// The last clock reference.
    clock: Option<i64>,
}

#[derive(Debug, Clone)]
struct Output {
    index: usize,
    track: Track,
    pid: u16,
    /// Of the last packet.
    counter: u8,
    adts: Option<AdtsHeader>,
}

impl Output {
    fn new(index: usize, track: &Track, counter: u8) -> Self {
        let pid = if track.kind == Kind::Video { VIDEO_PID } else { AUDIO_PID };
        Self { index, track: track.clone(), pid, counter, adts: adts(track.parameters.as_ref()) }
    }

    fn ready(&self) -> bool {
        has_parameters(&self.track) && (self.track.codec != Codec::Aac || self.adts.is_some())
    }

    /// `stream_type` (table 2-34).
    fn stream_type(&self) -> u8 {
        match self.track.codec {
            Codec::H264 => 0x1b,
            Codec::H265 => 0x24,
            Codec::Mp3 => 0x03,
            _ => 0x0f,
        }
    }

    /// In units of 90 kHz.
    fn time(&self, ticks: i64) -> i64 {
        (i128::from(ticks) * 90_000).div_euclid(i128::from(self.track.clock_rate)) as i64 + LEAD
    }

    /// What goes before the frame's units, and what before each of them.
    fn prefix(&self, frame: &Frame) -> (Vec<&[u8]>, &'static [u8]) {
        let mut parts: Vec<&[u8]> = Vec::new();
        match self.track.codec {
            Codec::H264 => parts.extend([&START_CODE[..], &AUD_264]),
            Codec::H265 => parts.extend([&START_CODE[..], &AUD_265]),
            _ => return (parts, &[]),
        }
        if frame.key {
            match &self.track.parameters {
                Some(Parameters::H264(p)) => {
                    for nal in std::iter::once(&p.sps).chain(&p.pps) {
                        parts.extend([&START_CODE[..], nal]);
                    }
                }
                Some(Parameters::H265(p)) => {
                    for nal in [&p.vps, &p.sps].into_iter().chain(&p.pps) {
                        parts.extend([&START_CODE[..], nal]);
                    }
                }
                _ => {}
            }
        }
        (parts, &START_CODE)
    }
}

fn adts(parameters: Option<&Parameters>) -> Option<AdtsHeader> {
    match parameters {
        Some(Parameters::Aac(config)) => config.adts(),
        _ => None,
    }
}

impl Muxer {
    /// For the first video and the first audio track that TS can carry.
    pub fn new(tracks: &[Track]) -> Self {
        let mut muxer =
            Self { video: None, audio: None, absent: None, tables: [15; 2], version: 31, told: None, clock: None };
        muxer.retune(tracks);
        muxer
    }

    /// Its tables change: they go out with the next frame.
    fn change(&mut self) {
        self.version = (self.version + 1) & 31;
        self.told = None;
    }

    /// The tables, for a segment that is played alone (RFC 8216, section 3.2).
    pub fn begin_segment(&mut self, out: &mut BytesMut) {
        self.tables = self.tables.map(|counter| (counter + 1) & 15);
        self.put_tables(self.tables, out);
    }

    fn outputs(&self) -> impl Iterator<Item = &Output> {
        [&self.video, &self.audio].into_iter().flatten()
    }

    fn output(&self, track: usize) -> Option<&Output> {
        self.outputs().find(|output| output.index == track)
    }

    fn lead(&self) -> Option<&Output> {
        self.outputs().next()
    }

    /// Whether the tables go before a frame: at the video's key frames, and not too seldom.
    fn tells(&self, frame: &Frame) -> bool {
        let Some(output) = self.output(frame.track).filter(|_| self.leads(frame.track)) else { return false };
        let due = self.told.is_none_or(|told| output.time(frame.dts) - told >= TABLES_EVERY);
        due || frame.key && output.track.kind == Kind::Video
    }

    fn put_tables(&self, [pat, pmt]: [u8; 2], out: &mut BytesMut) {
        psi::pat(pat, out);
        let pcr_pid = self.lead().map_or(VIDEO_PID, |lead| lead.pid);
        let entries = self.outputs().filter(|output| output.ready()).map(|output| (output.stream_type(), output.pid));
        psi::pmt(pmt, self.version, pcr_pid, entries, out);
    }

    /// The clock reference to write with a frame, if it is time for one. It never goes back.
    fn next_clock(&mut self, track: usize, dts: i64) -> Option<i64> {
        let leads = self.leads(track);
        let due = self.clock.is_none_or(|clock| dts - CLOCK_BEHIND - clock >= CLOCK_EVERY);
        if !leads && !due {
            return None;
        }
        let clock = self.clock.map_or(dts - CLOCK_BEHIND, |clock| clock.max(dts - CLOCK_BEHIND));
        self.clock = Some(clock);
        Some(clock)
    }
}

impl Mux for Muxer {
    /// Counters go on, and the table has a new version.
    fn retune(&mut self, tracks: &[Track]) {
        let first = |kind, before: &Option<Output>| {
            let (index, track) =
                tracks.iter().enumerate().find(|(_, track)| track.kind == kind && refusal(track).is_none())?;
            Some(Output::new(index, track, before.as_ref().map_or(15, |before| before.counter)))
        };
        (self.video, self.audio) = (first(Kind::Video, &self.video), first(Kind::Audio, &self.audio));
        self.absent = None;
        self.change();
    }

    /// They go out with each key frame anyway.
    fn set_parameters(&mut self, track: usize, parameters: &Parameters) -> bool {
        let outputs = [&mut self.video, &mut self.audio, &mut self.absent];
        let Some(output) = outputs.into_iter().flatten().find(|output| output.index == track) else { return false };
        let before = output.ready();
        output.track.parameters = Some(parameters.clone());
        output.adts = adts(Some(parameters));
        if before != output.ready() {
            self.change();
        }
        false
    }

    fn leave_out_video(&mut self) -> bool {
        if self.absent.is_none() && self.audio.is_some() {
            self.absent = self.video.take();
            self.change();
        }
        self.absent.is_some()
    }

    /// The tables go out with the frame itself.
    fn take_video_back(&mut self, frame: &Frame) -> bool {
        let video = self.absent.take_if(|absent| frame.key && absent.index == frame.track && absent.ready());
        if video.is_some() {
            self.video = video;
            self.change();
        }
        false
    }

    fn carries(&self, track: usize) -> bool {
        self.output(track).is_some()
    }

    fn leads(&self, track: usize) -> bool {
        self.lead().is_some_and(|lead| lead.index == track)
    }

    fn ready(&self) -> bool {
        self.lead().is_some_and(Output::ready)
    }

    /// The tables, if `frame` does not bring them itself.
    fn head(&self, frame: &Frame) -> Bytes {
        let mut out = BytesMut::new();
        if !self.tells(frame) {
            self.put_tables(self.tables, &mut out);
        }
        out.freeze()
    }

    fn headers(&self, _: &Frame) -> Bytes {
        Bytes::new()
    }

    /// Says that counters and clock do not follow on what came before.
    fn resumption(&self, frame: &Frame) -> Bytes {
        let mut out = BytesMut::with_capacity(6 * PACKET);
        for (pid, counter) in [psi::PAT_PID, psi::PMT_PID].into_iter().zip(self.tables) {
            put_empty(&mut out, pid, counter, None, true);
        }
        for output in self.outputs() {
            put_empty(&mut out, output.pid, output.counter, None, true);
        }
        out.unsplit(BytesMut::from(self.head(frame)));
        out.freeze()
    }

    fn size(&self, frame: &Frame) -> usize {
        let parameters = match self.output(frame.track).map(|output| &output.track.parameters) {
            Some(Some(Parameters::H264(p))) => p.sps.len() + p.pps.iter().map(|pps| pps.len() + 4).sum::<usize>(),
            Some(Some(Parameters::H265(p))) => {
                p.vps.len() + p.sps.len() + p.pps.iter().map(|pps| pps.len() + 4).sum::<usize>()
            }
            _ => 0,
        };
        let bytes = frame.units.len() + 4 * frame.units.count() + parameters + 64;
        // Tables, a clock reference of its own, the first packet's adaptation field, the last packet's stuffing.
        (bytes / 184 + 6) * PACKET
    }

    fn write(&mut self, frame: &Frame, out: &mut BytesMut) -> bool {
        let Some(output) = self.output(frame.track).filter(|output| output.ready()) else { return false };
        let adts = match output.adts {
            Some(header) => match header.of_frame(frame.units.len()) {
                Some(header) => Some(header),
                None => return false,
            },
            None => None,
        };
        let (pts, dts) = (output.time(frame.pts), output.time(frame.dts));
        if self.tells(frame) {
            self.tables = self.tables.map(|counter| (counter + 1) & 15);
            self.put_tables(self.tables, out);
            self.told = Some(dts);
        }
        let clock = self.next_clock(frame.track, dts);
        if !self.leads(frame.track)
            && let (Some(clock), Some(lead)) = (clock, self.lead())
        {
            put_empty(out, lead.pid, lead.counter, Some(clock), false);
        }
        let leads = self.leads(frame.track);
        let both = [&mut self.video, &mut self.audio];
        let Some(output) = both.into_iter().flatten().find(|output| output.index == frame.track) else { return false };
        let mut counter = output.counter;
        let start = Start { pcr: clock.filter(|_| leads), random_access: frame.key };
        output.put_frame(frame, (pts, dts), adts, (start, &mut counter), out);
        output.counter = counter;
        true
    }
}

impl Output {
    fn put_frame(
        &self,
        frame: &Frame,
        (pts, dts): (i64, i64),
        adts: Option<[u8; AdtsHeader::LEN]>,
        (start, counter): (Start, &mut u8),
        out: &mut BytesMut,
    ) {
        let (mut prefix, separator) = self.prefix(frame);
        prefix.extend(adts.as_ref().map(|header| &header[..]));
        let body = prefix.iter().map(|part| part.len()).sum::<usize>()
            + frame.units.len()
            + separator.len() * frame.units.count();
        let video = self.track.kind == Kind::Video;
        let header = PesHeader::new(video, pts, dts, body);
        let mut writer = Writer::new(out, self.pid, counter, start, header.bytes().len() + body);
        writer.put(header.bytes());
        prefix.iter().for_each(|part| writer.put(part));
        for unit in frame.units.iter() {
            writer.put(separator);
            unit.pieces().for_each(|piece| writer.put(piece));
        }
    }
}

/// The header of a PES packet.
#[derive(Debug)]
struct PesHeader {
    bytes: [u8; 19],
    len: usize,
}

impl PesHeader {
    fn new(video: bool, pts: i64, dts: i64, body: usize) -> Self {
        let mut bytes = [0; 19];
        let times = if pts == dts { 5 } else { 10 };
        // 0: the packet ends where the next one begins, which only video may say (section 2.4.3.7). Where the length fits it
        // is said, so that a player need not wait for the next picture to know that this one is whole.
        let length = u16::try_from(3 + times + body).unwrap_or(0);
        let [high, low] = length.to_be_bytes();
        let id = if video { 0xe0 } else { 0xc0 };
        // data_alignment_indicator; which times there are; how long they are
        let flags = if times == 5 { 0x80 } else { 0xc0 };
        bytes[..9].copy_from_slice(&[0, 0, 1, id, high, low, 0x84, flags, times as u8]);
        if times == 5 {
            bytes[9..14].copy_from_slice(&timestamp(2, pts));
        } else {
            bytes[9..14].copy_from_slice(&timestamp(3, pts));
            bytes[14..19].copy_from_slice(&timestamp(1, dts));
        }
        Self { bytes, len: 9 + times }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// 33 bits in five bytes, with marker bits between them. They start again at 0 after 26 hours.
fn timestamp(kind: u8, time: i64) -> [u8; 5] {
    let time = time as u64;
    [
        kind << 4 | (time >> 29) as u8 & 0x0e | 1,
        (time >> 22) as u8,
        (time >> 14) as u8 | 1,
        (time >> 7) as u8,
        (time << 1) as u8 | 1,
    ]
}

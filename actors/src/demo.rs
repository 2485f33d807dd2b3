//! Publishes a clip in a loop, with a clock that goes on for ever. It sends RTP packets to its source as a camera would.

use std::time::{Duration, Instant};

use actix::prelude::*;
use bytes::Bytes;
use ipchub_media::codec::{aac, h264};
use ipchub_media::flv::{demux, tag};
use ipchub_media::frame::Units;
use ipchub_media::rtp::packetize::Packetizer;
use ipchub_media::rtp::receiver::Received;
use ipchub_media::{Codec, Kind, Parameters, Track};

use crate::hub::Hub;
use crate::messages::{Claim, EndPublishing, Found, Media, MediaItem, Publish};
use crate::rtsp::udp::random_u64;
use crate::source::Source;

const VIDEO: usize = 0;
const AUDIO: usize = 1;
const VIDEO_CLOCK: u32 = 90_000;
/// Payload bytes of a packet: it fits an Ethernet frame.
const MAX_PAYLOAD: usize = 1400;
/// An ended demo comes back after this.
const RESTART: Duration = Duration::from_secs(1);

/// Why a clip cannot be published.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ClipError {
    #[error("the clip: {0}")]
    Demux(#[from] demux::DemuxError),
    #[error("the clip has no usable {0}")]
    Missing(&'static str),
}

/// The actor that plays a clip to its path.
#[derive(Debug)]
pub struct DemoPublisher {
    hub: Hub,
    path: String,
    clip: Clip,
    packetizers: [Packetizer; 2],
    live: Option<Live>,
}

#[derive(Debug)]
struct Live {
    id: u64,
    source: Addr<Source>,
    /// When the clip's time was 0.
    start: Instant,
    next: usize,
    loops: u32,
}

#[derive(Debug)]
struct Clip {
    tracks: Vec<Track>,
    frames: Vec<ClipFrame>,
    length: Duration,
}

#[derive(Debug)]
struct ClipFrame {
    track: usize,
    /// Decode time.
    at: Duration,
    /// Presentation time in ticks of the track's clock.
    ticks: u32,
    units: Units,
}

impl DemoPublisher {
    /// Plays an FLV clip of H.264 and AAC.
    pub fn new(hub: Hub, path: &str, clip: &'static [u8]) -> Result<Self, ClipError> {
        let clip = Clip::read(&Bytes::from_static(clip))?;
        let packetizer = |n: usize| {
            let track = &clip.tracks[n];
            Packetizer::new(track.codec, track.payload_type, random_u64() as u32, MAX_PAYLOAD)
                .ok_or(ClipError::Missing("codec"))
        };
        let packetizers = [packetizer(VIDEO)?, packetizer(AUDIO)?];
        Ok(Self { hub, path: path.to_owned(), clip, packetizers, live: None })
    }

    fn publish(&mut self, ctx: &mut Context<Self>) {
        let claim = Claim { path: self.path.clone(), arbiter: Arbiter::current() };
        ctx.spawn(self.hub.supervisor.send(claim).into_actor(self).map(|found, demo, ctx| {
            if let Ok(Ok(found)) = found {
                demo.begin(found, ctx);
            }
        }));
    }

    fn begin(&mut self, found: Found, ctx: &mut Context<Self>) {
        let id = self.hub.publisher_id();
        found.source.do_send(Publish {
            id,
            addr: "demo clip".into(),
            tracks: self.clip.tracks.clone(),
            publisher: ctx.address().recipient(),
        });
        self.live = Some(Live { id, source: found.source, start: Instant::now(), next: 0, loops: 0 });
        self.send_due(ctx);
    }

    /// Sends every frame that is due and comes back for the next.
    fn send_due(&mut self, ctx: &mut Context<Self>) {
        let Some(live) = &mut self.live else { return };
        let now = self.hub.started.at.elapsed();
        let elapsed = live.start.elapsed();
        let mut media = Media { publisher: live.id, arrival: now, bytes: 0, items: Vec::new() };
        let wait = loop {
            let Some(frame) = self.clip.frames.get(live.next) else {
                live.next = 0;
                live.loops = live.loops.wrapping_add(1);
                continue;
            };
            let due = frame.at + self.clip.length * live.loops;
            if due > elapsed {
                break due - elapsed;
            }
            let rate = u128::from(self.clip.tracks[frame.track].clock_rate);
            let offset = self.clip.length.as_micros() * u128::from(live.loops) * rate / 1_000_000;
            let mut packets = Vec::new();
            let timestamp = frame.ticks.wrapping_add(offset as u32);
            self.packetizers[frame.track].packetize(&frame.units, timestamp, &mut packets);
            for packet in packets {
                media.bytes += packet.payload.len() as u64;
                media.items.push(MediaItem::Packet { track: frame.track, received: Received { packet, lost: false } });
            }
            live.next += 1;
        };
        // A source that is too busy for a clip misses a frame of it.
        let gone = matches!(live.source.try_send(media), Err(SendError::Closed(_)));
        if gone {
            self.live = None;
            ctx.run_later(RESTART, Self::publish);
        } else {
            ctx.run_later(wait, Self::send_due);
        }
    }
}

impl Actor for DemoPublisher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.publish(ctx);
    }
}

impl Handler<EndPublishing> for DemoPublisher {
    type Result = ();

    /// Ended by the administrator or taken over: the clip gives way.
    fn handle(&mut self, end: EndPublishing, ctx: &mut Self::Context) {
        log::info!("{}: the demo clip ends: {}", self.path, end.reason);
        self.live = None;
        ctx.stop();
    }
}

impl Clip {
    fn read(file: &Bytes) -> Result<Self, ClipError> {
        let (mut video, mut audio) = (None, None);
        let mut frames = Vec::new();
        let (mut ends, mut last) = ([Duration::ZERO; 2], [Duration::ZERO; 2]);
        for tag in demux::tags(file)? {
            let at = Duration::from_millis(tag.timestamp.into());
            let data = &tag.data;
            let (track, ticks, units) = match (tag.kind, data.first_chunk::<5>()) {
                (tag::VIDEO, Some([_, 0, ..])) => {
                    video = avcc_parameters(&data[5..]);
                    continue;
                }
                (tag::VIDEO, Some([_, 1, c0, c1, c2])) => {
                    let composition = u32::from_be_bytes([0, *c0, *c1, *c2]);
                    (VIDEO, (tag.timestamp + composition) * (VIDEO_CLOCK / 1000), avcc_units(data, 5))
                }
                (tag::AUDIO, _) if data.get(1) == Some(&0) => {
                    audio = aac::Config::parse(data.slice(2..)).ok();
                    continue;
                }
                (tag::AUDIO, _) if data.len() > 2 => {
                    let rate = audio.as_ref().map_or(0, |config| config.sample_rate);
                    // From the count of frames, not from milliseconds: those are rounded.
                    let count = frames.iter().filter(|frame: &&ClipFrame| frame.track == AUDIO).count() as u32;
                    if rate == 0 {
                        continue;
                    }
                    (AUDIO, count * 1024, Units::single(data.slice(2..)))
                }
                _ => continue,
            };
            ends[track] = at + (at - last[track]);
            last[track] = at;
            frames.push(ClipFrame { track, at, ticks, units });
        }
        let video = video.ok_or(ClipError::Missing("H.264 parameter sets"))?;
        let audio = audio.ok_or(ClipError::Missing("AAC configuration"))?;
        if ends[VIDEO].is_zero() {
            return Err(ClipError::Missing("video"));
        }
        let track = |kind, codec, encoding: &str, clock_rate, channels, parameters| Track {
            kind,
            codec,
            encoding: encoding.into(),
            payload_type: if kind == Kind::Video { 96 } else { 97 },
            clock_rate,
            channels,
            fmtp: if kind == Kind::Video {
                "packetization-mode=1".into()
            } else {
                "mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3".into()
            },
            control: String::new(),
            parameters: Some(parameters),
        };
        let (rate, channels) = (audio.sample_rate, audio.channels);
        let tracks = vec![
            track(Kind::Video, Codec::H264, "H264", VIDEO_CLOCK, 0, Parameters::H264(video)),
            track(Kind::Audio, Codec::Aac, "mpeg4-generic", rate, channels, Parameters::Aac(audio)),
        ];
        Ok(Self { tracks, frames, length: ends[VIDEO] })
    }
}

/// The parameter sets of an AVCDecoderConfigurationRecord (ISO 14496-15, section 5.3.3.1) with one of each.
fn avcc_parameters(record: &[u8]) -> Option<h264::Parameters> {
    let sized = |at: usize| -> Option<Bytes> {
        let len = usize::from(u16::from_be_bytes(*record.get(at..)?.first_chunk()?));
        record.get(at + 2..at + 2 + len).map(Bytes::copy_from_slice)
    };
    let sps = sized(6)?;
    let pps = sized(6 + 2 + sps.len() + 1)?;
    h264::Parameters::new(sps, pps).ok()
}

/// The NAL units of a frame with lengths of four bytes before them.
fn avcc_units(data: &Bytes, mut at: usize) -> Units {
    let mut units = Units::new();
    while let Some(len) = data.get(at..).and_then(|rest| rest.first_chunk()).map(|b| u32::from_be_bytes(*b) as usize) {
        let Some(end) = at.checked_add(4 + len).filter(|end| *end <= data.len()) else { break };
        units.push(data.slice(at + 4..end));
        at = end;
    }
    units
}

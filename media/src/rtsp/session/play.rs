//! SETUP to play, and PLAY: which tracks are wanted, where they go, and from where on.

use super::describe::{TrackUrl, transport};
use super::events::{Described, Group, Play, SessionConfig, TrackTransport};
use super::setup::{free_channels, owner};
use super::{Answer, Refusal, refusal};
use crate::path;
use crate::rtsp::headers::{Mode, Protocol, Range, RtpInfo, RtpStart, Transport, rtp_info};
use crate::rtsp::message::{Request, Response, quoted};
use crate::sdp::AddressFamily;

/// What DESCRIBE said and SETUP added to it.
#[derive(Debug)]
pub(super) struct Playback {
    pub(super) path: String,
    /// The stream's URL as the client knows it, see [`super::describe::base`].
    pub(super) base: String,
    pub(super) described: Described,
    /// Index: track. All that are set up go the same way.
    pub(super) transports: Vec<Option<TrackTransport>>,
    /// What the shell said of the stream's multicast group; kept while a track goes there.
    pub(super) group: Option<Result<Group, (u16, String)>>,
}

impl Playback {
    pub(super) fn new(path: String, base: String, described: Described) -> Self {
        let transports = vec![None; described.tracks.len()];
        Self { path, base, described, transports, group: None }
    }

    /// Sets up the track that the request names. An error changes nothing.
    pub(super) fn setup(&mut self, request: &Request, config: &SessionConfig) -> Answer {
        let answer = self.set_up(request, config);
        if !self.transports.contains(&Some(TrackTransport::Multicast)) {
            self.group = None;
        }
        answer
    }

    /// Whether the answer to a SETUP depends on the stream's multicast group, which is not known.
    pub(super) fn wants_group(&self, request: &Request, config: &SessionConfig) -> bool {
        let header = request.headers.get("Transport").filter(|_| config.multicast && self.group.is_none());
        let (Some(header), Some(track)) = (header, self.track_of(&request.uri, config)) else { return false };
        let alternatives = Transport::parse_list(header);
        let first = alternatives.iter().find(|asked| {
            asked.protocol == Protocol::Multicast && offers_multicast(config).is_ok()
                || self.accept(track, asked, config).is_ok()
        });
        first.is_some_and(|asked| asked.protocol == Protocol::Multicast)
    }

    fn set_up(&mut self, request: &Request, config: &SessionConfig) -> Answer {
        let track = self
            .track_of(&request.uri, config)
            .ok_or_else(|| refusal(404, format!("No track of {} has the URL {}.", self.path, quoted(&request.uri))))?;
        let header = transport(request)?;
        let mut why = refusal(461, format!("Transport {} is not offered here.", quoted(header)));
        for asked in Transport::parse_list(header) {
            match self.accept(track, &asked, config) {
                Ok((transport, answer)) => {
                    self.take(track, transport);
                    return Ok(Response::new(200).with("Transport", answer.to_string()));
                }
                Err(refusal) => why = refusal,
            }
        }
        Err(why)
    }

    /// The track by its control; the stream's own URL means the only one.
    fn track_of(&self, uri: &str, config: &SessionConfig) -> Option<usize> {
        match TrackUrl::read(uri).track {
            Some(track) => (track < self.transports.len()).then_some(track),
            None => {
                let own = config.stream.is_some() || path::of_uri(uri).0 == self.path;
                (own && self.transports.len() == 1).then_some(0)
            }
        }
    }

    fn accept(
        &self,
        track: usize,
        asked: &Transport,
        config: &SessionConfig,
    ) -> Result<(TrackTransport, Transport), Refusal> {
        if asked.mode == Some(Mode::Record) {
            return Err(refusal(
                455,
                "mode=record, expected mode=play: this session was begun with DESCRIBE or SETUP.",
            ));
        }
        let ssrc = self.described.ssrcs.get(track).copied();
        let mut answer = Transport { mode: asked.mode, ssrc, ..Transport::new(asked.protocol) };
        let transport = match asked.protocol {
            Protocol::Tcp => {
                let (rtp, rtcp) = self.channels(track, asked.interleaved)?;
                answer.interleaved = Some((rtp, rtcp));
                TrackTransport::Interleaved { rtp, rtcp }
            }
            Protocol::Udp => {
                answer.server_port = Some(config.udp_ports.ok_or(refusal(461, "UDP is not offered here, TCP is."))?);
                let ports = asked.client_port.filter(|(rtp, rtcp)| *rtp > 0 && *rtcp > 0);
                let (client_rtp, client_rtcp) = ports.ok_or(refusal(461, "The transport has no client_port."))?;
                answer.client_port = ports;
                TrackTransport::Udp { client_rtp, client_rtcp }
            }
            Protocol::Multicast => {
                offers_multicast(config)?;
                let group = match &self.group {
                    Some(Ok(group)) => group,
                    Some(Err((status, text))) => return Err(refusal(*status, text.clone())),
                    None => return Err(refusal(461, "Multicast is not offered here.")),
                };
                answer.destination = Some(group.address.to_string());
                answer.source = Some(group.source.to_string());
                answer.port = Some(group.ports(track).ok_or(refusal(461, "There is no port for this track."))?);
                answer.ttl = Some(group.ttl);
                TrackTransport::Multicast
            }
        };
        match self.unlike(transport) {
            Some(other) if self.transports.get(track) == Some(&None) => {
                let text = format!("Track {other} goes another way, expected the same for all tracks of a session.");
                Err(refusal(461, text))
            }
            _ => Ok((transport, answer)),
        }
    }

    /// The client's choice of channels, which is usually the track's own, or else free ones.
    fn channels(&self, track: usize, asked: Option<(u8, u8)>) -> Result<(u8, u8), Refusal> {
        let own = u8::try_from(track).ok().and_then(|track| track.checked_mul(2)).map(|rtp| (rtp, rtp + 1));
        let free = |channel: u8| owner(&self.transports, track, channel).is_none();
        let wanted = asked.or(own).filter(|(rtp, rtcp)| rtp != rtcp && free(*rtp) && free(*rtcp));
        wanted.map_or_else(|| free_channels(&self.transports, track), Ok)
    }

    /// A track that goes another way.
    fn unlike(&self, transport: TrackTransport) -> Option<usize> {
        self.transports.iter().position(|other| other.is_some_and(|other| !other.is_like(transport)))
    }

    /// A track that was set up and now goes another way takes back the others, which will be set up after it: so does ffmpeg
    /// when it hears nothing over UDP and goes to TCP.
    fn take(&mut self, track: usize, transport: TrackTransport) {
        if self.unlike(transport).is_some() {
            self.transports.fill(None);
        }
        if let Some(slot) = self.transports.get_mut(track) {
            *slot = Some(transport);
        }
    }

    /// TEARDOWN of one track while others are set up; `None`: of the whole stream, or of the last track, which is the same.
    pub(super) fn end_track(&mut self, uri: &str) -> Option<Answer> {
        let track = TrackUrl::read(uri).track?;
        let set_up = self.transports.iter().flatten().count();
        match self.transports.get_mut(track) {
            Some(Some(_)) if set_up < 2 => return None,
            Some(transport @ Some(_)) => *transport = None,
            _ => return Some(Err(refusal(404, format!("Track {track} of {} is not set up.", self.path)))),
        }
        Some(Ok(Response::new(200)))
    }

    pub(super) fn play(&self) -> Play {
        Play { path: self.path.clone(), transports: self.transports.clone() }
    }

    /// The reply to PLAY. A live stream has only now, whatever the client asked for.
    pub(super) fn playing(&self, starts: &[Option<RtpStart>]) -> Response {
        let set_up = self.transports.iter().enumerate().filter(|(_, transport)| transport.is_some());
        let infos: Vec<RtpInfo> = set_up
            .map(|(track, _)| RtpInfo {
                url: format!("{}/trackID={track}", self.base),
                start: starts.get(track).copied().flatten(),
            })
            .collect();
        Response::new(200).with("Range", Range::Now.to_string()).with("RTP-Info", rtp_info(&infos))
    }
}

fn offers_multicast(config: &SessionConfig) -> Result<(), Refusal> {
    match (config.multicast, config.address_family) {
        (false, _) => Err(refusal(461, "Multicast is not offered here.")),
        (true, AddressFamily::V6) => Err(refusal(461, "Multicast is offered to clients that connect over IPv4 only.")),
        (true, AddressFamily::V4) => Ok(()),
    }
}

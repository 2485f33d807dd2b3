//! SETUP to publish: which track is meant and how its packets will come.

use super::announce::Announced;
use super::events::TrackTransport;
use super::{Answer, Refusal, refusal};
use crate::path;
use crate::rtsp::headers::{Mode, Protocol, Transport};
use crate::rtsp::message::{Request, Response, quoted};

impl Announced {
    /// Sets up the track that the request names.
    pub(super) fn setup(&mut self, request: &Request, udp_ports: Option<(u16, u16)>) -> Answer {
        let track = self
            .track_of(&request.uri)
            .ok_or_else(|| refusal(404, format!("No track of {} has the URL {}.", self.path, quoted(&request.uri))))?;
        let header = request.headers.get("Transport").ok_or(refusal(400, "The Transport header is missing."))?;
        let mut why = refusal(461, format!("Transport {} is not offered here.", quoted(header)));
        for asked in Transport::parse_list(header) {
            match self.accept(track, &asked, udp_ports) {
                Ok((transport, answer)) => {
                    if let Some(slot) = self.transports.get_mut(track) {
                        *slot = Some(transport);
                    }
                    return Ok(Response::new(200).with("Transport", answer.to_string()));
                }
                Err(refusal) => why = refusal,
            }
        }
        Err(why)
    }

    fn accept(
        &self,
        track: usize,
        asked: &Transport,
        udp_ports: Option<(u16, u16)>,
    ) -> Result<(TrackTransport, Transport), Refusal> {
        if asked.mode == Some(Mode::Play) {
            return Err(refusal(451, "mode=play, expected mode=record: this session was begun with ANNOUNCE."));
        }
        let mut answer = Transport { mode: asked.mode, ..Transport::new(asked.protocol) };
        let transport = match asked.protocol {
            Protocol::Tcp => {
                let (rtp, rtcp) = self.channels(track, asked.interleaved)?;
                answer.interleaved = Some((rtp, rtcp));
                TrackTransport::Interleaved { rtp, rtcp }
            }
            Protocol::Udp => {
                answer.server_port = Some(udp_ports.ok_or(refusal(461, "UDP is not offered here, TCP is."))?);
                let (client_rtp, client_rtcp) =
                    asked.client_port.ok_or(refusal(461, "The transport has no client_port."))?;
                answer.client_port = asked.client_port;
                TrackTransport::Udp { client_rtp, client_rtcp }
            }
            Protocol::Multicast => return Err(refusal(461, "A stream cannot be published by multicast.")),
        };
        Ok((transport, answer))
    }

    /// The client's choice of channels, or the next free pair.
    fn channels(&self, track: usize, asked: Option<(u8, u8)>) -> Result<(u8, u8), Refusal> {
        let Some((rtp, rtcp)) = asked else { return free_channels(&self.transports, track) };
        if rtp == rtcp {
            return Err(refusal(461, format!("Channel {rtp} is asked for RTP and RTCP alike.")));
        }
        for channel in [rtp, rtcp] {
            if let Some(other) = owner(&self.transports, track, channel) {
                return Err(refusal(461, format!("Channel {channel} is in use by track {other}.")));
            }
        }
        Ok((rtp, rtcp))
    }

    /// The track that a SETUP's URL names. Clients build it in several ways, the strictest match wins:
    /// 1. the control as the SDP has it, query and all, behind the stream's URL or as a whole URL;
    /// 2. the same without queries and trailing slashes;
    /// 3. the control at the end of the query, where ffmpeg puts it if the stream's URL has one;
    /// 4. the control at the URL's end, whatever stands before it;
    /// 5. the stream's own URL, if there is one track only.
    fn track_of(&self, uri: &str) -> Option<usize> {
        let local = path::local_part(uri);
        let (local_path, query) = path::split_query(local);
        let asked = canonical(local_path);
        let controls: Vec<Control> = self
            .tracks
            .iter()
            .enumerate()
            .map(|(index, track)| Control::new(&self.base, index, &track.control))
            .collect();
        let find = |matches: &dyn Fn(&Control) -> bool| controls.iter().position(matches);
        find(&|control| control.query.is_some() && control.query == query && control.full == asked)
            .or_else(|| find(&|control| control.full == asked && asked != self.base))
            .or_else(|| find(&|control| query.is_some_and(|query| canonical(query).ends_with(&control.suffix))))
            .or_else(|| find(&|control| asked != self.base && asked.ends_with(&control.suffix)))
            .or_else(|| (self.tracks.len() == 1 && asked == self.base).then_some(0))
    }
}

/// The track, other than `track`, that a channel belongs to.
pub(super) fn owner(transports: &[Option<TrackTransport>], track: usize, channel: u8) -> Option<usize> {
    let carries = |transport: &Option<TrackTransport>| transport.is_some_and(|t| t.carries(channel).is_some());
    transports.iter().enumerate().position(|(other, transport)| other != track && carries(transport))
}

/// The next pair of channels that no other track than `track` has.
pub(super) fn free_channels(transports: &[Option<TrackTransport>], track: usize) -> Result<(u8, u8), Refusal> {
    let free = |channel: u8| owner(transports, track, channel).is_none();
    let mut pairs = (0..=u8::MAX - 1).step_by(2).map(|rtp| (rtp, rtp + 1));
    pairs.find(|(rtp, rtcp)| free(*rtp) && free(*rtcp)).ok_or(refusal(461, "No interleaved channel is free."))
}

/// A track's control in the forms that it is looked for.
struct Control<'a> {
    /// The path that its URL has.
    full: String,
    /// The control alone with a leading slash. A whole URL is its own suffix.
    suffix: String,
    query: Option<&'a str>,
}

impl<'a> Control<'a> {
    fn new(base: &str, index: usize, control: &'a str) -> Self {
        let (without_query, query) = path::split_query(path::local_part(control));
        // A track without a control is known by its number.
        let suffix = match canonical(without_query).as_str() {
            "/" if query.is_none() => format!("/trackid={index}"),
            "/" => base.to_owned(),
            suffix => suffix.to_owned(),
        };
        let absolute = control.contains("://") || without_query.starts_with('/') && suffix.starts_with(base);
        let full = if absolute || suffix == base { suffix.clone() } else { format!("{base}{suffix}") };
        Self { full, suffix, query }
    }
}

/// Without a trailing slash.
fn canonical(path_of_url: &str) -> String {
    let mut canonical = path::canonical(path_of_url);
    if canonical.len() > 1 && canonical.ends_with('/') {
        canonical.pop();
    }
    canonical
}

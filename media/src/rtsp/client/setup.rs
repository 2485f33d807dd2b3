//! SETUP of one track after the other: which, where, and what the server made of it.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use super::request::Asked;
use super::{Client, Error, Event, Method, Response, State, Wanted};
use crate::rtsp::headers::{Protocol, Transport};
use crate::{Kind, Track};

/// A track that was set up.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// As the server described it.
    pub track: Track,
    /// How its packets come.
    pub path: Path,
    /// The synchronization source that the server announced.
    pub ssrc: Option<u32>,
}

/// How packets of a track come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// In the connection, on these channels.
    Interleaved {
        /// RTP
        rtp: u8,
        /// RTCP
        rtcp: u8,
    },
    /// To the ports that were opened.
    Udp,
}

/// The tracks that are still to be set up, and the one that is.
#[derive(Debug)]
pub(super) struct SetUp {
    waiting: VecDeque<Track>,
    current: Option<Current>,
    wanted: Wanted,
    /// Ask for UDP.
    udp: bool,
}

#[derive(Debug)]
struct Current {
    track: Track,
    /// Where to try next.
    urls: VecDeque<String>,
    /// Ours, for UDP.
    ports: Option<(u16, u16)>,
}

impl SetUp {
    /// Video and audio, video first: where a later SETUP fails it shall not be the picture's. `None`: there is neither.
    pub(super) fn new(mut tracks: Vec<Track>, wanted: Wanted) -> Option<Self> {
        tracks.retain(|track| matches!(track.kind, Kind::Video | Kind::Audio));
        tracks.sort_by_key(|track| track.kind != Kind::Video);
        let udp = wanted == Wanted::Udp;
        (!tracks.is_empty()).then(|| Self { waiting: tracks.into(), current: None, wanted, udp })
    }
}

impl Client {
    /// Goes on with the next track, or plays.
    pub(super) fn next_track(&mut self, mut set_up: SetUp, now: Duration, out: &mut Vec<Event>) -> Result<(), Error> {
        let Some(track) = set_up.waiting.pop_front() else {
            self.play(now, out);
            return Ok(());
        };
        let urls = self.urls.of_track(&track.control).into();
        set_up.current = Some(Current { track, urls, ports: None });
        self.set_up(set_up, now, out)
    }

    /// The ports that [`Event::Bind`] asked for: RTP and RTCP.
    ///
    /// # Errors
    /// Nothing asked for them.
    pub fn bound(&mut self, ports: (u16, u16), now: Duration, out: &mut Vec<Event>) -> Result<(), Error> {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Ports(mut set_up) => {
                if let Some(current) = &mut set_up.current {
                    current.ports = Some(ports);
                }
                self.set_up(set_up, now, out)
            }
            _ => Err(Error::State("the opening of ports")),
        }
    }

    fn set_up(&mut self, mut set_up: SetUp, now: Duration, out: &mut Vec<Event>) -> Result<(), Error> {
        let Some(current) = &mut set_up.current else { return Err(Error::State("SETUP")) };
        let index = self.chosen.len();
        let mut transport = Transport::new(if set_up.udp { Protocol::Udp } else { Protocol::Tcp });
        match (set_up.udp, current.ports) {
            (true, None) => {
                self.state = State::Ports(set_up);
                out.push(Event::Bind(index));
                return Ok(());
            }
            (true, ports) => transport.client_port = ports,
            (false, _) => transport.interleaved = Some(asked_channels(index)),
        }
        let Some(url) = current.urls.pop_front() else { return Err(Error::State("SETUP")) };
        let asked = self.ask(Method::Setup, url, Some(("Transport", transport.to_string())), now, out);
        self.state = State::SetUp(set_up, asked);
        Ok(())
    }

    pub(super) fn set_up_answered(
        &mut self,
        mut set_up: SetUp,
        asked: Asked,
        response: &Response,
        now: Duration,
        out: &mut Vec<Event>,
    ) -> Result<(), Error> {
        let Some(current) = &mut set_up.current else { return Err(Error::State("an answer to SETUP")) };
        // cvlc, and what else sends by UDP only.
        if response.status == 461 && !set_up.udp && set_up.wanted == Wanted::Any {
            set_up.udp = true;
            current.urls.push_front(asked.url);
            self.notes.push("media comes over UDP, since the camera refuses TCP".into());
            return self.set_up(set_up, now, out);
        }
        if asked.is_elsewhere(response) && !current.urls.is_empty() {
            return self.set_up(set_up, now, out);
        }
        match asked.check(response) {
            Ok(()) => {}
            // Video without the sound is better than nothing.
            Err(error @ Error::Refused { .. }) if !self.chosen.is_empty() => {
                self.notes.push(format!("track {} left out: {error}", current.track.encoding));
                return self.next_track(set_up, now, out);
            }
            Err(error) => return Err(error),
        }
        self.note_session(response);
        let (track, udp) = (current.track.clone(), set_up.udp);
        self.choose(track, udp, response, out);
        self.next_track(set_up, now, out)
    }

    /// What the server says counts; what it does not say is as it was asked for. Some leave the header out, or write
    /// `RTP/AVP` where media is interleaved (Escam), or leave `server_port` out (OpenIPC).
    fn choose(&mut self, track: Track, udp: bool, response: &Response, out: &mut Vec<Event>) {
        let index = self.chosen.len();
        let granted =
            response.headers.get("Transport").and_then(|value| Transport::parse_list(value).into_iter().next());
        let ssrc = granted.as_ref().and_then(|granted| granted.ssrc);
        if udp {
            let source = granted.as_ref().and_then(|granted| granted.source.as_ref()?.parse::<IpAddr>().ok());
            // 0.0.0.0 is what some cameras know of themselves.
            let source = source.filter(|source| !source.is_unspecified());
            let ports = granted.and_then(|granted| granted.server_port).filter(|ports| ports.0 != 0);
            self.chosen.push(Chosen { track, path: Path::Udp, ssrc });
            return out.push(Event::Remote { track: index, source, ports });
        }
        let said = granted.and_then(|granted| granted.interleaved);
        let free = said.filter(|channels| !self.chosen.iter().any(|chosen| chosen.path.uses(*channels)));
        if said != free {
            self.notes.push("the camera names the same channels for two tracks".into());
        }
        let (rtp, rtcp) = free.unwrap_or_else(|| asked_channels(index));
        self.chosen.push(Chosen { track, path: Path::Interleaved { rtp, rtcp }, ssrc });
    }
}

/// 16 tracks at most: the numbers stay small.
fn asked_channels(index: usize) -> (u8, u8) {
    let rtp = (2 * index) as u8;
    (rtp, rtp + 1)
}

impl Path {
    fn uses(self, (first, second): (u8, u8)) -> bool {
        match self {
            Self::Interleaved { rtp, rtcp } => [rtp, rtcp].iter().any(|own| *own == first || *own == second),
            Self::Udp => false,
        }
    }
}

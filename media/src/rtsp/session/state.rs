//! What a session is in the middle of, and what a request makes of it.

use super::announce::Announced;
use super::describe::{Describing, check_accept};
use super::events::{Event, Group, Offer, Publish, SessionConfig};
use super::play::Playback;
use super::{Answer, public, refusal};
use crate::path;
use crate::rtsp::headers::RtpStart;
use crate::rtsp::message::{Method, Request, Response, quoted};

#[derive(Debug)]
pub(super) enum State {
    Init,
    /// To publish; no track is set up yet.
    Announced(Announced),
    /// To publish; at least one track is set up.
    Ready(Announced),
    /// RECORD came and waits for the shell's answer.
    Starting {
        publish: Publish,
        cseq: u64,
    },
    Recording(Publish),
    /// DESCRIBE, or a SETUP without it, came and waits for the shell's answer.
    Describing(Describing),
    /// To play; no track is set up yet.
    Described(Playback),
    /// To play; at least one track is set up.
    Prepared(Playback),
    /// SETUP for multicast came and waits for the shell to name the group.
    Joining(Joining),
    /// PLAY came and waits for the shell's answer.
    StartingPlay {
        playback: Playback,
        cseq: u64,
    },
    Playing {
        playback: Playback,
        /// Index: track.
        starts: Vec<Option<RtpStart>>,
    },
    Paused(Playback),
    Closed,
}

#[derive(Debug)]
pub(super) struct Joining {
    playback: Playback,
    request: Request,
    pub(super) cseq: u64,
    paused: bool,
}

impl Joining {
    /// Goes on with the group, or with why there is none.
    pub(super) fn answered(self, group: Result<Group, (u16, String)>, config: &SessionConfig) -> (State, Answer) {
        let Self { mut playback, request, paused, .. } = self;
        playback.group = Some(group);
        let state = match (paused, playback.transports.iter().any(Option::is_some)) {
            (true, _) => State::Paused(playback),
            (false, true) => State::Prepared(playback),
            (false, false) => State::Described(playback),
        };
        state.set_up(&request, config)
    }
}

impl State {
    /// The state after a request and the answer to it; none if the shell's answer to an event must be awaited.
    pub(super) fn step(
        self,
        request: Request,
        cseq: u64,
        config: &SessionConfig,
        out: &mut Vec<Event>,
    ) -> (Self, Option<Answer>) {
        let udp_ports = config.udp_ports;
        if request.method == Method::Setup && self.asks_for_group(&request, config) {
            return self.join(request, cseq, out);
        }
        let (state, answer) = match (self, &request.method) {
            (state, Method::Options) => (state, Ok(Response::new(200).with("Public", public(config.offer)))),
            (state, Method::GetParameter | Method::SetParameter) => (state, Ok(Response::new(200))),

            (state, method @ (Method::Announce | Method::Record)) if config.offer == Offer::Play => {
                (state, Err(refusal(501, format!("{method} is not offered here: this session can play only."))))
            }
            (state @ (Self::Init | Self::Announced(_) | Self::Described(_)), Method::Announce) => {
                match Announced::read(&request, config) {
                    Ok(announced) => (Self::Announced(announced), Ok(Response::new(200))),
                    Err(refusal) => (state, Err(refusal)),
                }
            }
            (Self::Announced(mut announced), Method::Setup) => match announced.setup(&request, udp_ports) {
                Ok(response) => (Self::Ready(announced), Ok(response)),
                Err(refusal) => (Self::Announced(announced), Err(refusal)),
            },
            (Self::Ready(mut announced), Method::Setup) => {
                let answer = announced.setup(&request, udp_ports);
                (Self::Ready(announced), answer)
            }
            (Self::Ready(announced), Method::Record) => {
                let publish = announced.into_publish();
                out.push(Event::Publish(publish.clone()));
                return (Self::Starting { publish, cseq }, None);
            }
            (state @ Self::Recording(_), Method::Record) => (state, Ok(Response::new(200))),

            (state @ (Self::Init | Self::Described(_)), Method::Describe) => {
                match Describing::read(&request, cseq, config) {
                    Ok((describing, describe)) => {
                        out.push(Event::Describe(describe));
                        return (Self::Describing(describing), None);
                    }
                    Err(refusal) => (state, Err(refusal)),
                }
            }
            (Self::Init, Method::Setup) => match Describing::read_setup(request, cseq, config) {
                Ok((describing, describe)) => {
                    out.push(Event::Describe(describe));
                    return (Self::Describing(describing), None);
                }
                Err(refusal) => (Self::Init, Err(refusal)),
            },
            (state @ (Self::Described(_) | Self::Prepared(_) | Self::Paused(_)), Method::Setup) => {
                state.set_up(&request, config)
            }
            (Self::Prepared(playback) | Self::Paused(playback), Method::Play) => {
                out.push(Event::Play(playback.play()));
                return (Self::StartingPlay { playback, cseq }, None);
            }
            (Self::Playing { playback, starts }, Method::Play) => {
                let answer = playback.playing(&starts);
                (Self::Playing { playback, starts }, Ok(answer))
            }
            (Self::Playing { playback, .. }, Method::Pause) => {
                out.push(Event::Pause);
                (Self::Paused(playback), Ok(Response::new(200)))
            }
            (state @ Self::Paused(_), Method::Pause) => (state, Ok(Response::new(200))),

            (state, method @ (Method::Redirect | Method::Other(_))) => {
                let text = format!("{} is not offered here.", quoted(method.as_str()));
                (state, Err(refusal(501, text)))
            }
            (state, method) => {
                let answer = state
                    .describe_again(&request, config)
                    .unwrap_or_else(|| Err(refusal(455, format!("{method} is not possible {}.", state.words()))));
                (state, answer)
            }
        };
        (state, Some(answer))
    }

    /// SETUP of a track to play.
    fn set_up(self, request: &Request, config: &SessionConfig) -> (Self, Answer) {
        match self {
            Self::Described(mut playback) => match playback.setup(request, config) {
                Ok(response) => (Self::Prepared(playback), Ok(response)),
                Err(refusal) => (Self::Described(playback), Err(refusal)),
            },
            Self::Prepared(mut playback) => {
                let answer = playback.setup(request, config);
                (Self::Prepared(playback), answer)
            }
            Self::Paused(mut playback) => match playback.setup(request, config) {
                Ok(response) => (Self::Prepared(playback), Ok(response)),
                Err(refusal) => (Self::Paused(playback), Err(refusal)),
            },
            state => {
                let text = format!("SETUP is not possible {}.", state.words());
                (state, Err(refusal(455, text)))
            }
        }
    }

    fn asks_for_group(&self, request: &Request, config: &SessionConfig) -> bool {
        let (Self::Described(playback) | Self::Prepared(playback) | Self::Paused(playback)) = self else {
            return false;
        };
        playback.wants_group(request, config)
    }

    fn join(self, request: Request, cseq: u64, out: &mut Vec<Event>) -> (Self, Option<Answer>) {
        let paused = matches!(self, Self::Paused(_));
        match self {
            Self::Described(playback) | Self::Prepared(playback) | Self::Paused(playback) => {
                out.push(Event::Group);
                (Self::Joining(Joining { playback, request, cseq, paused }), None)
            }
            state => (state, None),
        }
    }

    /// TEARDOWN of one track; `None`: everything ends. While recording it always does: the source has its tracks.
    pub(super) fn end_track(&mut self, request: &Request) -> Option<Answer> {
        match self {
            Self::Prepared(playback) | Self::Playing { playback, .. } | Self::Paused(playback) => {
                playback.end_track(&request.uri)
            }
            _ => None,
        }
    }

    /// The answer to a DESCRIBE of the stream that is set up to be played: what was said before.
    fn describe_again(&self, request: &Request, config: &SessionConfig) -> Option<Answer> {
        let (Self::Prepared(playback) | Self::Playing { playback, .. } | Self::Paused(playback)) = self else {
            return None;
        };
        let same = config.stream.is_some() || path::of_uri(&request.uri).0 == playback.path;
        (same && request.method == Method::Describe)
            .then(|| check_accept(&request.headers).map(|()| playback.description(config)))
    }

    /// For "... is not possible ...".
    pub(super) fn words(&self) -> &'static str {
        match self {
            Self::Init => "before ANNOUNCE or DESCRIBE",
            Self::Announced(_) => "between ANNOUNCE and SETUP",
            Self::Ready(_) => "between SETUP and RECORD",
            Self::Starting { .. } => "while RECORD waits for its answer",
            Self::Recording(_) => "while recording",
            Self::Describing(_) => "while DESCRIBE waits for its answer",
            Self::Described(_) => "between DESCRIBE and SETUP",
            Self::Joining(_) => "while SETUP waits for its answer",
            Self::Prepared(_) => "between SETUP and PLAY",
            Self::StartingPlay { .. } => "while PLAY waits for its answer",
            Self::Playing { .. } => "while playing",
            Self::Paused(_) => "while paused",
            Self::Closed => "after the end",
        }
    }

    /// Whether a track is set up: from then on replies name the session.
    pub(super) fn is_set_up(&self) -> bool {
        match self {
            Self::Init | Self::Announced(_) | Self::Describing(_) | Self::Described(_) | Self::Closed => false,
            Self::Ready(_) | Self::Starting { .. } | Self::Recording(_) => true,
            Self::Joining(joining) => joining.playback.transports.iter().any(Option::is_some),
            Self::Prepared(_) | Self::StartingPlay { .. } | Self::Playing { .. } | Self::Paused(_) => true,
        }
    }

    pub(super) fn playback(&self) -> Option<&Playback> {
        match self {
            Self::Described(playback)
            | Self::Prepared(playback)
            | Self::Joining(Joining { playback, .. })
            | Self::StartingPlay { playback, .. }
            | Self::Playing { playback, .. }
            | Self::Paused(playback) => Some(playback),
            _ => None,
        }
    }

    pub(super) fn path(&self) -> Option<&str> {
        match self {
            Self::Announced(announced) | Self::Ready(announced) => Some(&announced.path),
            Self::Starting { publish, .. } | Self::Recording(publish) => Some(&publish.path),
            state => state.playback().map(|playback| playback.path.as_str()),
        }
    }
}

//! The RTSP client: the only place that knows `retina`. Its packets are taken as they come; depacketizing is the source's.
//!
//! What it does: RTSP over TCP, media interleaved or over UDP; Basic and Digest (MD5, SHA-256, qop), Digest rather than
//! Basic where both are offered, the first of several Digests; keep-alive after half of the session's timeout, 30 s at most;
//! TEARDOWN at the end. A nonce that has run out costs a second connection.
//!
//! What it does not do: `rtsps`; redirects (an error with the status); receiver reports; cameras that never answer a
//! keep-alive (they are connected anew), that answer DESCRIBE with another type than exactly `application/sdp`, that leave
//! out `Session`, `Transport`, `interleaved` or `server_port` in an answer to SETUP, or change their SSRC within a session;
//! order of UDP packets (late ones are lost).

use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use ipchub_media::rtp::Packet;
use ipchub_media::rtp::receiver::Order;
use ipchub_media::sdp::Description;
use ipchub_media::{Kind, Track};
use retina::client::{
    Credentials, Described, InitialSequenceNumberPolicy, InitialTimestampPolicy, PacketItem, PlayOptions, Playing,
    Session, SessionGroup, SessionIdPolicy, SessionOptions, SetupOptions, TcpTransportOptions, Transport,
    UdpTransportOptions, UnassignedChannelDataPolicy, UnknownRtcpSsrcPolicy,
};

use super::feed::{Fed, Feed, Item, Opened, PullError};
use super::target::{self, Target};

/// Some cameras refuse clients without a name.
const USER_AGENT: &str = concat!("ipchub/", env!("CARGO_PKG_VERSION"));
/// What is waited for first.
const FIRST_STEP: &str = "connection or answer to DESCRIBE";
/// How long a camera may take to answer a TEARDOWN.
const TEARDOWN: Duration = Duration::from_secs(2);
/// Characters of an error that a log line and an answer need.
const MAX_REASON: usize = 300;

/// A playing session.
pub(super) struct Camera {
    session: Option<Session<Playing>>,
    group: Arc<SessionGroup>,
    /// By the client's number of a stream: the index of the track.
    tracks: Vec<Option<usize>>,
    first: Option<Item>,
    target: Target,
}

impl fmt::Debug for Camera {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Camera").field("target", &self.target).finish_non_exhaustive()
    }
}

/// Connects and plays; done when the first packet is there. All of it takes `limit` at most.
pub(super) async fn open(target: Target, limit: Duration) -> Result<Opened, PullError> {
    let step = Cell::new(FIRST_STEP);
    let attempt = async {
        match negotiate(target.clone(), &step).await {
            Err(PullError::Stale(_)) => {
                step.set(FIRST_STEP);
                negotiate(target, &step).await
            }
            result => result,
        }
    };
    match tokio::time::timeout(limit, attempt).await {
        Ok(result) => result,
        Err(_) => Err(PullError::TimedOut { step: step.get(), limit }),
    }
}

async fn negotiate(target: Target, step: &Cell<&'static str>) -> Result<Opened, PullError> {
    let group = Arc::new(SessionGroup::default());
    let login =
        target.login().map(|login| Credentials { username: login.user.clone(), password: login.password.clone() });
    let options = SessionOptions::default()
        .creds(login)
        .user_agent(USER_AGENT.into())
        .session_group(Arc::clone(&group))
        .session_id(SessionIdPolicy::UseFirst)
        .unassigned_channel_data(UnassignedChannelDataPolicy::Ignore);
    let failed = |error: retina::Error| refusal(&error, &target, step.get() == FIRST_STEP);
    let mut session = Session::describe(target.url().clone(), options).await.map_err(failed)?;
    let description = Description::parse(session.sdp()).map_err(|error| PullError::Failed(error.to_string()))?;
    let mut notes = description.notes.clone();
    let chosen = choose(&session, description.tracks);
    step.set("answer to SETUP");
    let mut udp = target.transport() == target::Transport::Udp;
    let (mut tracks, mut indices) = (Vec::new(), vec![None; session.streams().len()]);
    for (stream, track) in chosen {
        match set_up(&mut session, stream, &target, &mut udp).await {
            Ok(()) => {
                indices[stream] = Some(tracks.len());
                tracks.push(track);
            }
            // Video without the sound is better than nothing.
            Err(error) if !tracks.is_empty() && error.status_code().is_some_and(|s| s != 401 && s != 403) => {
                notes.push(format!("track {} left out: {}", track.encoding, reason(&error, &target)));
            }
            Err(error) => return Err(failed(error)),
        }
    }
    if tracks.is_empty() {
        return Err(PullError::Failed("the camera describes neither video nor audio".into()));
    }
    if udp && target.transport() == target::Transport::Any {
        notes.push("media comes over UDP, since the camera refuses TCP".into());
    }
    step.set("answer to PLAY");
    // The source has its own timeline and the receivers their own order: nothing of RTP-Info is needed, and cameras write
    // odd things there.
    let options = PlayOptions::default()
        .initial_timestamp(InitialTimestampPolicy::Ignore)
        .initial_seq(InitialSequenceNumberPolicy::Ignore)
        .unknown_rtcp_ssrc(UnknownRtcpSsrcPolicy::ProcessPackets);
    let session = session.play(options).await.map_err(failed)?;
    step.set(if udp { "packet by UDP after PLAY" } else { "packet after PLAY" });
    let mut camera = Camera { session: Some(session), group, tracks: indices, first: None, target };
    loop {
        let item = std::future::poll_fn(|task| camera.poll_next(task)).await.map_err(PullError::Failed)?;
        if matches!(item, Item::Packet { .. }) {
            camera.first = Some(item);
            // The client gives packets of either transport in order.
            let fed = |track| Fed { track, order: Order::Kept, ssrc: None };
            let tracks = tracks.into_iter().map(fed).collect();
            return Ok(Opened { feed: Feed::Camera(Box::new(camera)), tracks, notes });
        }
    }
}

/// The streams to set up, with their tracks as our own reading of the description has them.
fn choose(session: &Session<Described>, tracks: Vec<Track>) -> Vec<(usize, Track)> {
    let mut tracks: Vec<_> = tracks.into_iter().map(Some).collect();
    let mut chosen = Vec::new();
    for (index, stream) in session.streams().iter().enumerate() {
        let kind = match stream.media() {
            "video" => Kind::Video,
            "audio" => Kind::Audio,
            _ => continue,
        };
        let fits = |track: &&mut Option<Track>| {
            track.as_ref().is_some_and(|t| t.kind == kind && t.payload_type == stream.rtp_payload_type())
        };
        if let Some(track) = tracks.iter_mut().find(fits).and_then(Option::take) {
            chosen.push((index, track));
        }
    }
    // Where a later SETUP fails it shall not be the picture's.
    chosen.sort_by_key(|(_, track)| track.kind != Kind::Video);
    chosen
}

/// One SETUP; a second one over UDP if the camera answers that it has no TCP (461: cvlc).
async fn set_up(
    session: &mut Session<Described>,
    stream: usize,
    target: &Target,
    udp: &mut bool,
) -> Result<(), retina::Error> {
    let transport = |udp| match udp {
        true => Transport::Udp(UdpTransportOptions::default()),
        false => Transport::Tcp(TcpTransportOptions::default()),
    };
    let result = session.setup(stream, SetupOptions::default().transport(transport(*udp))).await;
    match result {
        Err(error) if error.status_code() == Some(461) && !*udp && target.transport() == target::Transport::Any => {
            *udp = true;
            session.setup(stream, SetupOptions::default().transport(transport(true))).await
        }
        result => result,
    }
}

fn refusal(error: &retina::Error, target: &Target, first: bool) -> PullError {
    match error.status_code() {
        Some(401) if !first => PullError::Stale(reason(error, target)),
        Some(401 | 403) => PullError::Login(reason(error, target)),
        _ => PullError::Failed(reason(error, target)),
    }
}

/// What the client says in its first paragraph; addresses and positions come after it.
fn reason(error: &retina::Error, target: &Target) -> String {
    let text = error.to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<_> = first.split_whitespace().collect();
    target.cleaned(&words.join(" ")).chars().take(MAX_REASON).collect()
}

impl Camera {
    /// The next thing that it sends, or why there is no more.
    pub(super) fn poll_next(&mut self, task: &mut Context<'_>) -> Poll<Result<Item, String>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Ok(first));
        }
        loop {
            let Some(session) = &mut self.session else { return Poll::Pending };
            let item = match Pin::new(session).poll_next(task) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(Err("the camera closed the connection".into())),
                Poll::Ready(Some(Ok(item))) => item,
                Poll::Ready(Some(Err(error))) => {
                    let reason = reason(&error, &self.target);
                    return Poll::Ready(if is_about_a_packet(&error) {
                        Ok(Item::Unusable(reason))
                    } else {
                        Err(reason)
                    });
                }
            };
            let (stream, item) = match item {
                PacketItem::Rtp(packet) => {
                    let (stream, header, bytes) = (packet.stream_id(), packet.header(), packet.raw().len());
                    let packet = Packet {
                        marker: header.mark(),
                        payload_type: header.payload_type(),
                        sequence: header.sequence_number(),
                        timestamp: header.timestamp(),
                        ssrc: header.ssrc(),
                        payload: packet.into_payload_bytes(),
                    };
                    (stream, Item::Packet { track: 0, packet, bytes })
                }
                PacketItem::Rtcp(compound) => {
                    let bytes = Bytes::copy_from_slice(compound.raw());
                    (compound.stream_id(), Item::Rtcp { track: 0, bytes })
                }
                _ => continue,
            };
            let Some(index) = self.tracks.get(stream).copied().flatten() else { continue };
            return Poll::Ready(Ok(match item {
                Item::Packet { packet, bytes, .. } => Item::Packet { track: index, packet, bytes },
                Item::Rtcp { bytes, .. } => Item::Rtcp { track: index, bytes },
                other => other,
            }));
        }
    }

    /// Says TEARDOWN and waits for the answer, for two seconds at most.
    pub(super) async fn close(mut self) {
        let group = Arc::clone(&self.group);
        drop(self.session.take());
        drop(self);
        // The session ends by itself where the camera does not answer.
        let _ = tokio::time::timeout(TEARDOWN, group.await_teardown()).await;
    }
}

impl Drop for Camera {
    /// The client's session spawns its TEARDOWN when it is dropped, which panics where no runtime is left: at a second
    /// SIGTERM. The process ends then, and its sockets with it.
    fn drop(&mut self) {
        if tokio::runtime::Handle::try_current().is_err() {
            std::mem::forget(self.session.take());
        }
    }
}

/// Whether one packet is bad, and the connection can go on: of another SSRC (Reolink sends on packets of an earlier
/// session), out of order, or corrupt. The client tells kinds of errors only by their text: those have the stream's line.
fn is_about_a_packet(error: &retina::Error) -> bool {
    error.to_string().contains("\nstream: ")
}

//! Every message that crosses actors.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use bytes::Bytes;
use ipchub_media::rtp::receiver::Received;
use ipchub_media::rtp::rtcp::SenderReport;
use ipchub_media::{Frame, Output, Track};

use crate::accounts::tokens::Pair;
use crate::accounts::{Refusal, UserChangeError};
use crate::branch::Branch;
use crate::info::{Consumer, SourceInfo};
use crate::lane::MuxStep;
use crate::pull::status::Snapshot;
use crate::route_table::Route;
use crate::rtp_lane::{Form, RtpPackets, RtpStart, RtpStep};
use crate::source::Source;
use crate::store::StoreError;

/// To the supervisor: the source at a path, made on the asking thread if there is none. For publishers.
#[derive(Debug)]
pub struct Claim {
    /// Canonical path.
    pub path: String,
    /// Where to start the source: the publisher's thread, so that its packets cross none.
    pub arbiter: ArbiterHandle,
}

impl Message for Claim {
    type Result = Result<Found, ClaimError>;
}

/// Why there is no source for a publisher.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum ClaimError {
    #[error("the hub has its {0} sources (limits.sources)")]
    Full(usize),
    #[error("the hub is shutting down")]
    Closing,
}

/// To the supervisor: the source at a path, if it is live. For viewers.
#[derive(Debug, Message)]
#[rtype(result = "Option<Found>")]
pub struct Find {
    /// Canonical path.
    pub path: String,
}

/// To the supervisor: the source at a path, pulled first if a route leads there. For viewers; the answer may take
/// `pull.timeout`.
#[derive(Debug, Clone)]
pub struct Open {
    /// Canonical path.
    pub path: String,
    /// The same in the case that was asked for, for cameras behind a directory route.
    pub original_path: String,
}

impl Message for Open {
    type Result = Result<Found, OpenError>;
}

/// Why a viewer gets no source. Never shows a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum OpenError {
    #[error("{0} is not live")]
    NotLive(String),
    #[error("pulling it failed: {0}")]
    Failed(String),
    #[error("pulling it took too long: {0}")]
    TimedOut(String),
    #[error("the hub pulls its {0} sources (limits.sources)")]
    Full(usize),
    #[error("the hub is shutting down")]
    Closing,
    /// It just ended; the supervisor asks again by itself.
    #[error("it ended while it was asked for")]
    Again,
}

/// To the accounts: a user's login, answered by a pair of tokens.
#[derive(Message)]
#[rtype(result = "Result<Pair, Refusal>")]
pub struct LogIn {
    /// In any case.
    pub username: String,
    /// As it was typed.
    pub password: String,
    /// Of the client.
    pub address: IpAddr,
    /// It is the client's own address, not that of a proxy.
    pub direct: bool,
}

/// To the accounts: a new pair of tokens for a refresh token, which is used up by it.
#[derive(Message)]
#[rtype(result = "Result<Pair, Refusal>")]
pub struct Refresh {
    /// The refresh token.
    pub token: String,
}

/// To the accounts: create a user, or give it these rights. Answered when it is kept.
#[derive(Message)]
#[rtype(result = "Result<(), UserChangeError>")]
pub struct PutUser {
    /// In any case.
    pub name: String,
    /// Of a new user, or with `update_password`.
    pub password: Option<String>,
    /// Also of a user that exists: its tokens are over then.
    pub update_password: bool,
    /// May do everything in REST.
    pub admin: bool,
    /// Masks of where it may push to.
    pub push: String,
    /// Masks of what it may watch.
    pub pull: String,
}

/// To the accounts: delete a user; its tokens are over, its connections go on. False if there is none of that name.
#[derive(Debug, Message)]
#[rtype(result = "Result<bool, UserChangeError>")]
pub struct DeleteUser {
    /// In any case.
    pub name: String,
}

/// To the route table: routes after a pattern, at most `limit`, and how many there are in all.
#[derive(Debug, Message)]
#[rtype(result = "RouteList")]
pub struct ListRoutes {
    /// Exclusive.
    pub after: String,
    /// At most this many.
    pub limit: usize,
}

/// Answer to [`ListRoutes`].
#[derive(MessageResponse)]
pub struct RouteList {
    /// Of all routes.
    pub total: usize,
    /// Ordered by pattern.
    pub routes: Vec<RouteInfo>,
}

/// To the route table: the route of a pattern; a trailing `/` matters.
#[derive(Debug, Message)]
#[rtype(result = "Option<RouteInfo>")]
pub struct FindRoute {
    /// Canonical.
    pub pattern: String,
}

/// To the route table: add a route, or change the one of its pattern. Answered when it is kept; it counts at once.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), StoreError>")]
pub struct PutRoute(pub Route);

/// To the route table: delete a route; what is live goes on. False if there is none of that pattern.
#[derive(Debug, Message)]
#[rtype(result = "Result<bool, StoreError>")]
pub struct DeleteRoute {
    /// Canonical.
    pub pattern: String,
}

/// A route as administrators see it.
#[derive(Clone)]
pub struct RouteInfo {
    /// Canonical.
    pub pattern: String,
    /// With its password: for administrators.
    pub url: String,
    /// Connected from the hub's start on.
    pub keepalive: bool,
    /// What its pulls are doing.
    pub status: Snapshot,
}

/// A live source.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its address.
    pub source: Addr<Source>,
    /// What is known of it.
    pub info: Arc<SourceInfo>,
}

/// To the supervisor: sources from the first path after `after`, at most `limit`, and how many there are in all.
#[derive(Debug, Message)]
#[rtype(result = "SourceList")]
pub struct List {
    /// Exclusive.
    pub after: String,
    /// At most this many.
    pub limit: usize,
}

/// Answer to [`List`].
#[derive(Debug, MessageResponse)]
pub struct SourceList {
    /// Of all sources.
    pub total: usize,
    /// Ordered by path.
    pub sources: Vec<Arc<SourceInfo>>,
}

/// To the supervisor: sums over all sources and the process's figures.
#[derive(Debug, Message)]
#[rtype(result = "Runtime")]
pub struct GetRuntime {
    /// With [`Runtime::memory`].
    pub with_memory: bool,
}

/// Answer to [`GetRuntime`].
#[derive(Debug, Clone, Default, MessageResponse)]
pub struct Runtime {
    /// Live sources.
    pub sources: usize,
    /// Their consumers.
    pub consumers: usize,
    /// CPU use since the last time it was asked for, in percent of one core.
    pub cpu: f64,
    /// Resident memory, bytes.
    pub resident: u64,
    /// Virtual memory, bytes.
    pub virt: u64,
    /// Threads of the process.
    pub threads: usize,
    /// Open files of the process.
    pub open_files: usize,
    /// Where the system tells it, if it was asked for.
    pub memory: Option<Memory>,
}

/// The process's memory in KiB, as the kernel counts it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// In RAM.
    pub resident: u64,
    /// The most that was ever in RAM.
    pub peak: u64,
    /// Of `resident`: heap and stacks.
    pub anonymous: u64,
}

/// To the supervisor: end the source at a path, its publisher and its consumers. False if there is none.
#[derive(Debug, Message)]
#[rtype(result = "bool")]
pub struct EndSource {
    /// Canonical path.
    pub path: String,
    /// Told to everyone concerned.
    pub reason: String,
}

/// To the supervisor: end one consumer. False if there is none of that number at that path.
#[derive(Debug, Message)]
#[rtype(result = "bool")]
pub struct Kick {
    /// Canonical path.
    pub path: String,
    /// Its number.
    pub id: u32,
}

/// To the supervisor: take no new source and end all. To the route table: take no new pull and end all.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Shutdown;

/// To the supervisor: a source ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Gone {
    /// Which.
    pub info: Arc<SourceInfo>,
}

/// To a source: a publisher begins, or takes over from the one before.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Publish {
    /// The publisher's number.
    pub id: u64,
    /// Its address, as shown in REST.
    pub addr: String,
    /// Its tracks; [`Media`] names them by index.
    pub tracks: Vec<Track>,
    /// Ends it.
    pub publisher: Recipient<EndPublishing>,
}

/// To a publisher: stop and close.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct EndPublishing {
    /// Why.
    pub reason: String,
}

/// To a source: media of its publisher, all of one read.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Media {
    /// The publisher's number; of another than the current it is passed over.
    pub publisher: u64,
    /// When it arrived, by the hub's monotonic clock.
    pub arrival: Duration,
    /// Bytes on the wire.
    pub bytes: u64,
    /// In order.
    pub items: Vec<MediaItem>,
}

/// One thing that a publisher sent.
#[derive(Debug)]
pub enum MediaItem {
    /// An RTP packet in its place.
    Packet {
        /// Index of the track.
        track: usize,
        /// The packet.
        received: Received,
    },
    /// An RTCP sender report.
    Report {
        /// Index of the track.
        track: usize,
        /// Its clocks.
        report: SenderReport,
    },
}

/// Takes the packets of one track as a receiver orders them.
#[derive(Debug)]
pub(crate) struct OfTrack<'a> {
    pub(crate) track: usize,
    pub(crate) items: &'a mut Vec<MediaItem>,
}

impl Extend<Received> for OfTrack<'_> {
    fn extend<T: IntoIterator<Item = Received>>(&mut self, packets: T) {
        let track = self.track;
        self.items.extend(packets.into_iter().map(|received| MediaItem::Packet { track, received }));
    }
}

/// To a source: its publisher is gone.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Unpublish {
    /// The publisher's number.
    pub id: u64,
    /// Why.
    pub reason: String,
    /// It tries to come back for as long as its actor lives: viewers wait without a limit in time.
    pub comes_back: bool,
}

/// To a source: a new viewer of muxed media, which has entered a branch. Answered by its opening; the chunks that follow come by
/// the branch.
#[derive(Debug)]
pub struct Subscribe {
    /// The viewer as REST lists it.
    pub consumer: Arc<Consumer>,
    /// What it takes.
    pub output: Output,
    /// Where chunks go.
    pub branch: Addr<Branch<MuxStep>>,
}

impl Message for Subscribe {
    type Result = Result<Opening, SubscribeError>;
}

/// Why a viewer is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum SubscribeError {
    #[error("{0}")]
    NotCarried(String),
}

/// What a viewer starts with: from its output's head to the newest frame. Empty if no key frame has come yet; then the header
/// comes with the first one.
#[derive(Debug, Default)]
pub struct Opening {
    /// Shared with every other viewer but for the first.
    pub parts: Vec<Bytes>,
}

/// To a source: somebody wants its frames, to make an output of them. Answered by those since the last key frame; what
/// follows comes by `try_send`.
#[derive(Debug)]
pub struct SubscribeFrames {
    /// A consumer's number.
    pub id: u32,
    /// Where frames go.
    pub items: Recipient<FrameItem>,
    /// Where the end goes.
    pub end: Recipient<EndViewing>,
}

impl Message for SubscribeFrames {
    type Result = FramesOpening;
}

/// What a consumer of frames starts with.
#[derive(Debug, Default, MessageResponse)]
pub struct FramesOpening {
    /// The source's tracks.
    pub tracks: Vec<Track>,
    /// Since the last key frame; none if none is cached, or the video does not come.
    pub frames: Vec<Frame>,
    /// As [`FrameItem::LeaveOutVideo`].
    pub without_video: bool,
}

/// To a consumer of frames.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum FrameItem {
    /// What comes does not follow what was: another publisher's, or after a gap.
    Retune(Vec<Track>),
    /// The video that was announced does not come: sound goes alone until the video's next key frame.
    LeaveOutVideo,
    /// Parameter sets changed, for what comes next.
    Parameters(Vec<Track>),
    /// The next frame.
    Frame(Frame),
}

/// To a source: a viewer is gone.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Unsubscribe {
    /// Its number.
    pub id: u32,
}

/// To a viewer: the source ended.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct EndViewing {
    /// Told to the viewer where its protocol can.
    pub reason: String,
}

/// To a source: what it sends, for an SDP. Answered once the parameter sets are known, or after a short wait.
#[derive(Debug)]
pub struct DescribeTracks;

impl Message for DescribeTracks {
    type Result = Option<Described>;
}

/// Answer to [`DescribeTracks`].
#[derive(Debug, Clone)]
pub struct Described {
    /// The source's tracks, with parameter sets as far as they are known.
    pub tracks: Vec<Track>,
    /// Their SSRCs in the hub's RTP.
    pub ssrcs: Vec<u32>,
}

/// To a source: a new RTP viewer, which has entered a branch. Answered by its opening; the chunks that follow come by the branch.
#[derive(Debug)]
pub struct SubscribeRtp {
    /// The viewer as REST lists it.
    pub consumer: Arc<Consumer>,
    /// How it wants its packets.
    pub form: Form,
    /// Where chunks go.
    pub branch: Addr<Branch<RtpStep>>,
}

impl Message for SubscribeRtp {
    type Result = RtpOpening;
}

/// What an RTP viewer starts with: the packets since the last key frame, shared.
#[derive(Debug, Default, MessageResponse)]
pub struct RtpOpening {
    /// In order.
    pub chunks: Vec<RtpPackets>,
    /// Where each track begins.
    pub starts: Vec<RtpStart>,
}

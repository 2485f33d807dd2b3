//! RTP by multicast: each source that somebody watches so has a group of its own, and an actor that sends to it once, however
//! many members it has.
//!
//! The group is leased at the first SETUP for it and free again when the last session gives it up. [`GroupSender`] runs from
//! the first PLAY until the last member leaves: to its source it is one viewer. The first member is sent what the source has
//! cached, as every RTP viewer is; whoever joins later comes into the running stream and has a picture with the next key
//! frame, since sending the cache again would give the others everything twice.

pub mod groups;
mod sockets;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use actix::prelude::*;
use bytes::Bytes;
use ipchub_media::rtsp::session::RtpStart;

use super::udp::Datagrams;
use crate::branch::{self, Entry};
use crate::connection::Link;
use crate::hub::Hub;
use crate::info::{Consumer, GroupInfo, PacketType};
use crate::messages::{EndViewing, Found, SubscribeRtp, Unsubscribe};
use crate::rtp_lane::{Form, RtpChunk, RtpPackets, RtpStep};
use groups::Lease;
use sockets::{Hear, Sockets};

/// How often members are looked for that ended without a word: by a panic.
const SWEEP: Duration = Duration::from_secs(1);
/// Times that a group is joined whose last member is just leaving.
const JOINS: usize = 3;

/// Sends one source to its group while it has members.
#[derive(Debug)]
pub(crate) struct GroupSender {
    hub: Hub,
    found: Found,
    lease: Arc<Lease>,
    sockets: Sockets,
    ssrcs: Vec<u32>,
    /// As the source's lane knows it. It is in no list: the members are.
    consumer: Arc<Consumer>,
    entry: Option<Entry<RtpStep>>,
    info: Arc<GroupInfo>,
    members: Vec<Member>,
    /// Where each track begins, for the first member.
    starts: Option<Vec<Option<RtpStart>>>,
}

/// One RTSP session that watches by multicast.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) consumer: Arc<Consumer>,
    /// Where its receiver reports go.
    pub(super) reports: Recipient<Datagrams>,
    pub(super) end: Recipient<EndViewing>,
}

impl Member {
    fn is_there(&self) -> bool {
        self.end.connected()
    }

    fn ip(&self) -> IpAddr {
        self.consumer.link.peer.ip()
    }
}

#[derive(Debug)]
struct Join(Member);

impl Message for Join {
    type Result = Vec<Option<RtpStart>>;
}

#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Leave(u32);

/// A member's place; it leaves when this is dropped.
#[derive(Debug)]
pub(super) struct Membership {
    sender: Addr<GroupSender>,
    id: u32,
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.sender.do_send(Leave(self.id));
    }
}

/// Becomes a member of the source's group, which starts to send if it does not. Gives where each track begins if the group
/// begins with it.
pub(super) async fn join(
    hub: Hub,
    found: Found,
    lease: Arc<Lease>,
    ssrcs: Vec<u32>,
    member: Member,
) -> Result<(Membership, Vec<Option<RtpStart>>), (u16, String)> {
    for _ in 0..JOINS {
        let start = || GroupSender::begin(&hub, &found, &lease, &ssrcs);
        let group = lease.group.address;
        let sender =
            lease.sender(start).map_err(|error| (503, format!("Sending to {group} is not possible: {error}.")))?;
        // Made first: a session that ends while it waits has joined all the same.
        let membership = Membership { sender: sender.clone(), id: member.consumer.id };
        if let Ok(starts) = sender.send(Join(member.clone())).await {
            return Ok((membership, starts));
        }
    }
    Err((404, format!("{} is not live any more.", found.info.path)))
}

impl GroupSender {
    /// Starts on this thread.
    fn begin(hub: &Hub, found: &Found, lease: &Arc<Lease>, ssrcs: &[u32]) -> std::io::Result<Addr<Self>> {
        let sockets = Sockets::open(lease, ssrcs.len())?;
        let group = lease.group;
        let link = Arc::new(Link::new((group.address, group.first_port).into()));
        link.counts_as(&hub.stats.traffic.rtsp);
        let extra = format!("net=rtsp-multicast,{}", group.address);
        let id = hub.consumer_id(PacketType::Rtp);
        let consumer = Arc::new(Consumer::new(id, PacketType::Rtp, extra, Arc::clone(&link)));
        let info = Arc::new(GroupInfo { group: group.address, members: 0.into(), link });
        let sender = Self {
            hub: hub.clone(),
            found: found.clone(),
            lease: Arc::clone(lease),
            sockets,
            ssrcs: ssrcs.to_vec(),
            consumer,
            entry: None,
            info,
            members: Vec::new(),
            starts: None,
        };
        Ok(sender.start())
    }

    fn send(&self, chunk: &RtpPackets) {
        let Some(packed) = &chunk.datagrams else { return };
        let sent = self.sockets.send(chunk.track, chunk.rtcp, packed);
        self.consumer.sent_datagrams(sent, &self.hub.stats);
        for member in &self.members {
            member.consumer.offered.fetch_add(packed.bytes.len() as u64, Relaxed);
        }
    }

    /// RTCP that came to the group. A host may have several members, and nothing says which of them a report is of: all hear
    /// it. A session that is gone ends with its connection all the same.
    fn heard(&self, track: usize, from: IpAddr, bytes: Bytes) {
        let ssrc = bytes.get(4..8).and_then(|ssrc| ssrc.first_chunk()).map(|ssrc| u32::from_be_bytes(*ssrc));
        if ssrc.is_none_or(|ssrc| self.ssrcs.contains(&ssrc)) {
            // Our own reports come back.
            return;
        }
        let mut known = false;
        for member in self.members.iter().filter(|member| member.ip() == from) {
            known = true;
            // A session that is busy hears the next report.
            let _ = member.reports.try_send(Datagrams { track, rtcp: true, datagrams: vec![bytes.clone()] });
        }
        if !known {
            self.hub.stats.stray_datagrams.add(1);
        }
    }

    fn keep(&mut self, stays: impl Fn(&Member) -> bool, ctx: &mut Context<Self>) {
        self.members.retain(stays);
        self.info.members.store(self.members.len(), Relaxed);
        if self.members.is_empty() {
            ctx.stop();
        }
    }

    fn end(&mut self, reason: &str, ctx: &mut Context<Self>) {
        for member in self.members.drain(..) {
            member.end.do_send(EndViewing { reason: reason.to_owned() });
        }
        ctx.stop();
    }
}

impl Actor for GroupSender {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(self.hub.settings.viewer_queue);
        self.found.info.set_multicast(Arc::clone(&self.info));
        let group = self.lease.group;
        log::info!("{}: sent to the group {}, ports from {} on", self.found.info.path, group.address, group.first_port);
        let address = ctx.address();
        let member = branch::Member {
            consumer: Arc::clone(&self.consumer),
            chunks: address.clone().recipient(),
            end: address.recipient(),
            direct: None,
        };
        let entry = branch::enter(&self.hub, &self.found.info, member);
        let consumer = Arc::clone(&self.consumer);
        let subscribe = SubscribeRtp { consumer, form: Form::Datagrams, branch: entry.branch() };
        self.entry = Some(entry);
        ctx.wait(self.found.source.send(subscribe).into_actor(self).map(|opening, sender, ctx| match opening {
            Ok(opening) => {
                sender.starts = Some(opening.starts.into_iter().map(|start| Some(start.into())).collect());
                opening.chunks.iter().for_each(|chunk| sender.send(chunk));
            }
            Err(_) => sender.end("the stream has ended", ctx),
        }));
        ctx.spawn(Hear);
        ctx.run_interval(SWEEP, |sender, ctx| sender.keep(Member::is_there, ctx));
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.entry = None;
        self.found.source.do_send(Unsubscribe { id: self.consumer.id });
        self.found.info.end_multicast(&self.info);
        log::info!(
            "{}: the group {} has no member any more, {} bytes sent",
            self.found.info.path,
            self.lease.group.address,
            self.consumer.link.meter.bytes_out(),
        );
    }
}

impl Handler<Join> for GroupSender {
    type Result = MessageResult<Join>;

    fn handle(&mut self, Join(member): Join, _: &mut Self::Context) -> Self::Result {
        self.members.push(member);
        self.info.members.store(self.members.len(), Relaxed);
        // Whoever comes later begins with what comes next, which nobody knows yet.
        MessageResult(self.starts.take().unwrap_or_else(|| vec![None; self.ssrcs.len()]))
    }
}

impl Handler<Leave> for GroupSender {
    type Result = ();

    fn handle(&mut self, Leave(id): Leave, ctx: &mut Self::Context) {
        self.keep(|member| member.consumer.id != id, ctx);
    }
}

impl Handler<RtpChunk> for GroupSender {
    type Result = ();

    fn handle(&mut self, chunk: RtpChunk, _: &mut Self::Context) {
        self.send(&chunk.packets);
    }
}

impl Handler<EndViewing> for GroupSender {
    type Result = ();

    fn handle(&mut self, end: EndViewing, ctx: &mut Self::Context) {
        self.end(&end.reason, ctx);
    }
}

//! Whose datagrams are whose. A datagram belongs to whom its sender's address says: at first the address that SETUP announced,
//! and where a NAT has changed the port, the one that the client's first packet really came from.
//!
//! Who may move a track to another port:
//!
//! - Only the address that the RTSP connection has: never another one, or a session could be used to flood somebody.
//! - Only once, and only within [`OPEN`] of SETUP or PLAY: players send their first packets then to open the way back.
//! - Not after a packet came from the announced port: then there is no NAT that changes ports. Several viewers behind one
//!   address cannot take each other's streams once these run.
//! - Only while exactly one session of that address can have sent it: with two players that are open, nothing in a first packet says whose it is. A wrong
//!   guess would give one viewer's stream to another, so nobody gets it, and the clients fall back to TCP.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use actix::Recipient;
use ipchub_media::rtp::rtcp::{self, Rtcp};

use super::Datagrams;

/// How long a client's first packet is waited for. ffmpeg, VLC and GStreamer send it right before or after PLAY.
const OPEN: Duration = Duration::from_secs(10);

/// Type of an RTCP sender report (RFC 3550, section 12.1).
const SENDER_REPORT: u8 = 200;

/// What a session wants to receive and send for one track.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Sessions have different ones.
    pub session: u64,
    /// Index of the track.
    pub track: usize,
    /// RTP and RTCP port that the client announced.
    pub ports: (u16, u16),
    /// By what a packet of this track can be told from one of another.
    pub known_by: KnownBy,
}

/// How packets that a client sends tell their track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownBy {
    /// It publishes: the payload type of its RTP.
    PayloadType(u8),
    /// It plays: the SSRC that its receiver reports name.
    Ssrc(u32),
}

#[derive(Debug)]
pub(super) struct Claim {
    wanted: Wanted,
    client: IpAddr,
    /// RTP and RTCP, where the client is now.
    ports: [AtomicU16; 2],
    /// Open for a move until this, in milliseconds since `start`; 0: not open. RTP and RTCP.
    open: [AtomicU64; 2],
    start: Instant,
    pub(super) to: Recipient<Datagrams>,
}

impl Claim {
    pub(super) fn track(&self) -> usize {
        self.wanted.track
    }

    pub(super) fn announced(&self) -> (u16, u16) {
        self.wanted.ports
    }

    pub(super) fn address(&self, rtcp: bool) -> SocketAddr {
        SocketAddr::new(self.client, self.ports[usize::from(rtcp)].load(Relaxed))
    }

    fn is_open(&self, rtcp: bool, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.start).as_millis() as u64;
        passed < self.open[usize::from(rtcp)].load(Relaxed)
    }

    fn was_settled(&self) -> bool {
        self.open.iter().any(|open| open.load(Relaxed) == 0)
    }

    fn settle(&self, rtcp: bool) {
        self.open[usize::from(rtcp)].store(0, Relaxed);
    }
}

/// All claims.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// RTP and RTCP.
    by_address: [HashMap<SocketAddr, Arc<Claim>>; 2],
    /// Those that a first packet may move, by address; what is not open any more is taken out when it is looked at.
    open: HashMap<IpAddr, Vec<Arc<Claim>>>,
}

impl Claims {
    /// A new claim of an address replaces an old one: the client knows best which of its sessions has the port.
    pub(super) fn insert(&mut self, client: IpAddr, wanted: Wanted, to: Recipient<Datagrams>) -> Arc<Claim> {
        let start = Instant::now();
        let ports = [wanted.ports.0, wanted.ports.1].map(AtomicU16::new);
        let claim = Arc::new(Claim { wanted, client, ports, open: Default::default(), start, to });
        for rtcp in [false, true] {
            self.by_address[usize::from(rtcp)].insert(claim.address(rtcp), Arc::clone(&claim));
        }
        let until = OPEN.as_millis() as u64;
        claim.open.iter().for_each(|open| open.store(until, Relaxed));
        self.open.entry(client).or_default().push(Arc::clone(&claim));
        claim
    }

    /// Waits anew for a first packet, unless one has come.
    pub(super) fn reopen(&mut self, claim: &Arc<Claim>) {
        if claim.was_settled() {
            return;
        }
        let until = (claim.start.elapsed() + OPEN).as_millis() as u64;
        claim.open.iter().for_each(|open| open.store(until, Relaxed));
        let open = self.open.entry(claim.client).or_default();
        if !open.iter().any(|other| Arc::ptr_eq(other, claim)) {
            open.push(Arc::clone(claim));
        }
    }

    pub(super) fn remove(&mut self, claim: &Arc<Claim>) {
        for rtcp in [false, true] {
            let address = claim.address(rtcp);
            let routes = &mut self.by_address[usize::from(rtcp)];
            if routes.get(&address).is_some_and(|there| Arc::ptr_eq(there, claim)) {
                routes.remove(&address);
            }
        }
        if let Some(open) = self.open.get_mut(&claim.client) {
            open.retain(|other| !Arc::ptr_eq(other, claim));
            if open.is_empty() {
                self.open.remove(&claim.client);
            }
        }
    }

    /// Whose datagram that is. `first`: its bytes.
    pub(super) fn find(&mut self, from: SocketAddr, rtcp: bool, first: &[u8]) -> Option<Arc<Claim>> {
        if let Some(claim) = self.by_address[usize::from(rtcp)].get(&from) {
            if claim.is_open(rtcp, Instant::now()) {
                // From where it was announced: no NAT changes this client's ports, of the other kind neither.
                claim.settle(false);
                claim.settle(true);
            }
            return Some(Arc::clone(claim));
        }
        let claim = self.candidate(from, rtcp, first)?;
        let before = claim.address(rtcp);
        claim.ports[usize::from(rtcp)].store(from.port(), Relaxed);
        claim.settle(rtcp);
        let routes = &mut self.by_address[usize::from(rtcp)];
        if routes.get(&before).is_some_and(|there| Arc::ptr_eq(there, &claim)) {
            routes.remove(&before);
        }
        routes.insert(from, Arc::clone(&claim));
        log::info!("{from}: sends for track {}, which announced port {}: a NAT", claim.track(), before.port());
        Some(claim)
    }

    fn candidate(&mut self, from: SocketAddr, rtcp: bool, first: &[u8]) -> Option<Arc<Claim>> {
        let now = Instant::now();
        let open = self.open.get_mut(&from.ip())?;
        open.retain(|claim| claim.is_open(false, now) || claim.is_open(true, now));
        let tracks =
            || open.iter().filter(|claim| claim.is_open(rtcp, now) && claim.wanted.known_by.allows(rtcp, first));
        let mut fitting = tracks();
        let session = fitting.next()?.wanted.session;
        if fitting.any(|claim| claim.wanted.session != session) {
            return None;
        }
        let named = tracks().find(|claim| claim.wanted.known_by.tells(rtcp, first));
        let beside = || {
            let below = from.port().checked_sub(1)?;
            let pair = |claim: &&Arc<Claim>| rtcp && !claim.is_open(false, now) && claim.address(false).port() == below;
            tracks().find(pair)
        };
        let only = || (tracks().count() == 1).then(|| tracks().next()).flatten();
        // The first packets of players have no name; they come in the order of the tracks. A publisher's have one.
        let in_order = || {
            let plays = |claim: &&Arc<Claim>| matches!(claim.wanted.known_by, KnownBy::Ssrc(_));
            tracks().filter(plays).min_by_key(|claim| claim.track())
        };
        named.or_else(beside).or_else(only).or_else(in_order).cloned()
    }
}

impl KnownBy {
    /// Whether such a packet can be of this track at all: publishers send its payload type and sender reports, players first
    /// packets of any type and receiver reports.
    fn allows(self, is_rtcp: bool, bytes: &[u8]) -> bool {
        match self {
            Self::PayloadType(_) if is_rtcp => bytes.get(1) == Some(&SENDER_REPORT),
            Self::PayloadType(_) => self.tells(false, bytes),
            Self::Ssrc(_) => !is_rtcp || bytes.get(1) != Some(&SENDER_REPORT),
        }
    }

    fn tells(self, is_rtcp: bool, bytes: &[u8]) -> bool {
        match self {
            Self::PayloadType(own) => !is_rtcp && bytes.len() >= 12 && bytes[1] & 0x7f == own,
            Self::Ssrc(own) => {
                let named = |part: &Rtcp| matches!(part, Rtcp::ReportBlock(block) if block.ssrc == own);
                is_rtcp && rtcp::parse(bytes).is_ok_and(|parts| parts.iter().any(named))
            }
        }
    }
}

#[cfg(test)]
mod tests;

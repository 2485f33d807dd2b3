//! What a route pulls: the seam between the route, which knows when and how often, and the sources it can pull from.
//!
//! A feed is opened, gives [`Item`]s for as long as it is polled, and is closed. It tells the tracks when it is opened and
//! gives only packets of these. What it sends is taken through our own receivers, and times are the source's business.

use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use ipchub_media::Track;
use ipchub_media::rtp::Packet;
use ipchub_media::rtp::receiver::Order;

use super::file::{self, Player};
use super::rtsp_client::{self, Camera};
use super::target::Target;

/// Something that is pulled, and plays.
#[derive(Debug)]
pub(super) enum Feed {
    /// By RTSP.
    Camera(Box<Camera>),
    /// From the disk.
    File(Box<Player>),
}

/// A feed that has sent its first packet.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) feed: Feed,
    pub(super) tracks: Vec<Fed>,
    /// What is odd about it.
    pub(super) notes: Vec<String>,
}

/// A track as it is pulled.
#[derive(Debug, Clone)]
pub(super) struct Fed {
    pub(super) track: Track,
    /// Whether its packets can come in another order.
    pub(super) order: Order,
    /// What the sender said its synchronization source will be.
    pub(super) ssrc: Option<u32>,
}

/// One thing that a feed sent.
#[derive(Debug)]
pub(super) enum Item {
    Packet {
        track: usize,
        packet: Packet,
        bytes: usize,
    },
    Rtcp {
        track: usize,
        bytes: Bytes,
    },
    /// A packet that is of no use, and why.
    Unusable(String),
}

/// Why nothing comes from a feed. Never shows a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PullError {
    /// Asking again soon would only lock the account.
    #[error("the camera refuses user and password: {0}")]
    Login(String),
    #[error("{0}")]
    Failed(String),
    #[error("no {step} within {} s", limit.as_secs_f64())]
    TimedOut { step: &'static str, limit: Duration },
}

impl Feed {
    /// Connects and plays; done when the first packet is there. All of it takes `limit` at most.
    pub(super) async fn open(target: Target, limit: Duration) -> Result<Opened, PullError> {
        match target.file() {
            Some(file) => file::open(file.clone(), limit).await,
            None => rtsp_client::open(target, limit).await,
        }
    }

    /// The next thing that it sends, or why there is no more.
    pub(super) fn poll_next(&mut self, task: &mut Context<'_>) -> Poll<Result<Item, String>> {
        match self {
            Self::Camera(camera) => camera.poll_next(task),
            Self::File(player) => player.poll_next(task),
        }
    }

    /// Sends a receiver report of a track, where somebody listens to it.
    pub(super) fn report(&mut self, track: usize, report: &[u8]) {
        match self {
            Self::Camera(camera) => camera.report(track, report),
            Self::File(_) => {}
        }
    }

    /// Ends it in order; takes a bounded time.
    pub(super) async fn close(self) {
        match self {
            Self::Camera(camera) => camera.close().await,
            // What is being read is read to its end and dropped.
            Self::File(_) => {}
        }
    }

    /// Whether silence means trouble. A clip may have long pauses: then only the disk can stall.
    pub(super) fn may_stall(&self) -> bool {
        match self {
            Self::Camera(_) => true,
            Self::File(player) => player.is_waiting(),
        }
    }
}

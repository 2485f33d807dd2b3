//! A file as a feed: played in real time, again and again, as if it were a camera.
//!
//! The disk is read off the actors' threads, about a second ahead and bounded in bytes.

mod target;

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ipchub_media::rtp::Packet;
use ipchub_media::rtp::packet::HEADER_LEN;
use ipchub_media::rtp::receiver::Order;
use ipchub_media::rtp::rtcp;
use tokio::task::JoinHandle;
use tokio::time::Sleep;

use super::feed::{Fed, Feed, Item, Opened, PullError};
use crate::clip::{ClipError, ClipFrame, Reader, Sender};
pub(super) use target::FileTarget;

/// Frames read at once at most, and how many may be left when the next are read: a second of video with its audio.
const BATCH: usize = 72;
/// Bytes read at once, and how many may be left, at most (and one frame more): a second of 8 Mbit/s.
const BATCH_BYTES: usize = 1 << 20;
/// A player that is late by more than this goes on from where it is, instead of sending all that was missed at once.
const MAX_LATE: Duration = Duration::from_secs(2);
/// What is waited for.
const STEP: &str = "index of the file";

/// A file that plays.
#[derive(Debug)]
pub(super) struct Player {
    name: String,
    reading: Reading,
    /// Read and not yet due.
    frames: VecDeque<ClipFrame>,
    bytes: usize,
    sender: Sender,
    /// When the clip's first frame was due.
    start: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    items: VecDeque<Item>,
    packets: Vec<Packet>,
}

#[derive(Debug)]
enum Reading {
    Ready(Box<Reader>),
    Busy(JoinHandle<Batch>),
    /// No more can be read: why.
    Over(String),
}

/// What one turn of reading gave: more to come, or why not.
#[derive(Debug)]
struct Batch {
    frames: Vec<ClipFrame>,
    rest: Result<Box<Reader>, ClipError>,
}

/// Opens a file and reads its first frames.
pub(super) async fn open(target: FileTarget, limit: Duration) -> Result<Opened, PullError> {
    let name = target.name();
    let deadline = Instant::now() + limit;
    let attempt = tokio::task::spawn_blocking(move || {
        let reader = Box::new(Reader::open(target.open()?, deadline)?);
        let notes = reader.notes().to_vec();
        let tracks = reader.tracks().to_vec();
        let Batch { frames, rest } = batch(reader);
        Ok::<_, ClipError>((notes, tracks, frames, rest?))
    });
    let timed_out = PullError::TimedOut { step: STEP, limit };
    let (notes, tracks, frames, reader) = match tokio::time::timeout(limit, attempt).await {
        Err(_) | Ok(Ok(Err(ClipError::Slow))) => return Err(timed_out),
        Ok(Ok(Err(error))) => return Err(PullError::Failed(format!("{name}: {error}"))),
        Ok(Err(_)) => return Err(PullError::Failed(format!("{name}: reading it failed"))),
        Ok(Ok(Ok(opened))) => opened,
    };
    let sender = Sender::new(&tracks);
    let report = |(track, report)| Item::Rtcp { track, bytes: rtcp::sender_report(&report, 0, 0, "") };
    let items = sender.reports().map(report).collect();
    let fed = tracks.iter().map(|clip| Fed { track: clip.track.clone(), order: Order::Kept, ssrc: None }).collect();
    let mut player = Player {
        name,
        reading: Reading::Ready(reader),
        frames: VecDeque::new(),
        bytes: 0,
        sender,
        start: None,
        timer: None,
        items,
        packets: Vec::new(),
    };
    player.queue(frames);
    Ok(Opened { feed: Feed::File(Box::new(player)), tracks: fed, notes })
}

fn batch(mut reader: Box<Reader>) -> Batch {
    let (mut frames, mut bytes) = (Vec::new(), 0);
    if let Err(error) = reader.check() {
        return Batch { frames, rest: Err(error) };
    }
    while frames.len() < BATCH && bytes < BATCH_BYTES {
        match reader.next() {
            Ok(frame) => {
                bytes += frame.len;
                frames.push(frame);
            }
            Err(error) => return Batch { frames, rest: Err(error) },
        }
    }
    Batch { frames, rest: Ok(reader) }
}

impl Player {
    fn queue(&mut self, frames: Vec<ClipFrame>) {
        self.bytes += frames.iter().map(|frame| frame.len).sum::<usize>();
        self.frames.extend(frames);
    }

    /// Begins to read, if there is room, and takes what was read.
    fn poll_reading(&mut self, task: &mut Context<'_>) {
        if self.frames.len() >= BATCH || self.bytes >= BATCH_BYTES {
            return;
        }
        loop {
            match std::mem::replace(&mut self.reading, Reading::Over(String::new())) {
                Reading::Ready(reader) => {
                    self.reading = Reading::Busy(tokio::task::spawn_blocking(move || batch(reader)));
                }
                Reading::Busy(mut handle) => match Pin::new(&mut handle).poll(task) {
                    Poll::Pending => {
                        self.reading = Reading::Busy(handle);
                        return;
                    }
                    Poll::Ready(Ok(Batch { frames, rest })) => {
                        self.queue(frames);
                        self.reading = match rest {
                            Ok(reader) => Reading::Ready(reader),
                            Err(error) => Reading::Over(format!("{}: {error}", self.name)),
                        };
                        return;
                    }
                    Poll::Ready(Err(_)) => self.reading = Reading::Over(format!("{}: reading it failed", self.name)),
                },
                over @ Reading::Over(_) => {
                    self.reading = over;
                    return;
                }
            }
        }
    }

    /// How long it is until a frame is due.
    fn wait(&mut self, due: Duration) -> Duration {
        let start = *self.start.get_or_insert_with(Instant::now);
        let elapsed = start.elapsed();
        if elapsed > due + MAX_LATE {
            self.start = Some(start + (elapsed - due));
        }
        due.saturating_sub(elapsed)
    }

    /// The next packet that is due, or why there will be no more.
    pub(super) fn poll_next(&mut self, task: &mut Context<'_>) -> Poll<Result<Item, String>> {
        loop {
            if let Some(item) = self.items.pop_front() {
                return Poll::Ready(Ok(item));
            }
            self.poll_reading(task);
            let Some(due) = self.frames.front().map(|frame| frame.due) else {
                return match &self.reading {
                    Reading::Over(reason) => Poll::Ready(Err(reason.clone())),
                    _ => Poll::Pending,
                };
            };
            let wait = self.wait(due);
            if !wait.is_zero() {
                let mut timer = Box::pin(tokio::time::sleep(wait));
                if timer.as_mut().poll(task).is_pending() {
                    self.timer = Some(timer);
                    return Poll::Pending;
                }
            }
            self.timer = None;
            self.send();
        }
    }

    fn send(&mut self) {
        let Some(frame) = self.frames.pop_front() else { return };
        self.bytes = self.bytes.saturating_sub(frame.len);
        self.sender.packets(&frame, &mut self.packets);
        let track = frame.track;
        let packet = |packet: Packet| Item::Packet { track, bytes: HEADER_LEN + packet.payload.len(), packet };
        self.items.extend(self.packets.drain(..).map(packet));
        if let Err(reason) = frame.units {
            self.items.push_back(Item::Unusable(format!("{}: {reason}", self.name)));
        }
    }

    /// Whether it waits for the disk. Else it is the clip itself that pauses.
    pub(super) fn is_waiting(&self) -> bool {
        self.frames.is_empty() && matches!(self.reading, Reading::Busy(_))
    }
}

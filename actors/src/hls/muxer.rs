//! The actor: a consumer of the source's frames. Begins with the cached GOP, ends with the last player or with the source.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix::prelude::*;
use ipchub_media::hls::{Config, Presentation, Segmenter};
use tokio::sync::watch;

use super::{Handle, Spool};
use crate::hub::Hub;
use crate::info::PacketType;
use crate::messages::{EndViewing, Found, FrameItem, SubscribeFrames, Unsubscribe};
use crate::trouble::Trouble;

/// How often it looks for players that left or were kicked; a kick is to show within a second.
const SWEEP: Duration = Duration::from_millis(250);

/// Segments of one source that are being written at once; what they hold is held in memory until then.
const MAX_WRITING: usize = 3;

/// Cuts one source's frames.
#[derive(Debug)]
pub struct HlsMuxer {
    hub: Hub,
    found: Found,
    handle: Arc<Handle>,
    moments: watch::Sender<Option<Arc<Presentation>>>,
    segmenter: Option<Segmenter>,
    /// Its number as a consumer of frames.
    id: u32,
    reason: Option<String>,
    trouble: Trouble,
    writing: Writing,
}

/// Segments on their way into the folder.
#[derive(Debug, Default)]
struct Writing {
    /// Of this muxer's files.
    run: u64,
    /// How many are being written.
    now: usize,
    /// The first that was not looked at yet.
    next: u64,
}

impl HlsMuxer {
    /// Starts it on this thread.
    pub(super) fn begin(
        hub: Hub,
        found: Found,
        handle: Arc<Handle>,
        moments: watch::Sender<Option<Arc<Presentation>>>,
    ) -> Addr<Self> {
        Self::create(|ctx| {
            ctx.set_mailbox_capacity(hub.settings.viewer_queue);
            let id = hub.consumer_id(PacketType::Hls);
            let (segmenter, reason, trouble) = Default::default();
            let run = hub.spool.as_ref().map_or(0, |spool| spool.run());
            let writing = Writing { run, ..Writing::default() };
            Self { hub, found, handle, moments, segmenter, id, reason, trouble, writing }
        })
    }

    fn config(&self) -> Config {
        let settings = &self.hub.settings.hls;
        Config {
            format: self.handle.format,
            part: settings.part,
            fragment: settings.fragment,
            window: settings.window,
            max_bytes: settings.bytes,
            // Segments last a second or more, so that a later run's numbers are above those of all runs before: an address
            // names the same bytes for ever, whatever caches keep.
            first: now().as_secs(),
            discontinuities: self.found.info.hls_discontinuities.load(Relaxed),
        }
    }

    fn publish(&mut self, ctx: &mut Context<Self>) {
        let Some(segmenter) = &mut self.segmenter else { return };
        let mut now = segmenter.presentation();
        if let Some(spool) = self.hub.spool.clone() {
            let mut kept = self.handle.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let first = now.segments.front().map_or(now.next, |segment| segment.number);
            let still = kept.split_off(&first);
            let gone = std::mem::replace(&mut *kept, still);
            if !gone.is_empty() {
                // Files are removed when they are dropped.
                tokio::task::spawn_blocking(move || drop(gone));
            }
            // As long as a player may want the parts the whole stays in memory.
            kept.range(..now.parts_from()).for_each(|(number, _)| segmenter.release(*number));
            drop(kept);
            now = segmenter.presentation();
            self.spool(&spool, &now, ctx);
        }
        self.moments.send_replace(Some(Arc::new(now)));
    }

    /// Writes what is complete and not yet in the folder. What a slow disk has no time for stays in memory.
    fn spool(&mut self, spool: &Arc<Spool>, now: &Presentation, ctx: &mut Context<Self>) {
        let next = std::mem::replace(&mut self.writing.next, now.next);
        for segment in now.segments.iter().filter(|segment| segment.number >= next) {
            let Some(body) = segment.body.clone().filter(|_| self.writing.now < MAX_WRITING) else { continue };
            self.writing.now += 1;
            let (spool, run, number) = (Arc::clone(spool), self.writing.run, segment.number);
            let write = tokio::task::spawn_blocking(move || spool.keep(run, number, &body));
            ctx.spawn(write.into_actor(self).map(move |written, muxer, _| {
                muxer.writing.now -= 1;
                match written {
                    Ok(Ok(kept)) => {
                        let mut all = muxer.handle.kept.lock().unwrap_or_else(PoisonError::into_inner);
                        all.insert(number, Arc::new(kept));
                    }
                    Ok(Err(error)) => {
                        let place = format!("{}, segment {number} stays in memory", muxer.found.info.path);
                        muxer.trouble.warn(&place, &error);
                    }
                    Err(_) => {}
                }
            }));
        }
    }

    fn warn(&mut self, error: &ipchub_media::fmp4::Error) {
        let place = format!("{}, hls", self.found.info.path);
        self.trouble.warn(&place, error);
    }

    fn end(&mut self, reason: &str, ctx: &mut Context<Self>) {
        self.reason.get_or_insert(reason.to_owned());
        ctx.stop();
    }
}

/// By the wall clock, since 1970.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl Actor for HlsMuxer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        log::info!("{}: hls begins", self.found.info.path);
        let address = ctx.address();
        let subscribe = SubscribeFrames { id: self.id, items: address.clone().recipient(), end: address.recipient() };
        // No frame is heard before those that are cached.
        ctx.wait(self.found.source.send(subscribe).into_actor(self).map(|answer, muxer, ctx| match answer {
            Ok(opening) => {
                let mut segmenter = Segmenter::new(muxer.config(), &opening.tracks);
                if opening.without_video {
                    segmenter.leave_out_video();
                }
                if let Err(error) = segmenter.open(opening.frames, now()) {
                    muxer.warn(&error);
                }
                muxer.segmenter = Some(segmenter);
                muxer.publish(ctx);
            }
            Err(_) => muxer.end("the stream has ended", ctx),
        }));
        ctx.run_interval(SWEEP, |muxer, ctx| {
            let idle = muxer.hub.settings.hls.idle;
            muxer.handle.sessions.sweep(idle, &muxer.found.info.path);
            if muxer.handle.is_idle(idle) {
                muxer.end("nobody watches", ctx);
            }
        });
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.found.source.do_send(Unsubscribe { id: self.id });
        if let Some(last) = &*self.moments.borrow() {
            self.found.info.hls_discontinuities.fetch_max(last.next_discontinuity(), Relaxed);
        }
        let reason = self.reason.as_deref().unwrap_or("ended");
        self.found.info.end_hls(self.handle.format, &self.handle);
        self.handle.kept.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.handle.sessions.end(reason, &self.found.info.path);
        log::info!("{}: hls ended: {reason}", self.found.info.path);
    }
}

impl Handler<FrameItem> for HlsMuxer {
    type Result = ();

    fn handle(&mut self, item: FrameItem, ctx: &mut Self::Context) {
        let Some(segmenter) = &mut self.segmenter else { return };
        let news = match item {
            FrameItem::Retune(tracks) => {
                segmenter.retune(&tracks);
                Ok(true)
            }
            FrameItem::LeaveOutVideo => {
                segmenter.leave_out_video();
                Ok(true)
            }
            FrameItem::Parameters(tracks) => {
                segmenter.set_parameters(&tracks);
                Ok(false)
            }
            FrameItem::Frame(frame) => segmenter.frame(frame, now()),
        };
        match news {
            Ok(true) => self.publish(ctx),
            Ok(false) => {}
            Err(error) => self.warn(&error),
        }
    }
}

impl Handler<EndViewing> for HlsMuxer {
    type Result = ();

    fn handle(&mut self, end: EndViewing, ctx: &mut Self::Context) {
        if let Some(segmenter) = &mut self.segmenter {
            segmenter.break_off();
            let last = Presentation { ended: true, ..segmenter.presentation() };
            self.moments.send_replace(Some(Arc::new(last)));
        }
        self.end(&end.reason, ctx);
    }
}

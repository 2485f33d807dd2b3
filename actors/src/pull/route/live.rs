//! A pull that is live: from the feed to the source, until one of them ends, the media stalls or nobody watches.

use std::pin::Pin;
use std::task::{Context as Task, Poll};
use std::time::{Duration, Instant};

use actix::prelude::*;

use super::{FORGET, Live, PullRoute, Retire, State};
use crate::messages::{Media, Unpublish};
use crate::source::Source;

/// Packets given to the source in one message at most: more than one read of video has.
const BATCH: usize = 256;

impl PullRoute {
    fn now(&self) -> Duration {
        self.hub.started.at.elapsed()
    }

    /// Gives what was received to the source. A source that is busy slows the camera down, through TCP.
    fn forward(&mut self, ctx: &mut Context<Self>) {
        let now = self.now();
        let State::Live(live) = &mut self.state else { return };
        let Some(media) = live.ingest.media(live.id, now) else { return };
        self.status.add_bytes(media.bytes);
        self.hub.stats.traffic.pulled.add(media.bytes);
        live.found.info.set_reception(live.id, live.ingest.reception());
        let source = live.found.source.clone();
        match source.try_send(media) {
            Ok(()) => {}
            Err(SendError::Full(media)) => self.forward_later(source, media, ctx),
            Err(SendError::Closed(_)) => self.broken("the source ended", ctx),
        }
    }

    fn forward_later(&mut self, source: Addr<Source>, media: Media, ctx: &mut Context<Self>) {
        let sent = async move { source.send(media).await };
        ctx.wait(sent.into_actor(self).map(|result, route, ctx| {
            if result.is_err() {
                route.broken("the source ended", ctx);
            }
        }));
    }

    /// The connection is of no use any more; viewers wait for the next.
    fn broken(&mut self, reason: &str, ctx: &mut Context<Self>) {
        let State::Live(live) = &self.state else { return };
        self.backoff.lasted(live.since.elapsed());
        log::warn!("{}: pulled from {} no more: {reason}", self.path, self.target.address());
        let wanted = self.is_wanted();
        self.status.set_error(reason);
        self.close(reason, wanted);
        let wait = self.backoff.next();
        self.wait(wait, ctx);
    }

    /// Leaves camera and source.
    pub(super) fn close(&mut self, reason: &str, comes_back: bool) {
        let State::Live(live) = std::mem::replace(&mut self.state, State::Idle) else { return };
        let Live { id, feed, found, counted, .. } = *live;
        self.closed = Some(id);
        found.source.do_send(Unpublish { id, reason: reason.to_owned(), comes_back });
        actix_rt::spawn(async move {
            feed.close().await;
            drop(counted);
        });
    }

    /// Tells the camera how its packets arrive: some take a client for gone that says nothing.
    pub(super) fn report(&mut self) {
        let now = self.now();
        let State::Live(live) = &mut self.state else { return };
        for (track, report) in live.ingest.reports(now) {
            live.feed.report(track, &report);
        }
    }

    pub(super) fn tick(&mut self, ctx: &mut Context<Self>) {
        if self.viewers() > 0 {
            self.wanted = Instant::now();
        }
        let unwanted = self.wanted.elapsed();
        match &self.state {
            State::Live(live) => {
                let limit = self.hub.settings.pull_stall;
                if let Some(reason) = live.ingest.stalled(limit).filter(|_| live.feed.may_stall()) {
                    return self.broken(&reason, ctx);
                }
                if live.found.info.publisher() != Some(live.id) {
                    self.close("another publisher has the path", false);
                    return self.stand_aside("another publisher has the path", ctx);
                }
                if self.backoff.lasted(live.since.elapsed()) {
                    self.status.set_error("");
                }
                let idle = self.hub.settings.pull_idle;
                if !self.is_kept() && unwanted >= idle {
                    let reason = format!("nobody watched for {} s", idle.as_secs_f64());
                    log::info!("{}: no longer pulled from {}: {reason}", self.path, self.target.address());
                    self.close(&reason, false);
                    self.idle();
                }
            }
            State::Idle if unwanted >= FORGET => self.hub.routes.do_send(Retire { path: self.path.clone() }),
            _ => {}
        }
    }
}

/// Reads the feed of one publication.
pub(super) struct Listen {
    pub(super) id: u64,
}

impl ActorFuture<PullRoute> for Listen {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        route: &mut PullRoute,
        ctx: &mut Context<PullRoute>,
        task: &mut Task<'_>,
    ) -> Poll<()> {
        if ctx.waiting() || !ctx.state().alive() {
            // Polled again when the wait is over.
            return Poll::Pending;
        }
        let now = route.now();
        for _ in 0..BATCH {
            let State::Live(live) = &mut route.state else { return Poll::Ready(()) };
            if live.id != self.id {
                return Poll::Ready(());
            }
            match live.feed.poll_next(task) {
                Poll::Ready(Ok(item)) => live.ingest.take(item, now),
                Poll::Ready(Err(reason)) => {
                    route.forward(ctx);
                    route.broken(&reason, ctx);
                    return Poll::Ready(());
                }
                Poll::Pending => {
                    route.forward(ctx);
                    return Poll::Pending;
                }
            }
        }
        route.forward(ctx);
        task.waker().wake_by_ref();
        Poll::Pending
    }
}

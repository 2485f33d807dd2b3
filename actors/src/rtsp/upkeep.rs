//! What an RTSP session does at intervals: it looks whether the client is still there, and reports what it received.

use std::time::Duration;

use actix::prelude::*;
use bytes::{BufMut, BytesMut};
use ipchub_media::rtsp::session::TrackTransport;

use super::carrier::Carrier;
use super::session::RtspSession;

/// How often receiver reports are sent (RFC 3550, section 6.2).
pub(super) const REPORTS: Duration = Duration::from_secs(5);
/// A publisher's silence is looked for this often, or more often where its timeout is short.
pub(super) const TICK: Duration = Duration::from_secs(1);

impl RtspSession {
    pub(super) fn check_silence(&mut self, ctx: &mut Context<Self>) {
        let silent = self.heard.elapsed();
        let limit = match &self.publishing {
            Some(_) => self.hub.settings.publisher_timeout,
            None => self.hub.settings.session_timeout,
        };
        // A player over TCP that takes what it is sent is alive; one over UDP must say so.
        let sent_to = match &self.carrier {
            Carrier::Plain | Carrier::Websocket(_) => self.playing.as_ref().is_some_and(|playing| !playing.is_udp()),
            Carrier::Wsp(control) => control.is_playing(),
        };
        let join_within = self.hub.settings.sniff_timeout;
        if let Carrier::Wsp(control) = &self.carrier
            && control.is_abandoned(self.link.since.elapsed(), join_within)
        {
            return self.end(format!("no data connection joined within {} s", join_within.as_secs_f64()), ctx);
        }
        if silent > limit && !sent_to {
            self.end(format!("nothing heard for {} s", limit.as_secs_f64()), ctx);
        }
    }

    pub(super) fn report(&mut self, ctx: &mut Context<Self>) {
        let now = self.now();
        let Some(publishing) = &mut self.publishing else { return };
        let mut interleaved = Vec::new();
        for (receiving, report) in publishing.reports(now) {
            match (&receiving.route, &receiving.transport) {
                (Some(route), _) => route.send_rtcp(&report),
                (None, TrackTransport::Interleaved { rtcp, .. }) => {
                    let mut framed = BytesMut::with_capacity(4 + report.len());
                    framed.put_slice(&[b'$', *rtcp]);
                    framed.put_u16(report.len() as u16);
                    framed.put_slice(&report);
                    interleaved.push(self.carrier.packet(framed.freeze()));
                }
                (None, TrackTransport::Udp { .. } | TrackTransport::Multicast) => {}
            }
        }
        // A report is worth nothing later: it goes only where nothing waits.
        if self.outbox.is_empty() {
            for report in interleaved {
                self.outbox.push(report);
            }
            self.flush(ctx);
        }
    }
}

//! Packets in the connection, and requests of the server.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Chosen, Client, Error, Event, Path, State};
use crate::rtsp::message::{Method, Request, Response};

impl Client {
    /// Before PLAY was sent all packets are of somebody else's session: Reolink sends on those of the last one.
    pub(super) fn interleaved(&mut self, channel: u8, data: Bytes, out: &mut Vec<Event>) {
        if !matches!(self.state, State::Play(..) | State::Playing(_)) {
            return;
        }
        let find = |(track, chosen): (usize, &Chosen)| match chosen.path {
            Path::Interleaved { rtp, .. } if rtp == channel => Some((track, false)),
            Path::Interleaved { rtcp, .. } if rtcp == channel => Some((track, true)),
            _ => None,
        };
        out.push(match self.chosen.iter().enumerate().find_map(find) {
            Some((track, rtcp)) => Event::Packet { track, rtcp, data },
            None => Event::Stray { channel, len: data.len() },
        });
    }

    /// Frames RTCP for a track whose media comes in the connection.
    pub fn frame(&self, track: usize, rtcp_packet: &[u8]) -> Option<Bytes> {
        let Path::Interleaved { rtcp, .. } = self.chosen.get(track)?.path else { return None };
        let len = u16::try_from(rtcp_packet.len()).ok()?;
        let mut framed = BytesMut::with_capacity(4 + rtcp_packet.len());
        framed.put_slice(&[b'$', rtcp]);
        framed.put_u16(len);
        framed.put_slice(rtcp_packet);
        Some(framed.freeze())
    }

    /// What the server asks of us: RFC 2326, section 10 allows it OPTIONS, ANNOUNCE, GET_PARAMETER, SET_PARAMETER, REDIRECT.
    pub(super) fn requested(&mut self, request: &Request, out: &mut Vec<Event>) -> Result<(), Error> {
        let status = match &request.method {
            Method::Options | Method::Announce | Method::GetParameter | Method::SetParameter => 200,
            Method::Redirect | Method::Teardown => 200,
            _ => 501,
        };
        let cseq = request.headers.get("CSeq").unwrap_or_default();
        out.push(Event::Send(Response::new(status).with("CSeq", cseq).to_bytes()));
        match (&request.method, request.headers.get("Location")) {
            (Method::Redirect, Some(location)) => {
                self.state = State::Closed;
                out.push(Event::Redirect(location.to_owned()));
                Ok(())
            }
            (Method::Redirect | Method::Teardown, _) => Err(Error::Ended(request.method.clone())),
            _ => Ok(()),
        }
    }
}

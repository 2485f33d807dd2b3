//! A player of HLS with fragmented MP4 (RFC 8216bis): one connection, one request after the other, no wait that the server does
//! not ask for. Where it may, it asks for the playlist with the part that comes next and is answered once that is there.

mod answer;
mod playlist;

use std::collections::VecDeque;

use anyhow::{Context, Result, bail, ensure};
use url::Url;

use crate::target::Target;
use crate::unframe::avcc;
use crate::watch::Watch;
use answer::Answer;
use playlist::{Place, Playlist};

/// The longest answer: a segment of a minute at 30 Mbit/s fits.
const MAX_ANSWER: usize = 256 << 20;

/// One player.
#[derive(Debug)]
pub(crate) struct Hls {
    host: String,
    /// Of the answer that is awaited.
    asked: Asked,
    url: Url,
    /// Not yet a whole answer.
    bytes: Vec<u8>,
    media: Option<Url>,
    map: Option<Url>,
    /// To be asked for, in this order.
    queue: VecDeque<(Asked, Url)>,
    /// The next that was not asked for.
    next: Option<Place>,
    /// Answers to the playlist wait for what comes next.
    blocks: bool,
    /// Wall clock in microseconds of the next request, where they do not.
    reload_at: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Playlist,
    Map,
    Piece,
}

impl Hls {
    /// Asks for the playlist.
    pub(crate) fn new(target: &Target, out: &mut Vec<u8>) -> Result<Self> {
        let url = Url::parse(&target.url).with_context(|| target.url.clone())?;
        let mut player = Self {
            host: target.host.clone(),
            asked: Asked::Playlist,
            url: url.clone(),
            bytes: Vec::new(),
            media: None,
            map: None,
            queue: VecDeque::new(),
            next: None,
            blocks: false,
            reload_at: None,
        };
        player.ask(Asked::Playlist, url, out)?;
        Ok(player)
    }

    /// It has a playlist of media.
    pub(crate) fn is_streaming(&self) -> bool {
        self.media.is_some()
    }

    fn ask(&mut self, asked: Asked, url: Url, out: &mut Vec<u8>) -> Result<()> {
        ensure!(url.origin() == self.url.origin(), "{url} is at another server than {}", self.url);
        let query = url.query().map_or_else(String::new, |query| format!("?{query}"));
        let head = format!("GET {}{query} HTTP/1.1\r\nHost: {}\r\nUser-Agent: hub-load\r\n", url.path(), self.host);
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(b"Accept: */*\r\n\r\n");
        (self.asked, self.url) = (asked, url);
        Ok(())
    }

    /// Bytes of the connection, cut anywhere.
    pub(crate) fn received(&mut self, bytes: &[u8], now: u64, watch: &mut Watch, out: &mut Vec<u8>) -> Result<()> {
        self.bytes.extend_from_slice(bytes);
        while let Some((answer, len)) = Answer::read(&self.bytes)? {
            self.bytes.drain(..len);
            self.answered(answer, now, watch)?;
            self.go_on(now, out)?;
        }
        ensure!(self.bytes.len() <= MAX_ANSWER, "an answer of more than {MAX_ANSWER} bytes");
        Ok(())
    }

    /// Asks for the playlist again when it is time.
    pub(crate) fn tick(&mut self, now: u64, out: &mut Vec<u8>) -> Result<()> {
        match self.reload_at.take_if(|at| *at <= now) {
            Some(_) => self.reload(out),
            None => Ok(()),
        }
    }

    fn answered(&mut self, answer: Answer, now: u64, watch: &mut Watch) -> Result<()> {
        let Answer { status, body } = answer;
        match (self.asked, status) {
            (Asked::Playlist, 200) => self.listed(&String::from_utf8_lossy(&body), now),
            (Asked::Map, 200) => Ok(()),
            (Asked::Piece, 200) => pictures(&body, |nal| watch.nal(nal, now)),
            // It is not listed any more: the frames' numbers tell what is missing.
            (Asked::Piece, 404 | 410) => Ok(()),
            (_, status) => bail!("HTTP {status} for {}", self.url.path()),
        }
    }

    fn listed(&mut self, text: &str, now: u64) -> Result<()> {
        ensure!(text.starts_with("#EXTM3U"), "{} is no playlist", self.url.path());
        if let Some(variant) = playlist::variant(text) {
            ensure!(self.media.is_none(), "a multivariant playlist in a multivariant playlist");
            let media = self.url.join(variant)?;
            self.queue.push_back((Asked::Playlist, media.clone()));
            self.media = Some(media);
            return Ok(());
        }
        let Playlist { pieces, map, target, blocks, end, ended } = Playlist::read(text)?;
        ensure!(!ended, "the server ended the stream");
        let media = self.media.get_or_insert_with(|| self.url.clone()).clone();
        self.blocks = blocks;
        let newest = pieces.iter().rfind(|piece| piece.independent).or(pieces.last());
        let from = self.next.or(newest.map(|piece| piece.place));
        let (before, from) = (self.queue.len(), from.unwrap_or(end));
        for piece in pieces.into_iter().filter(|piece| piece.place >= from) {
            self.queue.push_back((Asked::Piece, media.join(&piece.uri)?));
        }
        let map = map.map(|map| media.join(&map)).transpose()?;
        if let Some(map) = map.filter(|map| self.map.as_ref() != Some(map)) {
            self.queue.push_front((Asked::Map, map.clone()));
            self.map = Some(map);
        }
        if self.queue.len() > before || self.next.is_some() {
            self.next = Some(end.max(from));
        }
        // Section 6.3.4: half a target duration where nothing is new.
        let wait = if self.queue.is_empty() { target / 2.0 } else { 0.0 };
        self.reload_at = (!blocks || self.next.is_none()).then(|| now + (wait * 1e6) as u64);
        Ok(())
    }

    fn go_on(&mut self, now: u64, out: &mut Vec<u8>) -> Result<()> {
        match self.queue.pop_front() {
            Some((asked, url)) => self.ask(asked, url, out),
            None if self.reload_at.is_some_and(|at| at > now) => Ok(()),
            None => self.reload(out),
        }
    }

    fn reload(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let mut url = self.media.clone().context("an answer without a request")?;
        if let Some(Place { segment, part }) = self.next.filter(|_| self.blocks) {
            url.query_pairs_mut()
                .append_pair("_HLS_msn", &segment.to_string())
                .append_pair("_HLS_part", &part.to_string());
        }
        self.reload_at = None;
        self.ask(Asked::Playlist, url, out)
    }
}

/// The NAL units in the `mdat` boxes (ISO/IEC 14496-12, section 4.2) of a stream that has pictures only.
fn pictures(mut bytes: &[u8], mut nal: impl FnMut(&[u8])) -> Result<()> {
    while let Some((head, _)) = bytes.split_first_chunk::<8>() {
        let size = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        ensure!((8..=bytes.len()).contains(&size), "an MP4 box of {size} bytes with {} left", bytes.len());
        if &head[4..] == b"mdat" {
            avcc(&bytes[8..size], &mut nal)?;
        }
        bytes = &bytes[size..];
    }
    ensure!(bytes.is_empty(), "{} bytes behind the last MP4 box", bytes.len());
    Ok(())
}

#[cfg(test)]
mod tests;

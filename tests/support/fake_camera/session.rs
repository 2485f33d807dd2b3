//! One connection to the camera: its requests and their answers.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Shutdown, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::clip::{AUDIO, VIDEO};
use super::replies::{self, Values};
use super::sending::{self, Output};
use super::{Fault, Shared, lock};

pub(super) struct Session<'a> {
    shared: &'a Arc<Shared>,
    input: BufReader<TcpStream>,
    output: Arc<Mutex<TcpStream>>,
    /// By track.
    outputs: HashMap<usize, Output>,
    /// Track and control of the description that it sent.
    controls: Vec<(usize, String)>,
    /// Answers given to each method.
    counts: HashMap<String, usize>,
    gone: Arc<AtomicBool>,
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.gone.store(true, SeqCst);
    }
}

impl<'a> Session<'a> {
    pub(super) fn new(shared: &'a Arc<Shared>, stream: TcpStream) -> Self {
        let output = Arc::new(Mutex::new(stream.try_clone().expect("it is open")));
        let (outputs, controls, counts, gone) = Default::default();
        Self { shared, input: BufReader::new(stream), output, outputs, controls, counts, gone }
    }

    pub(super) fn serve(&mut self) -> io::Result<()> {
        let script = &self.shared.script;
        if script.has(Fault::StrangersFromTheStart) {
            sending::strangers(&self.output, &self.gone);
        }
        loop {
            let (method, url, headers) = self.request()?;
            lock(&self.shared.requests).push(format!("{method} {url}"));
            lock(&self.shared.headers).push(headers.clone());
            if script.has(Fault::ClosesOnOptions) && method == "OPTIONS" {
                return lock(&self.output).shutdown(Shutdown::Both);
            }
            let header = |name: &str| headers.get(name).map(String::as_str);
            let values = Values::new(self.shared, &url, header("cseq").unwrap_or_default());
            if let Some(login) = &script.login {
                let given = header("authorization");
                let stale = script.stale_nonce && method == "SETUP" && self.shared.nonces.load(SeqCst) == 0;
                self.shared.nonces.fetch_add(usize::from(stale), SeqCst);
                let nonce = self.shared.nonce();
                if !given.is_some_and(|given| login.accepts(given, &method, &nonce)) {
                    self.shared.refused.fetch_add(usize::from(given.is_some()), SeqCst);
                    let values = Values::new(self.shared, &url, header("cseq").unwrap_or_default());
                    self.answer("unauthorized", &values, || replies::unauthorized(login, &nonce, stale))?;
                    continue;
                }
            }
            match method.as_str() {
                "DESCRIBE" => {
                    let reply = self.answer("describe", &values, || replies::describe(script, &self.shared.clip))?;
                    self.controls = controls(&reply);
                }
                "SETUP" => self.answer_setup(&url, header("transport").unwrap_or_default(), values)?,
                "PLAY" => self.answer_play(&values)?,
                "TEARDOWN" => {
                    self.answer("teardown", &values, || replies::PLAIN.into())?;
                    return lock(&self.output).shutdown(Shutdown::Both);
                }
                other => drop(self.answer(&other.to_lowercase(), &values, || replies::PLAIN.into())?),
            }
            if script.silent_after == Some(method.as_str()) {
                // Open and silent until the other side has enough.
                return io::copy(&mut self.input, &mut io::sink()).map(|_| ());
            }
        }
    }

    /// Sends the file of this step, or else what `plain` says, and returns what was sent.
    fn answer(&mut self, step: &str, values: &Values, plain: impl FnOnce() -> String) -> io::Result<String> {
        let count = self.counts.entry(step.to_owned()).or_default();
        *count += 1;
        let text = self.shared.script.maker.and_then(|maker| replies::file(maker, step, *count));
        let text = values.fill(&text.unwrap_or_else(plain));
        lock(&self.output).write_all(text.as_bytes())?;
        Ok(text)
    }

    fn answer_setup(&mut self, url: &str, transport: &str, mut values: Values) -> io::Result<()> {
        let script = &self.shared.script;
        let path = url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..])).unwrap_or_default();
        if !script.set_up_at.is_empty() && !script.set_up_at.contains(&path) {
            return self.answer("not_found", &values, || replies::status("404 Not Found")).map(drop);
        }
        let found = self.controls.iter().filter(|(_, control)| url.ends_with(control.as_str()));
        let Some(track) = found.max_by_key(|(_, control)| control.len()).map(|(track, _)| *track) else {
            return self.answer("not_found", &values, || replies::status("404 Not Found")).map(drop);
        };
        let Some((granted, udp)) = self.granted(track, transport) else {
            return self.answer("unsupported", &values, || replies::status("461 Unsupported Transport")).map(drop);
        };
        values.transport = granted;
        values.ssrc = sending::ssrc(self.shared.plays.load(SeqCst), track);
        let reply = self.answer("setup", &values, || replies::SETUP.into())?;
        if !reply.starts_with("RTSP/1.0 200") {
            return Ok(());
        }
        let channel = number(&reply, "interleaved=").or(number(transport, "interleaved=")).unwrap_or_default() as u8;
        let output = match udp {
            Some(socket) => Output::Udp(socket, Arc::clone(&self.gone), Arc::clone(&self.output)),
            None => Output::Tcp(Arc::clone(&self.output), channel),
        };
        self.outputs.insert(track, output);
        Ok(())
    }

    fn answer_play(&mut self, values: &Values) -> io::Result<()> {
        let script = &self.shared.script;
        let count = self.shared.plays.fetch_add(1, SeqCst);
        let outputs = std::mem::take(&mut self.outputs);
        if script.has(Fault::EarlyMedia) {
            sending::start(Arc::clone(self.shared), count, outputs);
            std::thread::sleep(Duration::from_secs(1));
            return self.answer("play", values, || replies::PLAY.into()).map(drop);
        }
        self.answer("play", values, || replies::PLAY.into())?;
        if script.silent_after != Some("PLAY") {
            sending::start(Arc::clone(self.shared), count, outputs);
        }
        Ok(())
    }

    /// The transport that a faultless camera says, and the socket if it is UDP; `None`: it is refused.
    fn granted(&self, track: usize, transport: &str) -> Option<(String, Option<UdpSocket>)> {
        let script = &self.shared.script;
        if let Some(asked) = number(transport, "interleaved=") {
            if script.refuses_tcp {
                return None;
            }
            let channel = if script.other_channels { 20 + 2 * track as u16 } else { asked };
            return Some((format!("RTP/AVP/TCP;unicast;interleaved={channel}-{}", channel + 1), None));
        }
        let client = number(transport, "client_port=")?;
        let stream = self.input.get_ref();
        let (local, peer) = (stream.local_addr().ok()?.ip(), stream.peer_addr().ok()?.ip());
        let (rtp, rtcp) = pair(local)?;
        rtp.connect((peer, client)).ok()?;
        let (shared, gone) = (Arc::clone(self.shared), Arc::clone(&self.gone));
        let port = rtp.local_addr().ok()?.port();
        std::thread::spawn(move || hear_reports(&shared, &gone, &rtcp));
        let text = format!("RTP/AVP/UDP;unicast;client_port={client}-{};server_port={port}-{}", client + 1, port + 1);
        Some((text, Some(rtp)))
    }

    /// Method, URL and headers by their lower-case names; interleaved packets before it are counted.
    fn request(&mut self) -> io::Result<(String, String, HashMap<String, String>)> {
        while self.input.fill_buf()?.first() == Some(&b'$') {
            let mut head = [0; 4];
            self.input.read_exact(&mut head)?;
            let mut data = vec![0; usize::from(u16::from_be_bytes([head[2], head[3]]))];
            self.input.read_exact(&mut data)?;
            self.shared.reports.fetch_add(1, SeqCst);
        }
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.input.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let mut words = lines.first().map(String::as_str).unwrap_or_default().split(' ').map(str::to_owned);
        let (method, url) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let headers = lines.iter().skip(1).filter_map(|line| line.split_once(':'));
        Ok((method, url, headers.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect()))
    }
}

/// An even port and the next.
fn pair(local: IpAddr) -> Option<(UdpSocket, UdpSocket)> {
    (0..64).find_map(|_| {
        let rtp = UdpSocket::bind((local, 0)).ok()?;
        let port = rtp.local_addr().ok()?.port();
        (port % 2 == 0).then(|| UdpSocket::bind((local, port + 1)).ok().map(|rtcp| (rtp, rtcp)))?
    })
}

fn hear_reports(shared: &Shared, gone: &AtomicBool, rtcp: &UdpSocket) {
    rtcp.set_read_timeout(Some(Duration::from_millis(100))).expect("it can wait");
    while !gone.load(SeqCst) {
        if rtcp.recv(&mut [0; 2048]).is_ok() {
            shared.reports.fetch_add(1, SeqCst);
        }
    }
}

/// The number behind a name.
fn number(text: &str, name: &str) -> Option<u16> {
    let (_, rest) = text.split_once(name)?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Which track each `a=control` of a description is.
fn controls(sdp: &str) -> Vec<(usize, String)> {
    let mut track = None;
    let mut found = Vec::new();
    for line in sdp.lines().map(str::trim_end) {
        if line.starts_with("m=") {
            track = Some(if line.starts_with("m=video") { VIDEO } else { AUDIO });
        } else if let (Some(track), Some(control)) = (track, line.strip_prefix("a=control:")) {
            found.push((track, control.trim().to_owned()));
        }
    }
    found
}

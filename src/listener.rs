//! The one port: accepts connections, finds out by their first bytes what they speak, and hands them on, on the thread that
//! accepted them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;

use actix_server::{Server, ServerHandle};
use actix_service::{fn_factory, fn_service};
use anyhow::{Context, Result, anyhow};
use bytes::BytesMut;
use ipchub_actors::Hub;
use ipchub_actors::connection::{HandshakeError, Socket};
use ipchub_actors::rtsp::session::RtspSession;
use ipchub_actors::trouble::Trouble;
use ipchub_media::sniff::{MAX_FIRST_LINE, Sniff, looks_like_rtsp};
use ipchub_web::HttpService;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::Config;
use crate::tls::Certificate;

/// Connections that wait to be accepted: a burst of viewers after a restart of the hub.
const BACKLOG: i32 = 1024;

/// Opens the port.
pub(crate) fn bind(config: &Config) -> Result<TcpListener> {
    let mut last = anyhow!("no address to listen on");
    for address in config.addresses()? {
        let open = || -> io::Result<TcpListener> {
            let domain = socket2::Domain::for_address(address);
            let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
            if address.is_ipv6() {
                socket.set_only_v6(!address.ip().is_unspecified())?;
            }
            // After a restart connections of the former run may still be waiting to end.
            socket.set_reuse_address(true)?;
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            Ok(socket.into())
        };
        match open() {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                return Err(anyhow!(
                    "port {} is taken by another program; stop that or choose another port with --listen :PORT",
                    address.port()
                ));
            }
            Err(error) => last = anyhow::Error::new(error).context(format!("listening on {address}")),
        }
    }
    Err(last)
}

/// Starts the threads that accept and serve.
pub(crate) fn serve(
    listener: TcpListener,
    workers: usize,
    hub: &Hub,
    certificate: Option<Arc<Certificate>>,
) -> Result<ServerHandle> {
    let hub = hub.clone();
    let connections = hub.settings.max_connections;
    let mut builder = Server::build()
        .disable_signals()
        .backlog(BACKLOG as u32)
        // The hub's own limit, over all workers, answers first.
        .max_concurrent_connections(connections + 1)
        .shutdown_timeout(1);
    if workers > 0 {
        builder = builder.workers(workers);
    }
    let server = builder
        .listen("hub", listener, move || {
            let (hub, certificate) = (hub.clone(), certificate.clone());
            fn_factory(move || {
                let (hub, certificate) = (hub.clone(), certificate.clone());
                async move {
                    let http = Rc::new(ipchub_web::service(hub.clone()).await?);
                    let counted = Rc::new(hub.stats.arbiters.enter());
                    // One for each kind: a flood of one must not hide another.
                    let trouble = Rc::new(RefCell::new(HashMap::<_, Trouble>::new()));
                    Ok::<_, ()>(fn_service(move |stream: TcpStream| {
                        let _ = &counted;
                        let (hub, http, trouble) = (hub.clone(), Rc::clone(&http), Rc::clone(&trouble));
                        let certificate = certificate.clone();
                        async move {
                            let peer = stream.peer_addr();
                            if let Err(refusal) = accept(stream, &hub, &http, certificate.as_deref()).await {
                                let peer = peer.map_or_else(|_| "a peer that left".into(), |peer| peer.to_string());
                                let mut troubles = trouble.borrow_mut();
                                troubles.entry(refusal.kind()).or_default().warn(&peer, &refusal);
                            }
                            Ok::<_, ()>(())
                        }
                    }))
                }
            })
        })
        .context("serving the port")?
        .run();
    let handle = server.handle();
    actix_rt::spawn(server);
    Ok(handle)
}

/// Why a connection is closed before anyone speaks on it.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("refused: the hub has its {0} connections (limits.connections)")]
    Limit(usize),
    #[error("closed: its first bytes did not come within {0} s (timeouts.sniff)")]
    Silent(f64),
    #[error("closed: it speaks {0}, which this hub does not")]
    Protocol(&'static str),
    #[error(
        "closed: it speaks TLS, and this hub has no certificate: set tls.cert and tls.key, or start it with --self-signed"
    )]
    NoCertificate,
    #[error("closed: no TLS connection: {0}")]
    Handshake(rustls::Error),
    #[error("closed: its first bytes are of no protocol that is spoken here")]
    Unknown,
}

impl Refusal {
    fn kind(&self) -> &'static str {
        match self {
            Self::Limit(_) => "limit",
            Self::Silent(_) => "silent",
            Self::Protocol(name) => name,
            Self::NoCertificate => "no certificate",
            Self::Handshake(_) => "handshake",
            Self::Unknown => "unknown",
        }
    }
}

async fn accept(
    stream: TcpStream,
    hub: &Hub,
    http: &HttpService,
    certificate: Option<&Certificate>,
) -> Result<(), Refusal> {
    let limit = hub.settings.max_connections;
    let Some(slot) = hub.stats.connections.enter_below(limit) else {
        hub.stats.refused_limit.add(1);
        return Err(Refusal::Limit(limit));
    };
    // A peer that is gone already is no trouble of ours.
    let Ok(socket) = Socket::new(stream, hub.settings.write_timeout, slot) else { return Ok(()) };
    let within = hub.settings.sniff_timeout;
    let result = match timeout(within, find_out(socket, certificate)).await {
        Ok(result) => result,
        Err(_) => Err(Refusal::Silent(within.as_secs_f64())),
    };
    match result {
        Ok(None) => {}
        Ok(Some((Spoken::Rtsp, socket))) => {
            RtspSession::begin(hub.clone(), socket);
        }
        Ok(Some((Spoken::Http, socket))) => {
            socket.link().counts_as(&hub.stats.traffic.http);
            http.serve(socket).await;
        }
        Err(refusal) => {
            hub.stats.refused_protocol.add(1);
            return Err(refusal);
        }
    }
    Ok(())
}

/// What a connection is about, plain or under TLS.
#[derive(Debug, Clone, Copy)]
enum Spoken {
    Rtsp,
    Http,
}

/// `None`: the peer left before it could be told.
async fn find_out(mut socket: Socket, certificate: Option<&Certificate>) -> Result<Option<(Spoken, Socket)>, Refusal> {
    let Ok(mut sniff) = first_bytes(&mut socket).await else { return Ok(None) };
    if sniff == Sniff::Tls {
        let certificate = certificate.ok_or(Refusal::NoCertificate)?;
        socket = match socket.accept_tls(certificate.current()).await {
            Ok(socket) => socket,
            Err(HandshakeError::Tls(error)) => return Err(Refusal::Handshake(error)),
            Err(HandshakeError::Io(_)) => return Ok(None),
        };
        match first_bytes(&mut socket).await {
            Ok(found) => sniff = found,
            Err(_) => return Ok(None),
        }
    }
    match sniff {
        Sniff::Rtsp => Ok(Some((Spoken::Rtsp, socket))),
        Sniff::Http => Ok(Some((Spoken::Http, socket))),
        Sniff::Tls => Err(Refusal::Protocol("TLS within TLS")),
        Sniff::Rtmp => Err(Refusal::Protocol("RTMP")),
        Sniff::NeedMore | Sniff::Unknown => Err(Refusal::Unknown),
    }
}

/// Reads until it is clear who should read on, and puts everything back.
async fn first_bytes(socket: &mut Socket) -> io::Result<Sniff> {
    let mut bytes = BytesMut::new();
    let found = loop {
        if socket.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match looks_like_rtsp(&bytes) {
            Sniff::NeedMore if bytes.len() < MAX_FIRST_LINE => {}
            found => break found,
        }
    };
    socket.push_back(bytes.freeze());
    Ok(found)
}

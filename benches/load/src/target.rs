//! The URL of a server under load: which protocol, which address, which path for which stream.

use std::net::{SocketAddr, ToSocketAddrs};

use anyhow::{Context, Result, bail};
use serde::Serialize;

/// How a viewer gets its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Transport {
    /// Websocket with FLV in binary messages.
    WsFlv,
    /// FLV as an HTTP/1.1 body.
    HttpFlv,
    /// RTP interleaved in the RTSP connection.
    RtspTcp,
    /// RTP over UDP, unicast.
    RtspUdp,
    /// Low-latency HLS with fragmented MP4.
    Hls,
}

impl Transport {
    /// As tables and JSON show it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::WsFlv => "ws-flv",
            Self::HttpFlv => "http-flv",
            Self::RtspTcp => "rtsp-tcp",
            Self::RtspUdp => "rtsp-udp",
            Self::Hls => "hls",
        }
    }

    /// Scheme and end of a URL of this hub.
    pub(crate) fn url(self, address: SocketAddr, path: &str) -> String {
        match self {
            Self::WsFlv => format!("ws://{address}/streams{path}.flv"),
            Self::HttpFlv => format!("http://{address}/streams{path}.flv"),
            Self::Hls => format!("http://{address}/streams{path}.m3u8"),
            Self::RtspTcp | Self::RtspUdp => format!("rtsp://{address}{path}"),
        }
    }
}

/// One stream's URL, resolved.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) transport: Transport,
    pub(crate) address: SocketAddr,
    /// Host and port as they stand in the URL.
    pub(crate) host: String,
    /// Path and query.
    pub(crate) path: String,
    /// Without user and password.
    pub(crate) url: String,
}

impl Target {
    /// The URL of stream `number`: `{i}` in `template` is the number. `udp` is for `rtsp://`.
    pub(crate) fn new(template: &str, number: usize, udp: bool) -> Result<Self> {
        let text = template.replace("{i}", &number.to_string());
        let url = url::Url::parse(&text).with_context(|| format!("{text}: not a URL"))?;
        let (transport, port) = match (url.scheme(), udp) {
            ("http", false) if url.path().ends_with(".m3u8") => (Transport::Hls, 80),
            ("ws", false) => (Transport::WsFlv, 80),
            ("http", false) => (Transport::HttpFlv, 80),
            ("rtsp", false) => (Transport::RtspTcp, 554),
            ("rtsp", true) => (Transport::RtspUdp, 554),
            (scheme, true) => bail!("{text}: --udp goes with rtsp://, not {scheme}://"),
            (scheme, false) => bail!("{text}: {scheme}:// is not known, only ws://, http:// and rtsp://"),
        };
        if !url.username().is_empty() || url.password().is_some() {
            bail!(
                "a URL with a login: hub-load has no login; give a token in the query, or use a server without rights"
            );
        }
        let name = url.host_str().with_context(|| format!("{text}: no host"))?;
        let host = format!("{name}:{}", url.port().unwrap_or(port));
        let address = host.to_socket_addrs().with_context(|| format!("{text}: cannot resolve {host}"))?.next();
        let address = address.with_context(|| format!("{text}: {host} has no address"))?;
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        Ok(Self { transport, address, host, path, url: text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_transport_address_and_path() {
        let target = Target::new("ws://127.0.0.1:1554/streams/a/{i}.flv?token=x", 7, false).expect("a URL");
        assert_eq!((target.transport, target.address.port()), (Transport::WsFlv, 1554));
        assert_eq!(target.path, "/streams/a/7.flv?token=x");
        let target = Target::new("http://127.0.0.1:1554/streams/a.m3u8?type=x", 0, false).expect("a URL");
        assert_eq!(target.transport, Transport::Hls);
        let target = Target::new("rtsp://[::1]/a", 0, true).expect("a URL");
        assert_eq!((target.transport, target.host.as_str()), (Transport::RtspUdp, "[::1]:554"));
        for (wrong, reason) in [
            ("a", "not a URL"),
            ("rtmp://127.0.0.1/a", "rtmp:// is not known"),
            ("https://127.0.0.1/a.m3u8", "https:// is not known"),
            ("rtsp://u:geheim@127.0.0.1/a", "login"),
        ] {
            let error = format!("{:#}", Target::new(wrong, 0, false).expect_err("refused"));
            assert!(error.contains(reason) && !error.contains("geheim"), "{error}");
        }
    }
}

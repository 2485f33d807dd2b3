//! `[rtsp]`

use ipchub_media::rtsp::auth::Ways;
use std::net::Ipv4Addr;

use ipchub_actors::rtsp::multicast::groups::{Range, is_group};
use serde::{Deserialize, Serialize};

use super::{Wrong, wrong};

/// RTSP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // see config.toml
pub struct Rtsp {
    pub udp_port: i32,
    pub login: String,
    pub multicast: bool,
    pub multicast_groups: String,
    pub multicast_ports: String,
    pub multicast_ttl: u8,
    pub multicast_interface: String,
}

impl Default for Rtsp {
    fn default() -> Self {
        Self {
            udp_port: 1556,
            login: "any".into(),
            multicast: true,
            multicast_groups: "239.200.0.0/24".into(),
            multicast_ports: "16666-20665".into(),
            multicast_ttl: 1,
            multicast_interface: String::new(),
        }
    }
}

impl Rtsp {
    pub(super) fn check(&self) -> Result<(), Wrong> {
        let port = self.udp_port;
        if !(-1..=65_534).contains(&port) || (port > 0 && port % 2 != 0) {
            return Err(wrong("rtsp.udp_port", port, "it must be even, 0 (any) or -1 (none)"));
        }
        self.range().map(drop)
    }

    /// How clients may log in.
    pub(super) fn ways(&self) -> Result<Ways, Wrong> {
        match self.login.as_str() {
            "any" => Ok(Ways { digest: true, basic: true }),
            "digest" => Ok(Ways { digest: true, basic: false }),
            "basic" => Ok(Ways { digest: false, basic: true }),
            other => Err(wrong("rtsp.login", format!("{other:?}"), "it is none of \"any\", \"digest\", \"basic\"")),
        }
    }

    /// Where multicast goes, if it is on. A mistake is told even if it is off.
    pub(super) fn multicast(&self) -> Result<Option<Range>, Wrong> {
        Ok(Some(self.range()?).filter(|_| self.multicast))
    }

    fn range(&self) -> Result<Range, Wrong> {
        let (first, count) = self.groups()?;
        if self.multicast_ttl == 0 {
            return Err(wrong("rtsp.multicast_ttl", 0, "it must be 1 or more: with 0 nothing leaves this machine"));
        }
        let interface = match self.multicast_interface.trim() {
            "" => None,
            text => Some(text.parse::<Ipv4Addr>().map_err(|_| {
                let problem = "it must be the IPv4 address of an interface of this machine, or empty";
                wrong("rtsp.multicast_interface", format!("{text:?}"), problem)
            })?),
        };
        Ok(Range { first, count, ports: self.ports()?, ttl: self.multicast_ttl, interface })
    }

    fn groups(&self) -> Result<(Ipv4Addr, u32), Wrong> {
        let text = self.multicast_groups.trim();
        let wrong = |problem: &str| wrong("rtsp.multicast_groups", format!("{text:?}"), problem);
        let (address, bits) = text.split_once('/').unwrap_or((text, "32"));
        let address = address.parse::<Ipv4Addr>().map_err(|_| wrong("it must be like 239.200.0.0/24"))?;
        let bits = bits.parse::<u32>().ok().filter(|bits| (8..=32).contains(bits));
        let bits = bits.ok_or_else(|| wrong("what follows the / must be 8 to 32"))?;
        let count = 1_u32 << (32 - bits);
        let first = Ipv4Addr::from(u32::from(address) & !(count - 1));
        if !is_group(first.into()) {
            return Err(wrong(
                "its addresses must be multicast groups from 224.0.1.0 on; 239.0.0.0/8 is for private use",
            ));
        }
        Ok((first, count))
    }

    fn ports(&self) -> Result<(u16, u16), Wrong> {
        let text = self.multicast_ports.trim();
        let problem =
            "it must be like 16666-20665: an even port, and the last one, with two for each track between them";
        let ports = text
            .split_once('-')
            .and_then(|(first, last)| Some((first.trim().parse::<u16>().ok()?, last.trim().parse::<u16>().ok()?)));
        ports
            .filter(|(first, last)| *first >= 2 && first % 2 == 0 && first < last)
            .ok_or_else(|| wrong("rtsp.multicast_ports", format!("{text:?}"), problem))
    }
}

//! The configuration: defaults, the file over them, the environment over that, the command line over all.
//! What each key means stands in `config.toml`.

mod hls;
mod rtsp;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use ipchub_actors::store::Provider;
use ipchub_actors::{Settings, accounts};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

pub use hls::Hls;
pub use rtsp::Rtsp;

/// Errors of the layers, with their way down.
type Result<T, E = anyhow::Error> = std::result::Result<T, E>;

/// The file that is read if none is named.
const DEFAULT_FILE: &str = "config.toml";
/// Variables begin with this.
const PREFIX: &str = "IPCHUB_";
/// Names the file; it is no key of its own.
const FILE_VARIABLE: &str = "IPCHUB_CONFIG";
/// A day: longer waits are mistakes.
const MAX_SECONDS: f64 = 86_400.0;

/// All keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // see config.toml
pub struct Config {
    pub listen: String,
    pub workers: usize,
    pub log: String,
    pub demo: bool,
    pub data_dir: String,
    pub auth: bool,
    pub auth_secret: String,
    pub users: Kept,
    pub routes: Kept,
    pub timeouts: Timeouts,
    pub limits: Limits,
    pub rtsp: Rtsp,
    pub hls: Hls,
    pub pull: Pull,
    pub tls: Tls,
}

/// Files in PEM form; empty: no TLS.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Tls {
    pub cert: String,
    pub key: String,
}

/// Where users or routes are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Kept {
    pub provider: String,
}

/// Seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Timeouts {
    pub sniff: f64,
    pub write: f64,
    pub publisher_grace: f64,
    pub publisher: f64,
    pub session: f64,
}

/// Bounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Limits {
    pub connections: usize,
    pub sources: usize,
    pub frame_bytes: usize,
    pub gop_bytes: usize,
    pub gop_frames: usize,
    pub viewer_queue: usize,
    pub viewer_unsent_bytes: u32,
}

/// Routes, in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Pull {
    pub timeout: f64,
    pub idle: f64,
    pub stall: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: ":1554".into(),
            workers: 0,
            log: "info".into(),
            demo: false,
            data_dir: "./data".into(),
            auth: false,
            auth_secret: String::new(),
            users: Kept::default(),
            routes: Kept::default(),
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            rtsp: Rtsp::default(),
            hls: Hls::default(),
            pull: Pull::default(),
            tls: Tls::default(),
        }
    }
}

impl Default for Kept {
    fn default() -> Self {
        Self { provider: "json".into() }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        let settings = Settings::default();
        Self {
            sniff: settings.sniff_timeout.as_secs_f64(),
            write: settings.write_timeout.as_secs_f64(),
            publisher_grace: settings.publisher_grace.as_secs_f64(),
            publisher: settings.publisher_timeout.as_secs_f64(),
            session: settings.session_timeout.as_secs_f64(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        let settings = Settings::default();
        Self {
            connections: settings.max_connections,
            sources: settings.max_sources,
            frame_bytes: settings.max_access_unit,
            gop_bytes: settings.max_gop_bytes,
            gop_frames: settings.max_gop_frames,
            viewer_queue: settings.viewer_queue,
            viewer_unsent_bytes: settings.viewer_unsent,
        }
    }
}

impl Default for Pull {
    fn default() -> Self {
        let settings = Settings::default();
        Self {
            timeout: settings.pull_timeout.as_secs_f64(),
            idle: settings.pull_idle.as_secs_f64(),
            stall: settings.pull_stall.as_secs_f64(),
        }
    }
}

/// A value that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} = {value}: {problem}")]
pub struct Wrong {
    key: String,
    value: String,
    problem: String,
}

fn wrong(key: &str, value: impl ToString, problem: impl Into<String>) -> Wrong {
    Wrong { key: key.into(), value: value.to_string(), problem: problem.into() }
}

fn provider(key: &str, table: &Kept) -> Result<Provider, Wrong> {
    let name = &table.provider;
    Provider::named(name).ok_or_else(|| wrong(key, format!("{name:?}"), "it is neither \"json\" nor \"memory\""))
}

impl Config {
    /// What the actors are given.
    pub fn settings(&self) -> Result<Settings, Wrong> {
        let time = |key: &str, seconds: f64| match seconds {
            seconds if seconds > 0.0 && seconds <= MAX_SECONDS => Ok(Duration::from_secs_f64(seconds)),
            _ => Err(wrong(key, seconds, format!("it must be above 0 and at most {MAX_SECONDS} s"))),
        };
        let count = |key: &str, n: usize| if n > 0 { Ok(n) } else { Err(wrong(key, n, "it must be 1 or more")) };
        let (timeouts, limits, pull) = (&self.timeouts, &self.limits, &self.pull);
        Ok(Settings {
            max_connections: count("limits.connections", limits.connections)?,
            max_sources: count("limits.sources", limits.sources)?,
            write_timeout: time("timeouts.write", timeouts.write)?,
            sniff_timeout: time("timeouts.sniff", timeouts.sniff)?,
            publisher_grace: time("timeouts.publisher_grace", timeouts.publisher_grace)?,
            publisher_timeout: time("timeouts.publisher", timeouts.publisher)?,
            session_timeout: time("timeouts.session", timeouts.session)?,
            pull_timeout: time("pull.timeout", pull.timeout)?,
            pull_idle: time("pull.idle", pull.idle)?,
            pull_stall: time("pull.stall", pull.stall)?,
            max_access_unit: count("limits.frame_bytes", limits.frame_bytes)?,
            max_gop_bytes: count("limits.gop_bytes", limits.gop_bytes)?,
            max_gop_frames: count("limits.gop_frames", limits.gop_frames)?,
            viewer_queue: count("limits.viewer_queue", limits.viewer_queue)?,
            multicast: self.rtsp.multicast()?,
            rtsp_login: self.rtsp.ways()?,
            hls: self.hls.settings()?,
            viewer_unsent: count("limits.viewer_unsent_bytes", limits.viewer_unsent_bytes as usize)? as u32,
        })
    }

    /// Where users, tokens and rights come from.
    pub fn accounts(&self) -> Result<accounts::Config, Wrong> {
        let secret = self.auth_secret.trim();
        if !secret.is_empty() && secret.len() < accounts::MIN_SECRET {
            // Its value is nobody's business.
            let problem = format!("it must have {} characters or more", accounts::MIN_SECRET);
            return Err(wrong("auth_secret", "***", problem));
        }
        Ok(accounts::Config {
            folder: self.data_dir.clone().into(),
            provider: provider("users.provider", &self.users)?,
            auth_secret: secret.to_owned(),
            auth: self.auth,
        })
    }

    /// Where routes are kept.
    pub fn routes_provider(&self) -> Result<Provider, Wrong> {
        provider("routes.provider", &self.routes)
    }

    /// The addresses that `listen` names, the preferred one first.
    pub fn addresses(&self) -> Result<Vec<SocketAddr>, Wrong> {
        let listen = self.listen.trim();
        let wrong = |problem: String| wrong("listen", format!("{listen:?}"), problem);
        if let Some(port) = listen.strip_prefix(':') {
            let port = port.parse().map_err(|_| wrong(format!("{port:?} is no port")))?;
            // The first takes IPv4 too; the second is for machines without IPv6.
            return Ok(vec![(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()]);
        }
        let found =
            listen.to_socket_addrs().map_err(|error| wrong(format!("it is not HOST:PORT or :PORT ({error})")))?;
        let addresses: Vec<_> = found.collect();
        if addresses.is_empty() { Err(wrong("it names no address".into())) } else { Ok(addresses) }
    }

    fn check(&self) -> Result<(), Wrong> {
        self.settings()?;
        self.addresses()?;
        self.accounts()?;
        self.routes_provider()?;
        if !crate::log::is_filter(&self.log) {
            return Err(wrong("log", format!("{:?}", self.log), "it is no level and no filter"));
        }
        match (self.tls.cert.as_str(), self.tls.key.as_str()) {
            ("", key) if !key.is_empty() => return Err(wrong("tls.key", format!("{key:?}"), "tls.cert is missing")),
            (cert, "") if !cert.is_empty() => return Err(wrong("tls.cert", format!("{cert:?}"), "tls.key is missing")),
            _ => {}
        }
        self.rtsp.check()
    }
}

/// The line of a key in a file of ours, counted from 1.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let (section, name) = key.split_once('.').unwrap_or(("", key));
    let mut here = "";
    text.lines().enumerate().find_map(|(n, line)| {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            here = header.split(']').next().unwrap_or_default().trim();
        }
        let found = here == section && line.split_once('=').is_some_and(|(left, _)| left.trim() == name);
        found.then_some(n + 1)
    })
}

/// The layers that make a configuration.
#[derive(Debug, Default)]
pub struct Layers {
    file: Option<(PathBuf, String)>,
    /// Key -> value and where it is from.
    over: BTreeMap<String, (Value, String)>,
}

impl Layers {
    /// Reads the file, if any, and picks the variables.
    pub fn read(file: Option<&Path>, variables: impl Iterator<Item = (String, String)>) -> Result<Self> {
        let file = match file {
            Some(path) => {
                let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
                Some((path.to_owned(), text))
            }
            None => match std::fs::read_to_string(DEFAULT_FILE) {
                Ok(text) => Some((DEFAULT_FILE.into(), text)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                Err(error) => return Err(error).with_context(|| format!("reading ./{DEFAULT_FILE}")),
            },
        };
        let mut layers = Self { file, over: BTreeMap::new() };
        let keys = keys()?;
        for (name, value) in variables.filter(|(name, _)| name.starts_with(PREFIX) && name != FILE_VARIABLE) {
            let Some((key, default)) = keys.get(&name) else {
                bail!("the environment variable {name} is no key of the configuration");
            };
            let parsed = parse(&value, default).with_context(|| format!("the environment variable {name}"))?;
            layers.over.insert(key.clone(), (parsed, name));
        }
        Ok(layers)
    }

    /// Sets a key over all before.
    pub fn set(&mut self, key: &str, value: Value) {
        self.over.insert(key.to_owned(), (value, "the command line".into()));
    }

    /// The configuration, checked.
    pub fn config(&self) -> Result<Config> {
        let mut table = match &self.file {
            None => Table::new(),
            Some((path, text)) => {
                // The whole is read here, so that an error has its line; the layers over it cannot be wrong in form.
                let config: Config = toml::from_str(text).with_context(|| format!("in {}", path.display()))?;
                config.check().map_err(|error| {
                    let line = line_of(text, &error.key).map_or_else(String::new, |line| format!(", line {line}"));
                    anyhow::Error::new(error).context(format!("in {}{line}", path.display()))
                })?;
                text.parse().with_context(|| format!("in {}", path.display()))?
            }
        };
        for (key, (value, _)) in &self.over {
            match key.split_once('.') {
                None => table.insert(key.clone(), value.clone()),
                Some((section, key)) => {
                    let section = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
                    section.as_table_mut().and_then(|section| section.insert(key.to_owned(), value.clone()))
                }
            };
        }
        let sources: Vec<_> = self.over.values().map(|(_, source)| source.as_str()).collect();
        let context = || format!("with {}", if sources.is_empty() { "defaults".into() } else { sources.join(", ") });
        let config: Config = table.try_into().with_context(context)?;
        config.check().with_context(context)?;
        Ok(config)
    }
}

/// Variable name -> key and default.
fn keys() -> Result<BTreeMap<String, (String, Value)>> {
    let mut keys = BTreeMap::new();
    for (key, value) in Table::try_from(Config::default())? {
        match value {
            Value::Table(section) => {
                for (name, value) in section {
                    let variable = format!("{PREFIX}{key}_{name}").to_uppercase();
                    keys.insert(variable, (format!("{key}.{name}"), value));
                }
            }
            value => {
                keys.insert(format!("{PREFIX}{key}").to_uppercase(), (key, value));
            }
        }
    }
    Ok(keys)
}

/// A variable's text as a value of the same type as the default.
fn parse(text: &str, default: &Value) -> Result<Value> {
    Ok(match default {
        Value::Integer(_) => text.parse::<i64>().with_context(|| format!("{text:?} is no whole number"))?.into(),
        Value::Float(_) => text.parse::<f64>().with_context(|| format!("{text:?} is no number"))?.into(),
        Value::Boolean(_) => match text {
            "1" | "true" | "yes" | "on" => true.into(),
            "0" | "false" | "no" | "off" => false.into(),
            _ => bail!("{text:?} is neither true nor false"),
        },
        _ => text.into(),
    })
}

#[cfg(test)]
mod tests;

//! TLS of the one port: the certificate and its key are read from files, checked, and read again when they change.

pub mod self_signed;
mod validity;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow, bail};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, version};

use crate::config::Config;
use validity::Validity;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// A chain of a few certificates has some 10 KiB. What is much longer is another file.
const MAX_FILE: u64 = 1 << 20;
/// HTTP/2 first, for browsers' sake: it has no limit of six connections.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What new connections get. Those that are open keep what they have.
pub(crate) struct Certificate {
    files: Files,
    current: RwLock<Arc<ServerConfig>>,
}

/// Where they are.
#[derive(Debug, Clone)]
struct Files {
    cert: PathBuf,
    key: PathBuf,
}

/// The files as they were read.
#[derive(PartialEq)]
struct Contents {
    cert: Vec<u8>,
    key: Vec<u8>,
}

/// A pair that fits.
struct Pair {
    config: Arc<ServerConfig>,
    validity: Validity,
}

impl Files {
    /// `None` if TLS is off.
    fn of(config: &Config) -> Option<Self> {
        let tls = &config.tls;
        (!tls.cert.is_empty()).then(|| Self { cert: (&tls.cert).into(), key: (&tls.key).into() })
    }

    fn read(&self) -> Result<Contents> {
        Ok(Contents { cert: read(&self.cert, "tls.cert")?, key: read(&self.key, "tls.key")? })
    }
}

fn read(path: &Path, key: &str) -> Result<Vec<u8>> {
    let context = || format!("reading {} ({key})", path.display());
    let length = std::fs::metadata(path).with_context(context)?.len();
    if length > MAX_FILE {
        bail!("{} ({key}) has {length} bytes: that is no PEM file of a certificate or key", path.display());
    }
    std::fs::read(path).with_context(context)
}

impl Contents {
    fn pair(&self, files: &Files) -> Result<Pair> {
        let (cert, key) = (files.cert.display(), files.key.display());
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&self.cert)
            .collect::<Result<_, _>>()
            .map_err(|error| anyhow!("{cert} (tls.cert) is no PEM file: {error}"))?;
        let Some(first) = chain.first() else {
            bail!("{cert} (tls.cert) has no certificate: there is no \"-----BEGIN CERTIFICATE-----\"");
        };
        let validity = Validity::of(first)
            .ok_or_else(|| anyhow!("{cert} (tls.cert): its first certificate is no X.509 certificate"))?;
        let private = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| {
            anyhow!("{key} (tls.key) has no private key in the form PKCS#8, SEC1 or PKCS#1, without password: {error}")
        })?;
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])?
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => {
                    anyhow!("{key} (tls.key) is not the key of the first certificate of {cert} (tls.cert)")
                }
                error => anyhow!("{cert} (tls.cert) with {key} (tls.key): {error}"),
            })?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        // A session is resumed from what its client keeps: the hub remembers none. Its secret is new with each certificate.
        config.ticketer = ring::Ticketer::new()?;
        Ok(Pair { config: Arc::new(config), validity })
    }
}

/// For `--check`: an error says which file is wrong, and why; certificates out of their time are wrong.
pub fn check(config: &Config) -> Result<()> {
    let Some(files) = Files::of(config) else { return Ok(()) };
    let pair = files.read()?.pair(&files)?;
    pair.validity.check(SystemTime::now()).with_context(|| format!("{} (tls.cert)", files.cert.display()))
}

impl Certificate {
    /// Reads the files; `None` if TLS is off. One that is out of its time is used, with a warning: a hub whose clock is not
    /// set yet must start too.
    pub(crate) fn load(config: &Config) -> Result<Option<Arc<Self>>> {
        let Some(files) = Files::of(config) else { return Ok(None) };
        let contents = files.read()?;
        let pair = contents.pair(&files)?;
        if let Err(error) = pair.validity.check(SystemTime::now()) {
            log::warn!("{} (tls.cert): {error:#}; clients will refuse it", files.cert.display());
        }
        let certificate = Arc::new(Self { files, current: RwLock::new(pair.config) });
        actix_rt::spawn(watch(Arc::clone(&certificate), contents));
        Ok(Some(certificate))
    }

    /// For a new connection.
    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Looks at the files as long as the hub runs. Two files cannot be replaced at once: they count when they were the same twice.
async fn watch(certificate: Arc<Certificate>, mut used: Contents) {
    let files = &certificate.files;
    let mut before: Option<Result<Contents, String>> = None;
    let mut told = None;
    loop {
        tokio::time::sleep(LOOK).await;
        // Some kilobytes a second from the page cache: times and inodes, which lie at times, need not be asked.
        let now = files.read().map_err(|error| format!("{error:#}"));
        let settled = before.as_ref() == Some(&now);
        if !settled {
            before = Some(now);
            continue;
        }
        match now {
            Ok(contents) if contents == used => told = None,
            Err(error) => tell_once(&mut told, error),
            Ok(contents) => match renewed(&contents, files) {
                Err(error) => tell_once(&mut told, format!("{error:#}")),
                Ok(config) => {
                    *certificate.current.write().unwrap_or_else(PoisonError::into_inner) = config;
                    log::info!("{}: new connections get the new certificate", files.cert.display());
                    (used, told) = (contents, None);
                }
            },
        }
    }
}

fn renewed(contents: &Contents, files: &Files) -> Result<Arc<ServerConfig>> {
    let pair = contents.pair(files)?;
    pair.validity.check(SystemTime::now()).with_context(|| format!("{} (tls.cert)", files.cert.display()))?;
    Ok(pair.config)
}

fn tell_once(told: &mut Option<String>, error: String) {
    if told.as_ref() != Some(&error) {
        log::error!("the certificate that was read before stays in use: {error}");
        *told = Some(error);
    }
}

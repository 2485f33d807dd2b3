//! `--self-signed`: a pair for a first try. Browsers and players warn of it, since nobody vouches for it.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};

use crate::config::Config;

/// A little before now, for clients whose clock is late.
const BEFORE: Duration = Duration::from_secs(86_400);
/// What browsers accept at most.
const VALID: Duration = Duration::from_secs(397 * 86_400);

/// Turns TLS on with the pair in `data_dir/tls`, which is made if it is not there; never written over.
pub fn prepare(config: &mut Config) -> Result<()> {
    if !config.tls.cert.is_empty() {
        bail!("--self-signed does not go with tls.cert = {:?}: take one of them away", config.tls.cert);
    }
    let folder = Path::new(&config.data_dir).join("tls");
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let there = |path: &Path| path.try_exists().with_context(|| format!("looking for {}", path.display()));
    match (there(&cert)?, there(&key)?) {
        (true, true) => log::info!("the certificate of an earlier --self-signed is used: {}", cert.display()),
        (false, false) => {
            let names = make(&folder, &cert, &key)?;
            log::info!("made a self-signed certificate for {}: {}", names.join(", "), cert.display());
        }
        (true, false) => {
            bail!("there is {} but no {}: remove the one or bring the other", cert.display(), key.display())
        }
        (false, true) => {
            bail!("there is {} but no {}: remove the one or bring the other", key.display(), cert.display())
        }
    }
    config.tls.cert = cert.to_string_lossy().into_owned();
    config.tls.key = key.to_string_lossy().into_owned();
    Ok(())
}

fn make(folder: &Path, cert: &Path, key: &Path) -> Result<Vec<String>> {
    let mut hosts = vec!["localhost".to_owned()];
    hosts.extend(host_name());
    let addresses = addresses();
    let mut params = CertificateParams::new(hosts.clone()).context("naming this machine in a certificate")?;
    params.subject_alt_names.extend(addresses.iter().map(|address| SanType::IpAddress(*address)));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "ipchub self-signed");
    let now = SystemTime::now();
    params.not_before = (now - BEFORE).into();
    params.not_after = (now + VALID).into();
    let pair = KeyPair::generate().context("making a key")?;
    let certificate = params.self_signed(&pair).context("signing the certificate")?;
    std::fs::create_dir_all(folder).with_context(|| format!("making the folder {}", folder.display()))?;
    write(key, &pair.serialize_pem(), 0o600)?;
    write(cert, &certificate.pem(), 0o644)?;
    Ok(hosts.into_iter().chain(addresses.iter().map(IpAddr::to_string)).collect())
}

fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    let open = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    open.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    })
    .with_context(|| format!("writing {}", path.display()))
}

/// The machine's name, if it can stand in a certificate.
fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?.trim().to_lowercase();
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    (!name.is_empty() && name != "localhost" && name.chars().all(fits)).then_some(name)
}

/// Loopback, and what this machine would be seen as from outside.
fn addresses() -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    // Connecting a UDP socket sends nothing; it asks the routing table. The addresses are those of documentation.
    for (from, to) in [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")] {
        let own = UdpSocket::bind(from).and_then(|socket| {
            socket.connect(to)?;
            socket.local_addr()
        });
        if let Ok(own) = own
            && !found.contains(&own.ip())
            && !own.ip().is_unspecified()
        {
            found.push(own.ip());
        }
    }
    found
}

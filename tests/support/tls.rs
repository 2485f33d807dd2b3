//! Certificates for tests, and a client that trusts one of them.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::hub::Hub;
use super::{http, temporary};

/// The files of a hub's certificate.
pub struct Pair {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// A connection under TLS.
pub type Secure = StreamOwned<ClientConnection, TcpStream>;

impl Pair {
    /// A new certificate for localhost in files of that name.
    pub fn make(name: &str) -> Self {
        Self::make_with(name, |_| {})
    }

    /// As [`Pair::make`], changed before it is signed.
    pub fn make_with(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).expect("these are names");
        change(&mut params);
        let key = KeyPair::generate().expect("a key can be made");
        let cert = params.self_signed(&key).expect("a certificate can be made");
        let pair = Self { cert: temporary(&format!("{name}.cert.pem")), key: temporary(&format!("{name}.key.pem")) };
        std::fs::write(&pair.cert, cert.pem()).expect("a file can be written");
        std::fs::write(&pair.key, key.serialize_pem()).expect("a file can be written");
        pair
    }

    /// What the hub is told of it.
    pub fn environment(&self) -> [(&'static str, &str); 2] {
        [("IPCHUB_TLS_CERT", text(&self.cert)), ("IPCHUB_TLS_KEY", text(&self.key))]
    }

    /// Starts a hub with it.
    pub fn hub(&self, environment: &[(&str, &str)], arguments: &[&str]) -> Hub {
        Hub::start(&[environment, &self.environment()[..]].concat(), arguments)
    }

    /// A client that trusts it, and nothing else.
    pub fn client(&self, protocols: &[&str]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.cert).expect("a certificate")).expect("it can be trusted");
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has them")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// Connects and shakes hands.
    pub fn connect(&self, address: SocketAddr) -> Secure {
        secure(http::connect(address), self.client(&[])).expect("a TLS connection")
    }
}

/// Shakes hands on a connection.
pub fn secure(mut stream: TcpStream, config: Arc<ClientConfig>) -> std::io::Result<Secure> {
    let mut session = hello(config);
    while session.is_handshaking() {
        session.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(session, stream))
}

/// A client that has not sent its hello yet.
pub fn hello(config: Arc<ClientConfig>) -> ClientConnection {
    let name = ServerName::try_from("localhost").expect("a name");
    ClientConnection::new(config, name).expect("a right configuration")
}

/// A path as arguments take it.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("test files have plain names")
}

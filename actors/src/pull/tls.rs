//! TLS to cameras (`rtsps`): whom to trust, and an error that says what to do.
//!
//! The authorities are those of the system (`rustls-native-certs`) and not a list built into the program: a company that
//! signs its cameras' certificates itself adds its authority there, and the list is kept by whoever keeps the system.

use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::target::Trust;

/// Encrypts a connection to `host`, if its certificate is trusted.
pub(super) async fn encrypt(stream: TcpStream, host: &str, trust: Trust) -> Result<TlsStream<TcpStream>, String> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| format!("{host:?} is no name for TLS"))?;
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(Verifier { trust, provider: Arc::clone(&provider) });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS: {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|error| reason(&error))
}

/// What went wrong, in our own words where they are.
fn reason(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::General(words)) => words.clone(),
        Some(other) => format!("TLS: {other}"),
        None => format!("TLS: {error}"),
    }
}

/// Read once; a hub that runs for long is started anew when its system's authorities change.
fn authorities() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let read = || {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            log::debug!("authorities of the system: {error}");
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        Arc::new(roots)
    };
    Arc::clone(ROOTS.get_or_init(read))
}

#[derive(Debug)]
struct Verifier {
    trust: Trust,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn by_authorities(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), String> {
        let verifier = WebPkiServerVerifier::builder_with_provider(authorities(), Arc::clone(&self.provider)).build();
        let verifier = verifier.map_err(|error| format!("this system has no list of authorities: {error}"))?;
        let verified = verifier.verify_server_cert(certificate, intermediates, name, &[], now);
        verified.map(drop).map_err(|error| error.to_string())
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let sum = Sha256::digest(certificate);
        let error = match self.trust {
            Trust::Any => return Ok(ServerCertVerified::assertion()),
            Trust::Pinned(pinned) if pinned[..] == sum[..] => return Ok(ServerCertVerified::assertion()),
            Trust::Pinned(_) => "it is not the one of fingerprint=".to_owned(),
            Trust::Authorities => match self.by_authorities(certificate, intermediates, name, now) {
                Ok(()) => return Ok(ServerCertVerified::assertion()),
                Err(error) => error,
            },
        };
        let shown = sum.iter().fold(String::new(), |mut shown, byte| {
            let _ = write!(shown, "{byte:02x}");
            shown
        });
        Err(Error::General(format!(
            "the certificate is not trusted ({error}); if it is the camera's own, add fingerprint={shown} to the query of the URL"
        )))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

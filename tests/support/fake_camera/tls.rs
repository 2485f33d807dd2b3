//! TLS before a camera: a certificate of its own, and a relay to where it speaks without.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A relay; gone when dropped.
pub struct Front {
    pub address: SocketAddr,
    /// SHA-256 of its certificate in hexadecimal digits.
    pub fingerprint: String,
    _end: tokio::sync::oneshot::Sender<()>,
}

impl Front {
    /// Takes TLS for a camera.
    pub fn start(camera: SocketAddr) -> Self {
        let own = rcgen::generate_simple_self_signed(["camera.invalid".to_owned()]).expect("a certificate can be made");
        let fingerprint = Sha256::digest(own.cert.der()).iter().map(|byte| format!("{byte:02x}")).collect();
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has them")
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .expect("they belong together");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it can be made");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("there is a free port");
        let address = listener.local_addr().expect("it is bound");
        let (end, ended) = tokio::sync::oneshot::channel();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = relay(listener, acceptor, camera) => {}
                    // The other end was dropped.
                    _ = ended => {}
                }
            });
        });
        Self { address, fingerprint, _end: end }
    }

    /// `rtsps://user@127.0.0.1:port/path`
    pub fn url(&self, user: &str, path: &str) -> String {
        format!("rtsps://{user}{}{path}", self.address)
    }
}

async fn relay(listener: TcpListener, acceptor: TlsAcceptor, camera: SocketAddr) {
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            // Who does not trust the certificate is gone here.
            let Ok(mut outer) = acceptor.accept(stream).await else { return };
            let Ok(mut inner) = TcpStream::connect(camera).await else { return };
            let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
        });
    }
}

//! TLS of the listeners. The certificate and its key come from files, which are read at the start and again at each SIGHUP,
//! or from the server itself, for the listener that asks for client certificates.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{net::TcpStream, sync::Mutex};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ConfigBuilder, ServerConfig, WantsVerifier,
        crypto::{CryptoProvider, ring},
        pki_types::{CertificateDer, PrivateKeyDer},
        version::{TLS12, TLS13},
    },
    server::TlsStream,
};
use tokio_util::sync::CancellationToken;

use super::{client_certificates::AnyIssuer, signals::Hangups, turns::Turns};
use crate::base::{
    ServerIdentity,
    pem::{self, PairFault},
    setting_file::{self, shown},
};

/// HTTP/2 and HTTP/1.1, with their ALPN names (RFC 7301).
pub(super) const HTTP_2: &[u8] = b"h2";
pub(super) const HTTP_1: &[u8] = b"http/1.1";
/// The supported protocols, the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [HTTP_2, HTTP_1];

/// TLS with the current certificate. Cheap to clone; clones share it.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    config: ArcSwap<ServerConfig>,
    /// The files of the certificate; `None` if it does not come from files.
    files: Option<Files>,
    /// The certificate of the server itself, which may not exist yet.
    identity: Option<ServerIdentity>,
    turns: Turns,
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// The certificate and key cannot be used. The text never contains the content of the files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read TLS file {path}: {source}")]
    CertificateFile { path: String, source: io::Error },
    #[error("cannot read TLS file {path}: {source}")]
    KeyFile { path: String, source: io::Error },
    /// The certificate file contains no certificate.
    #[error("TLS file {path} does not contain a PEM certificate")]
    NoCertificate { path: String },
    /// The key file contains no key.
    #[error("TLS file {path} does not contain a PEM private key without a passphrase")]
    NoKey { path: String },
    /// They do not match, or have an unsupported type.
    #[error("the TLS certificate in {certificate} cannot be used with the key in {key}: {source}")]
    Pair { certificate: String, key: String, source: PairFault },
    /// The library does not support what we use.
    #[error("TLS cannot be configured: {0}")]
    Config(#[from] rustls::Error),
}

impl Tls {
    /// Reads a certificate, with its chain, and its key. Both files are PEM.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let config = ArcSwap::new(read(certificate, key)?);
        let files = Some(Files { certificate: certificate.to_owned(), key: key.to_owned() });
        Ok(Self(Arc::new(Shared { config, files, identity: None, turns: Turns::of_half() })))
    }

    /// TLS with a certificate of the server itself, which asks for a client certificate of any issuer. Sessions are not
    /// resumed: every handshake proves the possession of the key.
    pub fn mutual(identity: ServerIdentity) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let clients = Arc::new(AnyIssuer::new(&provider));
        let resolver = Arc::new(identity.clone());
        let mut config = builder(provider)?.with_client_cert_verifier(clients).with_cert_resolver(resolver);
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        let config = ArcSwap::new(finish(config));
        Ok(Self(Arc::new(Shared { config, files: None, identity: Some(identity), turns: Turns::of_half() })))
    }

    /// Reads the files again. New connections use the new certificate; if it is not usable, the old one stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        if let Some(Files { certificate, key }) = &self.0.files {
            self.0.config.store(read(certificate, key)?);
        }
        Ok(())
    }

    /// The server side of a handshake, with a limit of the time that the client takes.
    pub(super) async fn accept(&self, stream: TcpStream, time: Duration) -> io::Result<TlsStream<TcpStream>> {
        let acceptor = TlsAcceptor::from(self.0.config.load_full());
        let accepting = async {
            if let Some(identity) = &self.0.identity {
                identity.wait().await;
            }
            acceptor.accept(stream).await
        };
        self.0.turns.run(accepting, time).await.ok_or(io::ErrorKind::TimedOut)?
    }
}

/// Reads the certificate again on each hangup signal, until `stop`.
pub(super) async fn follow(tls: Tls, hangups: Arc<Mutex<Hangups>>, stop: CancellationToken) {
    let mut hangups = hangups.lock().await;
    loop {
        tokio::select! {
            () = hangups.next() => {}
            () = stop.cancelled() => return,
        }
        let again = tls.clone();
        let reload = tokio::task::spawn_blocking(move || again.reload());
        // The file system may not answer; that must not delay the end of the server.
        let Some(reloaded) = stop.run_until_cancelled(reload).await else { return };
        match reloaded {
            Ok(Ok(())) => tracing::info!("the TLS certificate was reloaded"),
            Ok(Err(error)) => tracing::error!(%error, "cannot reload the TLS certificate; the old one stays in use"),
            Err(error) => tracing::error!(%error, "cannot reload the TLS certificate; the old one stays in use"),
        }
    }
}

fn read(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let pair = |error| {
        let source = PairFault::from(error);
        TlsError::Pair { certificate: shown(certificate), key: shown(key), source }
    };
    let config = builder(Arc::new(ring::default_provider()))?
        .with_no_client_auth()
        .with_single_cert(read_chain(certificate)?, read_key(key)?)
        .map_err(pair)?;
    Ok(finish(config))
}

/// What all listeners have in common: the versions, and the protocols over TLS.
fn builder(provider: Arc<CryptoProvider>) -> Result<ConfigBuilder<ServerConfig, WantsVerifier>, rustls::Error> {
    ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13, &TLS12])
}

fn finish(mut config: ServerConfig) -> Arc<ServerConfig> {
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Arc::new(config)
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let content = setting_file::read(path).map_err(|source| TlsError::CertificateFile { path: shown(path), source })?;
    pem::certificates(&content).map_err(|_| TlsError::NoCertificate { path: shown(path) })
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let content = setting_file::read(path).map_err(|source| TlsError::KeyFile { path: shown(path), source })?;
    pem::private_key(&content).map_err(|_| TlsError::NoKey { path: shown(path) })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
    use tempfile::TempDir;

    use super::*;

    struct Pair {
        dir: TempDir,
    }

    impl Pair {
        fn new() -> Self {
            let pair = Self { dir: tempfile::tempdir().unwrap() };
            let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            fs::write(pair.certificate(), cert.pem()).unwrap();
            fs::write(pair.key(), signing_key.serialize_pem()).unwrap();
            pair
        }

        fn certificate(&self) -> PathBuf {
            self.dir.path().join("cert.pem")
        }

        fn key(&self) -> PathBuf {
            self.dir.path().join("key.pem")
        }

        fn load(&self) -> Result<Tls, String> {
            Tls::load(&self.certificate(), &self.key()).map_err(|error| error.to_string())
        }
    }

    #[test]
    fn unusable_files_are_reported_without_their_content() {
        let pair = Pair::new();
        assert!(pair.load().is_ok());
        let refused = |what: &str| {
            let told = pair.load().err().unwrap();
            assert!(told.contains(what) && !told.contains("hunter2"), "{told}");
        };
        let good = fs::read(pair.key()).unwrap();
        fs::write(pair.key(), KeyPair::generate().unwrap().serialize_pem()).unwrap();
        refused("cannot be used with the key in");
        fs::write(pair.key(), "hunter2").unwrap();
        refused("does not contain a PEM private key");
        fs::remove_file(pair.key()).unwrap();
        refused("cannot read TLS file");
        fs::write(pair.key(), good).unwrap();
        fs::write(pair.certificate(), "hunter2").unwrap();
        refused("does not contain a PEM certificate");
        fs::write(pair.certificate(), "-----BEGIN CERTIFICATE-----\naHVudGVyMg==\n-----END CERTIFICATE-----\n")
            .unwrap();
        refused("cannot be used with the key in");
    }

    #[test]
    fn an_invalid_file_keeps_the_current_certificate() {
        let pair = Pair::new();
        let tls = pair.load().ok().unwrap();
        let before = tls.0.config.load_full();
        fs::write(pair.certificate(), "").unwrap();
        assert!(tls.reload().is_err() && Arc::ptr_eq(&before, &tls.0.config.load_full()));
        let other = Pair::new();
        fs::copy(other.certificate(), pair.certificate()).unwrap();
        fs::copy(other.key(), pair.key()).unwrap();
        assert!(tls.reload().is_ok() && !Arc::ptr_eq(&before, &tls.0.config.load_full()));
    }
}

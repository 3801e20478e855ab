//! TLS to the server, with rustls.

use std::{
    ffi::OsString,
    io,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::spawn_blocking,
};
use tokio_postgres::{
    Socket,
    tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream},
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream as Stream,
    rustls::{
        self, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
        client::{
            WebPkiServerVerifier,
            danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        },
        crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
        pki_types::{CertificateDer, ServerName, UnixTime},
    },
};

use crate::base::{
    pem::{self, PairFault, PemFault},
    setting_file,
};

/// What is checked of the server's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checks {
    /// The connection is only encrypted.
    Nothing,
    Authority,
    AuthorityAndName,
}

/// Certificates or a key.
#[derive(Clone)]
pub(super) enum Pem {
    Text(String),
    File(PathBuf),
}

/// How to connect with TLS. Files are read at each connection, so new ones need no restart. Cheap to clone.
#[derive(Clone)]
pub(super) struct Tls(Arc<Certificates>);

struct Certificates {
    checks: Checks,
    /// Authorities beside the public ones.
    authorities: Option<Pem>,
    /// The certificate of this client, and its key.
    certificate: Option<Pem>,
    key: Option<Pem>,
}

/// A handshake with a server.
pub(super) struct Handshake {
    tls: Tls,
    host: String,
}

/// A connection with TLS.
pub struct Encrypted(Stream<Socket>);

impl Pem {
    /// What `parse` reads in it. The errors name the parameter of the URL, and never quote the content.
    fn parsed<T>(&self, parameter: &str, parse: fn(&[u8]) -> Result<T, PemFault>) -> io::Result<T> {
        parse(&self.read(parameter)?).map_err(|fault| io::Error::other(format!("{parameter} {fault}")))
    }

    fn read(&self, parameter: &str) -> io::Result<Vec<u8>> {
        match self {
            Self::Text(text) => Ok(text.clone().into_bytes()),
            Self::File(path) => setting_file::read(path).map_err(|error| {
                let path = setting_file::shown(path);
                io::Error::new(error.kind(), format!("cannot read the file of {parameter}, {path}: {error}"))
            }),
        }
    }
}

impl Tls {
    pub fn new(checks: Checks, authorities: Option<Pem>, certificate: Option<Pem>, key: Option<Pem>) -> Self {
        Self(Arc::new(Certificates { checks, authorities, certificate, key }))
    }

    /// What is checked of the certificate of the server.
    pub fn checks(&self) -> Checks {
        self.0.checks
    }

    /// The files for PostgreSQL's own programs, as their variables. Fails for a certificate that is not in a file.
    pub fn environment(&self) -> io::Result<Vec<(&'static str, OsString)>> {
        let Certificates { authorities, certificate, key, .. } = &*self.0;
        let files = [
            ("PGSSLROOTCERT", "sslrootcert", authorities),
            ("PGSSLCERT", "sslcert", certificate),
            ("PGSSLKEY", "sslkey", key),
        ];
        let given =
            files.into_iter().filter_map(|(variable, parameter, pem)| Some((variable, parameter, pem.as_ref()?)));
        let file = |(variable, parameter, pem): (_, &str, &Pem)| match pem {
            Pem::File(path) => Ok((variable, path.clone().into_os_string())),
            Pem::Text(_) => Err(io::Error::other(format!("{parameter} must be the name of a file"))),
        };
        given.map(file).collect()
    }

    /// The names of the files.
    #[cfg(test)]
    pub fn files(&self) -> Vec<String> {
        let Certificates { authorities, certificate, key, .. } = &*self.0;
        let name = |pem: &Pem| match pem {
            Pem::Text(_) => None,
            Pem::File(path) => Some(path.display().to_string()),
        };
        [authorities, certificate, key].into_iter().flatten().filter_map(name).collect()
    }

    /// Fails if the files cannot be used, also those that a connection in this mode does not read.
    pub fn check(&self) -> io::Result<()> {
        self.authorities(Arc::new(ring::default_provider()))?;
        self.config().map(drop)
    }

    fn config(&self) -> io::Result<ClientConfig> {
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let verifier: Arc<dyn ServerCertVerifier> = match self.0.checks {
            Checks::Nothing => Arc::new(Unchecked(provider)),
            Checks::Authority => Arc::new(AnyName(self.authorities(provider)?)),
            Checks::AuthorityAndName => self.authorities(provider)?,
        };
        let config = config.dangerous().with_custom_certificate_verifier(verifier);
        match (&self.0.certificate, &self.0.key) {
            (Some(certificate), Some(key)) => {
                let chain = certificate.parsed("sslcert", pem::certificates)?;
                let key = key.parsed("sslkey", pem::private_key)?;
                config.with_client_auth_cert(chain, key).map_err(|error| {
                    io::Error::other(format!("sslcert cannot be used with sslkey: {}", PairFault::from(error)))
                })
            }
            (None, None) => Ok(config.with_no_client_auth()),
            _ => Err(io::Error::other("sslcert and sslkey must be given together")),
        }
    }

    fn authorities(&self, provider: Arc<CryptoProvider>) -> io::Result<Arc<WebPkiServerVerifier>> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(authorities) = &self.0.authorities {
            for authority in authorities.parsed("sslrootcert", pem::certificates)? {
                roots.add(authority).map_err(|_| io::Error::other("sslrootcert contains a damaged certificate"))?;
            }
        }
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().map_err(io::Error::other)
    }
}

impl MakeTlsConnect<Socket> for Tls {
    type Stream = Encrypted;
    type TlsConnect = Handshake;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> io::Result<Handshake> {
        Ok(Handshake { tls: self.clone(), host: host.to_owned() })
    }
}

impl TlsConnect<Socket> for Handshake {
    type Stream = Encrypted;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Encrypted>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async move {
            let tls = self.tls;
            let config = spawn_blocking(move || tls.config()).await.map_err(io::Error::other)??;
            let name = ServerName::try_from(self.host).map_err(|_| {
                io::Error::other("the host of the database is not a name or an address, which TLS requires")
            })?;
            TlsConnector::from(Arc::new(config)).connect(name, socket).await.map(Encrypted)
        })
    }
}

impl TlsStream for Encrypted {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Accepts every certificate, for the modes that only encrypt.
#[derive(Debug)]
struct Unchecked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Accepts a certificate of a known authority for any name.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.0.verify_server_cert(certificate, chain, name, ocsp, now) {
            // The name is the last thing to be checked.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

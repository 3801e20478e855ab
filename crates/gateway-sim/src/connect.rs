//! Connections to the server: plain, with TLS, or with the certificate of a gateway.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, pem::PemObject as _},
    },
};
use tonic::transport::{Channel, Endpoint, Uri};

use crate::Clock;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a server may be silent before it gets a ping, and how long it may take to answer. A server that lost power does not close its
/// connections. Bookmarks come earlier than that, so pings are rare.
const PING: Duration = Duration::from_secs(25);
const PONG: Duration = Duration::from_secs(10);

/// Where the server is, and which authorities certify it.
#[derive(Clone, Debug)]
pub struct Route {
    url: String,
    /// In DER; none for `http`.
    authorities: Vec<Vec<u8>>,
    clock: Clock,
}

/// The certificate of a gateway, with its key.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate and those of its issuers, in PEM.
    pub chain_pem: String,
    /// The key, as PKCS#8.
    pub key: Vec<u8>,
}

impl Route {
    /// A server at an `http` or `https` URL. `authorities` are certificates in DER.
    pub fn new(url: &str, authorities: Vec<Vec<u8>>) -> Result<Self> {
        let url = url.trim_end_matches('/').to_owned();
        let uri: Uri = url.parse().with_context(|| format!("{url} is not a URL"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") if authorities.is_empty() => bail!("{url} needs the certificate of its authority"),
            Some("https") => {}
            _ => bail!("{url} must begin with http:// or https://"),
        }
        Ok(Self { url, authorities, clock: Clock::default() })
    }

    /// The same, with the clock by which certificates are checked.
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// The URL, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A channel that connects with its first call, and again when the connection is lost, or the server no longer answers.
    pub fn channel(&self, identity: Option<&Identity>) -> Result<Channel> {
        // The connector does TLS.
        let endpoint = Endpoint::from_shared(self.url.replacen("https://", "http://", 1))?
            .tcp_nodelay(true)
            .connect_timeout(CONNECT)
            .http2_keep_alive_interval(PING)
            .keep_alive_timeout(PONG)
            .keep_alive_while_idle(true);
        let tls = if self.authorities.is_empty() { None } else { Some(self.tls(identity)?) };
        let connector = tower::service_fn(move |uri: Uri| connect(uri, tls.clone()));
        Ok(endpoint.connect_with_connector_lazy(connector))
    }

    fn tls(&self, identity: Option<&Identity>) -> Result<TlsConnector> {
        let mut roots = RootCertStore::empty();
        for authority in &self.authorities {
            roots.add(CertificateDer::from(authority.clone()))?;
        }
        let (provider, clock) = (Arc::new(ring::default_provider()), Arc::new(self.clock));
        let builder = ClientConfig::builder_with_details(provider, clock)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let chain = CertificateDer::pem_slice_iter(identity.chain_pem.as_bytes()).collect::<Result<_, _>>()?;
                let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.key.clone()));
                builder.with_client_auth_cert(chain, key)?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

async fn connect(uri: Uri, tls: Option<TlsConnector>) -> Result<TokioIo<Box<dyn Stream>>, BoxError> {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = uri.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
    let socket = TcpStream::connect((host.as_str(), port)).await?;
    socket.set_nodelay(true)?;
    let stream: Box<dyn Stream> = match tls {
        None => Box::new(socket),
        Some(tls) => Box::new(tls.connect(ServerName::try_from(host)?, socket).await?),
    };
    Ok(TokioIo::new(stream))
}

trait Stream: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Stream for S {}

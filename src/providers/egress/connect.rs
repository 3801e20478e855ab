//! The connection: resolve once, check the addresses, connect to a checked address.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName},
    },
};
use url::{Host, Url};

use super::{EgressError, Inner};

/// The least time that an address gets: more than the first retransmission of a lost packet takes.
const LEAST: Duration = Duration::from_millis(1200);

/// A connection, with or without TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Inner {
    /// Connects to the host of a URL.
    pub(super) async fn connect(&self, url: &Url) -> Result<TokioIo<Box<dyn Stream>>, EgressError> {
        let allowed = self.addresses(url).await?;
        let stream = open(&allowed, self.bounds.connect).await?;
        if url.scheme() == "http" {
            return Ok(TokioIo::new(Box::new(stream)));
        }
        let host = url.host_str().unwrap_or_default();
        // The certificate must be valid for the host of the URL. IPv6 addresses in certificates have no brackets.
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
        let name = name.map_err(|_| EgressError::Url("the host of the URL is not valid"))?;
        let stream = self.tls.connect(name, stream).await.map_err(EgressError::tls)?;
        Ok(TokioIo::new(Box::new(stream)))
    }

    /// The addresses of the host that the policy allows.
    async fn addresses(&self, url: &Url) -> Result<Vec<SocketAddr>, EgressError> {
        let port = url.port_or_known_default().unwrap_or_default();
        let mut found = match url.host() {
            Some(Host::Ipv4(address)) => vec![SocketAddr::from((address, port))],
            Some(Host::Ipv6(address)) => vec![SocketAddr::from((address, port))],
            Some(Host::Domain(name)) => self.resolver.resolve(name, port).await.map_err(EgressError::unreachable)?,
            None => return Err(EgressError::Url("the URL has no host")),
        };
        if found.is_empty() {
            return Err(EgressError::unreachable(io::Error::other("the name has no address")));
        }
        found.retain(|address| self.policy.allows(address.ip()));
        if found.is_empty() { Err(EgressError::NotAllowed) } else { Ok(found) }
    }
}

/// Connects to the first reachable address. Each gets a share of the time that is left, so that one that does not respond
/// leaves time for the others.
async fn open(addresses: &[SocketAddr], bound: Duration) -> Result<TcpStream, EgressError> {
    let mut last = io::Error::other("there is no address");
    let end = Instant::now() + bound;
    for (index, address) in addresses.iter().enumerate() {
        let others = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let share = end.saturating_duration_since(Instant::now()) / others;
        match timeout(share.max(LEAST), TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true).map_err(EgressError::unreachable)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    match last.kind() {
        io::ErrorKind::TimedOut => Err(EgressError::Timeout),
        _ => Err(EgressError::unreachable(last)),
    }
}

/// A connector that trusts `authorities`, and with `public` also the public certificate authorities.
pub(super) fn tls(authorities: &[CertificateDer<'static>], public: bool) -> Result<TlsConnector, EgressError> {
    let public = if public { webpki_roots::TLS_SERVER_ROOTS } else { &[] };
    let mut roots = RootCertStore { roots: public.to_vec() };
    for authority in authorities {
        roots.add(authority.clone()).map_err(EgressError::tls)?;
    }
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(EgressError::tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

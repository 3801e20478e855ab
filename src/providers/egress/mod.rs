//! The HTTP client for requests to other systems, possibly at an address that a caller chose.
//!
//! Each request has its own connection. The host is resolved once, the addresses are checked, and the connection goes to a checked
//! address, so a second DNS response cannot redirect it. Redirects are not followed, proxies in the environment are ignored, and
//! time and response size are bounded.

mod connect;
mod error;
mod policy;
#[cfg(test)]
mod tests;

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio_rustls::{TlsConnector, rustls::pki_types::CertificateDer};
use url::Url;

pub use error::EgressError;
pub use policy::Policy;

use crate::store;

/// Limits of a request.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Time for name resolution, connection and TLS handshake.
    pub connect: Duration,
    /// Time for the whole request, including the response.
    pub total: Duration,
    /// Time until the head of the response, and between two parts of its body.
    pub idle: Duration,
    /// Maximum size of the response body, in bytes.
    pub response: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            total: Duration::from_secs(30),
            idle: Duration::from_secs(10),
            response: 1 << 20,
        }
    }
}

/// Resolves host names.
pub trait Resolve: Send + Sync {
    /// The addresses of a host.
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, std::io::Result<Vec<SocketAddr>>>;
}

/// The resolver of the operating system.
#[derive(Debug)]
struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, std::io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

/// The client. Cheap to clone.
#[derive(Clone)]
pub struct Egress(Arc<Inner>);

struct Inner {
    policy: Policy,
    bounds: Bounds,
    resolver: Box<dyn Resolve>,
    tls: TlsConnector,
}

impl Egress {
    /// A client that trusts the public certificate authorities and `authorities`.
    pub fn new(policy: Policy, bounds: Bounds, authorities: &[CertificateDer<'static>]) -> Result<Self, EgressError> {
        Self::with_resolver(policy, bounds, authorities, SystemResolver)
    }

    /// A client that trusts only `authorities`: no public authority can issue a certificate for the host.
    pub fn trusting_only(
        policy: Policy,
        bounds: Bounds,
        authorities: &[CertificateDer<'static>],
    ) -> Result<Self, EgressError> {
        let tls = connect::tls(authorities, false)?;
        Ok(Self(Arc::new(Inner { policy, bounds, resolver: Box::new(SystemResolver), tls })))
    }

    /// As [`new`](Self::new), with another resolver.
    pub fn with_resolver(
        policy: Policy,
        bounds: Bounds,
        authorities: &[CertificateDer<'static>],
        resolver: impl Resolve + 'static,
    ) -> Result<Self, EgressError> {
        let tls = connect::tls(authorities, true)?;
        Ok(Self(Arc::new(Inner { policy, bounds, resolver: Box::new(resolver), tls })))
    }

    /// Sends a request to an `http` or `https` URL and reads the response, whatever its status. Redirects are not followed.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, EgressError> {
        if store::in_write() {
            return Err(EgressError::InWrite);
        }
        let url = target(&request)?;
        within(self.0.bounds.total, self.exchange(&url, request)).await
    }

    async fn exchange(&self, url: &Url, request: Request<Bytes>) -> Result<Response<Bytes>, EgressError> {
        let stream = within(self.0.bounds.connect, self.0.connect(url)).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(stream).await.map_err(EgressError::protocol)?;
        // The connection is closed with the request.
        let driver = AbortOnDrop(tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to another system ended");
            }
        }));
        let response = within(self.0.bounds.idle, async {
            sender.send_request(prepared(url, request)?).await.map_err(EgressError::protocol)
        });
        let whole = self.read(response.await?).await;
        drop(driver);
        whole
    }

    /// Reads the body. Fails if it is larger than the limit.
    async fn read(&self, response: Response<Incoming>) -> Result<Response<Bytes>, EgressError> {
        let most = self.0.bounds.response;
        let (head, mut body) = response.into_parts();
        let declared = hyper::body::Body::size_hint(&body).lower();
        if usize::try_from(declared).map_or(true, |declared| declared > most) {
            return Err(EgressError::TooLarge(most));
        }
        let mut whole = BytesMut::new();
        while let Some(frame) = within(self.0.bounds.idle, async { Ok(body.frame().await) }).await? {
            let Ok(data) = frame.map_err(EgressError::protocol)?.into_data() else { continue };
            if whole.len() + data.len() > most {
                return Err(EgressError::TooLarge(most));
            }
            whole.extend_from_slice(&data);
        }
        Ok(Response::from_parts(head, whole.freeze()))
    }
}

impl std::fmt::Debug for Egress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Egress").field("policy", &self.0.policy).finish_non_exhaustive()
    }
}

/// A task that is aborted when this is dropped.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Fails if the status of a response is not a success.
pub fn success(response: Response<Bytes>) -> Result<Response<Bytes>, EgressError> {
    match response.status() {
        status if status.is_success() => Ok(response),
        status => Err(EgressError::Status(status)),
    }
}

/// The URL of a request. Fails unless it is an absolute http or https URL without credentials.
fn target(request: &Request<Bytes>) -> Result<Url, EgressError> {
    let url = Url::parse(&request.uri().to_string()).map_err(|_| EgressError::Url("the URL is not valid"))?;
    match (url.scheme(), url.host()) {
        ("http" | "https", Some(_)) => {}
        _ => return Err(EgressError::Url("the URL must begin with http:// or https:// and a host")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(EgressError::Url("the URL must not have a user name or password"));
    }
    Ok(url)
}

/// The request in the form in which it is sent: with only path and query as its target, and a Host header.
fn prepared(url: &Url, request: Request<Bytes>) -> Result<Request<Full<Bytes>>, EgressError> {
    let (mut head, body) = request.into_parts();
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    head.uri = path.parse().map_err(|_| EgressError::Url("the URL is not valid"))?;
    let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let host = HeaderValue::from_str(host).map_err(|_| EgressError::Url("the URL is not valid"))?;
    head.headers.insert(header::HOST, host);
    head.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    head.version = http::Version::HTTP_11;
    Ok(Request::from_parts(head, Full::new(body)))
}

/// Runs `work` with a time limit.
async fn within<T>(time: Duration, work: impl Future<Output = Result<T, EgressError>>) -> Result<T, EgressError> {
    tokio::time::timeout(time, work).await.unwrap_or(Err(EgressError::Timeout))
}

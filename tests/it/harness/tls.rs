//! Certificates, and a TLS client that trusts only certain ones.

use std::{fs, io, net::SocketAddr, path::Path, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore, SupportedProtocolVersion,
        crypto::ring,
        pki_types::{CertificateDer, ServerName},
    },
};
use tonic::transport::{Channel, Endpoint, Uri};

/// A self-signed certificate for `localhost`.
pub struct Certificate(CertifiedKey<KeyPair>);

impl Certificate {
    pub fn new() -> Self {
        Self(generate_simple_self_signed(["localhost".to_owned()]).unwrap())
    }

    /// Writes the certificate and its key.
    pub fn write(&self, certificate: &Path, key: &Path) {
        fs::write(certificate, self.0.cert.pem()).unwrap();
        fs::write(key, self.0.signing_key.serialize_pem()).unwrap();
    }

    /// Whether the DER encoding is that of this certificate.
    pub fn is(&self, der: &CertificateDer<'_>) -> bool {
        self.0.cert.der() == der
    }
}

#[derive(Clone)]
pub struct TlsClient {
    address: SocketAddr,
    config: Arc<ClientConfig>,
}

impl TlsClient {
    /// A client that trusts these certificates, uses one version of TLS, and offers one application protocol.
    pub fn new(
        address: SocketAddr,
        trusted: &[&Certificate],
        version: &'static SupportedProtocolVersion,
        protocol: &str,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in trusted {
            roots.add(certificate.0.cert.der().clone()).unwrap();
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        Self { address, config: Arc::new(config) }
    }

    /// Connects and completes the handshake.
    pub async fn connect(&self) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(self.config.clone()).connect(name, stream).await
    }

    /// Sends a request on a new connection, in the protocol that the server selected.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Response<Bytes> {
        let stream = self.connect().await.unwrap();
        let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let stream = TokioIo::new(stream);
        let response = if h2 {
            let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        } else {
            let (mut sender, connection) = http1::handshake(stream).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        };
        let (parts, body) = response.into_parts();
        Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
    }

    pub async fn get(&self, path: &str) -> Response<Bytes> {
        let request = Request::get(format!("https://localhost{path}")).header("host", "localhost");
        self.send(request.body(Full::default()).unwrap()).await
    }

    /// A gRPC channel over TLS.
    pub fn channel(&self) -> Channel {
        let client = self.clone();
        let connect = move |_: Uri| {
            let client = client.clone();
            async move { client.connect().await.map(TokioIo::new) }
        };
        Endpoint::from_static("http://localhost").connect_with_connector_lazy(tower::service_fn(connect))
    }
}

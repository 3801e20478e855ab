//! The listener that asks for client certificates.

use std::sync::Arc;

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore, SupportedProtocolVersion,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName},
        sign::{self, SingleCertAndKey},
        version::{TLS12, TLS13},
    },
};

use super::*;
use crate::base::ServerIdentity;

fn certificate() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(["localhost".to_owned()]).unwrap()
}

fn key(of: &KeyPair) -> PrivateKeyDer<'static> {
    PrivateKeyDer::try_from(of.serialize_der()).unwrap()
}

/// A server that responds with what it knows about the certificate of its client.
async fn server(identity: &ServerIdentity, drain: &Drain) -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let service = tower::service_fn(async |request: Request<Body>| {
        let Peer { secure, .. } = request.extensions().get().copied().unwrap();
        let certificate = request.extensions().get::<PeerCertificate>();
        Ok::<_, Infallible>(Response::new(Body::from(format!("{secure} {certificate:?}"))))
    });
    let bounds = Bounds { connections: 8, silence: Duration::from_secs(5), timeouts: PeerTimeouts::default() };
    let listener = Listener { socket, tls: Some(Tls::mutual(identity.clone()).unwrap()) };
    let (drain, abort) = (drain.clone(), CancellationToken::new());
    tokio::spawn(serve(vec![listener], service, bounds, drain, abort, Duration::from_secs(5)));
    address
}

struct Client {
    address: SocketAddr,
    trusts: CertificateDer<'static>,
    version: &'static SupportedProtocolVersion,
    presents: Option<sign::CertifiedKey>,
}

impl Client {
    /// The body of a response.
    async fn get(&self) -> io::Result<String> {
        let mut roots = RootCertStore::empty();
        roots.add(self.trusts.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[self.version])
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match &self.presents {
            Some(presented) => config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(presented.clone()))),
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![tls::HTTP_1.to_vec()];
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
        let mut response = String::new();
        stream.read_to_string(&mut response).await?;
        let body = response.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
        body.ok_or_else(|| io::Error::other("no response"))
    }
}

fn presented(certificate: &CertifiedKey<KeyPair>, with: &KeyPair) -> Option<sign::CertifiedKey> {
    let key = ring::default_provider().key_provider.load_private_key(key(with)).unwrap();
    Some(sign::CertifiedKey::new(vec![certificate.cert.der().clone()], key))
}

#[tokio::test]
async fn a_certificate_of_any_issuer_is_passed_on_if_the_client_has_its_key() {
    let (identity, drain, own, client) = (ServerIdentity::default(), Drain::default(), certificate(), certificate());
    identity.set(vec![own.cert.der().clone()], key(&own.signing_key)).unwrap();
    let address = server(&identity, &drain).await;
    for version in [&TLS12, &TLS13] {
        let with = |presents| Client { address, trusts: own.cert.der().clone(), version, presents };
        assert_eq!(with(None).get().await.unwrap(), "true None");
        let told = with(presented(&client, &client.signing_key)).get().await.unwrap();
        let expected = PeerCertificate::new(client.cert.der().to_vec());
        assert_eq!(told, format!("true {:?}", Some(expected)));
        let stolen = with(presented(&client, &KeyPair::generate().unwrap()));
        assert!(stolen.get().await.is_err(), "a certificate without its key");
    }
    drain.begin();
}

#[tokio::test]
async fn handshakes_wait_until_the_server_has_a_certificate_and_use_the_newest() {
    let (identity, drain, first, second) = (ServerIdentity::default(), Drain::default(), certificate(), certificate());
    let address = server(&identity, &drain).await;
    let client = |trusts: &CertifiedKey<KeyPair>| Client {
        address,
        trusts: trusts.cert.der().clone(),
        version: &TLS13,
        presents: None,
    };
    let early = client(&first);
    let early = tokio::spawn(async move { early.get().await.is_ok() });
    identity.wanted().await;
    for current in [&first, &second] {
        identity.set(vec![current.cert.der().clone()], key(&current.signing_key)).unwrap();
        assert!(client(current).get().await.is_ok());
    }
    assert!(early.await.unwrap(), "it connected before there was a certificate");
    assert!(client(&first).get().await.is_err(), "no longer the certificate");
    drain.begin();
}

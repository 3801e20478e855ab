//! Services by hand, in a process of their own: one that sends a message to all of its streams, with and without TLS, and one that admits
//! devices. Neither authenticates.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    pin::Pin,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use axum::{Router, routing::get};
use bundle_verify::KeyUse;
use futures::{Stream, StreamExt};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tenantry_gateway_sim::{Enrolled, Identity};
use tenantry_proto::edge::v1::{
    Material, StreamRequest, StreamResponse, Update,
    gateway_stream_service_server::{GatewayStreamService, GatewayStreamServiceServer},
    stream_request, stream_response,
};
use tokio::{net::TcpListener, sync::watch};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer},
        server::{NoServerSessionStorage, WebPkiClientVerifier},
    },
};
use tokio_stream::wrappers::WatchStream;
use tonic::{Request, Response, Status, Streaming};

use super::{bare_admission::BareAdmissions, support::program::memory_of};

/// The size of a message: that of a view with a kibibyte of policy.
const BYTES: usize = 1800;
/// What reads of the twin return.
pub const READ: &str = "/read";

/// Files in the directory of the benchmark: the authority of gateways, the certificate of the twin's server, and those of a gateway.
const CLIENT_CA: &str = "gateway-ca.der";
const SERVER: &str = "twin.der";
const CHAIN: &str = "gateway.pem";
const KEY: &str = "gateway.key";

/// The services; stopped on drop.
pub struct Twin {
    child: Child,
    pub address: SocketAddr,
    /// The listener with TLS, which asks for certificates of gateways.
    pub mutual: SocketAddr,
}

impl Twin {
    /// Starts this program again, as [`serve`], for clients with the certificates of this gateway and of others like it.
    pub fn start(home: &Path, gateway: &Enrolled) -> Self {
        let anchors = gateway.anchors.anchors.iter();
        let authority = anchors.filter(|anchor| anchor.key_use == KeyUse::GatewayCa);
        let authority = authority.filter_map(|anchor| anchor.certificate.clone()).next().expect("an authority");
        std::fs::write(home.join(CLIENT_CA), authority).expect("a file");
        std::fs::write(home.join(CHAIN), &gateway.identity.chain_pem).expect("a file");
        std::fs::write(home.join(KEY), &gateway.identity.key).expect("a file");
        let program = std::env::current_exe().expect("a program");
        let mut child =
            Command::new(program).arg("twin").arg(home).stdout(Stdio::piped()).spawn().expect("the twin starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut address = || lines.next().expect("a line").expect("a line").parse().expect("an address");
        let (address, mutual) = (address(), address());
        Self { child, address, mutual }
    }

    /// Resident memory without the program's file, in MiB.
    pub fn own_memory(&self) -> f64 {
        memory_of(&self.child, "RssAnon")
    }
}

impl Drop for Twin {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a client of the twin needs for TLS: the authority of the server, and a certificate.
pub fn client(home: &Path) -> (Vec<u8>, Identity) {
    let read = |name| std::fs::read(home.join(name)).expect("a file");
    let chain_pem = String::from_utf8(read(CHAIN)).expect("a text");
    (read(SERVER), Identity { chain_pem, key: read(KEY) })
}

/// Serves on free ports, and prints their addresses. `home` has the files of the benchmark.
pub fn serve(home: &Path) {
    super::runtime().block_on(async {
        let service = GatewayStreamServiceServer::new(FanOut(Arc::new(watch::Sender::new(0))));
        let streams = tonic::service::Routes::new(service).into_axum_router();
        let read = || async { ([("content-type", "application/json")], r#"{"allowedClusters":["standalone"]}"#) };
        let routes = streams.route(READ, get(read)).merge(BareAdmissions::start(home).routes());
        let tls = tls(home);
        let [plain, mutual] = [listen().await, listen().await];
        for listener in [&plain, &mutual] {
            println!("{}", listener.local_addr().expect("an address"));
        }
        tokio::join!(accept(plain, None, routes.clone()), accept(mutual, Some(tls), routes));
    });
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a port")
}

/// A certificate of its own, and clients with those of gateways. As the program, it resumes no sessions.
fn tls(home: &Path) -> TlsAcceptor {
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    std::fs::write(home.join(SERVER), own.cert.der()).expect("a file");
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(ring::default_provider());
    let mut authorities = RootCertStore::empty();
    let authority = std::fs::read(home.join(CLIENT_CA)).expect("a file");
    authorities.add(CertificateDer::from(authority)).expect("a certificate");
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider.clone());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(clients.build().expect("a verifier"))
        .with_single_cert(vec![own.cert.der().clone()], key)
        .expect("a certificate with its key");
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = [b"h2".to_vec(), b"http/1.1".to_vec()].to_vec();
    TlsAcceptor::from(Arc::new(config))
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, routes: Router) {
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).expect("a socket");
        let (tls, service) = (tls.clone(), TowerToHyperService::new(routes.clone()));
        tokio::spawn(async move {
            let http = auto::Builder::new(TokioExecutor::new());
            match tls {
                None => drop(http.serve_connection(TokioIo::new(stream), service).await),
                Some(tls) => {
                    let Ok(stream) = tls.accept(stream).await else { return };
                    drop(http.serve_connection(TokioIo::new(stream), service).await);
                }
            }
        });
    }
}

struct FanOut(Arc<watch::Sender<i64>>);

#[tonic::async_trait]
impl GatewayStreamService for FanOut {
    type StreamStream = Pin<Box<dyn Stream<Item = Result<StreamResponse, Status>> + Send>>;

    async fn stream(&self, request: Request<Streaming<StreamRequest>>) -> Result<Response<Self::StreamStream>, Status> {
        let (sender, mut requests) = (self.0.clone(), request.into_inner());
        tokio::spawn(async move {
            while let Ok(Some(request)) = requests.message().await {
                if let Some(stream_request::Message::Ack(ack)) = request.message
                    && ack.material() == Material::Unspecified
                {
                    sender.send_modify(|number| *number += 1);
                }
            }
        });
        // The newest one first.
        let messages = WatchStream::new(self.0.subscribe()).map(|number| Ok(message(number)));
        Ok(Response::new(Box::pin(messages)))
    }
}

fn message(number: i64) -> StreamResponse {
    let update = Update {
        material: Material::GatewayPolicy.into(),
        number,
        digest: format!("sha256:{number:064}"),
        envelope: vec![b'x'; BYTES],
    };
    StreamResponse { message: Some(stream_response::Message::Update(update)) }
}

//! Admission grants over REST, with the certificate of a gateway, beside a handler by hand: the throughput, and the p99 at 70 % of it.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use tenantry_gateway_sim::{Enrolled, Percentiles};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, pem::PemObject as _},
    },
};

use super::{World, bare_admission::GRANT, gateways, milliseconds, missed_if, support, twin};

/// Devices that ask in turn.
const DEVICES: usize = 100;
/// Connections of the gateway.
const CLIENTS: usize = 32;
const TURN: Duration = Duration::from_millis(1500);
const TURNS: usize = 7;
/// The required share of the throughput of the twin.
const RATIO: f64 = 0.6;
/// The load at which the p99 is measured, its allowed value, and how long.
const LOAD: f64 = 0.7;
const P99: Duration = Duration::from_millis(5);
const STEADY: Duration = Duration::from_secs(10);

/// A server, and the questions that it gets.
struct Side {
    address: SocketAddr,
    tls: TlsConnector,
    questions: Arc<Vec<Vec<u8>>>,
}

impl Side {
    async fn connect(&self) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.address).await.expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        self.tls.connect(ServerName::IpAddress(self.address.ip().into()), stream).await.expect("a handshake")
    }

    /// Asks as often as possible on all connections for one turn; returns the rate.
    async fn turn(&self) -> f64 {
        let mut streams = join_all((0..CLIENTS).map(|_| self.connect())).await;
        let started = Instant::now();
        let clients = streams.iter_mut().enumerate().map(|(client, stream)| async move {
            let mut done = 0;
            while started.elapsed() < TURN {
                self.ask(stream, client + done).await;
                done += 1;
            }
            done
        });
        join_all(clients).await.iter().sum::<usize>() as f64 / started.elapsed().as_secs_f64()
    }

    async fn ask(&self, stream: &mut TlsStream<TcpStream>, number: usize) {
        let question = &self.questions[number % self.questions.len()];
        let answer = support::exchange_body(stream, question).await;
        let is_granted = answer
            .as_ref()
            .is_some_and(|(status, body)| *status == 200 && body.windows(7).any(|window| window == b"\"allow\""));
        assert!(is_granted, "{:?}", answer.map(|(status, body)| (status, String::from_utf8(body))));
    }

    /// Asks at a rate, whether there are answers or not; returns the times from when each question was due.
    async fn steady(&self, rate: f64) -> Percentiles {
        let mut streams = join_all((0..CLIENTS).map(|_| self.connect())).await;
        let pause = Duration::from_secs_f64(CLIENTS as f64 / rate);
        let started = Instant::now();
        let clients = streams.iter_mut().enumerate().map(|(client, stream)| async move {
            let mut times = Vec::new();
            let mut due = started + pause.mul_f64(client as f64 / CLIENTS as f64);
            while due < started + STEADY {
                tokio::time::sleep_until(due.into()).await;
                self.ask(stream, client + times.len()).await;
                times.push(due.elapsed());
                due += pause;
            }
            times
        });
        Percentiles::of(join_all(clients).await.into_iter().flatten())
    }
}

pub async fn run(world: &World) {
    let gateway = &world.enrolled[0];
    let devices = gateways::devices(world, DEVICES).await;
    let question = |(device, key): &(String, String)| {
        let path = format!("{GRANT}?device_id={device}&client_key={key}&auth_mode=B&client_ip=192.0.2.7");
        support::request("GET", &path, "", "")
    };
    let questions = Arc::new(devices.iter().map(question).collect::<Vec<_>>());
    let ours = Side {
        address: world.mutual,
        tls: connector(gateway, &gateway.server_authorities()),
        questions: questions.clone(),
    };
    let (authority, _) = twin::client(&world.home);
    let theirs = Side { address: world.twin.mutual, tls: connector(gateway, &[authority]), questions };
    let mut rates = [Vec::new(), Vec::new()];
    for turn in 0..=TURNS {
        for side in [turn % 2, (turn + 1) % 2] {
            let rate = if side == 0 { theirs.turn().await } else { ours.turn().await };
            // The first turn warms up.
            if turn > 0 {
                rates[side].push(rate);
            }
        }
    }
    let rate = support::median(rates[1].clone()) * LOAD;
    let names = ["axum by hand: row committed, grant signed", "Tenantry"];
    support::report(&format!("admission grants over mutual TLS, {CLIENTS} connections"), names, rates, RATIO);
    let times = ours.steady(rate).await;
    println!("p50 {:.2} ms at {:.0} a second, 70 % of that", milliseconds(times.at(50)), rate);
    let p99 = times.at(99);
    println!("  p99 {:.2} ms (goal at most {} ms{})", milliseconds(p99), P99.as_millis(), missed_if(p99 > P99));
}

/// TLS with HTTP/1.1, the certificate of a gateway, and these authorities of the server.
fn connector(gateway: &Enrolled, authorities: &[Vec<u8>]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(CertificateDer::from(authority.clone())).expect("a certificate");
    }
    let chain = CertificateDer::pem_slice_iter(gateway.identity.chain_pem.as_bytes());
    let chain = chain.collect::<Result<_, _>>().expect("certificates");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(gateway.identity.key.clone()));
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .expect("a certificate with its key");
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}

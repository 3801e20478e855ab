//! The client with real servers on the loopback interface, which the policy of the tests allows.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, StatusCode};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    time::timeout,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer},
    },
};

use super::{Bounds, Egress, EgressError, Policy, Resolve, success};
use crate::{
    base::{Error, Kind, Result},
    store::{Store, StoreConfig, Tx},
};

/// A name that only the resolver of the tests knows.
const NAME: &str = "peer.example";

/// Returns one scripted result after another, and counts the lookups.
#[derive(Clone, Default)]
struct Script(Arc<(Mutex<Vec<Vec<SocketAddr>>>, AtomicU32)>);

impl Script {
    fn of(answers: impl IntoIterator<Item = Vec<SocketAddr>>) -> Self {
        let mut answers: Vec<_> = answers.into_iter().collect();
        answers.reverse();
        Self(Arc::new((Mutex::new(answers), AtomicU32::new(0))))
    }

    fn lookups(&self) -> u32 {
        self.0.1.load(Ordering::SeqCst)
    }
}

impl Resolve for Script {
    fn resolve<'a>(&'a self, host: &'a str, _: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        assert_eq!(host, NAME);
        self.0.1.fetch_add(1, Ordering::SeqCst);
        let answer = self.0.0.lock().unwrap().pop();
        Box::pin(async move { answer.ok_or_else(|| io::Error::other("no such name")) })
    }
}

fn loopback() -> Policy {
    Policy::allowing(["127.0.0.0/8".parse().unwrap()])
}

fn client(bounds: Bounds) -> Egress {
    Egress::new(loopback(), bounds, &[]).unwrap()
}

fn get(url: String) -> Request<Bytes> {
    Request::get(url).body(Bytes::new()).unwrap()
}

/// A server that reads the head of each request, records it, and writes these bytes. With `open`, it then keeps the connection.
async fn serve(response: Vec<u8>, open: bool) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, heads) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let seen = heads.clone();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let length = stream.read(&mut head).await.unwrap_or_default();
            seen.lock().unwrap().push(String::from_utf8_lossy(&head[..length]).into_owned());
            // The client may have left already.
            let _ = stream.write_all(&response).await;
            if open {
                kept.push(stream);
            }
        }
    });
    (address, heads)
}

fn response(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[tokio::test]
async fn a_response_is_read_whole_with_its_status() {
    let (address, heads) = serve(response("404 Not Found", "X-It: yes\r\n", "gone"), false).await;
    let mut request = get(format!("http://{address}/v1/sys?list=true"));
    request.headers_mut().insert("x-token", "t".parse().unwrap());
    let answer = client(Bounds::default()).send(request).await.unwrap();
    assert_eq!((answer.status(), answer.headers()["x-it"].to_str().unwrap()), (StatusCode::NOT_FOUND, "yes"));
    assert_eq!(answer.body().as_ref(), b"gone");
    let head = heads.lock().unwrap()[0].to_ascii_lowercase();
    assert!(head.starts_with("get /v1/sys?list=true http/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("host: {address}\r\n")) && head.contains("x-token: t\r\n"), "{head}");
    let refused = success(answer).unwrap_err();
    assert_eq!(refused.to_string(), "the host responded with status 404");
}

#[tokio::test]
async fn a_redirect_is_a_response_and_is_not_followed() {
    let (target, heads) = serve(response("200 OK", "", "secret"), false).await;
    let (address, _) = serve(response("302 Found", &format!("Location: http://{target}/\r\n"), ""), false).await;
    let answer = client(Bounds::default()).send(get(format!("http://{address}/"))).await.unwrap();
    assert_eq!(answer.status(), StatusCode::FOUND);
    assert!(matches!(success(answer), Err(EgressError::Status(StatusCode::FOUND))));
    assert!(heads.lock().unwrap().is_empty(), "the target of the redirect was requested");
}

#[tokio::test]
async fn special_addresses_are_refused_before_a_connection() {
    let (address, heads) = serve(response("200 OK", "", ""), false).await;
    let port = address.port();
    let client = Egress::new(Policy::default(), Bounds::default(), &[]).unwrap();
    for host in ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "localhost", "[::1]", "[::ffff:127.0.0.1]"] {
        // The http crate rejects some of these.
        let Ok(request) = Request::get(format!("http://{host}:{port}/")).body(Bytes::new()) else { continue };
        let refused = client.send(request).await.unwrap_err();
        assert!(matches!(refused, EgressError::NotAllowed), "{host}: {refused:?}");
    }
    assert!(heads.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_name_is_resolved_once_and_the_checked_address_is_used() {
    let (address, heads) = serve(response("200 OK", "", "right"), false).await;
    let (other, others) = serve(response("200 OK", "", "wrong"), false).await;
    // A second lookup would return another address. Forbidden addresses in the first result are ignored.
    let private = SocketAddr::from(([10, 0, 0, 1], address.port()));
    let script = Script::of([vec![private, address], vec![other], vec![private]]);
    let client = Egress::with_resolver(loopback(), Bounds::default(), &[], script.clone()).unwrap();
    let answer = client.send(get(format!("http://{NAME}/"))).await.unwrap();
    assert_eq!((answer.body().as_ref(), script.lookups()), (&b"right"[..], 1));
    assert!(heads.lock().unwrap()[0].to_ascii_lowercase().contains("host: peer.example\r\n"));
    assert!(others.lock().unwrap().is_empty());
    client.send(get(format!("http://{NAME}/"))).await.unwrap();
    let refused = client.send(get(format!("http://{NAME}/"))).await.unwrap_err();
    assert!(matches!(refused, EgressError::NotAllowed), "the name resolves to a private address now: {refused:?}");
    let unknown = client.send(get(format!("http://{NAME}/"))).await.unwrap_err();
    assert_eq!(unknown.to_string(), "the host cannot be reached");
}

#[tokio::test]
async fn an_address_that_does_not_respond_leaves_time_for_the_next() {
    let (address, _) = serve(response("200 OK", "", "right"), false).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let busy = socket.listen(0).unwrap();
    let full = busy.local_addr().unwrap();
    // Until the queue of connections that nobody accepts is full.
    let mut queued = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(200), TcpStream::connect(full)).await {
        queued.push(stream.unwrap());
    }
    let bounds = Bounds { connect: Duration::from_secs(2), ..Bounds::default() };
    let client = |addresses| Egress::with_resolver(loopback(), bounds, &[], Script::of([addresses])).unwrap();
    let answer = client(vec![full, address]).send(get(format!("http://{NAME}/"))).await.unwrap();
    assert_eq!(answer.body().as_ref(), b"right");
    let refused = client(vec![full, full]).send(get(format!("http://{NAME}/"))).await.unwrap_err();
    assert!(matches!(refused, EgressError::Timeout), "{refused:?}");
}

#[tokio::test]
async fn a_large_response_is_not_read() {
    let bounds = Bounds { response: 1000, ..Bounds::default() };
    let declared = b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n".to_vec();
    let chunk = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n{}\r\n", "x".repeat(1001));
    for bytes in [declared, chunk.into_bytes()] {
        let (address, _) = serve(bytes, true).await;
        let refused = client(bounds).send(get(format!("http://{address}/"))).await.unwrap_err();
        assert_eq!(refused.to_string(), "the response of the host is larger than 1000 bytes");
    }
    let (address, _) = serve(response("200 OK", "", &"x".repeat(1000)), false).await;
    assert_eq!(client(bounds).send(get(format!("http://{address}/"))).await.unwrap().body().len(), 1000);
}

#[tokio::test]
async fn a_slow_host_is_a_timeout() {
    let silent = Vec::new();
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf".to_vec();
    for bytes in [silent, half] {
        let (address, _) = serve(bytes, true).await;
        for bounds in [
            Bounds { idle: Duration::from_millis(50), ..Bounds::default() },
            Bounds { total: Duration::from_millis(50), ..Bounds::default() },
        ] {
            let refused = client(bounds).send(get(format!("http://{address}/"))).await.unwrap_err();
            assert!(matches!(refused, EgressError::Timeout), "{refused:?}");
            assert_eq!(Error::from(refused).kind, Kind::DeadlineExceeded);
        }
    }
}

#[tokio::test]
async fn an_unreachable_host_differs_from_one_without_http() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let refused = client(Bounds::default()).send(get(format!("http://{closed}/"))).await.unwrap_err();
    let error = Error::from(refused);
    assert_eq!((error.kind, error.message.as_ref()), (Kind::Unavailable, "the host cannot be reached"));
    let (address, _) = serve(b"SSH-2.0-it\r\n".to_vec(), false).await;
    let refused = client(Bounds::default()).send(get(format!("http://{address}/"))).await.unwrap_err();
    assert!(matches!(refused, EgressError::Protocol(_)), "{refused:?}");
}

#[tokio::test]
async fn urls_that_cannot_be_requested_are_refused() {
    for url in ["/path", "ftp://peer.example/", "http://user:pw@peer.example/"] {
        let refused = client(Bounds::default()).send(get(url.to_owned())).await.unwrap_err();
        assert!(matches!(refused, EgressError::Url(_)), "{url}: {refused:?}");
        assert_eq!(Error::from(refused).kind, Kind::InvalidArgument);
    }
}

#[tokio::test]
async fn a_certificate_is_trusted_by_its_authority_and_for_its_name() {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec![NAME.to_owned()]).unwrap();
    let certificate: CertificateDer<'static> = cert.der().clone();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let address = serve_tls(certificate.clone(), key).await;
    let client = |trusted: &[CertificateDer<'static>]| {
        let script = Script::of([vec![address]]);
        Egress::with_resolver(loopback(), Bounds::default(), trusted, script).unwrap()
    };
    let trusted = [certificate];
    let answer = client(&trusted).send(get(format!("https://{NAME}/"))).await.unwrap();
    assert_eq!(answer.body().as_ref(), b"sealed");
    let untrusted = client(&[]).send(get(format!("https://{NAME}/"))).await.unwrap_err();
    let otherwise = client(&trusted).send(get(format!("https://{address}/"))).await.unwrap_err();
    for refused in [untrusted, otherwise] {
        let error = Error::from(refused);
        let text = "cannot establish a secure connection to the host";
        assert_eq!((error.kind, error.message.as_ref()), (Kind::FailedPrecondition, text));
    }
}

async fn serve_tls(certificate: CertificateDer<'static>, key: PrivateKeyDer<'static>) -> SocketAddr {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(vec![certificate], key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut head = vec![0; 4096];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(&response("200 OK", "", "sealed")).await;
            let _ = stream.shutdown().await;
        }
    });
    address
}

#[tokio::test]
async fn a_request_inside_a_write_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", dir.path().join("it.db").display());
    let store = Store::open(StoreConfig::new(&url)).await.unwrap();
    let (address, heads) = serve(response("200 OK", "", ""), false).await;
    let input = (client(Bounds::default()), format!("http://{address}/"));
    let refused = store.maintain("test.egress", input, request_in).await.unwrap_err();
    assert_eq!((refused.kind, refused.message.as_ref()), (Kind::Internal, "internal error"));
    assert!(heads.lock().unwrap().is_empty());
    store.close().await;
}

async fn request_in(_: &Tx, (client, url): &(Egress, String)) -> Result<()> {
    client.send(get(url.clone())).await?;
    Ok(())
}

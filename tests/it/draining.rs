//! Shutdown: the server waits for calls in flight, and for nothing else.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::{
    db::postgres_unmigrated,
    harness::{
        PATIENCE, eventually,
        line::Line,
        server::{Server, Setup},
    },
};

/// Far below the drain timeout, and far above the duration of a shutdown on an idle machine.
const SOON: Duration = Duration::from_secs(12);

/// An open gRPC stream.
struct Open {
    body: h2::RecvStream,
    // Keeps the request stream open.
    _sending: h2::SendStream<Bytes>,
}

impl Open {
    /// Opens a stream and sends one message on it.
    async fn new(server: &Server, path: &str, message: &[u8], headers: &[(&str, &str)]) -> Self {
        let stream = TcpStream::connect(server.address()).await.unwrap();
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::post(format!("http://localhost{path}")).header("content-type", "application/grpc");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut client = client.ready().await.unwrap();
        let (answer, mut sending) = client.send_request(request.body(()).unwrap(), false).unwrap();
        let mut frame = vec![0, 0, 0, 0, u8::try_from(message.len()).unwrap()];
        frame.extend_from_slice(message);
        sending.send_data(frame.into(), path.ends_with("Watch")).unwrap();
        let answer = tokio::time::timeout(PATIENCE, answer).await.unwrap().unwrap();
        Self { body: answer.into_body(), _sending: sending }
    }

    /// The next bytes; none when only trailers remain.
    async fn next(&mut self) -> Option<Bytes> {
        let next =
            tokio::time::timeout(PATIENCE, self.body.data()).await.expect("a further message or the end of the stream");
        next.map(|data| {
            let data = data.unwrap();
            self.body.flow_control().release_capacity(data.len()).unwrap();
            data
        })
    }

    /// The next health message with its frame header, which may arrive in several pieces.
    async fn health(&mut self) -> Vec<u8> {
        let mut message = Vec::new();
        while message.len() < 7 {
            message.extend_from_slice(&self.next().await.expect("another message"));
        }
        message
    }

    async fn trailers(&mut self) -> HeaderMap {
        while self.next().await.is_some() {}
        self.body.trailers().await.unwrap().expect("a gRPC stream ends with a status")
    }
}

/// Sends SIGTERM to a server, and asserts that it exits soon and cleanly.
async fn ends_soon(server: &mut Server, held: &str) {
    let begun = Instant::now();
    server.terminate().await;
    let status = server.ended().await;
    assert!(status.success(), "{held}: {status}\n{}", server.log());
    assert!(begun.elapsed() < SOON, "{held}: it took {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_watch_is_notified_and_ends_with_the_drain() {
    let mut server = Server::dev().await;
    let mut watch = Open::new(&server, "/grpc.health.v1.Health/Watch", b"", &[]).await;
    assert_eq!(watch.health().await, b"\0\0\0\0\x02\x08\x01", "serving");
    ends_soon(&mut server, "a watch").await;
    assert_eq!(watch.health().await, b"\0\0\0\0\x02\x08\x02", "not serving");
    assert_eq!(watch.trailers().await["grpc-status"], "14");
}

#[tokio::test]
async fn an_open_stream_without_an_end_ends_with_the_drain() {
    let mut server = Server::dev().await;
    // list_services
    let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let mut stream = Open::new(&server, path, b"\x3a\0", &[]).await;
    assert!(stream.next().await.is_some());
    ends_soon(&mut server, "a stream of reflection").await;
    assert_eq!(stream.trailers().await["grpc-status"], "14");
}

#[tokio::test]
async fn a_deadline_ends_a_stream_after_its_head_too() {
    let server = Server::dev().await;
    let deadline = [("grpc-timeout", "300m")];
    let mut watch = Open::new(&server, "/grpc.health.v1.Health/Watch", b"", &deadline).await;
    assert_eq!(watch.trailers().await["grpc-status"], "4");
    let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let mut stream = Open::new(&server, path, b"\x3a\0", &deadline).await;
    assert_eq!(stream.trailers().await["grpc-status"], "4");
}

#[tokio::test]
async fn a_peer_without_a_call_does_not_delay_shutdown() {
    let mut server = Server::dev().await;
    let address = server.address();
    let mut peers = Vec::new();
    // Nothing, an incomplete head, an HTTP/2 preface from a peer that then sends nothing, and an incomplete head
    // after a response.
    let settings = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let again = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /hea";
    for begin in [&b""[..], b"GET /healthz HTTP/1.1\r\nHos", settings, again] {
        let mut peer = TcpStream::connect(address).await.unwrap();
        peer.write_all(begin).await.unwrap();
        peers.push(peer);
    }
    // A peer that only sends pings.
    let mut pinging = TcpStream::connect(address).await.unwrap();
    pinging.write_all(settings).await.unwrap();
    let pinging = tokio::spawn(async move {
        while pinging.write_all(b"\0\0\x08\x06\0\0\0\0\0pingping").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    });
    // A peer that closed its side while the connection was idle.
    let mut half = TcpStream::connect(address).await.unwrap();
    half.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    half.readable().await.unwrap();
    ends_soon(&mut server, "peers").await;
    pinging.await.unwrap();
}

/// A peer with a small receive buffer that requests more than the server can write.
async fn request_more_than_fits(server: &Server) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let mut peer = socket.connect(server.address()).await.unwrap();
    let asks = "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n".repeat(6);
    peer.write_all(asks.as_bytes()).await.unwrap();
    peer.readable().await.unwrap();
    // Waits until the server is blocked on the peer.
    tokio::time::sleep(Duration::from_secs(1)).await;
    peer
}

#[tokio::test]
async fn a_peer_that_reads_nothing_delays_shutdown_only_briefly() {
    let mut server = Setup::dev().env("TENANTRY_DRAIN_TIMEOUT", "10m").start().await;
    let _deaf = request_more_than_fits(&server).await;
    server.terminate().await;
    let status = server.ended().await;
    assert!(status.success(), "{status}");
    let reported = async || server.log().contains("because their peers did not read them").then_some(());
    eventually("the log to tell what was cut off", reported).await;
}

#[tokio::test]
async fn a_slow_peer_gets_its_complete_response() {
    let mut server = Setup::dev().env("TENANTRY_DRAIN_TIMEOUT", "10m").start().await;
    let mut slow = request_more_than_fits(&server).await;
    server.terminate().await;
    let (begun, mut read, mut part) = (Instant::now(), Vec::new(), vec![0; 4096]);
    while begun.elapsed() < Duration::from_secs(12) {
        // 10 KiB per second, which does not let the server write more for minutes.
        let bytes = slow.read(&mut part).await.expect("an open connection");
        read.extend_from_slice(&part[..bytes]);
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    tokio::time::timeout(PATIENCE, slow.read_to_end(&mut read)).await.unwrap().unwrap();
    let status = server.ended().await;
    assert!(status.success(), "{status}");
    // Complete responses, one after the other.
    let mut rest = &read[..];
    while !rest.is_empty() {
        let end = rest.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
        let head = String::from_utf8_lossy(&rest[..end]).to_lowercase();
        let length: usize =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).expect("a length");
        rest = rest.get(end + length..).unwrap_or_else(|| panic!("the response is truncated: {head}"));
    }
}

#[tokio::test]
async fn a_response_longer_than_the_drain_sets_the_exit_status() {
    let mut server = Setup::dev().env("TENANTRY_DRAIN_TIMEOUT", "2s").start().await;
    let mut slow = request_more_than_fits(&server).await;
    server.terminate().await;
    let reading = tokio::spawn(async move {
        let mut part = [0; 4096];
        while slow.read(&mut part).await.is_ok_and(|bytes| bytes > 0) {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    let status = server.ended().await;
    assert!(!status.success(), "{status}");
    let reported = async || server.log().contains("because the drain timeout expired").then_some(());
    eventually("the log to tell how much was cut off", reported).await;
    reading.abort();
}

#[tokio::test]
async fn an_aborted_call_sets_the_exit_status() {
    let mut server = Setup::dev().env("TENANTRY_DRAIN_TIMEOUT", "1s").start().await;
    let head = format!(
        "PUT /admin/v2/tenants/slow HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: 100\r\nExpect: 100-continue\r\n\r\n",
        server.admin_token()
    );
    let mut begun = TcpStream::connect(server.address()).await.unwrap();
    begun.write_all(head.as_bytes()).await.unwrap();
    // The call is in flight once it waits for its body, for longer than the drain takes.
    let mut asked = [0; 12];
    tokio::time::timeout(PATIENCE, begun.read_exact(&mut asked)).await.unwrap().unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100");
    server.terminate().await;
    let status = server.ended().await;
    assert!(!status.success(), "{status}");
    let reported = async || server.log().contains("some calls were cut off").then_some(());
    eventually("the last line of the log", reported).await;
    drop(begun);
}

#[tokio::test]
async fn a_response_in_progress_is_completed_during_shutdown() {
    let mut server = Server::dev().await;
    let mut reader = TcpStream::connect(server.address()).await.unwrap();
    let ask = "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n";
    reader.write_all(ask.as_bytes()).await.unwrap();
    reader.readable().await.unwrap();
    server.terminate().await;
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, reader.read_to_end(&mut answer)).await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    assert_eq!(body.len().to_string(), length);
    assert!(server.ended().await.success());
}

/// A server whose database stops responding while a write waits for it; its connections stay open.
async fn with_an_unresponsive_database(drain: &str) -> (Server, Line) {
    let line = Line::to(&postgres_unmigrated().await).await;
    let server = Setup::dev().database(line.url()).env("TENANTRY_DRAIN_TIMEOUT", drain).start().await;
    line.silence();
    let admin = server.admin();
    // The response is not needed.
    tokio::spawn(async move { admin.try_put("/admin/v2/tenants/acme", r#"{"allowedClusters":["standalone"]}"#).await });
    server.until_in_flight(1).await;
    (server, line)
}

#[tokio::test]
async fn an_unresponsive_database_does_not_delay_shutdown() {
    let (mut server, _line) = with_an_unresponsive_database("1s").await;
    server.terminate().await;
    let status = server.ended().await;
    assert_eq!(status.code(), Some(1), "the exit status must report the aborted call");
    let reported = async || server.log().contains("the database did not answer in time").then_some(());
    eventually("the log to tell that the database was left", reported).await;
}

#[tokio::test]
async fn a_second_signal_ends_the_wait_for_the_database() {
    let (mut server, _line) = with_an_unresponsive_database("1s").await;
    server.terminate().await;
    let over = async || server.log().contains("the calls have ended").then_some(());
    eventually("the end of the calls", over).await;
    server.signal("INT").await;
    assert_eq!(server.ended().await.code(), Some(1), "the exit status must report the aborted call");
    let reported = async || server.log().contains("a second signal came").then_some(());
    eventually("the log to tell that nothing more was waited for", reported).await;
    assert!(!server.log().contains("did not answer in time"), "it was not waited for that: {}", server.log());
}

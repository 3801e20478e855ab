//! Which connections end in the drain or for new ones, and which peers are waited for.

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
    task::JoinHandle,
};

use super::{
    tests::{LARGE, fine, serve_with},
    *,
};

/// Much longer than the expected wait, and much shorter than the drain.
const SOON: Duration = Duration::from_secs(20);
const TIME_TO_DRAIN: Duration = Duration::from_secs(60);

/// An HTTP/2 frame: type, flags, stream and payload.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A request on a stream, for a path of a slash and one character.
fn headers(stream: u32, path: &[u8; 2]) -> Vec<u8> {
    // GET, http, :path, :authority.
    frame(1, 0b101, stream, &[&b"\x82\x86\x04\x02"[..], path, b"\x41\x01x"].concat())
}

/// An HTTP/2 peer that does not read.
async fn http2(address: SocketAddr) -> TcpStream {
    let mut peer = TcpStream::connect(address).await.unwrap();
    let begin = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, b"")].concat();
    peer.write_all(&begin).await.unwrap();
    peer
}

/// Sends something repeatedly, until the connection ends.
fn repeat(mut peer: TcpStream, mut next: impl FnMut() -> Vec<u8> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(async move {
        while peer.write_all(&next()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    })
}

/// A peer that requested the large response and read its start.
async fn reader(address: SocketAddr) -> TcpStream {
    reader_of(address, "/large").await
}

/// A peer that requested a path and has a small receive buffer.
async fn reader_of(address: SocketAddr, path: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let mut reader = socket.connect(address).await.unwrap();
    reader.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    reader.readable().await.unwrap();
    // Until the server can no longer write.
    tokio::time::sleep(Duration::from_millis(500)).await;
    reader
}

/// Reads 32 KiB a second: too slowly for the server to write again soon. Returns the number of bytes.
async fn read_slowly(reader: &mut TcpStream, time: Duration) -> usize {
    let (begun, mut read, mut part) = (Instant::now(), 0, vec![0; 8 * 1024]);
    while begun.elapsed() < time {
        read += reader.read(&mut part).await.expect("an open connection");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    read
}

/// Reads the rest of a large response.
async fn read_the_rest(mut reader: TcpStream, mut read: usize) {
    let mut rest = Vec::new();
    read += tokio::time::timeout(SOON, reader.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(read > LARGE, "{read} bytes");
}

fn patient() -> PeerTimeouts {
    PeerTimeouts { untaken: Duration::from_secs(4), ..PeerTimeouts::default() }
}

async fn ends(serving: JoinHandle<bool>) -> bool {
    tokio::time::timeout(SOON, serving).await.expect("the server ends soon").unwrap()
}

#[tokio::test]
async fn the_drain_waits_for_a_slow_reader() {
    let drain = Drain::default();
    let (address, serving) = serve_with(None, &drain, patient(), TIME_TO_DRAIN).await;
    let mut reader = reader(address).await;
    drain.begin();
    let read = read_slowly(&mut reader, Duration::from_secs(8)).await;
    read_the_rest(reader, read).await;
    assert!(ends(serving).await, "nothing was cut off");
}

#[tokio::test]
async fn a_slow_reader_that_rarely_reads_gets_everything() {
    let drain = Drain::default();
    let timeouts = PeerTimeouts { write: Duration::from_secs(3), ..PeerTimeouts::default() };
    let (address, serving) = serve_with(None, &drain, timeouts, TIME_TO_DRAIN).await;
    let mut reader = reader(address).await;
    let read = read_slowly(&mut reader, Duration::from_secs(6)).await;
    drain.begin();
    read_the_rest(reader, read).await;
    assert!(ends(serving).await);
}

#[tokio::test]
async fn the_result_reports_an_aborted_slow_reader() {
    let drain = Drain::default();
    let (address, serving) = serve_with(None, &drain, patient(), Duration::from_secs(3)).await;
    let mut reader = reader(address).await;
    drain.begin();
    read_slowly(&mut reader, Duration::from_secs(2)).await;
    assert!(!ends(serving).await, "a call was cut off");
}

#[tokio::test]
async fn the_drain_does_not_wait_for_a_peer_that_does_not_read() {
    let drain = Drain::default();
    let (address, serving) = serve_with(None, &drain, patient(), TIME_TO_DRAIN).await;
    let _deaf = reader(address).await;
    drain.begin();
    assert!(ends(serving).await, "that is its own fault");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_drain_waits_until_the_kernel_has_delivered_the_response() {
    for reads in [true, false] {
        let drain = Drain::default();
        let (address, serving) = serve_with(None, &drain, patient(), TIME_TO_DRAIN).await;
        let mut reader = reader_of(address, "/fits").await;
        drain.begin();
        if reads {
            read_slowly(&mut reader, Duration::from_secs(6)).await;
            assert!(!serving.is_finished());
            reader.read_to_end(&mut Vec::new()).await.unwrap();
        }
        assert!(ends(serving).await);
    }
}

#[tokio::test]
async fn the_drain_waits_for_the_kernel_over_http2_too() {
    let drain = Drain::default();
    let (address, serving) = serve_with(None, &drain, patient(), TIME_TO_DRAIN).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let mut peer = socket.connect(address).await.unwrap();
    // Windows of 16 MiB, and GET /fits.
    let settings = frame(4, 0, 0, &[&4_u16.to_be_bytes()[..], &(16_u32 << 20).to_be_bytes()].concat());
    let window = frame(8, 0, 0, &(16_u32 << 20).to_be_bytes());
    let call = frame(1, 0b101, 1, b"\x82\x86\x04\x05/fits\x41\x01x");
    peer.write_all(&[&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &settings, &window, &call].concat()).await.unwrap();
    peer.readable().await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    drain.begin();
    let mut read = read_slowly(&mut peer, Duration::from_secs(4)).await;
    assert!(!serving.is_finished());
    // If the connection is closed, this is answered by a reset, and the system discards what it holds.
    peer.write_all(&frame(8, 0, 0, &1024_u32.to_be_bytes())).await.unwrap();
    read += peer.read_to_end(&mut Vec::new()).await.unwrap();
    assert!(read > 1 << 20, "{read} bytes");
    assert!(ends(serving).await);
}

#[tokio::test]
async fn a_slow_reader_keeps_its_connection_at_the_limit() {
    let drain = Drain::default();
    let (address, _serving) = serve_with(None, &drain, patient(), TIME_TO_DRAIN).await;
    let mut reader = reader(address).await;
    let waits = tokio::spawn(fine(address));
    read_slowly(&mut reader, Duration::from_secs(7)).await;
    assert!(!waits.is_finished());
    // It reads nothing from here on.
    tokio::time::timeout(SOON, waits).await.unwrap().unwrap();
    drain.begin();
}

#[tokio::test]
async fn pings_do_not_count_as_calls() {
    let drain = Drain::default();
    let (address, serving) = serve_with(None, &drain, PeerTimeouts::default(), TIME_TO_DRAIN).await;
    let ping = || frame(6, 0, 0, b"pingping");
    let first = repeat(http2(address).await, ping);
    // There is a slot for this one only because the other was closed.
    fine(address).await;
    let second = repeat(http2(address).await, ping);
    drain.begin();
    assert!(ends(serving).await);
    for pinging in [first, second] {
        tokio::time::timeout(SOON, pinging).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn calls_that_start_long_after_goaway_do_not_delay_shutdown() {
    let drain = Drain::default();
    let (address, serving) = serve_with(None, &drain, PeerTimeouts::default(), TIME_TO_DRAIN).await;
    let mut stream = 1;
    let _calling = repeat(http2(address).await, move || {
        stream += 2;
        headers(stream, b"/a")
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    drain.begin();
    assert!(ends(serving).await);
}

#[tokio::test]
async fn an_unread_single_chunk_response_is_reset() {
    for window in [0, 1, 3] {
        let drain = Drain::default();
        let timeouts = PeerTimeouts { write: Duration::from_millis(300), ..PeerTimeouts::default() };
        let (address, _serving) = serve_with(None, &drain, timeouts, TIME_TO_DRAIN).await;
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(window);
        let (client, connection) =
            builder.handshake::<_, Bytes>(TcpStream::connect(address).await.unwrap()).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get("http://localhost/").body(()).unwrap();
        let (answer, _) = client.ready().await.unwrap().send_request(request, true).unwrap();
        let mut body = answer.await.unwrap().into_body();
        let mut read = 0;
        let reset = loop {
            match tokio::time::timeout(SOON, body.data()).await.expect("it is reset").unwrap() {
                Ok(part) => read += part.len(),
                Err(reset) => break reset,
            }
        };
        assert!(reset.is_reset() && read as u32 == window, "{window}: {reset:?} after {read}");
        drain.begin();
    }
}

#[tokio::test]
async fn responses_that_wait_for_the_connection_window_are_reset() {
    let drain = Drain::default();
    let timeouts = PeerTimeouts { write: Duration::from_millis(300), ..PeerTimeouts::default() };
    let (address, _serving) = serve_with(None, &drain, timeouts, TIME_TO_DRAIN).await;
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(1 << 20);
    let (client, connection) = builder.handshake::<_, Bytes>(TcpStream::connect(address).await.unwrap()).await.unwrap();
    tokio::spawn(connection);
    // Each of one part, and 65535 bytes for all. No window updates are sent.
    let (mut whole, mut reset, mut bodies) = (0, 0, Vec::new());
    for _ in 0..4 {
        let request = Request::get("http://localhost/part").body(()).unwrap();
        let (answer, _) = client.clone().ready().await.unwrap().send_request(request, true).unwrap();
        let mut body = answer.await.unwrap().into_body();
        loop {
            match tokio::time::timeout(SOON, body.data()).await.expect("it is reset, or all comes") {
                Some(Ok(_)) => {}
                Some(Err(error)) => break reset += usize::from(error.is_reset()),
                None => break whole += 1,
            }
        }
        // Dropping it would send a window update.
        bodies.push(body);
    }
    assert_eq!((whole, reset), (2, 2));
    drain.begin();
}

#[tokio::test]
async fn a_half_closed_peer_is_waited_for_until_it_disconnects() {
    let drain = Drain::default();
    let (address, _serving) = serve_with(None, &drain, PeerTimeouts::default(), TIME_TO_DRAIN).await;
    let ask = async |path: &str| {
        let mut peer = TcpStream::connect(address).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        peer.write_all(head.as_bytes()).await.unwrap();
        peer.shutdown().await.unwrap();
        peer
    };
    let mut answer = String::new();
    ask("/late").await.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("fine"), "{answer}");
    // This one would never be answered; its reset is the only signal that the client is gone.
    let gone = ask("/never").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    SockRef::from(&gone).set_linger(Some(Duration::ZERO)).unwrap();
    drop(gone);
    fine(address).await;
    drain.begin();
}

#[tokio::test]
async fn a_peer_with_an_open_stream_that_does_not_answer_pings_is_disconnected() {
    let drain = Drain::default();
    let brief = Duration::from_millis(200);
    let timeouts = PeerTimeouts { ping: brief, pong: brief, ..PeerTimeouts::default() };
    let (address, _serving) = serve_with(None, &drain, timeouts, TIME_TO_DRAIN).await;
    let mut silent = http2(address).await;
    silent.write_all(&headers(1, b"/n")).await.unwrap();
    fine(address).await;
    drain.begin();
}

/// The kernel lists its timers in a table: 2 is the keepalive timer.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn tcp_keepalive_is_enabled() {
    let drain = Drain::default();
    let (address, _serving) = serve_with(None, &drain, PeerTimeouts::default(), TIME_TO_DRAIN).await;
    let peer = TcpStream::connect(address).await.unwrap();
    let ends = [address.port(), peer.local_addr().unwrap().port()].map(|port| format!(":{port:04X}"));
    let timer = || {
        let table = fs::read_to_string("/proc/self/net/tcp").unwrap();
        let rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
        let mut rows = rows.filter(|row| row[1].ends_with(&ends[0]) && row[2].ends_with(&ends[1]));
        rows.next().is_some_and(|row| row[5].starts_with("02:"))
    };
    let set = async {
        while !timer() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, set).await.unwrap();
    drain.begin();
}

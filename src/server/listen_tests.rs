//! Limits of connections, tested with a limit of one.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::{StreamExt, stream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
    task::JoinHandle,
};

use super::*;

/// More than the system's buffers for a connection.
pub(super) const LARGE: usize = 16 << 20;

/// A server with one connection at a time, and its address.
async fn server(tls: Option<Tls>, drain: &Drain) -> SocketAddr {
    server_with(tls, drain, PeerTimeouts { write: Duration::from_millis(300), ..PeerTimeouts::default() }).await
}

async fn server_with(tls: Option<Tls>, drain: &Drain, timeouts: PeerTimeouts) -> SocketAddr {
    serve_with(tls, drain, timeouts, Duration::from_secs(5)).await.0
}

/// The same with this drain timeout, and its result.
pub(super) async fn serve_with(
    tls: Option<Tls>,
    drain: &Drain,
    timeouts: PeerTimeouts,
    time: Duration,
) -> (SocketAddr, JoinHandle<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = tower::service_fn(async |request: Request<Body>| {
        let body = match request.uri().path() {
            "/large" => Body::from(vec![b'x'; LARGE]),
            "/fits" => Body::from(vec![b'x'; 1 << 20]),
            "/part" => Body::from(vec![b'x'; 30_000]),
            "/late" => {
                tokio::time::sleep(Duration::from_millis(1500)).await;
                Body::from("fine")
            }
            "/never" | "/n" => std::future::pending().await,
            "/panics" => Body::from_stream(stream::iter([1, 0]).map(|part| {
                assert!(part > 0, "this one panics");
                Ok::<_, Infallible>(Bytes::from("part"))
            })),
            _ => Body::from("fine"),
        };
        Ok::<_, Infallible>(Response::new(body))
    });
    let bounds = Bounds { connections: 1, silence: Duration::from_millis(100), timeouts };
    let (drain, abort) = (drain.clone(), CancellationToken::new());
    (address, tokio::spawn(serve(vec![Listener { socket: listener, tls }], service, bounds, drain, abort, time)))
}

#[tokio::test]
async fn silent_connections_are_closed_and_others_wait_for_room() {
    let drain = Drain::default();
    let address = server(None, &drain).await;
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut waits = TcpStream::connect(address).await.unwrap();
    waits.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(20), waits.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("fine"), "{answer}");
    // There was a slot for that one only because this one was closed.
    ends(&mut silent).await;
    drain.begin();
}

async fn ends(stream: &mut TcpStream) {
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut [0; 8])).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

#[tokio::test]
async fn a_handshake_must_finish_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let drain = Drain::default();
    let address = server(Some(Tls::load(&certificate, &key).unwrap()), &drain).await;
    // There is a slot for the second only because the first was closed.
    for begun in [&[][..], &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]] {
        let mut stalled = TcpStream::connect(address).await.unwrap();
        stalled.write_all(begun).await.unwrap();
        ends(&mut stalled).await;
    }
    drain.begin();
}

#[test]
fn the_connection_limit_leaves_descriptors_for_other_files() {
    let bounds = Bounds::of_process();
    assert!(bounds.connections >= 1 && open_files().is_none_or(|files| bounds.connections < files));
}

pub(super) async fn fine(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(20), stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("fine"), "{answer}");
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_not_waited_for() {
    let drain = Drain::default();
    let address = server(None, &drain).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(2048).unwrap();
    let mut deaf = socket.connect(address).await.unwrap();
    deaf.write_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    deaf.readable().await.unwrap();
    // There is a slot for this one only because that one was closed.
    fine(address).await;
    drain.begin();
}

#[tokio::test]
async fn idle_connections_and_those_that_do_not_read_make_room_for_others() {
    let drain = Drain::default();
    let timeouts = PeerTimeouts { untaken: Duration::from_secs(2), ..PeerTimeouts::default() };
    let address = server_with(None, &drain, timeouts).await;
    for ask in [&b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n"[..], b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(2048).unwrap();
        let mut held = socket.connect(address).await.unwrap();
        held.write_all(ask).await.unwrap();
        held.readable().await.unwrap();
        // Much less than the thirty seconds that each may stay while there are free slots.
        fine(address).await;
    }
    drain.begin();
}

#[tokio::test]
async fn a_slow_reader_that_makes_progress_gets_everything() {
    let drain = Drain::default();
    let address = server(None, &drain).await;
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let (mut read, mut part) = (0, vec![0; 1 << 20]);
    let mut pause = tokio::time::interval(Duration::from_millis(30));
    loop {
        pause.tick().await;
        match slow.read(&mut part).await.unwrap() {
            0 => break,
            bytes => read += bytes,
        }
    }
    assert!(read > LARGE, "{read} bytes");
    drain.begin();
}

#[tokio::test]
async fn an_unread_stream_is_reset_and_others_continue() {
    let drain = Drain::default();
    let address = server(None, &drain).await;
    let stream = TcpStream::connect(address).await.unwrap();
    let (client, connection) =
        h2::client::Builder::new().initial_window_size(1000).handshake::<_, Bytes>(stream).await.unwrap();
    tokio::spawn(connection);
    let ask = async |path: &str| {
        let request = Request::get(format!("http://localhost{path}")).body(()).unwrap();
        let (answer, _) = client.clone().ready().await.unwrap().send_request(request, true).unwrap();
        answer.await.unwrap().into_body()
    };
    let all = async |mut body: h2::RecvStream| {
        let mut all = Vec::new();
        while let Some(part) = body.data().await {
            all.extend_from_slice(&part.unwrap());
        }
        all
    };
    let mut untaken = ask("/large").await;
    assert_eq!(all(ask("/").await).await, b"fine");
    // Its first thousand bytes arrive, and no window update is sent.
    assert_eq!(untaken.data().await.unwrap().unwrap().len(), 1000);
    let reset = tokio::time::timeout(Duration::from_secs(20), untaken.data()).await.unwrap().unwrap().unwrap_err();
    assert!(reset.is_reset(), "{reset:?}");
    assert_eq!(all(ask("/").await).await, b"fine");
    drain.begin();
}

#[tokio::test]
async fn little_waits_for_a_reader_that_has_stopped() {
    let made = Arc::new(AtomicUsize::new(0));
    let counted = made.clone();
    let service = service_fn(move |_: Request<Incoming>| {
        let made = counted.clone();
        let parts = stream::repeat_with(move || {
            made.fetch_add(1024, Ordering::Relaxed);
            Ok::<_, Infallible>(Bytes::from(vec![b'x'; 1024]))
        });
        std::future::ready(Ok::<_, Infallible>(Response::new(Body::from_stream(parts))))
    });
    let (client, server) = tokio::io::duplex(4096);
    let serving = builder(PeerTimeouts::default()).serve_connection(TokioIo::new(server), service).into_owned();
    tokio::spawn(async move { drop(serving.await) });
    // The window is that of clients by tonic; what the peer does not read is limited by its socket alone.
    let window = 2 << 20;
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(window).initial_connection_window_size(window);
    let (client, mut connection) = builder.handshake::<_, Bytes>(client).await.unwrap();
    let opening = async {
        let request = Request::get("http://localhost/").body(()).unwrap();
        let (answer, _) = client.ready().await.unwrap().send_request(request, true).unwrap();
        answer.await.unwrap().into_body()
    };
    let _body = tokio::select! {
        ended = &mut connection => panic!("{ended:?}"),
        // From here on, nothing polls the connection.
        body = opening => body,
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    let waiting = made.load(Ordering::Relaxed);
    assert!(waiting > 0 && waiting <= 64 * 1024, "{waiting} bytes");
}

#[test]
fn a_process_with_enough_files_holds_many_connections() {
    assert_eq!(connections(Some(20_000)), 19_744);
    assert_eq!([Some(1024), Some(100), Some(1), None].map(connections), [768, 50, 1, UNREPORTED]);
    assert_eq!(connections(Some(1 << 20)), MAX_CONNECTIONS);
}

#[tokio::test]
async fn a_panic_in_a_response_body_affects_no_other_response() {
    let drain = Drain::default();
    let address = server(None, &drain).await;
    let (client, connection) = h2::client::handshake(TcpStream::connect(address).await.unwrap()).await.unwrap();
    tokio::spawn(connection);
    let ask = async |path: &str| {
        let request = Request::get(format!("http://localhost{path}")).body(()).unwrap();
        let (answer, _) = client.clone().ready().await.unwrap().send_request(request, true).unwrap();
        let mut body = answer.await?.into_body();
        let mut all = Vec::new();
        while let Some(part) = body.data().await {
            all.extend_from_slice(&part?);
        }
        Ok::<_, h2::Error>(all)
    };
    // Data from before the panic may be lost with the stream, including its head.
    let ended = ask("/panics").await.expect_err("it does not end as if it were whole");
    assert!(ended.is_reset(), "{ended:?}");
    assert_eq!(ask("/").await.unwrap(), b"fine");
    drain.begin();
}

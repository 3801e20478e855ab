//! Clients that close their side of an HTTP/1.1 connection after the request and wait for the response (RFC
//! 9112, section 9.6), however the network splits the data.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::harness::{PATIENCE, server::Server};

const INFO: &str = r#"{"allowedClusters":["standalone"]}"#;

/// The framing of a body.
#[derive(Clone, Copy, Debug)]
enum Form {
    Length,
    Chunks,
}

/// A request that creates a tenant, as head and body.
fn put(server: &Server, name: &str, form: Form, more: &str) -> (String, String) {
    let (framing, body) = match form {
        Form::Length => (format!("Content-Length: {}", INFO.len()), INFO.to_owned()),
        Form::Chunks => {
            let chunks = [&INFO[..7], &INFO[7..]].map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len()));
            ("Transfer-Encoding: chunked".to_owned(), chunks.concat() + "0\r\n\r\n")
        }
    };
    let head = format!(
        "PUT /admin/v2/tenants/{name} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\n{framing}\r\n{more}\r\n",
        server.admin_token()
    );
    (head, body)
}

async fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends pieces with random pauses between them, and closes the sending side after the last.
async fn send(stream: &mut TcpStream, pieces: &[&[u8]], pause: Duration) {
    for (at, piece) in pieces.iter().enumerate() {
        if at > 0 && !pause.is_zero() {
            tokio::time::sleep(pause.mul_f64(rand::random_range(0.0..1.0))).await;
        }
        stream.write_all(piece).await.unwrap();
    }
    stream.shutdown().await.unwrap();
}

/// Reads until the end of the connection.
async fn answers(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the connection ends");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    if let Err(error) = read { format!("lost: {error}, after {answer}") } else { answer }
}

fn cut_at_random(text: &[u8], pieces: usize) -> Vec<&[u8]> {
    let mut cuts: Vec<_> = (1..pieces).map(|_| rand::random_range(0..=text.len())).collect();
    cuts.sort_unstable();
    let (mut parts, mut last) = (Vec::new(), 0);
    for cut in cuts.into_iter().chain([text.len()]) {
        parts.push(&text[last..cut]);
        last = cut;
    }
    parts
}

#[tokio::test]
async fn a_split_request_is_answered_after_the_client_half_closed() {
    let server = Server::dev().await;
    for form in [Form::Length, Form::Chunks] {
        for n in 0..40 {
            let (head, body) = put(&server, &format!("cut-{form:?}-{n}"), form, "");
            let request = head.clone() + &body;
            let pause = Duration::from_millis(n % 21);
            let pieces = match n % 4 {
                // The body separate from the head, and its last byte separate from the rest.
                0 => vec![head.as_bytes(), &body.as_bytes()[..body.len() - 1], &body.as_bytes()[body.len() - 1..]],
                1 => vec![head.as_bytes(), body.as_bytes()],
                _ => cut_at_random(request.as_bytes(), 5),
            };
            let mut stream = connect(&server).await;
            send(&mut stream, &pieces, pause).await;
            let answer = answers(&mut stream).await;
            assert!(answer.starts_with("HTTP/1.1 204"), "{form:?} {n}: {answer}");
        }
        // Byte by byte.
        for n in 0..5 {
            let (head, body) = put(&server, &format!("bytes-{form:?}-{n}"), form, "");
            let request = head + &body;
            let mut stream = connect(&server).await;
            send(&mut stream, &request.as_bytes().chunks(1).collect::<Vec<_>>(), Duration::ZERO).await;
            let answer = answers(&mut stream).await;
            assert!(answer.starts_with("HTTP/1.1 204"), "{form:?} {n}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_request_with_expect_continue_is_answered_too() {
    let server = Server::dev().await;
    for n in 0..10 {
        let form = if n % 2 == 0 { Form::Length } else { Form::Chunks };
        let (head, body) = put(&server, &format!("asked-{n}"), form, "Expect: 100-continue\r\n");
        let mut stream = connect(&server).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut asked = [0; 25];
        tokio::time::timeout(PATIENCE, stream.read_exact(&mut asked)).await.unwrap().unwrap();
        assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
        send(&mut stream, &cut_at_random(body.as_bytes(), 3), Duration::from_millis(10)).await;
        let answer = answers(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 204"), "{form:?} {n}: {answer}");
    }
}

#[tokio::test]
async fn requests_one_after_the_other_are_all_answered() {
    let server = Server::dev().await;
    for n in 0..20 {
        let form = if n % 2 == 0 { Form::Length } else { Form::Chunks };
        let two = [0, 1].map(|at| put(&server, &format!("two-{n}-{at}"), form, ""));
        let requests = two.map(|(head, body)| head + &body).concat();
        let mut stream = connect(&server).await;
        send(&mut stream, &cut_at_random(requests.as_bytes(), 4), Duration::from_millis(n)).await;
        let answer = answers(&mut stream).await;
        assert_eq!(answer.matches("HTTP/1.1 204").count(), 2, "{form:?} {n}: {answer}");
    }
}

#[tokio::test]
async fn a_request_that_is_cut_off_has_no_effect() {
    let server = Server::dev().await;
    for form in [Form::Length, Form::Chunks] {
        for n in 0..10 {
            let name = format!("torn-{form:?}-{n}");
            let (head, body) = put(&server, &name, form, "");
            // A chunked body is complete only with its last line.
            let missing = [1, 2, 5, 10, 20][n % 5];
            let begun = &body.as_bytes()[..body.len() - missing];
            let mut stream = connect(&server).await;
            send(&mut stream, &[head.as_bytes(), begun], Duration::from_millis(n as u64)).await;
            let answer = answers(&mut stream).await;
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{name}: {answer}");
            assert_eq!(server.admin().get(&format!("/admin/v2/tenants/{name}")).await.status, 404, "{name}");
        }
    }
}

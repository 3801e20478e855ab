//! Edge cases of HTTP/1.1 connections: responses before the end of a request, half-closed peers, hosts,
//! `OPTIONS *`, and log lines caused by strangers.

use http::Request;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::harness::{PATIENCE, eventually, server::Server};

const INFO: &str = r#"{"allowedClusters":["standalone"]}"#;

/// Sends a raw request and returns what comes back, up to the end of the connection or of one response.
async fn exchange(stream: &mut TcpStream, head: &str, body: &[u8]) -> String {
    let sent = async {
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body).await?;
        let mut answer = Vec::new();
        while !is_whole(&answer) {
            let mut part = [0; 4096];
            match stream.read(&mut part).await? {
                0 => break,
                read => answer.extend_from_slice(&part[..read]),
            }
        }
        std::io::Result::Ok(String::from_utf8_lossy(&answer).to_ascii_lowercase())
    };
    tokio::time::timeout(PATIENCE, sent).await.expect("a response").unwrap_or_else(|error| format!("lost: {error}"))
}

/// Whether a response has its complete body.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    if head.contains("transfer-encoding: chunked") {
        return body.ends_with("0\r\n\r\n");
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    length.is_some_and(|length: usize| body.len() >= length)
}

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.address()).await.unwrap()
}

#[tokio::test]
async fn an_early_answer_is_read_whatever_the_size_of_the_body() {
    let server = Server::dev().await;
    let token = format!("Authorization: Bearer {}\r\n", server.admin_token());
    let json = "Content-Type: application/json\r\n";
    let web = "POST /tenantry.messaging.v2.ClusterService/CreateCluster HTTP/1.1\r\nContent-Type: application/grpc-web+proto\r\n";
    let put = "PUT /admin/v2/tenants/x HTTP/1.1\r\n";
    let cases = [
        ("401", format!("{put}{json}")),
        ("404", format!("POST /nowhere HTTP/1.1\r\n{json}")),
        ("405", format!("POST /healthz HTTP/1.1\r\n{json}")),
        ("415", format!("{put}{token}Content-Type: text/plain\r\n")),
        ("200", format!("GET /healthz HTTP/1.1\r\n{json}")),
        // gRPC has its own form of the error.
        ("200", web.to_owned()),
    ];
    for (status, head) in &cases {
        for size in [100, 20_000, 300_000, 5 << 20] {
            for round in 0..3 {
                let too_large = size > 262_144 && (*status != "200" || head.starts_with("GET"));
                let expected = if too_large { "413" } else { status };
                let mut stream = connect(&server).await;
                let head = format!("{head}Host: x\r\nContent-Length: {size}\r\n\r\n");
                let answer = exchange(&mut stream, &head, &vec![b'x'; size]).await;
                let shown = &answer[..answer.len().min(300)];
                assert!(answer.starts_with(&format!("http/1.1 {expected}")), "{head} round {round}: {shown}");
                // Without `Connection: close` the client may reuse the connection.
                let closes = answer.contains("\r\nconnection: close\r\n");
                assert!(!closes || size > 20_000, "a short remaining body must be drained: {head}: {shown}");
                if !closes {
                    let next = exchange(&mut stream, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"").await;
                    assert!(next.starts_with("http/1.1 200"), "{head} and then: {next}");
                }
            }
        }
    }
}

#[tokio::test]
async fn an_unwanted_chunked_body_costs_the_connection_but_not_the_response() {
    let server = Server::dev().await;
    let mut stream = connect(&server).await;
    let head = "PUT /admin/v2/tenants/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = format!("10000\r\n{}\r\n", "x".repeat(0x10000)).repeat(16) + "0\r\n\r\n";
    let answer = exchange(&mut stream, head, body.as_bytes()).await;
    assert!(answer.starts_with("http/1.1 401") && answer.contains("\r\nconnection: close\r\n"), "{answer}");
    let ended = tokio::time::timeout(PATIENCE, stream.read(&mut [0; 8])).await.unwrap();
    assert!(matches!(ended, Ok(0)), "{ended:?}");
}

#[tokio::test]
async fn an_invalid_head_is_refused_before_the_body_is_requested() {
    let server = Server::dev().await;
    let token = format!("Authorization: Bearer {}", server.admin_token());
    for (said, status) in [
        ("Content-Type: text/plain", "415"),
        ("Content-Type: application/json\r\nContent-Encoding: gzip", "415"),
        ("Transfer-Encoding: chunked\r\nContent-Type: text/plain", "415"),
        ("Transfer-Encoding: gzip, chunked\r\nContent-Type: application/json", "501"),
        ("Transfer-Encoding: chunked, Chunked\r\nContent-Type: application/json", "501"),
    ] {
        let length = if said.contains("chunked") { "" } else { "Content-Length: 9\r\n" };
        let head = format!(
            "PUT /admin/v2/tenants/x HTTP/1.1\r\nHost: x\r\n{token}\r\n{said}\r\n{length}Expect: 100-continue\r\n\r\n"
        );
        let answer = exchange(&mut connect(&server).await, &head, b"").await;
        assert!(answer.starts_with(&format!("http/1.1 {status}")), "{said}: {answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    }
    let head = format!(
        "PUT /admin/v2/tenants/x HTTP/1.1\r\nHost: x\r\n{token}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n",
        INFO.len()
    );
    let mut stream = connect(&server).await;
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut asked = [0; 25];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut asked)).await.unwrap().unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    let answer = exchange(&mut stream, "", INFO.as_bytes()).await;
    assert!(answer.starts_with("http/1.1 204"), "{answer}");
}

#[tokio::test]
async fn a_malformed_query_or_path_is_refused_before_the_body_is_requested() {
    let server = Server::dev().await;
    assert_eq!(server.admin().put("/admin/v2/tenants/acme", INFO).await.status, 204);
    let minted = server.setup().mint(&["--role", "admin", "--tenant", "acme"]).await;
    let platform = server.admin_token();
    for (line, token, key, status) in [
        ("PUT /admin/v2/tenants/a?force=%zz", &platform, "", "400"),
        ("PUT /admin/v2/tenants/a?%zz", &platform, "", "400"),
        ("PUT /admin/v2/tenants/%zz", &platform, "", "400"),
        ("POST /v1/admin/api-keys?x=%zz", &minted, "", "400"),
        ("POST /v1/admin/api-keys?x=%zz", &minted, "Idempotency-Key: k\r\n", "400"),
        ("POST /v1/admin/logout?x=%zz", &minted, "Idempotency-Key: k\r\n", "400"),
        // The guard decides first.
        ("PUT /admin/v2/tenants/a?force=%zz", &"none".to_owned(), "", "401"),
    ] {
        let head = format!(
            "{line} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n{key}\
             Content-Length: {}\r\nExpect: 100-continue\r\n\r\n",
            INFO.len()
        );
        let answer = exchange(&mut connect(&server).await, &head, b"").await;
        assert!(answer.starts_with(&format!("http/1.1 {status}")), "{line} {key}: {answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn an_idempotency_key_does_not_request_the_body() {
    let server = Server::dev().await;
    assert_eq!(server.admin().put("/admin/v2/tenants/acme", INFO).await.status, 204);
    let token = async |role| server.setup().mint(&["--role", role, "--tenant", "acme"]).await;
    let (admin, auditor) = (token("admin").await, token("auditor").await);
    let (json, key) = ("Content-Type: application/json", "Idempotency-Key: k");
    let keys = "POST /v1/admin/api-keys";
    for (line, token, said, status) in [
        (keys, &"none".to_owned(), format!("{json}\r\n{key}"), "401"),
        (keys, &auditor, format!("{json}\r\n{key}"), "403"),
        ("POST /v1/admin/nowhere", &admin, format!("{json}\r\n{key}"), "404"),
        ("POST /v1/admin/tenants/lifecycle/x", &admin, format!("{json}\r\n{key}"), "404"),
        ("POST /v1/admin/users", &admin, format!("{json}\r\n{key}"), "405"),
        (keys, &admin, format!("Content-Type: text/plain\r\n{key}"), "415"),
        (keys, &admin, format!("{json}\r\n{key}\r\nContent-Encoding: gzip"), "415"),
        (keys, &admin, format!("{json}\r\n{key}\r\nContent-Length: 300000"), "413"),
        (keys, &admin, format!("{json}\r\nIdempotency-Key: a b"), "400"),
    ] {
        let length = if said.contains("Content-Length") { "" } else { "Content-Length: 9\r\n" };
        let head = format!(
            "{line} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{said}\r\n{length}Expect: 100-continue\r\n\r\n"
        );
        let answer = exchange(&mut connect(&server).await, &head, b"").await;
        assert!(answer.starts_with(&format!("http/1.1 {status}")), "{line} {said}: {answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn an_early_response_announces_that_the_connection_closes() {
    let server = Server::dev().await;
    let mut stream = connect(&server).await;
    // A bidirectional streaming call with chunks that do not end.
    let head = "POST /grpc.reflection.v1.ServerReflection/ServerReflectionInfo HTTP/1.1\r\nHost: x\r\n\
                Content-Type: application/grpc-web+proto\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n\0\0\0\0\x02\x3a\0\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    while !answer.contains("\r\n\r\n") {
        let mut part = [0; 4096];
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut part)).await.unwrap().unwrap();
        assert!(read > 0, "{answer}");
        answer += &String::from_utf8_lossy(&part[..read]).to_ascii_lowercase();
    }
    assert!(answer.starts_with("http/1.1 200") && answer.contains("\r\nconnection: close\r\n"), "{answer}");
}

#[tokio::test]
async fn a_half_closed_peer_gets_its_answer() {
    let server = Server::dev().await;
    let token = server.admin_token();
    for n in 0..30 {
        let mut stream = connect(&server).await;
        let head = format!(
            "PUT /admin/v2/tenants/half-{n} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{INFO}",
            INFO.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let answer = exchange(&mut stream, "", b"").await;
        assert!(answer.starts_with("http/1.1 204"), "{n}: {answer}");
    }
    // Large responses too, up to their last byte.
    let mut stream = connect(&server).await;
    stream.write_all(b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(is_whole(&answer), "{} bytes", answer.len());
    // A client that disconnects in the middle of its request causes no effect, and is not waited for.
    let mut stream = connect(&server).await;
    let head = format!(
        "PUT /admin/v2/tenants/torn HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{INFO}"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let answer = exchange(&mut stream, "", b"").await;
    assert!(!answer.starts_with("http/1.1 2"), "{answer}");
    assert_eq!(server.admin().get("/admin/v2/tenants/torn").await.status, 404);
}

#[tokio::test]
async fn a_missing_body_is_a_request_timeout() {
    let server = Server::dev().await;
    let head = format!(
        "PUT /admin/v2/tenants/a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: 34\r\n\r\n{{",
        server.admin_token()
    );
    let mut stream = connect(&server).await;
    let answer = exchange(&mut stream, &head, b"").await;
    assert!(answer.starts_with("http/1.1 408") && answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(answer.ends_with(r#"{"reason":"the body of the request did not arrive in time"}"#), "{answer}");
}

#[tokio::test]
async fn a_request_must_have_exactly_one_host() {
    let server = Server::dev().await;
    for hosts in ["X: y", "Host: a\r\nHost: b", "Host: a b/@", "Host: a@b", "Host: [::1"] {
        let head = format!("GET /version HTTP/1.1\r\n{hosts}\r\n\r\n");
        let answer = exchange(&mut connect(&server).await, &head, b"").await;
        assert!(answer.starts_with("http/1.1 400"), "{hosts}: {answer}");
    }
    for line in
        ["GET /version HTTP/1.0\r\n", "GET /version HTTP/1.1\r\nHost: a.b:80\r\n", "GET /version HTTP/1.1\r\nHost:\r\n"]
    {
        let answer = exchange(&mut connect(&server).await, &format!("{line}\r\n"), b"").await;
        assert!(answer.starts_with("http/1.1 200") || answer.starts_with("http/1.0 200"), "{line}: {answer}");
    }
    for (host, status) in [("localhost", 200), ("LOCALHOST", 200), ("elsewhere", 400), ("a b", 400)] {
        let (client, connection) = h2::client::handshake(connect(&server).await).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get("http://localhost/version").header("host", host).body(()).unwrap();
        let (answer, _) = client.ready().await.unwrap().send_request(request, true).unwrap();
        assert_eq!(answer.await.unwrap().status(), status, "{host}");
    }
}

#[tokio::test]
async fn options_of_the_whole_server_lists_its_methods() {
    let server = Server::dev().await;
    let answer =
        exchange(&mut connect(&server).await, "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"").await;
    assert!(answer.starts_with("http/1.1 204"), "{answer}");
    assert!(answer.contains("\r\nallow: delete, get, head, options, patch, post, put\r\n"), "{answer}");
    let answer =
        exchange(&mut connect(&server).await, "GET * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"").await;
    assert!(answer.starts_with("http/1.1 404") || answer.starts_with("http/1.1 400"), "{answer}");
}

#[tokio::test]
async fn a_stranger_can_cause_only_a_bounded_number_of_log_lines() {
    let server = Server::dev().await;
    let before = server.log().lines().count();
    // Acknowledgements of pings that were never sent.
    let mut stream = connect(&server).await;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    stream.write_all(&b"\0\0\x08\x06\x01\0\0\0\0pingpong".repeat(20_000)).await.unwrap();
    // Calls without a credential, followed by one that is logged.
    let mut stream = connect(&server).await;
    for _ in 0..20 {
        stream.write_all("GET /admin/v2/tenants HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100).as_bytes()).await.unwrap();
        let mut answers = 0;
        let mut part = vec![0; 65536];
        while answers < 100 {
            let read = tokio::time::timeout(PATIENCE, stream.read(&mut part)).await.unwrap().unwrap();
            assert!(read > 0, "the connection was closed");
            answers += String::from_utf8_lossy(&part[..read]).matches("HTTP/1.1 401").count();
        }
    }
    drop(stream);
    let told = async || server.log().contains("to log each; no more are logged").then_some(());
    eventually("the log to say how many lines it left out", told).await;
    let lines = server.log().lines().count() - before;
    assert!((600..700).contains(&lines), "{lines} lines");
    let admin = server.admin();
    for _ in 0..700 {
        assert_eq!(admin.get("/admin/v2/clusters").await.status, 200);
    }
    eventually("a line for each call with a credential", async || {
        (server.log().lines().filter(|line| line.contains("ListClusters")).count() >= 700).then_some(())
    })
    .await;
}

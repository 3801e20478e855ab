//! TLS of the listeners: every protocol over it, and replacing the certificate while the server runs.

use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body_util::Full;
use prost_reflect::DynamicMessage;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::rustls::version::{TLS12, TLS13};

use crate::harness::{
    PATIENCE, eventually,
    grpc::{Grpc, methods},
    server::{Server, Setup},
    tls::{Certificate, TlsClient},
};

/// A ready server with this certificate.
async fn server(certificate: &Certificate) -> Server {
    let setup = Setup::dev();
    let (cert, key) = (setup.home().join("cert.pem"), setup.home().join("key.pem"));
    certificate.write(&cert, &key);
    let setup = setup.env("TENANTRY_TLS_CERT", cert.to_str().unwrap()).env("TENANTRY_TLS_KEY", key.to_str().unwrap());
    let server = setup.launch().await;
    let client = TlsClient::new(server.address(), &[certificate], &TLS13, "http/1.1");
    eventually("the server to be ready", async || (client.get("/readyz").await.status() == 200).then_some(())).await;
    server
}

#[tokio::test]
async fn rest_is_served_in_every_version() {
    let certificate = Certificate::new();
    let server = server(&certificate).await;
    assert!(server.log().contains(&format!("https://{}", server.address())), "{}", server.log());
    for version in [&TLS12, &TLS13] {
        for (protocol, spoken) in [("http/1.1", Version::HTTP_11), ("h2", Version::HTTP_2)] {
            let client = TlsClient::new(server.address(), &[&certificate], version, protocol);
            let refused = client.get("/admin/v2/tenants").await;
            assert_eq!((refused.version(), refused.status()), (spoken, StatusCode::UNAUTHORIZED));
            assert_eq!(refused.body(), &Bytes::from(r#"{"reason":"credentials are required"}"#));
        }
    }
    let stranger = TlsClient::new(server.address(), &[&Certificate::new()], &TLS13, "h2");
    assert!(stranger.connect().await.is_err());
    assert!(server.http().try_get("/healthz").await.is_err(), "a listener accepted a connection without TLS");
}

#[tokio::test]
async fn grpc_and_grpc_web_are_served() {
    let certificate = Certificate::new();
    let server = server(&certificate).await;
    let client = TlsClient::new(server.address(), &[&certificate], &TLS13, "h2");
    let list = methods().into_iter().find(|method| method.name() == "ListClusters").unwrap();
    let grpc = Grpc::over(client.channel()).token(server.admin_token());
    let answer = grpc.call(&list, DynamicMessage::new(list.input())).await.unwrap();
    assert!(answer.to_string().contains("standalone"), "{answer}");

    let web = TlsClient::new(server.address(), &[&certificate], &TLS13, "http/1.1");
    let request = Request::post(format!("/{}/{}", list.parent_service().full_name(), list.name()))
        .header("host", "localhost")
        .header("content-type", "application/grpc-web+proto")
        .header("authorization", format!("Bearer {}", server.admin_token()))
        .body(Full::from(&[0_u8; 5][..]))
        .unwrap();
    let answer = web.send(request).await;
    let body = String::from_utf8_lossy(answer.body()).into_owned();
    assert!(body.contains("standalone") && body.contains("grpc-status:0"), "{answer:?}");
}

#[tokio::test]
async fn a_stalled_handshake_does_not_block_others() {
    let certificate = Certificate::new();
    let mut server = server(&certificate).await;
    let mut stalled = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        // The first bytes of a record that is never completed.
        stream.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).await.unwrap();
        stalled.push(stream);
    }
    let client = TlsClient::new(server.address(), &[&certificate], &TLS13, "h2");
    assert_eq!(client.get("/healthz").await.status(), StatusCode::OK);
    server.terminate().await;
    assert!(server.ended().await.success());
    for mut stream in stalled {
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut [0; 8])).await.unwrap();
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
}

#[tokio::test]
async fn the_certificate_is_reloaded_by_a_signal() {
    let (before, after) = (Certificate::new(), Certificate::new());
    let server = server(&before).await;
    let (cert, key) = (server.setup().home().join("cert.pem"), server.setup().home().join("key.pem"));
    let client = TlsClient::new(server.address(), &[&before, &after], &TLS13, "http/1.1");
    let shows = async |wanted: &Certificate| {
        let stream = client.connect().await.unwrap();
        wanted.is(&stream.get_ref().1.peer_certificates().unwrap()[0])
    };
    assert!(shows(&before).await);

    std::fs::write(&cert, "no certificate").unwrap();
    server.signal("HUP").await;
    eventually("the refusal", async || server.log().contains("the old one stays in use").then_some(())).await;
    assert!(server.log().contains("does not contain a PEM certificate") && shows(&before).await, "{}", server.log());

    std::fs::remove_file(&cert).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&cert).status().unwrap().success());
    server.signal("HUP").await;
    eventually("the refusal of a pipe", async || server.log().contains("not a regular file").then_some(())).await;
    std::fs::remove_file(&cert).unwrap();

    after.write(&cert, &key);
    server.signal("HUP").await;
    eventually("the new certificate", async || shows(&after).await.then_some(())).await;
}

#[tokio::test]
async fn invalid_certificate_files_are_reported_by_start_and_check() {
    let setup = Setup::dev().env("TENANTRY_TLS_CERT", "cert.pem");
    let half = setup.run(&["config", "check"]).await;
    let said = String::from_utf8_lossy(&half.stderr);
    assert!(!half.status.success() && said.contains("tls_key (TENANTRY_TLS_KEY) must be set together"), "{said}");
    let setup = setup.env("TENANTRY_TLS_KEY", "key.pem");
    for command in [&["config", "check"][..], &["dev", "--listen", "127.0.0.1:0"]] {
        let refused = setup.run(command).await;
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains("cannot read TLS file cert.pem"), "{said}");
    }
}

#[tokio::test]
async fn the_negotiated_protocol_is_used() {
    let certificate = Certificate::new();
    let server = server(&certificate).await;
    let one = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_vec();
    // The preface, empty settings, and GET /healthz, encoded with the static table except the path.
    let mut two = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    two.extend_from_slice(b"\0\0\x0c\x01\x05\0\0\0\x01\x82\x87\x04\x08/healthz");
    for (agreed, spoken, answered) in
        [("http/1.1", &one, true), ("h2", &two, true), ("h2", &one, false), ("http/1.1", &two, false)]
    {
        let client = TlsClient::new(server.address(), &[&certificate], &TLS13, agreed);
        let mut stream = client.connect().await.unwrap();
        stream.write_all(spoken).await.unwrap();
        stream.flush().await.unwrap();
        let mut all = Vec::new();
        let read = async {
            let mut part = [0; 1024];
            while let Ok(read @ 1..) = stream.read(&mut part).await {
                all.extend_from_slice(&part[..read]);
                if String::from_utf8_lossy(&all).contains("{\"status\":\"ok\"") {
                    return true;
                }
            }
            false
        };
        let told = tokio::time::timeout(PATIENCE, read).await.expect("a response or the end of the connection");
        assert_eq!(told, answered, "{agreed}: {}", String::from_utf8_lossy(&all));
    }
}

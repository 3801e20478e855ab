//! gRPC on the wire: request lines, media types, frames and headers that no client library would send.

use std::io::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use http::Version;
use prost::Message as _;
use reqwest::Method;
use tenantry::proto::messaging::v2::{ClusterData, CreateClusterRequest};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::harness::{
    PATIENCE,
    server::{Server, Setup},
    wire::{Reply, Wire, frame},
};

const CREATE: &str = "tenantry.messaging.v2.ClusterService/CreateCluster";
const LIST: &str = "tenantry.messaging.v2.ClusterService/ListClusters";
const WEB: &str = "application/grpc-web+proto";
/// gRPC status codes.
const INVALID_ARGUMENT: i32 = 3;
const RESOURCE_EXHAUSTED: i32 = 8;
const UNIMPLEMENTED: i32 = 12;
const INTERNAL: i32 = 13;

fn list(server: &Server) -> Wire {
    Wire::new(server.address(), LIST).token(&server.admin_token())
}

/// A call that creates a cluster, if it is executed.
fn create(server: &Server, name: &str) -> Wire {
    let data = ClusterData { service_url: Some("http://a.example:8080".to_owned()), ..ClusterData::default() };
    let request = CreateClusterRequest { cluster: name.to_owned(), data: Some(data) };
    Wire::new(server.address(), CREATE).token(&server.admin_token()).body(frame(0, &request.encode_to_vec()))
}

/// Each form of gRPC, by media type and HTTP version.
const FORMS: [(&str, Version); 3] =
    [("application/grpc", Version::HTTP_2), (WEB, Version::HTTP_11), (WEB, Version::HTTP_2)];

async fn clusters(server: &Server) -> String {
    server.admin().get("/admin/v2/clusters").await.body
}

#[track_caller]
fn assert_refused(reply: &Reply, code: i32, reason: &str, text: &str) {
    assert_eq!((reply.status, reply.grpc()), (200, Some(code)), "{reply:?}");
    assert_eq!(reply.reason(), format!("tenantry/{reason}"), "{reply:?}");
    assert!(reply.message().contains(text), "{:?} has not {text:?}", reply.message());
}

#[tokio::test]
async fn a_method_is_called_only_by_post() {
    let server = Server::dev().await;
    for (content_type, version) in FORMS {
        for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"] {
            let call = create(&server, "unsafe").header("content-type", content_type).over(version).method(method);
            let reply = call.send().await;
            assert_eq!((reply.status, reply.header("allow")), (405, "POST"), "{content_type} {method}: {reply:?}");
            assert_eq!(reply.grpc(), None, "{content_type} {method}");
        }
    }
    // Also without a gRPC media type.
    let reply = list(&server).header("content-type", "").method("GET").body("").send().await;
    assert_eq!((reply.status, reply.header("allow")), (405, "POST"), "{reply:?}");
    assert!(!clusters(&server).await.contains("unsafe"));
    assert_eq!(create(&server, "safe").send().await.grpc(), Some(0));
    assert!(clusters(&server).await.contains("safe"));
}

#[tokio::test]
async fn media_types_are_parsed() {
    let server = Server::dev().await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        for content_type in [
            "application/grpc-web",
            "application/grpc-web+proto; charset=utf-8",
            "Application/gRPC-Web+Proto",
            "application/grpc-web;a=b;c=\"d\"",
        ] {
            let reply = list(&server).header("content-type", content_type).over(version).send().await;
            assert_eq!((reply.status, reply.header("content-type")), (200, WEB), "{content_type}: {reply:?}");
            assert_eq!((reply.grpc(), reply.messages().len()), (Some(0), 1), "{content_type}: {reply:?}");
            assert!(!reply.headers.contains_key("grpc-status"), "gRPC-Web trailers must be in the body");
        }
        for (content_type, accept) in [
            ("application/grpc-web-text", "application/grpc-web-text"),
            ("application/grpc-web-text+proto; charset=utf-8", "application/grpc-web-text, */*"),
            ("APPLICATION/GRPC-WEB-TEXT", "*/*;q=0.1, Application/grpc-web-text+proto; q=0.7"),
        ] {
            let call = list(&server).header("content-type", content_type).header("accept", accept).body("AAAAAAA=");
            let reply = call.over(version).send().await;
            assert_eq!(
                (reply.status, reply.header("content-type")),
                (200, "application/grpc-web-text+proto"),
                "{reply:?}"
            );
            assert_eq!((reply.grpc(), reply.messages().len()), (Some(0), 1), "{content_type}: {reply:?}");
        }
    }
    for content_type in ["application/grpc+proto", "application/grpc; charset=utf-8", "Application/GRPC"] {
        let reply = list(&server).header("content-type", content_type).send().await;
        assert_eq!((reply.grpc(), reply.header("content-type")), (Some(0), "application/grpc"), "{reply:?}");
    }
}

#[tokio::test]
async fn other_media_types_are_unsupported_on_the_path_of_a_method() {
    let server = Server::dev().await;
    for content_type in [
        "application/grpc+json",
        "application/grpc+foo",
        "application/grpc-web+json",
        "application/grpc-web-text+thrift",
        "application/grpc-webfoo",
        "application/grpcfoo",
        "image/jpeg",
        "application/json",
        "",
    ] {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let reply = create(&server, "other").header("content-type", content_type).over(version).send().await;
            assert_eq!((reply.status, reply.grpc()), (415, None), "{content_type}: {reply:?}");
            assert!(String::from_utf8_lossy(&reply.body).contains("application/grpc"), "{reply:?}");
        }
    }
    assert!(!clusters(&server).await.contains("other"));
    // A gRPC request gets a gRPC error on any path; other requests do not.
    let stray = Wire::new(server.address(), "no.Such/Method");
    assert_eq!(stray.clone().header("content-type", "application/grpc+json").send().await.status, 415);
    assert_eq!(stray.header("content-type", "image/jpeg").send().await.status, 404);
}

#[tokio::test]
async fn grpc_over_http_1_gets_a_helpful_error() {
    let server = Server::dev().await;
    let reply = create(&server, "old").over(Version::HTTP_11).send().await;
    assert_eq!(reply.status, 505, "{reply:?}");
    assert!(String::from_utf8_lossy(&reply.body).contains("application/grpc-web"), "{reply:?}");
    assert!(!clusters(&server).await.contains("old"));
}

#[tokio::test]
async fn a_unary_method_takes_exactly_one_message() {
    let server = Server::dev().await;
    for (content_type, version) in FORMS {
        let call = |name: &str| create(&server, name).header("content-type", content_type).over(version);
        let one = call("twice").send().await;
        assert_eq!(one.grpc(), Some(0), "{one:?}");
        server.admin().call(reqwest::Method::DELETE, "/admin/v2/clusters/twice", None).await;

        let two = [call("twice").one(), call("other").one()].concat();
        assert_refused(&call("x").body(two).send().await, UNIMPLEMENTED, "PROTOCOL_VIOLATION", "more were sent");
        // The second message may be empty or incomplete.
        for rest in [&b"\0\0\0\0\0"[..], b"\0"] {
            let reply = call("x").body([&call("twice").one()[..], rest].concat()).send().await;
            assert_eq!(reply.grpc(), Some(if rest.len() == 1 { INTERNAL } else { UNIMPLEMENTED }), "{reply:?}");
        }
        assert_refused(&call("x").body("").send().await, UNIMPLEMENTED, "PROTOCOL_VIOLATION", "none was sent");
        let left = clusters(&server).await;
        assert!(!left.contains("twice") && !left.contains("other"), "{left}");
    }
}

#[tokio::test]
async fn a_message_above_the_limit_exhausts_a_resource() {
    let server = Setup::dev().env("TENANTRY_MAX_BODY_BYTES", "2048").start().await;
    let reflect = Wire::new(server.address(), "grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
    for (content_type, version) in FORMS {
        for call in [list(&server), reflect.clone()] {
            let call = call.header("content-type", content_type).over(version);
            for body in [frame(0, &[0; 2049]), frame(0, &[0; 4000]), Bytes::from_static(b"\0\xff\xff\xff\xff")] {
                let reply = call.clone().body(body).send().await;
                assert_refused(&reply, RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE", "larger than 2048 bytes");
            }
        }
        // Field 15 does not exist in the message: unknown fields are skipped, so all bytes are valid.
        let full = [&b"\x7a\xfd\x0f"[..], &[b'a'; 2045]].concat();
        let reply = list(&server).header("content-type", content_type).over(version).body(frame(0, &full)).send().await;
        assert_eq!(reply.grpc(), Some(0), "{reply:?}");
    }
}

#[tokio::test]
async fn invalid_frames_are_internal_errors_that_name_the_rule() {
    let server = Server::dev().await;
    let cases: [(&[u8], &str, &str); 6] = [
        (b"\x01\0\0\0\0", "", "compressed flag"),
        (b"\x01\0\0\0\0", "identity", "compressed flag"),
        (b"\x02\0\0\0\0", "", "must be 0 or 1, not 2"),
        (b"\xff\0\0\0\0", "gzip", "must be 0 or 1, not 255"),
        (b"\0\0\0\0\x05ab", "", "middle of a message"),
        (b"\0\0\0", "", "middle of a message"),
    ];
    for (content_type, version) in FORMS {
        for (body, encoding, text) in cases {
            let call = list(&server).header("content-type", content_type).header("grpc-encoding", encoding);
            assert_refused(&call.over(version).body(body).send().await, INTERNAL, "PROTOCOL_VIOLATION", text);
        }
    }
}

fn gzip(message: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(message).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn gzip_messages_are_accepted_within_the_limit() {
    let server = Server::dev().await;
    let bomb = gzip(&vec![0; 64 << 20]);
    assert!(bomb.len() < 100_000);
    for (content_type, version) in FORMS {
        let call = |name: &str| {
            let call = create(&server, name).header("content-type", content_type).over(version);
            call.header("grpc-encoding", "gzip")
        };
        let message = call("packed").one().slice(5..);
        let reply = call("packed").body(frame(1, &gzip(&message))).send().await;
        assert_eq!(reply.grpc(), Some(0), "{reply:?}");
        assert!(clusters(&server).await.contains("packed"));
        server.admin().call(reqwest::Method::DELETE, "/admin/v2/clusters/packed", None).await;
        // Each message has its own compression flag.
        assert_eq!(call("packed").send().await.grpc(), Some(0));
        server.admin().call(reqwest::Method::DELETE, "/admin/v2/clusters/packed", None).await;

        let reply = call("x").body(frame(1, &bomb)).send().await;
        assert_refused(&reply, RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE", "larger than 262144 bytes");
        for broken in [&b"no gzip"[..], b"", &gzip(&message)[..20]] {
            let reply = call("x").body(frame(1, broken)).send().await;
            assert_refused(&reply, INTERNAL, "PROTOCOL_VIOLATION", "gzip");
        }
    }
}

#[tokio::test]
async fn large_messages_are_compressed_for_clients_that_accept_it() {
    let server = Server::dev().await;
    let files = Wire::new(server.address(), "grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
    // file_by_filename, which has a large response.
    let name = "google/protobuf/descriptor.proto";
    let question = frame(0, &[&[0x1a, name.len() as u8], name.as_bytes()].concat());
    let plain = files.clone().body(question.clone()).send().await;
    assert_eq!((plain.grpc(), plain.header("grpc-encoding")), (Some(0), ""));
    let [(0, plain)] = &plain.messages()[..] else { panic!("{plain:?}") };
    for accept in ["gzip", "identity,deflate,gzip", "identity, gzip"] {
        let reply = files.clone().body(question.clone()).header("grpc-accept-encoding", accept).send().await;
        assert_eq!((reply.grpc(), reply.header("grpc-encoding")), (Some(0), "gzip"), "{accept}");
        let [(1, packed)] = &reply.messages()[..] else { panic!("{reply:?}") };
        assert!(packed.len() < plain.len() / 2, "{} of {}", packed.len(), plain.len());
        let mut unpacked = Vec::new();
        std::io::Read::read_to_end(&mut GzDecoder::new(&packed[..]), &mut unpacked).unwrap();
        assert_eq!(unpacked, plain[..], "compression changed the message");
    }
    // Compression would only enlarge a small message.
    let small = list(&server).header("grpc-accept-encoding", "gzip").send().await;
    assert_eq!((small.grpc(), small.messages()[0].0), (Some(0), 0), "{small:?}");
    let none = files.body(question).header("grpc-accept-encoding", "deflate").send().await;
    assert_eq!((none.header("grpc-encoding"), none.messages()[0].0), ("", 0));
}

#[tokio::test]
async fn an_unsupported_encoding_is_refused_with_the_supported_ones() {
    let server = Server::dev().await;
    for encoding in ["foo", "deflate", "GZIP", "gzip, identity"] {
        let reply = list(&server).header("grpc-encoding", encoding).send().await;
        assert_refused(&reply, UNIMPLEMENTED, "PROTOCOL_VIOLATION", "grpc-encoding");
        let served: Vec<_> = reply.header("grpc-accept-encoding").split(',').map(str::trim).collect();
        assert!(served.contains(&"gzip") && served.contains(&"identity"), "{served:?}");
    }
}

#[tokio::test]
async fn an_unknown_method_is_named() {
    let server = Server::dev().await;
    for (content_type, version) in FORMS {
        for (path, text) in [
            ("tenantry.messaging.v2.ClusterService/Nope", "tenantry.messaging.v2.ClusterService has no method Nope"),
            ("grpc.health.v1.Health/Nope", "grpc.health.v1.Health has no method Nope"),
            ("no.Such/Method", "no service no.Such"),
            ("tenantry.messaging.v2.ClusterService/listClusters", "no method listClusters"),
            ("", "is not the path of a method"),
        ] {
            let call = Wire::new(server.address(), path).header("content-type", content_type).over(version);
            assert_refused(&call.send().await, UNIMPLEMENTED, "METHOD_UNKNOWN", text);
        }
    }
    // Client-supplied text is truncated in the error.
    let reply = Wire::new(server.address(), &format!("no.Such{}/X", "x".repeat(5000))).send().await;
    assert!(reply.message().len() < 300 && reply.grpc() == Some(UNIMPLEMENTED), "{reply:?}");
}

#[tokio::test]
async fn a_malformed_timeout_is_refused() {
    let server = Server::dev().await;
    for (content_type, version) in FORMS {
        let call = |name: &str| create(&server, name).header("content-type", content_type).over(version);
        for timeout in ["abc", "-1S", "123456789S", "1", "1s", "1 S", "1.5S", "S", "1S, 2S"] {
            let reply = call("timed").header("grpc-timeout", timeout).send().await;
            assert_refused(&reply, INVALID_ARGUMENT, "PROTOCOL_VIOLATION", "grpc-timeout");
        }
        let twice = call("timed").header("grpc-timeout", "10S").more("grpc-timeout", "20S").send().await;
        assert_refused(&twice, INVALID_ARGUMENT, "PROTOCOL_VIOLATION", "grpc-timeout");
        for timeout in ["99999999H", "30S", "30000m"] {
            let reply =
                list(&server).header("content-type", content_type).over(version).header("grpc-timeout", timeout);
            assert_eq!(reply.send().await.grpc(), Some(0), "{timeout}");
        }
    }
    assert!(!clusters(&server).await.contains("timed"));
}

#[tokio::test]
async fn base64_is_decoded_however_http_splits_it() {
    let server = Server::dev().await;
    let message = create(&server, "in-pieces").one();
    // A message whose parts were encoded, and padded, separately.
    let text = [&message[..7], &message[7..]].map(|part| STANDARD.encode(part)).concat();
    assert!(text[..12].ends_with('='), "{text}");
    for cut in 1..text.len() {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let head = format!(
            "POST /{CREATE} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/grpc-web-text\r\n\
             Accept: application/grpc-web-text\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
            server.admin_token()
        );
        let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
        let body = [chunk(&text[..cut]), chunk(&text[cut..]), "0\r\n\r\n".to_owned()].concat();
        stream.write_all((head + &body).as_bytes()).await.unwrap();
        let mut answer = String::new();
        tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        let said: Vec<u8> = answer.lines().filter_map(|line| STANDARD.decode(line).ok()).flatten().collect();
        assert!(String::from_utf8_lossy(&said).contains("grpc-status:0"), "{cut}: {answer}");
        assert_eq!(
            server.admin().call(Method::DELETE, "/admin/v2/clusters/in-pieces", None).await.status,
            204,
            "{cut}"
        );
    }
}

#[tokio::test]
async fn no_library_text_reaches_a_client() {
    let server = Server::dev().await;
    let junk: [&[u8]; 6] = [
        b"\0\0\0\0\x02\xff\xff",
        b"\0\0\0\0\x04\x0a\x02\xff\xfe",
        b"\x07",
        b"\0\0\0\0\x01\x07",
        b"!!",
        b"\0\xff\xff\xff\xff",
    ];
    for (content_type, version) in FORMS.into_iter().chain([("application/grpc-web-text", Version::HTTP_11)]) {
        for body in junk {
            // A string field, so that its bytes are validated.
            let reply = create(&server, "x").header("content-type", content_type).over(version).body(body).send().await;
            assert!([3, 8, 13].contains(&reply.grpc().unwrap()), "{body:?}: {reply:?}");
            assert!(reply.reason().starts_with("tenantry/"), "{body:?}: {reply:?}");
            let said = reply.message().to_lowercase();
            for word in ["error,", "tonic", "prost", "decod", "wire type", "symbol", "eof", "utf-8", "hyper", "h2"] {
                assert!(!said.contains(word), "{said}");
            }
        }
    }
}

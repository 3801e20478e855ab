//! Raw gRPC and gRPC-Web calls, for what no client library would send.

use std::net::SocketAddr;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Version};
use prost::Message as _;
use tokio::net::TcpStream;

use super::PATIENCE;

#[derive(Clone, Debug)]
pub struct Wire {
    address: SocketAddr,
    version: Version,
    method: http::Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

/// A complete response.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Trailers of HTTP/2 or of the gRPC-Web body; the headers of a trailers-only response.
    pub trailers: HeaderMap,
}

impl Wire {
    /// A gRPC POST over HTTP/2 with one empty message. `path` is `Service/Method`.
    pub fn new(address: SocketAddr, path: &str) -> Self {
        let call = Self {
            address,
            version: Version::HTTP_2,
            method: http::Method::POST,
            path: format!("/{path}"),
            headers: HeaderMap::new(),
            body: frame(0, b""),
        };
        call.header("content-type", "application/grpc").header("te", "trailers")
    }

    /// The same with another value of a header; an empty one removes it.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.remove(name);
        if !value.is_empty() {
            self.headers.insert(name, value.parse().unwrap());
        }
        self
    }

    /// The same with an additional value of a header.
    pub fn more(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, value.parse().unwrap());
        self
    }

    /// The same with a bearer token.
    pub fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// The same with another method.
    pub fn method(mut self, method: &str) -> Self {
        self.method = method.parse().unwrap();
        self
    }

    /// The same with another body.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub fn one(&self) -> Bytes {
        self.body.clone()
    }

    /// The same over another HTTP version.
    pub fn over(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    pub async fn send(&self) -> Reply {
        let said = format!("{self:?}");
        let reply = tokio::time::timeout(PATIENCE, async {
            if self.version == Version::HTTP_2 { self.over_h2().await } else { self.over_h1().await }
        });
        reply.await.unwrap_or_else(|_| panic!("no response to {said:.400}"))
    }

    fn request(&self) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = self.method.clone();
        let uri = format!("http://{}{}", self.address, self.path);
        *request.uri_mut() = if self.version == Version::HTTP_2 { uri } else { self.path.clone() }.parse().unwrap();
        *request.headers_mut() = self.headers.clone();
        request
    }

    async fn over_h2(&self) -> Reply {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        let connection = tokio::spawn(connection);
        let mut client = client.ready().await.unwrap();
        let (response, mut sent) = client.send_request(self.request(), self.body.is_empty()).unwrap();
        if !self.body.is_empty() {
            // The response may arrive before the whole request is sent, which is not an error.
            sent.reserve_capacity(self.body.len());
            let _ = sent.send_data(self.body.clone(), true);
        }
        let (head, mut incoming) = response.await.unwrap().into_parts();
        let mut body = BytesMut::new();
        while let Some(part) = incoming.data().await {
            let part = part.unwrap();
            incoming.flow_control().release_capacity(part.len()).unwrap();
            body.extend_from_slice(&part);
        }
        let trailers = incoming.trailers().await.unwrap();
        connection.abort();
        Reply::new(head.status.as_u16(), head.headers, body.freeze(), trailers)
    }

    async fn over_h1(&self) -> Reply {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let io = hyper_util::rt::TokioIo::new(stream);
        let (mut client, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        let connection = tokio::spawn(connection);
        let mut request = self.request().map(|()| http_body_util::Full::new(self.body.clone()));
        request.headers_mut().insert("host", self.address.to_string().parse().unwrap());
        let (head, body) = client.send_request(request).await.unwrap().into_parts();
        let body = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
        connection.abort();
        Reply::new(head.status.as_u16(), head.headers, body, None)
    }
}

impl Reply {
    fn new(status: u16, headers: HeaderMap, body: Bytes, trailers: Option<HeaderMap>) -> Self {
        let mut reply = Self { status, headers, body, trailers: HeaderMap::new() };
        reply.trailers = trailers.or_else(|| reply.trailers_in_body()).unwrap_or_else(|| reply.headers.clone());
        reply
    }

    /// The gRPC status, if there is one.
    pub fn grpc(&self) -> Option<i32> {
        self.trailers.get("grpc-status")?.to_str().ok()?.parse().ok()
    }

    /// The gRPC status message.
    pub fn message(&self) -> String {
        let text = self.trailers.get("grpc-message").map_or("", |value| value.to_str().unwrap());
        unescaped(text)
    }

    /// The reason in the status details, with its domain; empty without one.
    pub fn reason(&self) -> String {
        let Some(details) = self.trailers.get("grpc-status-details-bin") else { return String::new() };
        let details = base64::engine::general_purpose::STANDARD_NO_PAD
            .decode(details.to_str().unwrap().trim_end_matches('='))
            .unwrap();
        let status = tonic_types::pb::Status::decode(&*details).unwrap();
        let infos = status.details.iter().filter(|any| any.type_url.ends_with("/google.rpc.ErrorInfo"));
        let infos = infos.map(|any| tonic_types::pb::ErrorInfo::decode(&*any.value).unwrap());
        infos.map(|info| format!("{}/{}", info.domain, info.reason)).collect()
    }

    /// The value of a header; empty without one.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The messages in the body with their flags, without gRPC-Web trailers.
    pub fn messages(&self) -> Vec<(u8, Bytes)> {
        self.frames().into_iter().filter(|(flag, _)| flag & 0x80 == 0).collect()
    }

    fn frames(&self) -> Vec<(u8, Bytes)> {
        let text = self.header("content-type").starts_with("application/grpc-web-text");
        let mut body = if text { unpadded(&self.body) } else { self.body.clone() };
        let mut frames = Vec::new();
        while body.len() >= 5 {
            let prefix = body.split_to(5);
            let length = u32::from_be_bytes(prefix[1..].try_into().unwrap()) as usize;
            frames.push((prefix[0], body.split_to(length)));
        }
        frames
    }

    fn trailers_in_body(&self) -> Option<HeaderMap> {
        if !self.header("content-type").starts_with("application/grpc-web") {
            return None;
        }
        let (_, trailers) = self.frames().into_iter().find(|(flag, _)| flag & 0x80 != 0)?;
        let text = String::from_utf8(trailers.to_vec()).unwrap();
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        Some(lines.map(|(name, value)| (name.parse().unwrap(), value.trim().parse().unwrap())).collect())
    }
}

/// A message in a gRPC frame.
pub fn frame(flag: u8, message: &[u8]) -> Bytes {
    let mut frame = vec![flag];
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(message);
    frame.into()
}

/// Decodes base64 whose parts are padded separately, as a streaming server writes it.
fn unpadded(text: &[u8]) -> Bytes {
    let parts = text.chunks(4).map(|four| STANDARD.decode(four).unwrap());
    parts.flatten().collect()
}

fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        match (first, others) {
            (b'%', [high, low, others @ ..]) => {
                let hex = |b: &u8| char::from(*b).to_digit(16).unwrap() as u8;
                bytes.push(hex(high) << 4 | hex(low));
                rest = others;
            }
            _ => {
                bytes.push(*first);
                rest = others;
            }
        }
    }
    String::from_utf8(bytes).unwrap()
}

//! A small HTTP client whose responses are easy to compare.

use std::{fmt::Write as _, net::SocketAddr};

use reqwest::{
    Client, Method, Response,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap},
    redirect::Policy,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::stream::Stream;

/// The media type of streams.
const LINES: &str = "application/x-ndjson";

/// A client of one server.
#[derive(Clone)]
pub struct Http {
    client: Client,
    address: SocketAddr,
    token: Option<String>,
    headers: HeaderMap,
}

/// A complete response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Http {
    /// An HTTP/1.1 client without credentials.
    pub fn new(address: SocketAddr) -> Self {
        let client = Client::builder().http1_only().redirect(Policy::none()).no_proxy().build().unwrap();
        Self { client, address, token: None, headers: HeaderMap::new() }
    }

    /// The same client over HTTP/2 without TLS.
    pub fn h2(mut self) -> Self {
        self.client = Client::builder().http2_prior_knowledge().redirect(Policy::none()).no_proxy().build().unwrap();
        self
    }

    /// The same client with a bearer token.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The same client for another server.
    pub fn at(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// The same client with an additional header in each call.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, value.parse().unwrap());
        self
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    /// GET; an error if the server is unreachable.
    pub async fn try_get(&self, path: &str) -> reqwest::Result<Answer> {
        self.send(Method::GET, path, None).await
    }

    /// PUT of JSON text.
    pub async fn put(&self, path: &str, json: &str) -> Answer {
        self.call(Method::PUT, path, Some(json)).await
    }

    /// PUT of JSON text; an error if the server does not respond.
    pub async fn try_put(&self, path: &str, json: &str) -> reqwest::Result<Answer> {
        self.send(Method::PUT, path, Some(json)).await
    }

    /// Any method, with a JSON body.
    pub async fn call(&self, method: Method, path: &str, json: Option<&str>) -> Answer {
        self.send(method.clone(), path, json).await.unwrap_or_else(|error| panic!("{method} {path}: {error:?}"))
    }

    /// GET of a response that has no end.
    pub async fn stream(&self, path: &str) -> Stream {
        Stream::new(self.begin_send(Method::GET, path, None).await.unwrap_or_else(|error| panic!("{path}: {error:?}")))
    }

    async fn send(&self, method: Method, path: &str, json: Option<&str>) -> reqwest::Result<Answer> {
        let mut response = self.begin_send(method, path, json).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        if headers.get(CONTENT_TYPE).is_some_and(|form| form == LINES) {
            // A stream may have no end; what it begins with says enough.
            let first = response.chunk().await?.unwrap_or_default();
            return Ok(Answer { status, headers, body: String::from_utf8_lossy(&first).into_owned() });
        }
        Ok(Answer { status, headers, body: response.text().await? })
    }

    async fn begin_send(&self, method: Method, path: &str, json: Option<&str>) -> reqwest::Result<Response> {
        let url = format!("http://{}{path}", self.address);
        let mut request = self.client.request(method, url).headers(self.headers.clone());
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(json) = json {
            request = request.header(CONTENT_TYPE, "application/json").body(json.to_owned());
        }
        request.send().await
    }

    /// Sends raw bytes, for what no client library would send, and returns everything that comes back. `head` is
    /// the request without its empty line, which is added together with `Host`, the token and `Connection: close`.
    pub async fn raw(&self, head: &str, body: &str) -> String {
        self.open(head).await.finish(body).await
    }

    /// Starts a request with a JSON body of this length, which [`Begun::finish`] sends.
    pub async fn begin(&self, line: &str, length: usize) -> Begun {
        self.open(&format!("{line}\r\nContent-Type: application/json\r\nContent-Length: {length}")).await
    }

    async fn open(&self, head: &str) -> Begun {
        let mut request = format!("{head}\r\nHost: {}\r\nConnection: close\r\n", self.address);
        if let Some(token) = &self.token {
            write!(request, "Authorization: Bearer {token}\r\n").unwrap();
        }
        request.push_str("\r\n");
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        Begun(stream)
    }
}

/// A request whose head has been sent.
pub struct Begun(TcpStream);

impl Begun {
    /// Sends a part of the body.
    pub async fn send(&mut self, body: &str) {
        self.0.write_all(body.as_bytes()).await.unwrap();
    }

    /// Sends the rest of the body and returns everything that comes back.
    pub async fn finish(&mut self, body: &str) -> String {
        self.send(body).await;
        let mut answer = Vec::new();
        self.0.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("no JSON: {error}: {self:?}"))
    }

    /// The response as golden files contain it: the status, the headers that the contract specifies, the body.
    pub fn shown(&self) -> String {
        let mut shown = format!("{}\n", self.status);
        for name in ["content-type", "allow", "location", "www-authenticate", "etag", "operation-id"] {
            if let Some(value) = self.header(name) {
                writeln!(shown, "{name}: {value}").unwrap();
            }
        }
        if !self.body.is_empty() {
            writeln!(shown, "{}", self.body.trim_end()).unwrap();
        }
        shown
    }
}

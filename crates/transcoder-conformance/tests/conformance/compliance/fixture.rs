//! The suites, and a server for each, called over a connection.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Mutex,
};
use transcoder::{Dialects, RestBuilder};
use transcoder_conformance::{
    Open,
    compliance::{self, Echo},
    proto::compliance::v1::{ComplianceSuite, RepeatRequest, compliance_rest},
    tables::{File, Table},
};

use super::driver::Call;
use crate::support::Answer;

/// A suite and the server that it is run against.
pub struct Fixture {
    pub file: File,
    pub suite: ComplianceSuite,
    host: String,
    sender: Mutex<SendRequest<Full<Bytes>>>,
}

/// A server for each file of the suite.
pub async fn fixtures() -> Vec<Fixture> {
    let files = Table::ComplianceSuite.files().unwrap_or_else(|why| panic!("{why}"));
    let mut fixtures = Vec::new();
    for file in files {
        fixtures.push(Fixture::of(file).await.unwrap_or_else(|why| panic!("{why}")));
    }
    fixtures
}

impl Fixture {
    /// A server for a file. The requests of other files are unknown to it.
    pub async fn of(file: File) -> Result<Self, String> {
        let suite = compliance::suite(&file.text).map_err(|error| format!("{}: {error}", file.path))?;
        let guard = Arc::new(Open);
        let service = compliance_rest::Guarded::new(Echo::new(&suite), guard.clone());
        let rest =
            RestBuilder::new(Dialects::new([])).routes(compliance_rest::routes(&service)).with_facts().build(guard);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // Both ends are dropped with the runtime of the test.
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(rest);
            Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await
        });
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Ok(Self { file, suite, host: address.to_string(), sender: Mutex::new(sender) })
    }

    /// The requests of every group that names an RPC.
    pub fn requests_of(&self, rpc: &str) -> Vec<&RepeatRequest> {
        let rpc = format!("Compliance.{rpc}");
        let groups = self.suite.group.iter().filter(|group| group.rpcs.contains(&rpc));
        groups.flat_map(|group| &group.requests).collect()
    }

    /// The request with a name, if the suite has it.
    pub fn request(&self, name: &str) -> Option<RepeatRequest> {
        let mut requests = self.suite.group.iter().flat_map(|group| &group.requests);
        requests.find(|request| request.name == name).cloned()
    }

    /// Calls the server.
    pub async fn call(&self, call: &Call) -> Answer {
        self.send(call.method, &call.uri(), call.body.as_deref()).await
    }

    /// Calls the server. A body is sent as JSON.
    pub async fn send(&self, method: &str, uri: &str, body: Option<&str>) -> Answer {
        let mut request = Request::builder().method(method).uri(uri).header("host", &self.host);
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(Full::new(Bytes::from(body.unwrap_or_default().to_owned()))).unwrap();
        let mut sender = self.sender.lock().await;
        sender.ready().await.unwrap();
        let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
        Answer { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
    }
}

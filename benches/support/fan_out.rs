//! A tonic service by hand that sends one message to all of its streams: the twin of the streams of gateways.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    pin::Pin,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use futures::{Stream, StreamExt};
use tenantry_proto::edge::v1::{
    Material, StreamRequest, StreamResponse, Update,
    gateway_stream_service_server::{GatewayStreamService, GatewayStreamServiceServer},
    stream_request, stream_response,
};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tonic::{Request, Response, Status, Streaming};

/// The size of a message: that of a view with a kibibyte of policy.
const BYTES: usize = 2500;

/// The service in a process of its own; stopped on drop.
pub struct Twin {
    child: Child,
    pub address: SocketAddr,
}

impl Twin {
    /// Starts this program again, as [`serve`].
    pub fn start() -> Self {
        let program = std::env::current_exe().expect("a program");
        let mut child = Command::new(program).arg("twin").stdout(Stdio::piped()).spawn().expect("the twin starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("its address");
        Self { child, address: line.trim().parse().expect("an address") }
    }
}

impl Drop for Twin {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves on a free port, and prints its address.
pub fn serve() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("an address"));
        let service = FanOut(Arc::new(watch::Sender::new(0)));
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        let server = tonic::transport::Server::builder().tcp_nodelay(true);
        server
            .clone()
            .add_service(GatewayStreamServiceServer::new(service))
            .serve_with_incoming(incoming)
            .await
            .expect("a server");
    });
}

struct FanOut(Arc<watch::Sender<i64>>);

#[tonic::async_trait]
impl GatewayStreamService for FanOut {
    type StreamStream = Pin<Box<dyn Stream<Item = Result<StreamResponse, Status>> + Send>>;

    async fn stream(&self, request: Request<Streaming<StreamRequest>>) -> Result<Response<Self::StreamStream>, Status> {
        let (sender, mut requests) = (self.0.clone(), request.into_inner());
        tokio::spawn(async move {
            while let Ok(Some(request)) = requests.message().await {
                if let Some(stream_request::Message::Ack(ack)) = request.message
                    && ack.material() == Material::Unspecified
                {
                    sender.send_modify(|number| *number += 1);
                }
            }
        });
        let messages = WatchStream::from_changes(self.0.subscribe()).map(|number| Ok(message(number)));
        Ok(Response::new(Box::pin(messages)))
    }
}

fn message(number: i64) -> StreamResponse {
    let update = Update {
        material: Material::GatewayPolicy.into(),
        number,
        digest: format!("sha256:{number:064}"),
        envelope: vec![b'x'; BYTES],
    };
    StreamResponse { message: Some(stream_response::Message::Update(update)) }
}

//! The server under test of `connectconformance`, the suite of the ConnectRPC project: its service behind the layers,
//! the listeners and the gRPC rules of Tenantry, without the rest.
//!
//! The suite starts the program once for each protocol and HTTP version, writes its configuration to standard input,
//! reads the address from standard output, and ends it with a signal. Both are a length of four bytes and a message.

mod plan;
mod service;

use std::{
    io::{Read, Write},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use prost::Message as _;
use tenantry::{
    auth::{
        Authenticator,
        authn::{keys::Keys, revocation::Revocations, tenant_lookup::Tenants},
    },
    base::{Clock, Drain, TenantRef, caller::CallerTenant},
    server::{
        grpc::{Door, Methods, Terms},
        layers::{BodyTimeouts, Ingress, Limits, Stack},
        listen::{self, Listener},
    },
};
use tokio::{net::TcpListener, signal::unix};
use tokio_util::sync::CancellationToken;
use tonic::server::NamedService;
use transcoder::{Dialects, GrpcService, grpc::Services};

use self::{
    proto::{ServerCompatRequest, ServerCompatResponse},
    service::Conformance,
};

/// Generated from the protos of the suite. All methods respond with one message type, because all have the same wire
/// format.
#[allow(dead_code, missing_docs, clippy::all, rustdoc::all)]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/connectrpc.conformance.v1.rs"));
}

const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
/// Maximum size of a message without a limit from the suite, in bytes.
const MAX_MESSAGE: usize = 4 << 20;

/// The suite does not test credentials.
struct NoTenants;

#[async_trait]
impl Tenants for NoTenants {
    async fn find(&self, _: &TenantRef) -> tenantry::base::Result<Option<CallerTenant>> {
        Ok(None)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let wanted = read().context("standard input has no ServerCompatRequest")?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = u32::from(listener.local_addr()?.port());
    write(&ServerCompatResponse { host: "127.0.0.1".to_owned(), port, pem_cert: Vec::new() })?;
    let limit = match wanted.message_receive_limit {
        0 => MAX_MESSAGE,
        limit => limit as usize,
    };
    let (bounds, abort) = (listen::Bounds::of_process(), CancellationToken::new());
    let listeners = vec![Listener { socket: listener, tls: None }];
    let serving = listen::serve(listeners, stack(limit)?, bounds, Drain::default(), abort, Duration::from_secs(1));
    let mut ended = unix::signal(unix::SignalKind::terminate())?;
    tokio::select! {
        _ = serving => {}
        _ = ended.recv() => {}
    }
    Ok(())
}

/// The service behind all layers of a server.
fn stack(limit: usize) -> Result<Stack<Door<Services>>> {
    let methods = Arc::new(Methods::of_sets(&[DESCRIPTORS])?);
    // The suite expects details only in the errors of its service.
    let terms = Terms { limit, details: false };
    let services = Services::new([(Conformance::NAME, GrpcService::new(Conformance))]);
    let door = Door::new(services, methods, terms);
    let (keys, tenants) = (Arc::new(Keys::ephemeral()), Arc::new(NoTenants));
    let authenticator = Authenticator::new(keys, Revocations::default(), tenants, Clock::system());
    let limits = Limits { max_body: limit, max_in_flight: 1000, timeout: Duration::from_secs(30) };
    let (patience, edge) = (BodyTimeouts::default(), Ingress::default());
    Ok(Stack::new(door, Arc::new(authenticator), Dialects::default(), limits, patience, edge))
}

fn read() -> Result<ServerCompatRequest> {
    let (mut input, mut length) = (std::io::stdin().lock(), [0; 4]);
    input.read_exact(&mut length)?;
    let mut message = Vec::new();
    input.take(u32::from_be_bytes(length).into()).read_to_end(&mut message)?;
    Ok(ServerCompatRequest::decode(&*message)?)
}

fn write(message: &ServerCompatResponse) -> Result<()> {
    let message = message.encode_to_vec();
    let mut output = std::io::stdout().lock();
    output.write_all(&u32::try_from(message.len())?.to_be_bytes())?;
    output.write_all(&message)?;
    Ok(output.flush()?)
}

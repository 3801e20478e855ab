//! gRPC and gRPC-Web: from the request line to the services, and the services of every gRPC server.
//!
//! The requirements of the protocol other than moving messages: `door` checks the request line, `protocol` the head of
//! a call, `frames` its messages; `text` decodes base64, `compress` compresses responses; `reflection` and `health` are
//! services, and `visitors` limits their streams.

mod compress;
mod descriptors;
mod door;
mod frames;
mod health;
mod protocol;
mod reflection;
mod terms;
mod text;
mod visitors;

use std::{borrow::Cow, sync::Arc};

use tonic::service::Routes;

use self::visitors::Visitors;
pub use self::{descriptors::Methods, door::Door, health::Health, terms::Terms};
use crate::base::{Drain, Error, Kind, error::Reason};

/// The services of every gRPC server, and the methods of all services.
pub struct Standard {
    /// The methods of all services.
    pub methods: Arc<Methods>,
    /// Reflection and health.
    pub routes: Routes,
    /// Receives the readiness of the server.
    pub health: Health,
}

/// The standard services of a server with this limit of connections. Their streams end with the drain.
pub fn standard(drain: &Drain, connections: usize) -> Result<Standard, Error> {
    let files = descriptors::files()?;
    let methods = Arc::new(Methods::of_files(&files));
    // Limited separately, so that reflection clients do not use up the watches.
    let health = Health::of(methods.services(), drain.clone(), Visitors::new(connections));
    let (v1, v1alpha) = reflection::servers(&files, drain, Visitors::new(connections));
    let routes = Routes::new(v1).add_service(v1alpha).add_service(health.server());
    Ok(Standard { methods, routes, health })
}

/// A violation of the rules of gRPC itself.
fn violation(text: impl Into<Cow<'static, str>>) -> Error {
    Error::new(Kind::Internal, Reason::ProtocolViolation, text)
}

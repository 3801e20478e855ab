//! gRPC and gRPC-Web: from the request line to the services, and the services that every gRPC server has.
//!
//! What the protocol asks of a server beyond moving messages is here: `door` looks at the request line, `protocol` at the
//! head of a call, `frames` at its messages; `text` unpacks base64, `compress` packs answers; `reflection` and `health` are
//! services, and `visitors` bounds their streams.

mod compress;
mod descriptors;
mod door;
mod frames;
mod health;
mod protocol;
mod reflection;
mod text;
mod visitors;

use std::{borrow::Cow, sync::Arc};

use tonic::service::Routes;

use self::visitors::Visitors;
pub use self::{descriptors::Methods, door::Door, health::Health, protocol::Terms};
use crate::base::{Drain, Error, Kind, error::Reason};

/// The services that every gRPC server has, and what there is to know of all.
pub struct Standard {
    /// The methods of all services.
    pub methods: Arc<Methods>,
    /// Reflection and health.
    pub routes: Routes,
    /// Tells health whether the server is ready.
    pub health: Health,
}

/// The standard services of a server that takes so many connections. Their streams end with the drain.
pub fn standard(drain: &Drain, connections: usize) -> Result<Standard, Error> {
    let files = descriptors::files()?;
    let methods = Arc::new(Methods::of_files(&files));
    // Apart, so that whoever looks around keeps nobody from watching.
    let health = Health::of(methods.services(), drain.clone(), Visitors::new(connections));
    let (v1, v1alpha) = reflection::servers(&files, drain, Visitors::new(connections));
    let routes = Routes::new(v1).add_service(v1alpha).add_service(health.server());
    Ok(Standard { methods, routes, health })
}

/// A call that breaks the rules of gRPC itself.
fn violation(text: impl Into<Cow<'static, str>>) -> Error {
    Error::new(Kind::Internal, Reason::ProtocolViolation, text)
}

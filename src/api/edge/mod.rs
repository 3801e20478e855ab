//! Streams to gateways (`tenantry.edge.v1`).

mod gateway_stream_service;

use transcoder::Service;

use self::gateway_stream_service::GatewayStreams;
use super::{Deps, handlers::edge::v1 as handlers};

pub(super) fn services(deps: &Deps) -> Vec<Service> {
    vec![handlers::gateway_stream_service::mount(GatewayStreams { deps: deps.clone() })]
}

//! The zero-trust surface.

use std::sync::Arc;

use transcoder::Dialect;

use super::{Parts, Surfaces};
use crate::{
    api::zerotrust::{ApiKeys, Groups, ZeroTrustDialect},
    proto::zerotrust::v1::{
        api_key_service_rest, api_key_service_server::ApiKeyServiceServer, group_service_rest,
        group_service_server::GroupServiceServer,
    },
};

pub(super) fn add(surfaces: Surfaces, parts: &Parts) -> Surfaces {
    let (store, limit) = (&parts.store, parts.max_body);
    let groups = group_service_rest::Guarded::new(Groups::new(store.clone()), surfaces.guard());
    let api_keys = api_key_service_rest::Guarded::new(ApiKeys::new(store.clone()), surfaces.guard());
    surfaces
        .with(
            GroupServiceServer::new(groups.clone()).max_decoding_message_size(limit),
            group_service_rest::routes(&groups),
            group_service_rest::METHODS,
        )
        .with(
            ApiKeyServiceServer::new(api_keys.clone()).max_decoding_message_size(limit),
            api_key_service_rest::routes(&api_keys),
            api_key_service_rest::METHODS,
        )
}

/// The dialect, its name and the paths that it rules.
pub(super) fn dialect() -> (&'static str, &'static [&'static str], Arc<dyn Dialect>) {
    (ZeroTrustDialect::NAME, ZeroTrustDialect::PREFIXES, Arc::new(ZeroTrustDialect))
}

//! `GatewayDirectoryService`: the directory of gateways.

use futures::{Stream, StreamExt};

use super::wait::{self, On, Wait};
use crate::{
    api::{
        Deps,
        handlers::zerotrust::v1::gateway_directory_service::GatewayDirectoryService,
        zerotrust::{artifacts::envelope, watched::watch},
    },
    base::{Basis, Cx, Error, IdKind, Result},
    edge::Topic,
    fleet::directory::{self, Reader},
    proto::zerotrust::v1::{
        GetGatewayDirectoryRequest, GetGatewayDirectoryResponse, WatchGatewayDirectoryRequest,
        WatchGatewayDirectoryResponse,
    },
    streams::Interest,
    tenants,
};

pub struct GatewayDirectory {
    pub(super) deps: Deps,
}

impl GatewayDirectoryService for GatewayDirectory {
    async fn get_gateway_directory(
        &self,
        cx: &Cx,
        message: GetGatewayDirectoryRequest,
    ) -> Result<GetGatewayDirectoryResponse> {
        let wait = Wait::read(message.wait, message.known)?;
        let (reader, id) = reader(cx)?;
        let Deps { store, trust, settings, .. } = &self.deps;
        let tenant = cx.tenant()?;
        let read = || directory::get(cx, store, trust, tenant, reader, settings.heartbeat);
        let on = On::subject(Interest::Directory, &id).or_topic(Topic::Directory { reader });
        let found = wait::current(cx, &self.deps, on, wait, read).await?;
        Ok(GetGatewayDirectoryResponse { envelope: Some(envelope(&found.envelope)?), digest: found.digest })
    }

    async fn watch_gateway_directory(
        &self,
        cx: &Cx,
        message: WatchGatewayDirectoryRequest,
    ) -> Result<impl Stream<Item = Result<WatchGatewayDirectoryResponse>> + Send + 'static> {
        let scope = tenants::reach(cx, &self.deps.store, cx.tenant()?).await?;
        let (reader, _) = reader(cx)?;
        let events = watch(cx, &self.deps.streams, (scope, Topic::Directory { reader }), message.resume)?;
        Ok(events.map(|event| event.map(|event| WatchGatewayDirectoryResponse { event: Some(event) })))
    }
}

/// The caller as a reader, and its public id.
fn reader(cx: &Cx) -> Result<(Reader, String)> {
    match cx.caller.basis {
        Basis::Device { id, .. } => Ok((Reader::Device(id), IdKind::Device.show(id))),
        Basis::Gateway { id, .. } => Ok((Reader::Gateway, IdKind::Gateway.show(id))),
        _ => Err(Error::internal("a route of devices and gateways was called by another caller")),
    }
}

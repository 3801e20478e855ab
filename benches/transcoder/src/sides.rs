//! The service on each side. All of them respond from memory, with a copy of their data.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::StatusCode,
    routing::get,
};
use bytes::Bytes;
use http::{Request as HttpRequest, Response as HttpResponse};
use rest_over_grpc::serving::RestService;
use serde::Serialize;
use tonic::{Request, Response, Status};
use tower::{Service, ServiceExt as _};
use transcoder::{Rest, RestBuilder};

use crate::{
    device,
    peer::{self, fleet::v1 as peer_proto},
    proto::fleet::v1 as proto,
};

/// The path of the device.
pub const PATH: &str = "/v1/devices/pump-0042";

/// The service in the messages of the transcoder.
#[derive(Clone, Debug)]
pub struct Ours(pub proto::Device);

#[tonic::async_trait]
impl proto::device_service_server::DeviceService for Ours {
    async fn get_device(&self, request: Request<proto::GetDeviceRequest>) -> Result<Response<proto::Device>, Status> {
        if request.get_ref().device.is_empty() {
            return Err(Status::not_found("no such device"));
        }
        Ok(Response::new(self.0.clone()))
    }

    async fn put_device(
        &self,
        request: Request<proto::PutDeviceRequest>,
    ) -> Result<Response<proto::PutDeviceResponse>, Status> {
        let device = request.into_inner().device.unwrap_or_default();
        if device.tags.is_empty() {
            return Err(Status::failed_precondition("no tags"));
        }
        Ok(Response::new(proto::PutDeviceResponse { uid: device.uid }))
    }
}

/// The service in the messages of `rest_over_grpc`.
#[derive(Clone, Debug)]
pub struct Peer(pub peer_proto::Device);

#[tonic::async_trait]
impl peer_proto::device_service_server::DeviceService for Peer {
    async fn get_device(
        &self,
        request: Request<peer_proto::GetDeviceRequest>,
    ) -> Result<Response<peer_proto::Device>, Status> {
        if request.get_ref().device.is_empty() {
            return Err(Status::not_found("no such device"));
        }
        Ok(Response::new(self.0.clone()))
    }

    async fn put_device(
        &self,
        request: Request<peer_proto::PutDeviceRequest>,
    ) -> Result<Response<peer_proto::PutDeviceResponse>, Status> {
        let device = request.into_inner().device.unwrap_or_default();
        if device.tags.is_empty() {
            return Err(Status::failed_precondition("no tags"));
        }
        Ok(Response::new(peer_proto::PutDeviceResponse { uid: device.uid }))
    }
}

#[derive(Serialize)]
struct Put {
    uid: String,
}

async fn twin_get(
    Path(name): Path<String>,
    State(device): State<Arc<device::Device>>,
) -> Result<Json<device::Device>, StatusCode> {
    if name.is_empty() { Err(StatusCode::NOT_FOUND) } else { Ok(Json((*device).clone())) }
}

async fn twin_put(Path(name): Path<String>, Json(device): Json<device::Device>) -> Result<Json<Put>, StatusCode> {
    let broken = name.is_empty() || device.tags.is_empty();
    if broken { Err(StatusCode::PRECONDITION_FAILED) } else { Ok(Json(Put { uid: device.uid })) }
}

/// The service behind the transcoder, with a guard that admits every call.
pub fn ours() -> Rest {
    let service = proto::device_service_rest::Guarded::open(Ours(device::ours()));
    RestBuilder::default().routes(proto::device_service_rest::routes(&service)).open()
}

type Admit = fn(&tonic::metadata::MetadataMap) -> Result<(), Status>;
type Bridge = peer_proto::__rest_over_grpc_bridge_DeviceService::DeviceServiceRestBridge<Peer, Admit>;

/// The service behind `rest_over_grpc`, with a guard that admits every call.
pub fn peer() -> RestService<Arc<peer::Transcoder<Bridge>>> {
    let bridge = Bridge::with_guard(Peer(device::peer()), |_| Ok(()));
    RestService::new(Arc::new(peer::Transcoder::new(bridge)))
}

/// The hand-written axum handlers.
pub fn twin() -> Router {
    Router::new().route("/v1/devices/{device}", get(twin_get).put(twin_put)).with_state(Arc::new(device::twin()))
}

/// A side for `axum::serve`, without a router of axum around it.
pub fn bare<S, B>(
    service: S,
) -> impl Service<HttpRequest<Body>, Response = HttpResponse<Body>, Error = Infallible, Future: Send> + Clone + Send + 'static
where
    S: Service<HttpRequest<Body>, Response = HttpResponse<B>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
{
    service.map_response(|response| response.map(Body::new))
}

//! The transcoder alone, without authentication and store, against a hand-written axum handler with the same JSON.

mod support;

use std::{future::Future, pin::Pin, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::get,
};
use serde::{Deserialize, Serialize};
use tenantry::proto::messaging::v2 as proto;
use tonic::{Request, Response, Status};
use transcoder::{Claim, Dialects, Guard, MethodInfo, RestBuilder};

/// Lets everyone pass.
struct Open;

impl Guard for Open {
    fn admit(&self, _: &'static MethodInfo, _: &mut http::Extensions) -> Result<(), Status> {
        Ok(())
    }

    fn enter<'a>(
        &'a self,
        _: &'static MethodInfo,
        _: Claim<'a>,
        _: &'a mut http::Extensions,
    ) -> Pin<Box<dyn Future<Output = Result<(), Status>> + Send + 'a>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Answers from memory.
struct Canned(proto::TenantInfo);

#[tonic::async_trait]
impl proto::tenant_service_server::TenantService for Canned {
    async fn list_tenants(
        &self,
        _: Request<proto::ListTenantsRequest>,
    ) -> Result<Response<proto::ListTenantsResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn get_tenant(
        &self,
        request: Request<proto::GetTenantRequest>,
    ) -> Result<Response<proto::GetTenantResponse>, Status> {
        if request.get_ref().tenant.is_empty() {
            return Err(Status::not_found("no such tenant"));
        }
        Ok(Response::new(proto::GetTenantResponse { info: Some(self.0.clone()), version: 1 }))
    }

    async fn create_tenant(
        &self,
        request: Request<proto::CreateTenantRequest>,
    ) -> Result<Response<proto::CreateTenantResponse>, Status> {
        let info = request.into_inner().info.unwrap_or_default();
        if info.allowed_clusters.is_empty() {
            return Err(Status::failed_precondition("no clusters"));
        }
        Ok(Response::new(proto::CreateTenantResponse { id: "0191f3a4-7c10-7b2e-9d31-5a6b7c8d9e0f".to_owned() }))
    }

    async fn update_tenant(
        &self,
        _: Request<proto::UpdateTenantRequest>,
    ) -> Result<Response<proto::UpdateTenantResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn delete_tenant(
        &self,
        _: Request<proto::DeleteTenantRequest>,
    ) -> Result<Response<proto::DeleteTenantResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }
}

/// The twin's message.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TenantInfo {
    #[serde(default)]
    admin_roles: Vec<String>,
    #[serde(default)]
    allowed_clusters: Vec<String>,
}

async fn twin_get(
    Path(tenant): Path<String>,
    State(info): State<Arc<TenantInfo>>,
) -> Result<Json<TenantInfo>, StatusCode> {
    if tenant.is_empty() { Err(StatusCode::NOT_FOUND) } else { Ok(Json((*info).clone())) }
}

async fn twin_put(Path(tenant): Path<String>, Json(info): Json<TenantInfo>) -> StatusCode {
    if tenant.is_empty() || info.allowed_clusters.is_empty() {
        StatusCode::PRECONDITION_FAILED
    } else {
        StatusCode::NO_CONTENT
    }
}

fn main() {
    // 635 bytes of JSON, as much as the resource of the published comparison of REST over gRPC.
    let roles: Vec<String> = (0..20).map(|n| format!("operator-role-{n:04}")).collect();
    let clusters: Vec<String> = (0..11).map(|n| format!("cluster-{n:04}")).collect();
    let canned = proto::TenantInfo { admin_roles: roles.clone(), allowed_clusters: clusters.clone() };
    let info = Arc::new(TenantInfo { admin_roles: roles, allowed_clusters: clusters });
    let body = serde_json::to_string(&*info).expect("JSON");
    println!("resource of {} bytes, {} connections, one server thread each\n", body.len(), support::CLIENTS);

    let twin = support::serve(1, move |listener| async move {
        let app = Router::new().route("/admin/v2/tenants/{tenant}", get(twin_get).put(twin_put)).with_state(info);
        axum::serve(listener, app).await.expect("the twin serves");
    });
    let ours = support::serve(1, move |listener| async move {
        let guard: Arc<dyn Guard> = Arc::new(Open);
        let service = proto::tenant_service_rest::Guarded::new(Canned(canned), guard.clone());
        let routes = proto::tenant_service_rest::routes(&service);
        let rest = RestBuilder::new(Dialects::new([])).routes(routes).build(guard);
        // As the program serves it: without a router of axum's around it.
        let rest = tower::ServiceBuilder::new()
            .map_response(|response: axum::http::Response<transcoder::rest::ResponseBody>| {
                response.map(axum::body::Body::new)
            })
            .service(rest);
        axum::serve(listener, tower::make::Shared::new(rest)).await.expect("ours serves");
    });

    let json = "content-type: application/json\r\n";
    for (what, request) in [
        ("GET of one resource", support::request("GET", "/admin/v2/tenants/acme", "", "")),
        ("PUT of one resource", support::request("PUT", "/admin/v2/tenants/acme", json, &body)),
    ] {
        let side = |name, address| support::Side { name, address, request: request.clone() };
        support::compare_http(what, &side("hand-written axum handler", twin), &side("transcoder", ours), 0.9);
    }
}

//! Point reads of the running program, authenticated and guarded, over REST and gRPC, against hand-written services
//! that only do the same read on the same database: once with SeaORM over sqlx, and once with SQLite on the calling
//! thread, as the program reads; and over REST against a handler that reads nothing. Then: the time until a fresh `dev` is ready, and its idle memory.

mod support;

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path as Segment, State},
    http::StatusCode,
    routing::get,
};
use sea_orm::{
    DatabaseConnection,
    sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};
use support::{
    by_hand::{TenantInfo, info, read_orm},
    program::Program,
};
use tenantry::proto::messaging::v2 as proto;
use tokio::net::TcpStream;
use tonic::{Request, Response, Status, transport::Endpoint};

/// The most milliseconds until a fresh server is ready, and the most MiB of an idle one.
const READY: f64 = 40.0;
const IDLE: f64 = 25.0;

/// Makes the source of a service, on the runtime of the service.
type MakeSource = Arc<dyn Fn() -> Source + Send + Sync>;

/// How a hand-written service reads.
#[derive(Clone)]
enum Source {
    Orm(DatabaseConnection),
    Inline(support::inline::Readers),
}

impl Source {
    async fn read(&self, name: &str) -> Option<(TenantInfo, i64)> {
        match self {
            Self::Orm(db) => read_orm(db, name).await,
            Self::Inline(readers) => {
                let (admin_roles, allowed_clusters, version) = readers.tenant(&name.to_ascii_lowercase())?;
                Some((info(&admin_roles, &allowed_clusters)?, version))
            }
        }
    }
}

async fn twin_get(
    Segment(name): Segment<String>,
    State(source): State<Source>,
) -> Result<Json<TenantInfo>, StatusCode> {
    source.read(&name).await.map(|(info, _)| Json(info)).ok_or(StatusCode::NOT_FOUND)
}

struct TwinGrpc(Source);

#[tonic::async_trait]
impl proto::tenant_service_server::TenantService for TwinGrpc {
    async fn get_tenant(
        &self,
        request: Request<proto::GetTenantRequest>,
    ) -> Result<Response<proto::GetTenantResponse>, Status> {
        let (info, version) =
            self.0.read(&request.get_ref().tenant).await.ok_or_else(|| Status::not_found("no such tenant"))?;
        let info = proto::TenantInfo { admin_roles: info.admin_roles, allowed_clusters: info.allowed_clusters };
        Ok(Response::new(proto::GetTenantResponse { info: Some(info), version }))
    }

    async fn list_tenants(
        &self,
        _: Request<proto::ListTenantsRequest>,
    ) -> Result<Response<proto::ListTenantsResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn create_tenant(
        &self,
        _: Request<proto::CreateTenantRequest>,
    ) -> Result<Response<proto::CreateTenantResponse>, Status> {
        Err(Status::unimplemented("not measured"))
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

fn prepare(program: &Program, token: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let headers = format!("authorization: Bearer {token}\r\ncontent-type: application/json\r\n");
    let body = r#"{"adminRoles":["admin","ops-team"],"allowedClusters":["standalone"]}"#;
    runtime.block_on(async {
        for n in 0..1000 {
            let mut stream = TcpStream::connect(program.address).await.expect("it listens");
            let request = support::request("PUT", &format!("/admin/v2/tenants/tenant-{n}"), &headers, body);
            assert_eq!(support::exchange(&mut stream, &request).await, Some(204));
        }
    });
}

fn main() {
    let home = tempfile::tempdir().expect("a directory");
    let program = Program::start(home.path());
    let idle = program.memory();
    let token = std::fs::read_to_string(home.path().join(".tenantry/admin.jwt")).expect("a token");
    let token = token.trim();
    prepare(&program, token);

    let path = home.path().join(".tenantry/tenantry.db");
    let inline = Source::Inline(support::inline::Readers::new(&path));
    let orm = move || {
        let options = SqliteConnectOptions::new().filename(&path).read_only(true);
        let pool = SqlitePoolOptions::new().max_connections(16).test_before_acquire(false).connect_lazy_with(options);
        Source::Orm(DatabaseConnection::from(pool))
    };
    let sources: [([&str; 2], [f64; 2], MakeSource); 2] = [
        (["axum by hand, SeaORM over sqlx", "tonic by hand, SeaORM over sqlx"], [1.5, 1.2], Arc::new(orm)),
        (
            ["axum by hand, SQLite on the calling thread", "tonic by hand, SQLite on the calling thread"],
            [0.75, 0.85],
            Arc::new(move || inline.clone()),
        ),
    ];

    println!("two server threads each, one client thread, SQLite\n");
    compare_static(&program, token);
    for (names, goals, source) in &sources {
        compare(*names, *goals, source, &program, token);
    }

    let mut starts: Vec<f64> = (0..9)
        .map(|_| {
            let fresh = tempfile::tempdir().expect("a directory");
            Program::start(fresh.path()).ready.as_secs_f64() * 1000.0
        })
        .collect();
    starts.sort_by(f64::total_cmp);
    let missed = |missed: bool| if missed { ", missed" } else { "" };
    println!("fresh `dev` to ready, median of 9");
    println!("  {:.0} ms (goal at most {READY}{})", starts[4], missed(starts[4] > READY));
    println!("idle memory; after the load {:.1} MiB", program.memory());
    println!("  {idle:.1} MiB (goal at most {IDLE}{})", missed(idle > IDLE));
}

/// Compares the program with a handler that returns the same JSON and reads nothing.
fn compare_static(program: &Program, token: &str) {
    const BODY: &str = r#"{"adminRoles":["admin","ops-team"],"allowedClusters":["standalone"]}"#;
    let address = support::serve(2, move |listener| async move {
        let json = || async { ([("content-type", "application/json")], BODY) };
        let app = Router::new().route("/admin/v2/tenants/{tenant}", get(json));
        axum::serve(listener, app).await.expect("the twin serves");
    });
    let authorization = format!("authorization: Bearer {token}\r\n");
    let request = support::request("GET", "/admin/v2/tenants/tenant-500", &authorization, "");
    let side = |name, address| support::Side { name, address, request: request.clone() };
    support::compare_http(
        "REST point read",
        &side("bare axum handler, static JSON", address),
        &side("tenantry, authenticated and guarded", program.address),
        0.33,
    );
}

/// Compares the program with hand-written services that read in one way.
fn compare(
    names: [&'static str; 2],
    [goal_rest, goal_grpc]: [f64; 2],
    source: &MakeSource,
    program: &Program,
    token: &str,
) {
    let (rest, grpc) = (serve_rest(Arc::clone(source)), serve_grpc(Arc::clone(source)));
    let authorization = format!("authorization: Bearer {token}\r\n");
    let request = support::request("GET", "/admin/v2/tenants/tenant-500", &authorization, "");
    let side = |name, address| support::Side { name, address, request: request.clone() };
    support::compare_http(
        "REST point read",
        &side(names[0], rest),
        &side("tenantry, authenticated and guarded", program.address),
        goal_rest,
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let rates = support::alternate(|side| {
        let address = if side == 0 { grpc } else { program.address };
        runtime.block_on(grpc_turn(address, token))
    });
    let names = [names[1], "tenantry, authenticated and guarded"];
    support::report("gRPC point read", names, rates, goal_grpc);
}

fn serve_rest(source: MakeSource) -> SocketAddr {
    support::serve(2, move |listener| async move {
        let app = Router::new().route("/admin/v2/tenants/{tenant}", get(twin_get)).with_state(source());
        axum::serve(listener, app).await.expect("the twin serves");
    })
}

fn serve_grpc(source: MakeSource) -> SocketAddr {
    support::serve(2, move |listener| async move {
        let service = proto::tenant_service_server::TenantServiceServer::new(TwinGrpc(source()));
        let routes = tonic::service::Routes::new(service).into_axum_router();
        axum::serve(listener, routes).await.expect("the twin serves");
    })
}

/// Calls with as many clients as REST has connections, over four connections, for one turn; returns the rate.
async fn grpc_turn(address: SocketAddr, token: &str) -> f64 {
    let mut channels = Vec::new();
    for _ in 0..4 {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("a uri");
        channels.push(endpoint.connect().await.expect("the server listens"));
    }
    let authorization: tonic::metadata::MetadataValue<_> = format!("Bearer {token}").parse().expect("a header");
    support::clients(|client, stop| {
        let channel = channels[client % channels.len()].clone();
        let authorization = authorization.clone();
        async move {
            let mut client = proto::tenant_service_client::TenantServiceClient::new(channel);
            let mut done = 0;
            while !stop.is_cancelled() {
                let mut request = Request::new(proto::GetTenantRequest { tenant: "tenant-500".to_owned() });
                request.metadata_mut().insert("authorization", authorization.clone());
                client.get_tenant(request).await.expect("a response");
                done += 1;
            }
            done
        }
    })
    .await
}

//! Streams of gateways, with the reference client: every artifact is verified by `bundle-verify`.

mod caching;
mod canaries;
mod clocks;
mod devices;
mod ends;
mod half_open;
mod limits;
mod manifest;
mod messages;
mod mutual_tls;
mod raw;
mod reconnects;
mod restarts;
mod rollout;
mod rollout_watch;
mod stalled;
mod suspension;
mod walk;
mod watches;
mod work;

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tenantry_gateway_sim::{Fleet, Plan, Publisher, Route};
use tenantry_proto::edge::v1::Material;
use tokio::time::timeout;

use crate::{
    db::TestDb,
    harness::{
        PATIENCE,
        server::{Server, Setup},
    },
    rows::tenant,
};

/// The tenant of the gateways.
const TENANT: &str = "acme";

/// Another tenant.
const OTHER: &str = "other";

/// A server with a tenant that has a pool.
async fn serve(db: &TestDb) -> (Server, String) {
    serve_with(db, Setup::dev()).await
}

/// The same with another setup.
async fn serve_with(db: &TestDb, setup: Setup) -> (Server, String) {
    tenant(db, TENANT).await;
    tenant(db, OTHER).await;
    let server = setup.database(&db.url).start().await;
    let pool = pool(&server, TENANT).await;
    (server, pool)
}

/// A new pool of a tenant.
async fn pool(server: &Server, tenant: &str) -> String {
    let pool = json!({"action": "create", "tenant_id": tenant, "name": "eu"});
    admin(server, "/v1/admin/settings/gateway-pools", pool).await["pool"]["id"].as_str().unwrap().to_owned()
}

async fn admin(server: &Server, path: &str, body: Value) -> Value {
    let answer = server.admin().call(Method::POST, path, Some(&body.to_string())).await;
    assert!(answer.status < 300, "{answer:?}");
    answer.json()
}

/// A token with which this number of gateways can enroll.
async fn token(server: &Server, pool: &str, uses: usize) -> String {
    token_of(server, TENANT, pool, uses).await
}

/// The same for a tenant.
async fn token_of(server: &Server, tenant: &str, pool: &str, uses: usize) -> String {
    let body = json!({"tenant_id": tenant, "kind": "gateway", "pool_id": pool, "max_uses": uses});
    admin(server, "/v1/admin/tokens/generate", body).await["token"].as_str().unwrap().to_owned()
}

/// A plan for gateways that call the server at this URL.
fn plan(url: &str) -> Plan {
    Plan::of(Route::new(url, Vec::new()).unwrap())
}

fn url(server: &Server) -> String {
    format!("http://{}", server.address())
}

/// Gateways with open streams.
async fn fleet(server: &Server, pool: &str, plan: &Plan, gateways: usize) -> Fleet {
    let token = token(server, pool, gateways).await;
    plan.start(plan.enroll(&token, gateways).await.unwrap()).unwrap()
}

fn publisher(server: &Server, url: &str) -> Publisher {
    let channel = Route::new(url, Vec::new()).unwrap().channel(None).unwrap();
    Publisher { channel, token: server.admin_token(), tenant: Some(TENANT.to_owned()) }
}

/// Waits until these gateways have the policies with this number.
async fn applied(fleet: &Fleet, gateways: &[usize], number: i64) {
    let all = fleet.progress.all(gateways, Material::GatewayPolicy, number);
    if timeout(PATIENCE, all).await.is_err() {
        panic!("{gateways:?} have not all applied {number}: {:?}", fleet.progress);
    }
}

/// What a gateway has of its policies.
fn policies(fleet: &Fleet, gateway: usize) -> Option<(i64, String)> {
    fleet.progress.of(gateway, Material::GatewayPolicy).map(|applied| (applied.number, applied.digest))
}

fn assert_nothing_refused(fleet: &Fleet) {
    assert!(fleet.progress.refusals().is_empty(), "{:?}", fleet.progress.refusals());
}

/// The URL of the listener that asks for certificates.
fn mutual(server: &Server) -> String {
    let log = server.log();
    let line = log.lines().find_map(|line| line.strip_prefix("mTLS     ")).expect("a line with the address");
    line.split(',').next().unwrap().to_owned()
}

/// The value of a metric, with its labels as they are shown.
async fn metric(server: &Server, name: &str) -> f64 {
    let metrics = server.http().get("/metrics").await.body;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse().unwrap()
}

/// The time in which streams must end.
const SOON: Duration = Duration::from_secs(1);

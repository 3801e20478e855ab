//! Idempotency keys over gRPC and REST, and on every surface.

use std::collections::BTreeSet;

use prost_reflect::MethodDescriptor;
use reqwest::Method;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value as Json, json};
use tenantry::store::tables::audit_events;
use tonic::{Code, Response, Status};
use tonic_types::StatusExt as _;

use crate::{
    harness::{
        cases::{self, Case, World, short},
        grpc::{self, Grpc},
        http::Http,
        json as messages, rpc,
        server::{Server, Setup},
    },
    rows::tenant,
};

const KEYS: &str = "/v1/admin/api-keys";

/// Calls that a surface takes once.
struct Call {
    method: Method,
    path: &'static str,
    body: Option<&'static str>,
    status: u16,
    /// The same with another message, on the same path: the body, or the path with a query.
    other: (&'static str, Option<&'static str>),
    /// What the refusal of the other message has in its body.
    conflict: &'static str,
    /// The status of a call whose key is malformed.
    malformed: u16,
}

#[rustfmt::skip]
fn calls() -> Vec<Call> {
    let call = |method, path, body, status, other, conflict, malformed| Call { method, path, body, status, other, conflict, malformed };
    let text = "the Idempotency-Key was already used for a different request";
    let capital = "{\"detail\":\"The Idempotency-Key was already used for a different request\"}";
    vec![
        call(Method::POST, "/api/control-plane/tenants", Some(r#"{"name":"A","slug":"aaa"}"#), 201, ("/api/control-plane/tenants", Some(r#"{"name":"B","slug":"aaa"}"#)), capital, 400),
        call(Method::DELETE, "/api/control-plane/tenants/aaa?confirm=aaa", None, 200, ("/api/control-plane/tenants/aaa?confirm=AAA", None), capital, 400),
        call(Method::POST, "/v1/tenants", Some(r#"{"name":"bbb"}"#), 200, ("/v1/tenants", Some(r#"{"name":"B"}"#)), "\"error\":\"conflict\"", 400),
        call(Method::POST, "/api/tenant/create", Some(r#"{"name":"ccc"}"#), 200, ("/api/tenant/create", Some(r#"{"name":"C"}"#)), "\"error\":\"conflict\"", 400),
        call(Method::PUT, "/admin/v2/tenants/ddd", Some(r#"{"allowedClusters":["standalone"]}"#), 204, ("/admin/v2/tenants/ddd", Some(r#"{"allowedClusters":["standalone"],"adminRoles":["a"]}"#)), text, 400),
        call(Method::POST, "/admin/v2/tenants/ddd", Some(r#"{"allowedClusters":["standalone"],"adminRoles":["a"]}"#), 204, ("/admin/v2/tenants/ddd", Some(r#"{"allowedClusters":["standalone"]}"#)), text, 400),
        call(Method::DELETE, "/admin/v2/tenants/ddd", None, 204, ("/admin/v2/tenants/ccc", None), text, 400),
        call(Method::POST, "/v1/admin/tenants/lifecycle", Some(r#"{"action":"create","slug":"eee"}"#), 201, ("/v1/admin/tenants/lifecycle", Some(r#"{"action":"create","slug":"fff"}"#)), "\"error\":\"conflict\"", 400),
    ]
}

fn method(name: &str) -> MethodDescriptor {
    grpc::methods().into_iter().find(|method| short(method) == name).unwrap()
}

async fn admins(server: &Server) -> (Http, Grpc) {
    let token = server.setup().mint(&["--role", "admin", "--tenant", "acme"]).await;
    (server.http().token(&token), Grpc::new(server.address()).token(token))
}

fn with_key(http: &Http, key: &str) -> Http {
    http.clone().header("idempotency-key", key)
}

/// A call over gRPC that makes an API key.
async fn make(grpc: &Grpc, key: &str, request: Json) -> Result<(Json, Option<String>), Status> {
    let method = method("zerotrust.v1.ApiKeyService/ChangeApiKey");
    let message = messages::message(&method.input(), &request);
    let answer = grpc.clone().key(key).answer(&method, message).await?;
    Ok((messages::shown(answer.get_ref()), replayed(&answer)))
}

fn replayed<T>(answer: &Response<T>) -> Option<String> {
    answer.metadata().get("idempotent-replayed").map(|value| value.to_str().unwrap().to_owned())
}

fn reason(status: &Status) -> (Code, String) {
    (status.code(), status.get_details_error_info().unwrap().reason)
}

async fn total(http: &Http) -> u64 {
    http.get(KEYS).await.json()["total"].as_u64().unwrap()
}

both_databases! {
    async fn a_key_works_across_grpc_and_rest(db: TestDb) {
        tenant(&db, "acme").await;
        let server = Setup::dev().database(&db.url).start().await;
        let (http, grpc) = admins(&server).await;
        let request = json!({"name": "ci", "role": "read_only"});
        let body = request.to_string();

        let (made, mark) = make(&grpc, "one", request.clone()).await.unwrap();
        assert_eq!(mark, None);
        let again = make(&grpc, "one", request.clone()).await.unwrap();
        assert_eq!(again, (made.clone(), Some("true".to_owned())));
        let rest = with_key(&http, "one").call(Method::POST, KEYS, Some(&body)).await;
        assert_eq!((rest.status, rest.header("idempotent-replayed")), (201, Some("true")), "{rest:?}");
        assert_eq!(rest.json()["api_key"], made["answer"]["api_key"]);

        let rest = with_key(&http, "two").call(Method::POST, KEYS, Some(&body)).await;
        assert_eq!((rest.status, rest.header("idempotent-replayed")), (201, None), "{rest:?}");
        let (made, mark) = make(&grpc, "two", request.clone()).await.unwrap();
        assert_eq!((&made["answer"]["api_key"], mark.as_deref()), (&rest.json()["api_key"], Some("true")));
        assert_eq!(total(&http).await, 2);

        let other = make(&grpc, "two", json!({"name": "other", "role": "read_only"})).await.unwrap_err();
        assert_eq!(reason(&other), (Code::AlreadyExists, "IDEMPOTENCY_KEY_REUSED".to_owned()));
        let keyed = with_key(&http, "three");
        let twice = tokio::join!(
            make(&grpc, "three", request.clone()),
            keyed.call(Method::POST, KEYS, Some(&body)),
        );
        assert_eq!(twice.0.unwrap().0["answer"]["api_key"], twice.1.json()["api_key"], "both calls must get the same key");
        assert_eq!(total(&http).await, 3);
    }

    async fn every_surface_takes_keys(db: TestDb) {
        let server = Setup::dev().database(&db.url).start().await;
        let admin = server.admin();
        for (number, call) in calls().into_iter().enumerate() {
            let keyed = with_key(&admin, &format!("key-{number}"));
            let send = async |http: &Http| http.call(call.method.clone(), call.path, call.body).await;
            let malformed = send(&with_key(&admin, "a b")).await;
            assert_eq!(malformed.status, call.malformed, "{} {malformed:?}", call.path);
            assert!(malformed.body.to_lowercase().contains("send idempotency-key once"), "{malformed:?}");
            let first = send(&keyed).await;
            assert_eq!((first.status, first.header("idempotent-replayed")), (call.status, None), "{} {first:?}", call.path);
            let again = send(&keyed).await;
            assert_eq!((again.status, again.header("idempotent-replayed")), (call.status, Some("true")), "{again:?}");
            assert_eq!(again.body, first.body);
            let (path, body) = call.other;
            let other = keyed.call(call.method.clone(), path, body).await;
            assert!(other.status == 409 && other.body.contains(call.conflict), "{path} {other:?}");
        }
        assert_eq!(with_key(&admin, "a b").get("/admin/v2/tenants").await.status, 200, "a read must ignore the key");
    }

    async fn a_malformed_key_over_grpc_does_nothing(db: TestDb) {
        tenant(&db, "acme").await;
        let server = Setup::dev().database(&db.url).start().await;
        let (http, grpc) = admins(&server).await;
        let request = json!({"name": "ci", "role": "read_only"});
        let refused = make(&grpc, "a b", request.clone()).await.unwrap_err();
        assert_eq!(reason(&refused), (Code::InvalidArgument, "IDEMPOTENCY_KEY_INVALID".to_owned()));
        let stranger = make(&Grpc::new(server.address()), "a b", request).await.unwrap_err();
        assert_eq!(stranger.code(), Code::Unauthenticated, "the caller must be authenticated before the key is checked");
        assert_eq!(total(&http).await, 0);
    }
}

#[tokio::test]
async fn a_login_has_no_caller_and_takes_no_key() {
    let server = Server::dev().await;
    for (path, body) in [
        ("/api/login", r#"{"userid":"admin","password":"admin"}"#),
        ("/api/auth/login", r#"{"username":"admin","password":"admin"}"#),
    ] {
        for key in ["one", "a b"] {
            let answer = with_key(&server.http(), key).call(Method::POST, path, Some(body)).await;
            assert_eq!((answer.status, answer.header("idempotent-replayed")), (200, None), "{path}: {answer:?}");
        }
    }
}

/// A reply of a call that ends the credential under which it came cannot be replayed.
const ENDS_CREDENTIAL: [&str; 2] = ["warehouse.v1.AuthService/Logout", "zerotrust.v1.SessionService/Logout"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_takes_a_key() {
    let (fields, own) = (cases::read("fields.json"), cases::read("changes.json"));
    let preludes = fields.preludes.into_iter().chain(own.preludes).collect();
    let world = World::start(preludes).await;
    let mut missing: BTreeSet<String> = grpc::methods().iter().filter(|method| takes_key(method)).map(short).collect();
    for (number, case) in own.cases.iter().chain(&fields.cases).enumerate() {
        let call = &case.step.call;
        if missing.contains(call) && once(&world, case, &format!("q{number}q")).await {
            missing.remove(call);
        }
    }
    assert!(missing.is_empty(), "no test case of these RPCs takes effect: {missing:?}");
}

/// Makes a call twice under one key; false if it was refused.
async fn once(world: &World, case: &Case, tag: &str) -> bool {
    let (grpc, mut taken) = world.begin(case, tag).await;
    let grpc = grpc.key(format!("key-{tag}"));
    let first = world.step(&grpc, &case.step, &mut taken, "").await;
    if first.get("error").is_some() {
        return false;
    }
    let audited = audits(world, &case.step.call).await;
    let second = world.step(&grpc, &case.step, &mut taken, "").await;
    if ENDS_CREDENTIAL.contains(&case.step.call.as_str()) {
        assert_eq!(second["error"], "Unauthenticated", "{}", case.step.call);
    } else {
        assert_eq!(second, first, "{}", case.step.call);
    }
    assert_eq!(audits(world, &case.step.call).await, audited, "{} took effect twice", case.step.call);
    true
}

/// How many audit events a method has left.
async fn audits(world: &World, call: &str) -> u64 {
    let rpc = audit_events::Column::Rpc.eq(format!("/tenantry.{call}"));
    audit_events::Entity::find().filter(rpc).count(&world.db).await.unwrap()
}

/// Whether a method has an audit rule, which does not exclude keys, and a caller.
fn takes_key(method: &MethodDescriptor) -> bool {
    let extension = |name| method.parent_pool().get_extension_by_name(&format!("tenantry.options.v1.{name}")).unwrap();
    let options = method.options();
    let auth = options.get_extension(&extension("auth")).as_message().unwrap().clone();
    let public = auth.get_field_by_name("public").unwrap().as_bool().unwrap();
    let audit = options.get_extension(&extension("audit")).as_message().unwrap().clone();
    let keyless = !audit.get_field_by_name("keyless").unwrap().as_str().unwrap().is_empty();
    rpc::is_audited(method) && !public && !keyless
}

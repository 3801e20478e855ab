//! Provisioning over REST and gRPC, with faults of the servers: statuses, texts, and what happens afterwards.

use std::{collections::BTreeSet, time::Duration};

use prost_reflect::Value as Field;
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinHandle;
use tonic::Code;

use super::{
    LOGIN, Place,
    openbao::policy_without,
    rows,
    stage::{Plan, Stage, TENANTS, auto, create, detail, url_at},
};
use crate::harness::{
    eventually,
    grpc::{self, Grpc},
    http::Answer,
    json as messages,
    tripwire::Tripwire,
};

/// The id of the operation that a response names.
fn operation(answer: &Answer) -> String {
    answer.header("operation-id").unwrap_or_else(|| panic!("no operation: {answer:?}")).to_owned()
}

/// A response of a call whose operation continues.
fn continues(answer: &Answer, at: &str) {
    let expected = format!("Tenant provisioning failed at {at}; the operation {} continues", operation(answer));
    assert_eq!((answer.status, detail(answer)), (502, expected));
}

/// A response of a call whose operation has ended.
fn ended(answer: &Answer, status: u16, at: &str) {
    operation(answer);
    assert_eq!((answer.status, detail(answer)), (status, format!("Tenant provisioning failed at {at}")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_created_works() {
    for (place, on_postgres) in [(Place::installed().await, true), (Place::of_18().await, false)] {
        let stage = Plan::with(place).await.on_postgres(on_postgres).await.start().await;
        let answer = stage.provisioned("acme").await;
        let (dbname, role) = (answer["dbname"].as_str().unwrap(), answer["openbao_role"].as_str().unwrap());
        assert_eq!((dbname, role, &answer["revision"]), ("tenant_acme", "acme-role", &json!("0001_baseline")));
        assert_eq!(stage.applied(dbname).await, ["0001_baseline"]);
        let one = stage.leased(role, dbname).await;
        rows(&one, "CREATE TABLE notes (text text); INSERT INTO notes VALUES ('hello')").await.unwrap();
        let two = stage.leased(role, dbname).await;
        assert_eq!(rows(&two, "SELECT text FROM notes").await.unwrap(), ["hello"]);
        // The login for the migrations is gone.
        let logins = "SELECT rolname FROM pg_roles WHERE rolcanlogin AND rolname ~ '^(v-|tenantry_)'";
        eventually("the login to be dropped", async || (stage.place.sql(logins).await.len() == 2).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_openbao_provisions_without_an_identity() {
    for place in Place::all().await {
        let stage = Plan::plain(place).start().await;
        let before = stage.place.sql("SELECT rolname FROM pg_roles ORDER BY 1").await;
        let answer = stage.provisioned("acme").await;
        assert_eq!((&answer["openbao_role"], &answer["revision"]), (&json!(null), &json!("0001_baseline")));
        let after: BTreeSet<_> = stage.place.sql("SELECT rolname FROM pg_roles").await.into_iter().collect();
        let added: Vec<_> = after.into_iter().filter(|role| !before.contains(role)).collect();
        assert_eq!(added, ["acme_owner"], "the login for the migrations was dropped");
        let owned = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'tenantry'";
        assert_eq!(rows(&stage.inside("tenant_acme").await, owned).await.unwrap(), ["acme_owner"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_is_down_or_silent_is_a_502_and_the_operation_continues() {
    let plan = Plan::whole().await;
    let wire = Tripwire::to(plan.place.postgres.port()).await;
    let plan = plan
        .env("TENANTRY_PROVISIONER_URL", url_at(wire.address.port()))
        .env("TENANTRY_PROVISION_TIMEOUT", "1500ms")
        // The deadline of provisioning wins.
        .env("TENANTRY_REQUEST_TIMEOUT", "1500ms");
    let mut stage = plan.start().await;
    stage.create("acme").await;
    stage.place.postgres.stop();
    let down = stage.auto("acme").await;
    assert_eq!(down.status, 502, "{down:?}");
    assert!(detail(&down).starts_with("Tenant provisioning failed at create owner role: the "), "{down:?}");
    assert!(detail(&down).ends_with(&format!("; the operation {} continues", operation(&down))), "{down:?}");
    stage.resume().await;
    stage.converges("acme").await;

    stage.create("beta").await;
    wire.arm(3, false, false);
    let slow = stage.auto("beta").await;
    continues(&slow, "create owner role: not done in time");
    // The same operation, which is still waiting.
    assert_eq!(operation(&stage.auto("beta").await), operation(&slow));
    wire.disarm();
    stage.converges("beta").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_right_of_the_provisioner_that_is_missing_is_named() {
    for place in Place::all().await {
        let stage = Plan::plain(place).start().await;
        for (slug, take, give, at) in [
            (
                "one",
                "NOCREATEROLE",
                "CREATEROLE",
                "create owner role: permission denied for the provisioner role, which needs CREATEROLE",
            ),
            (
                "two",
                "NOCREATEDB",
                "CREATEDB",
                "create database: permission denied for the provisioner role, which needs CREATEDB",
            ),
            (
                "three",
                "NOLOGIN",
                "LOGIN",
                "create owner role: the database server does not admit the provisioner role; it needs LOGIN, and an entry for it in pg_hba.conf",
            ),
            (
                "four",
                "PASSWORD 'other'",
                "PASSWORD 'p'",
                "create owner role: the database server refused the password of the provisioner role",
            ),
        ] {
            stage.create(slug).await;
            stage.place.sql(&format!("ALTER ROLE {LOGIN} {take}")).await;
            ended(&stage.auto(slug).await, 502, at);
            stage.place.sql(&format!("ALTER ROLE {LOGIN} {give}")).await;
            assert_eq!(stage.auto(slug).await.status, 200, "{}", stage.server.log());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_openbao_that_is_down_sealed_frozen_or_denies_a_call_is_a_502() {
    let mut stage = Plan::whole().await.start().await;
    stage.create("acme").await;
    stage.bao().seal().await;
    let sealed = stage.auto("acme").await;
    continues(&sealed, "set up OpenBAO: cannot find the database connection: OpenBAO is sealed");
    stage.bao().unseal().await;
    stage.converges("acme").await;

    stage.create("beta").await;
    stage.bao().signal("STOP").await;
    let frozen = stage.auto("beta").await;
    continues(&frozen, "set up OpenBAO: cannot find the database connection: OpenBAO does not respond");
    stage.bao().signal("CONT").await;
    stage.converges("beta").await;

    let denied = "the policy of the server's token does not allow it";
    for (slug, path, at) in [
        ("one", "database/config/*", "set up OpenBAO: cannot find the database connection"),
        ("two", "database/roles/*", "set up OpenBAO: cannot find the database role"),
        ("three", "database/creds/*", "migrate database: cannot lease database credentials"),
    ] {
        stage.create(slug).await;
        let policy = json!({"policy": policy_without(path)});
        stage.bao().admin(Method::PUT, "sys/policies/acl/tenantry", policy).await;
        ended(&stage.auto(slug).await, 502, &format!("{at}: {denied}"));
    }
    let policy = json!({"policy": policy_without("none")});
    stage.bao().admin(Method::PUT, "sys/policies/acl/tenantry", policy).await;
    for slug in ["one", "two", "three"] {
        assert_eq!(stage.auto(slug).await.status, 200);
    }

    stage.create("gamma").await;
    stage.bao.as_mut().unwrap().kill().await;
    let down = stage.auto("gamma").await;
    continues(&down, "set up OpenBAO: cannot find the database connection: OpenBAO cannot be reached");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_clash_get_databases_of_their_own_and_those_of_others_are_left() {
    let stage = Plan::whole().await.start().await;
    let first = stage.provisioned("a-b").await;
    let put = stage.server.admin().put("/admin/v2/tenants/a_b", r#"{"allowedClusters":["standalone"]}"#).await;
    assert_eq!(put.status, 204, "{put:?}");
    let second = stage.auto("a_b").await.json();
    assert_eq!((&first["dbname"], &first["openbao_role"]), (&json!("tenant_a_b"), &json!("a_b-role")));
    let (dbname, role) = (second["dbname"].as_str().unwrap(), second["openbao_role"].as_str().unwrap());
    assert!(dbname.starts_with("tenant_a_b_") && role.starts_with("a_b_") && role.ends_with("-role"), "{second}");
    let session = stage.leased(role, dbname).await;
    assert_eq!(rows(&session, "SELECT current_database()").await.unwrap(), [dbname]);

    stage.create("theirs").await;
    stage.place.sql("CREATE DATABASE tenant_theirs").await;
    let taken =
        "create database: the name is taken: the database tenant_theirs exists and was not created for this tenant";
    ended(&stage.auto("theirs").await, 409, taken);
    stage.create("role").await;
    stage.place.sql("CREATE ROLE role_owner").await;
    let taken = "create owner role: the name is taken: the role role_owner exists and was not created for this tenant";
    ended(&stage.auto("role").await, 409, taken);
    stage.create("bao").await;
    let other = json!({"db_name": "other", "creation_statements": ["CREATE ROLE x"]});
    stage.bao().admin(Method::POST, "database/roles/bao-role", other).await;
    let taken = "set up OpenBAO: the name is taken: the role bao-role of OpenBAO belongs to another database";
    ended(&stage.auto("bao").await, 409, taken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_at_once_on_two_servers_have_the_same_result() {
    for on_postgres in [false, true] {
        let plan = Plan::whole().await.on_postgres(on_postgres).await;
        let setup = plan.setup().await;
        let stage = plan.start_with(&setup).await;
        let other = setup.start().await;
        stage.create("acme").await;
        let (one, two) = (stage.server.admin(), other.admin());
        let answers = tokio::join!(auto(&one, "acme"), auto(&two, "acme"), auto(&one, "acme"), auto(&two, "acme"));
        for answer in [&answers.0, &answers.1, &answers.2, &answers.3] {
            assert_eq!(answer.status, 200, "{answer:?}\n{}\n{}", stage.server.log(), other.log());
            assert_eq!(answer.json(), answers.0.json());
        }
        assert_eq!(
            stage.place.sql("SELECT datname FROM pg_database WHERE datname ~ '^tenant_'").await,
            ["tenant_acme"]
        );
        assert_eq!(stage.applied("tenant_acme").await, ["0001_baseline"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operation_of_a_caller_that_disconnects_is_completed() {
    let plan = Plan::whole().await;
    let wire = Tripwire::to(plan.place.postgres.port()).await;
    let stage = plan.env("TENANTRY_PROVISIONER_URL", url_at(wire.address.port())).start().await;
    stage.create("acme").await;
    wire.arm(3, true, false);
    let admin = stage.server.admin();
    let call = tokio::spawn(async move { auto(&admin, "acme").await });
    wire.tripped().await;
    call.abort();
    wire.disarm();
    stage.converges("acme").await;
    assert_eq!(stage.applied("tenant_acme").await, ["0001_baseline"]);
}

/// Creates a tenant, and a call for provisioning it that has reached the database server and waits for it.
async fn begin(stage: &Stage, wire: &Tripwire, slug: &'static str) -> JoinHandle<Answer> {
    stage.create(slug).await;
    wire.arm(3, false, false);
    let admin = stage.server.admin();
    let call = tokio::spawn(async move { auto(&admin, slug).await });
    wire.tripped().await;
    call
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_is_deleted_or_suspended_meanwhile_ends_the_call() {
    let plan = Plan::whole().await;
    let wire = Tripwire::to(plan.place.postgres.port()).await;
    let stage = plan.env("TENANTRY_PROVISIONER_URL", url_at(wire.address.port())).start().await;
    let admin = stage.server.admin();
    let call = begin(&stage, &wire, "acme").await;
    let deleted = admin.call(Method::DELETE, &format!("{TENANTS}/acme?confirm=acme"), None).await;
    assert_eq!(deleted.status, 200, "{deleted:?}");
    wire.disarm();
    let answer = call.await.unwrap();
    assert_eq!((answer.status, detail(&answer)), (404, "Tenant not found.".to_owned()));
    operation(&answer);

    let call = begin(&stage, &wire, "beta").await;
    let body = r#"{"action":"suspend","tenant_id":"beta"}"#;
    let suspended = admin.call(Method::POST, "/v1/admin/tenants/lifecycle", Some(body)).await;
    assert_eq!(suspended.status, 200, "{suspended:?}");
    wire.disarm();
    ended(&call.await.unwrap(), 409, "create owner role: the tenant is suspended; resume it first");
    assert!(stage.place.sql("SELECT 1 FROM pg_database WHERE datname ~ '^tenant_'").await.is_empty());
    let again = auto(&admin, "beta").await;
    assert_eq!((again.status, detail(&again)), (409, "The tenant is suspended; resume it first".to_owned()));
    assert_eq!(again.header("operation-id"), None, "nothing was started");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_has_the_operation_in_its_metadata() {
    let stage = Plan::whole().await.start().await;
    let method = |name: &str| {
        let full = format!("tenantry.controlplane.v1.ProvisioningService.{name}");
        grpc::methods().into_iter().find(|method| method.full_name() == full).unwrap()
    };
    let client = Grpc::new(stage.server.address()).token(stage.server.admin_token());
    let (auto, manual) = (method("AutoProvisionTenant"), method("ProvisionTenant"));
    let request = || messages::message(&auto.input(), &json!({"tenant_id": "acme", "region": "eu"}));
    stage.create("acme").await;
    let answer = client.clone().key("k-1").answer(&auto, request()).await.unwrap();
    let id = answer.metadata().get("operation-id").unwrap().clone();
    assert_eq!(
        answer.get_ref().get_field_by_name("dbname").unwrap().as_ref(),
        &Field::String("tenant_acme".to_owned())
    );
    // With the same key, the same response.
    let again = client.clone().key("k-1").answer(&auto, request()).await.unwrap();
    assert_eq!(again.metadata().get("operation-id").unwrap(), id);
    assert_eq!(again.metadata().get("idempotent-replayed").unwrap(), "true");

    stage.create("theirs").await;
    stage.place.sql("CREATE DATABASE tenant_theirs").await;
    let request = messages::message(&auto.input(), &json!({"tenant_id": "theirs"}));
    let status = client.answer(&auto, request).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.metadata().get("operation-id").is_some(), "{status:?}");
    stage.create("plain").await;
    let request = messages::message(&manual.input(), &json!({"tenant_id": "plain"}));
    let status = client.answer(&manual, request).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::FailedPrecondition, "Tenant has no placement; set one before provisioning.")
    );
}

/// Between two pieces of a conversation at which the server is killed.
const STRIDE: i64 = 7;

/// The server is killed while it speaks with PostgreSQL, and with OpenBAO: between and inside of the steps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_leaves_nothing_that_the_next_one_does_not_complete() {
    for (with_openbao, on_postgres) in [(false, true), (true, false)] {
        let plan = Plan::whole().await.on_postgres(on_postgres).await;
        let port = match with_openbao {
            true => plan.bao.as_ref().unwrap().address().rsplit_once(':').unwrap().1.parse().unwrap(),
            false => plan.place.postgres.port(),
        };
        let wire = Tripwire::to(port).await;
        let plan = match with_openbao {
            true => plan.env("TENANTRY_OPENBAO_ADDR", format!("http://{}", wire.address)),
            false => plan.env("TENANTRY_PROVISIONER_URL", url_at(wire.address.port())),
        };
        let setup = plan.setup().await;
        let mut stage = plan.start_with(&setup).await;
        let stride = if with_openbao { 1 } else { STRIDE };
        let (mut piece, mut kills) = (1, 0);
        loop {
            let slug = format!("acme-{piece}");
            stage.create(&slug).await;
            wire.arm(piece, piece % 2 == 0, false);
            let admin = stage.server.admin();
            let killed = tokio::select! {
                () = wire.tripped() => true,
                answer = auto(&admin, &slug) => {
                    assert_eq!(answer.status, 200, "{answer:?}\n{}", stage.server.log());
                    false
                }
            };
            if !killed {
                break;
            }
            stage.server.kill().await;
            kills += 1;
            wire.disarm();
            stage.expire_leases().await;
            stage.server = setup.start().await;
            let base = slug.replace('-', "_");
            stage.converges(&slug).await;
            assert_eq!(stage.applied(&format!("tenant_{base}")).await, ["0001_baseline"]);
            let session = stage.leased(&format!("{base}-role"), &format!("tenant_{base}")).await;
            rows(&session, "CREATE TABLE notes (text text)").await.unwrap();
            piece += stride;
        }
        assert!(kills >= 5, "{kills}");
    }
}

/// A call with a deadline of its own gets the response before that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_deadline_of_a_caller_is_kept() {
    let plan = Plan::whole().await;
    let wire = Tripwire::to(plan.place.postgres.port()).await;
    let stage = plan.env("TENANTRY_PROVISIONER_URL", url_at(wire.address.port())).start().await;
    let admin = stage.server.admin().header("x-server-timeout", "2");
    create(&admin, "acme").await;
    wire.arm(3, false, false);
    let begun = std::time::Instant::now();
    let answer = auto(&admin, "acme").await;
    continues(&answer, "create owner role: not done in time");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

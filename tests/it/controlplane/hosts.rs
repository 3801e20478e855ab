//! The rules of enrollment tokens and hosts, on both databases.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::future::join_all;
use reqwest::Method;
use sea_orm::{EntityTrait, QueryOrder};
use serde_json::{Value, json};
use tenantry::{
    base::{Access, Cx, Secret, TenantRef, cx::CxFacts, error::Reason, opaque},
    enrollment::{
        hosts::{self, Description, Registered, Registration},
        throttle::Throttle,
        tokens::{self, NewHostToken},
    },
    store::{
        Fetch, OnStatement, Store, StoreConfig,
        tables::{audit_events, outbox},
    },
    tenants,
};

use crate::{
    db::{TestDb, cx, platform_cx, write},
    harness::{
        http::{Answer, Http},
        server::{Server, Setup},
    },
    rows::{sql, tenant},
};

const REFUSED: &str = r#"{"detail":"Invalid or expired enrollment token"}"#;

/// A server on the database, with the tenant `acme`.
async fn serve(db: &TestDb) -> Server {
    let server = Setup::dev().database(&db.url).start().await;
    create(&server, "acme").await;
    server
}

async fn create(server: &Server, slug: &str) {
    let made = post(&server.admin(), "/api/control-plane/tenants", json!({"name": slug, "slug": slug})).await;
    assert_eq!(made.status, 201, "{made:?}");
}

async fn post(http: &Http, path: &str, body: Value) -> Answer {
    http.call(Method::POST, path, Some(&body.to_string())).await
}

/// Creates a token: its text, and the path of its tokens with its id.
async fn token(server: &Server, tenant: &str, new: Value) -> (String, String) {
    let path = format!("/api/control-plane/tenants/{tenant}/enrollment-tokens");
    let made = post(&server.admin(), &path, new).await;
    assert_eq!(made.status, 201, "{made:?}");
    let made = made.json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&made["token"]), format!("{path}/{}", text(&made["summary"]["id"])))
}

/// A host with a name.
fn host(name: &str) -> Value {
    json!({"active": true, "fqdn": format!("{name}.example.com"), "hostname": name})
}

async fn register(server: &Server, name: &str, enrollment_token: &str) -> Answer {
    let mut body = host(name);
    body["enrollment_token"] = enrollment_token.into();
    post(&server.http(), "/api/host/register", body).await
}

async fn again(server: &Server, name: &str, host_token: &str) -> Answer {
    let mut body = host(name);
    body["host_token"] = host_token.into();
    post(&server.http(), "/api/host/register", body).await
}

fn host_token(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["host_token"].as_str().unwrap().to_owned()
}

#[track_caller]
fn refused(answer: &Answer, what: &str) {
    assert_eq!((answer.status, answer.body.trim_end()), (403, REFUSED), "{what}");
}

/// The only token of a tenant.
async fn only_token(server: &Server, tenant: &str) -> Value {
    let listed = server.admin().get(&format!("/api/control-plane/tenants/{tenant}/enrollment-tokens")).await.json();
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    listed[0].clone()
}

async fn hosts_of(server: &Server, tenant: &str) -> Vec<Value> {
    let listed = server.admin().get(&format!("/api/control-plane/tenants/{tenant}/agents")).await.json();
    listed.as_array().unwrap().clone()
}

async fn lifecycle(server: &Server, tenant: &str, mut action: Value) {
    action["tenant_id"] = tenant.into();
    let done = post(&server.admin(), "/v1/admin/tenants/lifecycle", action).await;
    assert_eq!(done.status, 200, "{done:?}");
}

/// Statuses, sorted.
fn statuses(answers: &[Answer]) -> Vec<u16> {
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    statuses
}

/// The same, without a server.
async fn generated(store: &Store, tenant: &str, new: NewHostToken) -> String {
    let cx = platform_cx("token.generate");
    let made = tokens::generate_for_hosts(&cx, store, &TenantRef::parse(tenant), new).await.unwrap();
    made.text.expose().clone()
}

async fn registered(store: &Store, name: &str, token: Option<&str>) -> Result<Registered, Reason> {
    let host = Description { active: true, fqdn: name.to_owned(), hostname: name.to_owned(), ..Description::default() };
    let enrollment_token = token.map(|token| Secret::new(token.to_owned()));
    let registration = Registration { host, enrollment_token, host_token: None };
    let public = cx("host.register", Access::None);
    hosts::register(&public, store, &Throttle::default(), registration).await.map_err(|error| error.reason)
}

both_databases! {
    async fn every_bad_token_gets_the_same_answer(db: TestDb) {
        let server = serve(&db).await;
        let mut bad = vec![
            ("guessed", format!("sme_{}", "A".repeat(43))),
            ("malformed", "x".to_owned()),
            ("empty", String::new()),
            ("long", "x".repeat(10_000)),
            ("SQL", "' OR 1=1 --".to_owned()),
        ];
        let (used, _) = token(&server, "acme", json!({"max_uses": 1})).await;
        assert_eq!(register(&server, "first", &used).await.status, 200);
        bad.push(("another case", used.to_ascii_uppercase()));
        bad.push(("with a space", format!("{used} ")));
        bad.push(("used up", used));
        let (revoked, path) = token(&server, "acme", json!({})).await;
        assert_eq!(server.admin().call(Method::DELETE, &path, None).await.status, 204);
        bad.push(("revoked", revoked));
        let (expired, _) = token(&server, "acme", json!({"label": "expired", "expires_in_days": 1})).await;
        sql(&db, "UPDATE enrollment_tokens SET expires_at = 1 WHERE name = 'expired'".to_owned()).await.unwrap();
        bad.push(("expired", expired));
        let of_device = post(&server.admin(), "/v1/admin/tokens/generate", json!({"tenant_id": "acme"})).await.json();
        bad.push(("of a device", of_device["token"].as_str().unwrap().to_owned()));
        for (slug, action) in [
            ("paused", json!({"action": "suspend"})),
            ("leaving", json!({"action": "delete", "confirm_slug": "leaving"})),
            ("gone", json!({"action": "delete", "confirm_slug": "gone", "purge": true})),
        ] {
            create(&server, slug).await;
            bad.push((slug, token(&server, slug, json!({})).await.0));
            if slug == "gone" {
                let path = "/api/control-plane/tenants/gone?confirm=gone";
                assert_eq!(server.admin().call(Method::DELETE, path, None).await.status, 200);
            } else {
                lifecycle(&server, slug, action).await;
            }
        }
        for (what, token) in &bad {
            refused(&register(&server, "second", token).await, what);
        }
        refused(&post(&server.http(), "/api/host/register", host("second")).await, "missing");
        refused(&again(&server, "first", &format!("smh_{}", "A".repeat(43))).await, "a guessed token of a host");
        // A token for hosts enrolls no device.
        let (good, _) = token(&server, "acme", json!({})).await;
        let device = json!({"token": good, "device": {"name": "a", "platform": "linux"}, "csr_pem": crate::harness::enroll::csr()});
        assert_eq!(post(&server.http(), "/v1/enroll", device).await.status, 401);
    }

    async fn every_bad_token_takes_the_same_statements(db: TestDb) {
        let recorded = Arc::<Mutex<Vec<String>>>::default();
        let hear = Arc::clone(&recorded);
        let on_statement: OnStatement = Arc::new(move |sql| hear.lock().unwrap().push(sql.to_owned()));
        let store = Store::open(StoreConfig { on_statement: Some(on_statement), ..StoreConfig::new(&db.url) }).await.unwrap();
        for name in ["acme", "paused"] {
            tenant(&db, name).await;
        }
        let labelled = |label: &str, max_uses| NewHostToken { label: Some(label.to_owned()), max_uses, ..NewHostToken::default() };
        let mut bad = vec![None, Some(format!("sme_{}", "A".repeat(43)))];
        let used = generated(&store, "acme", labelled("used", Some(1))).await;
        registered(&store, "first", Some(&used)).await.unwrap();
        bad.push(Some(used));
        for label in ["revoked", "expired"] {
            bad.push(Some(generated(&store, "acme", labelled(label, None)).await));
        }
        bad.push(Some(generated(&store, "paused", labelled("paused", None)).await));
        for change in [
            "UPDATE enrollment_tokens SET revoked_at = 1 WHERE name = 'revoked'",
            "UPDATE enrollment_tokens SET expires_at = 1 WHERE name = 'expired'",
            "UPDATE tenants SET status = 'suspended' WHERE name = 'paused'",
        ] {
            sql(&db, change.to_owned()).await.unwrap();
        }
        let mut seen = BTreeSet::new();
        for token in &bad {
            recorded.lock().unwrap().clear();
            let outcome = registered(&store, "second", token.as_deref()).await;
            assert_eq!(outcome.unwrap_err(), Reason::EnrollmentTokenInvalid, "{token:?}");
            seen.insert(std::mem::take(&mut *recorded.lock().unwrap()));
        }
        assert_eq!(seen.len(), 1, "{seen:?}");
        assert_eq!(seen.first().unwrap().len(), 1, "{seen:?}");
    }

    async fn the_last_use_goes_to_one_of_twenty(db: TestDb) {
        tenant(&db, "acme").await;
        let (other, token) = (db.replica().await, generated(&db, "acme", NewHostToken { max_uses: Some(1), ..NewHostToken::default() }).await);
        let names: Vec<_> = (0..20).map(|n| format!("host-{n}")).collect();
        let each = names.iter().enumerate().map(|(n, name)| {
            registered(if n % 2 == 0 { &db.store } else { &other }, name, Some(&token))
        });
        let outcomes = join_all(each).await;
        let refused: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
        assert_eq!(refused, [&Reason::EnrollmentTokenInvalid; 19]);
        let scope = tenants::resolve(&platform_cx("x"), &db, &TenantRef::parse("acme")).await.unwrap().1;
        assert_eq!(db.tenant(scope).hosts().count().await.unwrap(), 1);
        let listed = tokens::list_for_hosts(&platform_cx("x"), &db, &TenantRef::parse("acme")).await.unwrap().first;
        assert_eq!(listed[0].row.use_count, 1);
        other.close().await;
    }

    async fn twenty_registrations_of_one_host_use_a_token_once(db: TestDb) {
        let server = serve(&db).await;
        let (text, _) = token(&server, "acme", json!({"max_uses": 5})).await;
        let answers = join_all((0..20).map(|_| register(&server, "web", &text))).await;
        assert_eq!(statuses(&answers), [200; 20], "{answers:?}");
        assert_eq!(only_token(&server, "acme").await["use_count"], 1);
        let listed = hosts_of(&server, "acme").await;
        assert!(listed.len() == 1 && answers.iter().all(|answer| answer.json()["id"] == listed[0]["id"]), "{listed:?}");
        // Each of them replaced the token of the host, so one of the twenty is left.
        let tokens = answers.iter().map(host_token);
        let valid = join_all(tokens.map(async |token| again(&server, "web", &token).await)).await;
        assert_eq!(statuses(&valid)[..2], [200, 403], "{valid:?}");
    }

    async fn a_known_host_needs_no_use_and_no_enrollment_token(db: TestDb) {
        let server = serve(&db).await;
        let (text, path) = token(&server, "acme", json!({"max_uses": 2})).await;
        let first = register(&server, "web", &text).await;
        let second = register(&server, "WEB", &text).await;
        assert_eq!(first.json()["id"], second.json()["id"]);
        let shown = only_token(&server, "acme").await;
        assert_eq!((&shown["use_count"], &shown["state"]), (&json!(1), &json!("active")), "{shown}");
        let (first, second) = (host_token(&first), host_token(&second));
        assert_eq!(server.admin().call(Method::DELETE, &path, None).await.status, 204);
        refused(&register(&server, "web", &text).await, "revoked");
        refused(&again(&server, "web", &first).await, "replaced");
        assert_eq!(host_token(&again(&server, "renamed", &second).await), second);
        let listed = hosts_of(&server, "acme").await;
        assert_eq!(listed[0]["fqdn"], "renamed.example.com", "{listed:?}");
        // A removed host is unknown.
        let id = listed[0]["id"].as_str().unwrap();
        let removed = server.admin().call(Method::DELETE, &format!("/api/control-plane/tenants/acme/agents/{id}"), None).await;
        assert_eq!(removed.status, 204, "{removed:?}");
        refused(&again(&server, "renamed", &second).await, "removed");
    }

    async fn a_tenant_may_have_a_limited_number_of_hosts(db: TestDb) {
        let server = serve(&db).await;
        lifecycle(&server, "acme", json!({"action": "set_plan", "plan": "unlimited", "overrides": {"hosts": 2}})).await;
        assert_eq!(server.admin().get("/api/control-plane/tenants/acme").await.json()["limits"], json!({"hosts": 2}));
        let (text, _) = token(&server, "acme", json!({})).await;
        assert_eq!(register(&server, "first", &text).await.status, 200);
        let names: Vec<_> = (0..20).map(|n| format!("host-{n}")).collect();
        let answers = join_all(names.iter().map(|name| register(&server, name, &text))).await;
        let expected: Vec<_> = std::iter::once(200).chain([429; 19]).collect();
        assert_eq!(statuses(&answers), expected, "{answers:?}");
        let full = answers.iter().find(|answer| answer.status == 429).unwrap();
        assert_eq!(full.json(), json!({"detail": "Host limit reached for this tenant."}));
        assert_eq!(only_token(&server, "acme").await["use_count"], 2, "a refused host uses nothing");
        // Known hosts are not new.
        assert_eq!(register(&server, "first", &text).await.status, 200);
        let id = hosts_of(&server, "acme").await[0]["id"].as_str().unwrap().to_owned();
        let path = format!("/api/control-plane/tenants/acme/agents/{id}");
        assert_eq!(server.admin().call(Method::DELETE, &path, None).await.status, 204);
        assert_eq!(register(&server, "another", &text).await.status, 200);
        assert_eq!(register(&server, "one-more", &text).await.status, 429);
        lifecycle(&server, "acme", json!({"action": "set_plan", "plan": "unlimited", "overrides": {"hosts": null}})).await;
        assert_eq!(register(&server, "one-more", &text).await.status, 200);
    }

    async fn a_suspension_stops_both_kinds_of_tokens_at_once(db: TestDb) {
        let server = serve(&db).await;
        let replica = (!db.is_sqlite()).then(|| Setup::dev().database(&db.url));
        let replica = match &replica {
            Some(setup) => Some(setup.start().await),
            None => None,
        };
        let (text, _) = token(&server, "acme", json!({})).await;
        let own = host_token(&register(&server, "web", &text).await);
        lifecycle(&server, "acme", json!({"action": "suspend"})).await;
        for server in std::iter::once(&server).chain(&replica) {
            refused(&register(server, "new", &text).await, "a new host");
            refused(&register(server, "web", &text).await, "a known host");
            refused(&again(server, "web", &own).await, "with its own token");
        }
        let shown = only_token(&server, "acme").await;
        assert_eq!((&shown["use_count"], &shown["state"]), (&json!(1), &json!("active")), "{shown}");
        lifecycle(&server, "acme", json!({"action": "reactivate"})).await;
        assert_eq!(again(&server, "web", &own).await.status, 200);
        assert_eq!(register(&server, "new", &text).await.status, 200);
    }

    async fn a_suspension_during_a_registration_comes_before_or_after_it(db: TestDb) {
        tenant(&db, "acme").await;
        let token = generated(&db, "acme", NewHostToken::default()).await;
        let names: Vec<_> = (0..20).map(|n| format!("host-{n}")).collect();
        let cx = platform_cx("tenant.suspend");
        let suspend = write(&db, &cx, |tx| {
            Box::pin(async move {
                let (tenant, scope) = tenants::resolve_locked(tx, &TenantRef::parse("acme")).await?;
                tenants::suspend(tx, &tenant, scope).await
            })
        });
        let (suspended, outcomes) = futures::join!(suspend, join_all(names.iter().map(|name| registered(&db, name, Some(&token)))));
        suspended.unwrap();
        let done = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        let reasons: BTreeSet<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).map(|reason| reason.as_str_name()).collect();
        assert!(reasons.is_empty() || reasons == BTreeSet::from(["REASON_ENROLLMENT_TOKEN_INVALID"]), "{reasons:?}");
        let scope = tenants::resolve(&platform_cx("x"), &db, &TenantRef::parse("acme")).await.unwrap().1;
        assert_eq!(db.tenant(scope).hosts().count().await.unwrap(), done as u64);
        assert_eq!(registered(&db, "late", Some(&token)).await.unwrap_err(), Reason::EnrollmentTokenInvalid);
    }

    async fn only_digests_are_stored_and_each_change_is_recorded_once(db: TestDb) {
        let acme = tenant(&db, "acme").await;
        let token = generated(&db, "acme", NewHostToken::default()).await;
        let host = registered(&db, "web", Some(&token)).await.unwrap();
        let own = host.token.expose().clone();
        let rows = db.tenant(acme);
        assert_eq!(db.host_by_digest(&opaque::digest(&own)).await.unwrap().unwrap().id, host.host.row.id);
        let stored = rows.hosts().get(host.host.row.id).await.unwrap().unwrap();
        assert!(stored.secret_hash == opaque::digest(&own) && !format!("{stored:?}").contains(&stored.secret_hash));
        registered(&db, "web", Some(&token)).await.unwrap();
        let cx = platform_cx("host.delete");
        hosts::remove(&cx, &db, &TenantRef::parse("acme"), Some(host.host.row.id)).await.unwrap();
        let audit = audit_events::Entity::find().order_by_asc(audit_events::Column::Id).fetch_all(db.store.read()).await.unwrap();
        let of_hosts: Vec<_> = audit.iter().filter(|event| event.target == host.host.row.id.to_string()).collect();
        let said: Vec<_> = of_hosts.iter().map(|event| (event.action.as_str(), event.caller_kind.as_str())).collect();
        assert_eq!(said, [("host.register", "SERVICE"), ("host.register", "SERVICE"), ("host.delete", "USER")]);
        assert!(of_hosts[0].caller_subject.starts_with("tok_") && of_hosts[0].tenant_id == Some(acme.tenant()));
        assert!(audit.iter().all(|event| !event.details.contains(&token) && !event.details.contains(&own)));
        let events = outbox::Entity::find().order_by_asc(outbox::Column::Id).fetch_all(db.store.read()).await.unwrap();
        let of_hosts = events.iter().filter(|event| event.topic == "host");
        let payloads: Vec<_> = of_hosts.map(|event| event.payload.as_str()).collect();
        assert_eq!(payloads, [
            r#"{"change":"created","version":1}"#,
            r#"{"change":"updated","version":2}"#,
            r#"{"change":"deleted","version":2}"#,
        ]);
    }

    async fn a_repeated_registration_with_the_own_token_changes_nothing(db: TestDb) {
        tenant(&db, "acme").await;
        let token = generated(&db, "acme", NewHostToken::default()).await;
        let first = registered(&db, "web", Some(&token)).await.unwrap();
        let public = Cx::new(CxFacts { client: Some([192, 0, 2, 7].into()), ..CxFacts::clone(&cx("host.register", Access::None)) });
        let with = async |hostname: &str| {
            let host = Description { active: true, fqdn: "web".to_owned(), hostname: hostname.to_owned(), ..Description::default() };
            let host_token = Some(first.token.clone());
            let registration = Registration { host, enrollment_token: None, host_token };
            hosts::register(&public, &db, &Throttle::default(), registration).await.unwrap().host.row
        };
        let same = with("web").await;
        assert_eq!((same.version, same.last_ip.as_deref()), (1, Some("192.0.2.7")));
        assert!(same.last_registered_at > first.host.row.last_registered_at && same.updated_at == first.host.row.updated_at);
        assert_eq!(with("other").await.version, 2);
        let events = outbox::Entity::find().order_by_asc(outbox::Column::Id).fetch_all(db.store.read()).await.unwrap();
        assert_eq!(events.iter().filter(|event| event.topic == "host").count(), 2);
        let audit = audit_events::Entity::find().order_by_asc(audit_events::Column::Id).fetch_all(db.store.read()).await.unwrap();
        let callers: Vec<_> = audit.iter().filter(|event| event.caller_kind == "AGENT").map(|event| &event.caller_subject).collect();
        assert_eq!(callers, [&format!("host:{}", first.host.row.id); 2]);
    }

    async fn an_address_with_many_failures_waits(db: TestDb) {
        tenant(&db, "acme").await;
        let token = generated(&db, "acme", NewHostToken::default()).await;
        let throttle = Throttle::default();
        let attempt = async |last: u8, token: &str| {
            let client = Some([192, 0, 2, last].into());
            let public = Cx::new(CxFacts { client, ..CxFacts::clone(&cx("host.register", Access::None)) });
            let host = Description { active: true, fqdn: "web".to_owned(), hostname: "web".to_owned(), ..Description::default() };
            let registration = Registration { host, enrollment_token: Some(Secret::new(token.to_owned())), host_token: None };
            hosts::register(&public, &db, &throttle, registration).await.map(drop).map_err(|error| error.reason)
        };
        for _ in 0..23 {
            assert_eq!(attempt(1, "sme_x").await, Err(Reason::EnrollmentTokenInvalid));
        }
        // The fourth delay after twenty failures.
        let began = Instant::now();
        attempt(1, &token).await.unwrap();
        assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
        attempt(2, &token).await.unwrap();
    }
}

/// A host belongs to one tenant only, and a tenant sees only its own.
#[tokio::test]
async fn hosts_with_the_same_name_in_two_tenants_are_two_hosts() {
    let db = crate::db::sqlite().await;
    for name in ["acme", "beta"] {
        tenant(&db, name).await;
        let token = generated(&db, name, NewHostToken::default()).await;
        registered(&db, "web", Some(&token)).await.unwrap();
    }
    let listed = async |name| hosts::list(&platform_cx("x"), &db, &TenantRef::parse(name)).await.unwrap().first;
    let (acme, beta) = (listed("acme").await, listed("beta").await);
    assert!(acme.len() == 1 && beta.len() == 1 && acme[0].row.id != beta[0].row.id && acme[0].tenant != beta[0].tenant);
}

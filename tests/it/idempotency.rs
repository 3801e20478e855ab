//! `Idempotency-Key`: a repeated call takes effect once.

use futures::future::join_all;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use tenantry::{
    base::{Clock, Cx, Error, KeyedCall, cx::CxFacts, error::Reason},
    store::{
        Store, StoreConfig,
        idempotent::{self, Known},
        tables::{audit_events, idempotent_answers},
    },
};

use crate::{
    db::{TestDb, platform_cx},
    harness::{
        http::{Answer, Http},
        server::{Server, Setup},
    },
    rows::tenant,
};

const KEYS: &str = "/v1/admin/api-keys";
const TENANTS: &str = "/v1/admin/tenants/lifecycle";
const LOGOUT: &str = "/v1/admin/logout";
const GROUPS: &str = "/v1/admin/groups/lifecycle";
const NEW_KEY: &str = r#"{"name":"ci","role":"read_only"}"#;

/// A server on a database with the tenant `acme`.
async fn serve(db: &TestDb) -> Server {
    tenant(db, "acme").await;
    Setup::dev().database(&db.url).start().await
}

async fn admin(server: &Server) -> Http {
    server.http().token(server.setup().mint(&["--role", "admin", "--tenant", "acme"]).await)
}

async fn post(http: &Http, path: &str, key: &str, body: &str) -> Answer {
    http.clone().header("idempotency-key", key).call(reqwest::Method::POST, path, Some(body)).await
}

async fn total(http: &Http, path: &str) -> u64 {
    http.get(path).await.json()["total"].as_u64().unwrap()
}

#[track_caller]
fn replayed(answer: &Answer, first: &Answer) {
    assert_eq!((answer.status, &answer.body), (first.status, &first.body));
    assert_eq!(answer.header("content-type"), first.header("content-type"));
    assert_eq!((answer.header("idempotent-replayed"), first.header("idempotent-replayed")), (Some("true"), None));
}

/// A request with the key `id`, in a process that has not seen a write of it.
fn call(id: &str, request: &str) -> KeyedCall {
    KeyedCall::new(id.to_owned(), request)
}

/// A write of a call, whose row can be counted.
async fn write(store: &Store, call: &KeyedCall) -> Result<(), Error> {
    let cx = Cx::new(CxFacts { keyed: Some(call.clone()), ..CxFacts::clone(&platform_cx("test.write")) });
    let write = crate::db::write(store, &cx, |tx| {
        Box::pin(async move {
            tx.audit_only(None, "counted", serde_json::Value::Null);
            Ok(())
        })
    });
    write.await
}

async fn written(store: &Store) -> u64 {
    let counted = audit_events::Entity::find().filter(audit_events::Column::Target.eq("counted"));
    counted.count(store.orm()).await.unwrap()
}

both_databases! {
    async fn one_of_many_calls_writes_and_claims_the_key(db: TestDb) {
        let replica = db.replica().await;
        // Few, because more would have to wait for new connections.
        let writes = join_all((0..8).map(|number| {
            let store = if number % 2 == 0 { db.store.clone() } else { replica.clone() };
            tokio::spawn(async move { write(&store, &call("id", "hash")).await })
        }));
        let writes: Vec<_> = writes.await.into_iter().map(Result::unwrap).collect();
        assert_eq!(writes.iter().filter(|write| write.is_ok()).count(), 1);
        let refused = |error: &Error| error.reason == Reason::IdempotentCallBegun;
        assert!(writes.iter().all(|write| write.as_ref().err().is_none_or(refused)), "{writes:?}");
        assert_eq!(written(&db).await, 1);
        assert!(matches!(idempotent::look(&db, &call("id", "hash")).await.unwrap(), Known::Unanswered(_)));
        assert_eq!(idempotent::look(&db, &call("id", "other")).await.unwrap(), Known::Other);
    }

    async fn a_key_is_claimed_exactly_if_the_write_commits(db: TestDb) {
        let keyed = call("id", "hash");
        let cx = Cx::new(CxFacts { keyed: Some(keyed.clone()), ..CxFacts::clone(&platform_cx("test.write")) });
        let failing = crate::db::write(&db, &cx, |_| {
            Box::pin(async { Err::<(), _>(Error::exists(Reason::GroupExists, "no")) })
        });
        assert_eq!(failing.await.unwrap_err().reason, Reason::GroupExists);
        assert!(!keyed.has_written());
        assert_eq!(idempotent::look(&db, &keyed).await.unwrap(), Known::Nothing);
        for _ in 0..2 {
            write(&db, &keyed).await.expect("a second write of the same call");
        }
        assert!(keyed.has_written());
        idempotent::keep(&db, &keyed, "sealed".to_owned()).await.unwrap();
        idempotent::keep(&db, &keyed, "later".to_owned()).await.unwrap();
        assert_eq!(idempotent::look(&db, &call("id", "hash")).await.unwrap(), Known::Answered("sealed".to_owned()));
        let nothing = call("nothing", "hash");
        idempotent::keep(&db, &nothing, "first".to_owned()).await.unwrap();
        idempotent::keep(&db, &nothing, "second".to_owned()).await.unwrap();
        assert_eq!(idempotent::look(&db, &nothing).await.unwrap(), Known::Answered("first".to_owned()));
    }

    async fn a_key_expires_after_a_day(db: TestDb) {
        write(&db, &call("one", "a")).await.unwrap();
        let pass = async |time: time::Duration| {
            let earlier = format!("UPDATE idempotent_answers SET expires_at = expires_at - {}", time.whole_microseconds());
            crate::rows::sql(&db, earlier).await.unwrap();
        };
        pass(idempotent::KEPT - time::Duration::MINUTE).await;
        assert!(matches!(idempotent::look(&db, &call("one", "a")).await.unwrap(), Known::Unanswered(_)));
        assert!(write(&db, &call("one", "b")).await.is_err());
        assert_eq!(idempotent::prune(&db, 1000).await.unwrap(), 0);
        pass(time::Duration::MINUTE).await;
        assert_eq!(idempotent::look(&db, &call("one", "b")).await.unwrap(), Known::Nothing);
        write(&db, &call("one", "b")).await.unwrap();
        pass(2 * time::Duration::DAY).await;
        assert_eq!(idempotent::prune(&db, 1000).await.unwrap(), 1);
    }

    async fn a_repeated_call_gets_the_same_response(db: TestDb) {
        let server = serve(&db).await;
        let admin = admin(&server).await;
        let first = post(&admin, KEYS, "one", NEW_KEY).await;
        assert_eq!(first.status, 201, "{first:?}");
        replayed(&post(&admin, KEYS, "one", NEW_KEY).await, &first);
        assert_eq!(total(&admin, KEYS).await, 1);
        let other_body = post(&admin, KEYS, "one", r#"{"name":"other","role":"read_only"}"#).await;
        assert_eq!((other_body.status, &other_body.json()["error"]), (409, &"conflict".into()));
        let spelled_otherwise = r#"{ "role": "read_only", "name": "\u0063i" }"#;
        replayed(&post(&admin, KEYS, "one", spelled_otherwise).await, &first);
        let other_path = post(&admin, GROUPS, "one", r#"{"action":"create","name":"ops"}"#).await;
        assert_eq!(other_path.status, 201, "{other_path:?}");
        let other_caller = post(&server.admin(), KEYS, "one", r#"{"tenant_id":"acme","name":"ci","role":"admin"}"#).await;
        assert_eq!(other_caller.status, 201, "{other_caller:?}");
        assert_eq!(total(&admin, KEYS).await, 2);
    }

    async fn a_key_that_an_older_server_used_is_refused(db: TestDb) {
        let server = serve(&db).await;
        let admin = admin(&server).await;
        let first = post(&admin, KEYS, "one", NEW_KEY).await;
        assert_eq!(first.status, 201, "{first:?}");
        // It stored a digest of the bytes of the request. How it makes the id is pinned beside the code that does.
        let digest = tenantry::base::digest::sha256_hex([NEW_KEY.as_bytes()]);
        crate::rows::sql(&db, format!("UPDATE idempotent_answers SET request_hash = '{digest}'")).await.unwrap();
        for body in [NEW_KEY, r#"{"name":"other","role":"read_only"}"#] {
            let refused = post(&admin, KEYS, "one", body).await;
            assert_eq!((refused.status, refused.header("retry-after")), (409, None), "{refused:?}");
            assert!(refused.body.contains("on a server of an earlier version"), "{refused:?}");
        }
        assert_eq!(total(&admin, KEYS).await, 1);
    }

    async fn a_response_survives_a_restart_and_is_sealed(db: TestDb) {
        let mut server = serve(&db).await;
        let token = server.setup().mint(&["--role", "admin", "--tenant", "acme"]).await;
        let first = post(&server.http().token(&token), KEYS, "one", NEW_KEY).await;
        server.kill().await;
        let kept = idempotent_answers::Entity::find().all(db.read()).await.unwrap();
        let secret = first.json()["api_key"].as_str().unwrap().to_owned();
        assert!(kept.len() == 1 && kept.iter().all(|row| row.answer.as_ref().is_some_and(|text| !text.contains(&secret))));
        let server = server.setup().start().await;
        replayed(&post(&server.http().token(&token), KEYS, "one", NEW_KEY).await, &first);
    }

    async fn concurrent_calls_take_effect_once(db: TestDb) {
        let server = serve(&db).await;
        let admin = admin(&server).await;
        let answers = join_all((0..16).map(|_| post(&admin, KEYS, "one", NEW_KEY))).await;
        let first = answers.iter().find(|answer| answer.header("idempotent-replayed").is_none()).unwrap();
        assert_eq!(first.status, 201, "{first:?}");
        let others = answers.iter().filter(|answer| answer.header("idempotent-replayed").is_some());
        assert_eq!(others.clone().count(), 15, "every other call must get the stored response");
        others.for_each(|answer| replayed(answer, first));
        assert_eq!(total(&admin, KEYS).await, 1);
    }

    async fn a_call_to_two_servers_takes_effect_once(db: TestDb) {
        let first = serve(&db).await;
        let second = first.setup().start().await;
        let one = admin(&first).await;
        let other = one.clone().at(second.address());
        for number in 0..20 {
            let (key, body) = (format!("key-{number}"), format!(r#"{{"name":"key-{number}","role":"read_only"}}"#));
            let answers = tokio::join!(post(&one, KEYS, &key, &body), post(&other, KEYS, &key, &body));
            for answer in [&answers.0, &answers.1] {
                assert_eq!(answer.status, 201, "{answer:?}");
            }
            assert_eq!(answers.0.body, answers.1.body);
        }
        assert_eq!(total(&one, KEYS).await, 20);
    }

    async fn a_call_without_effect_does_not_claim_its_key(db: TestDb) {
        let server = serve(&db).await;
        let admin = admin(&server).await;
        let created = r#"{"action":"create","name":"eng"}"#;
        let plain = admin.clone().header("idempotency-key", "g");
        let head = |extra: &str| {
            format!("POST {GROUPS} HTTP/1.1\r\n{extra}Idempotency-Key: g\r\nContent-Length: {}", created.len())
        };
        for (wrong, status) in
            [("Content-Type: text/plain\r\n", "415"), ("Content-Type: application/json\r\nContent-Encoding: x\r\n", "415")]
        {
            let refused = admin.raw(&head(wrong), created).await;
            assert!(refused.starts_with(&format!("HTTP/1.1 {status}")), "{refused}");
        }
        for (body, status) in [("{", 400), (r#"{"action":"create","name":""}"#, 422), (r#"{"action":"fly"}"#, 422)] {
            for _ in 0..2 {
                let refused = plain.call(reqwest::Method::POST, GROUPS, Some(body)).await;
                assert_eq!((refused.status, refused.header("idempotent-replayed")), (status, None), "{refused:?}");
            }
        }
        assert_eq!(post(&admin, "/v1/admin/nowhere", "g", created).await.status, 404);
        let corrected = post(&admin, GROUPS, "g", created).await;
        assert_eq!(corrected.status, 201, "{corrected:?}");
        replayed(&post(&admin, GROUPS, "g", created).await, &corrected);
        for (said, status) in [
            ("Content-Type: application/json; charset=utf-8", 201),
            ("Content-Type: application/json\r\nIf-Match: \"7\"", 409),
            ("Content-Type: text/plain", 415),
        ] {
            let answer = admin.raw(&head(&format!("{said}\r\n")), created).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{said}: {answer}");
        }
    }

    async fn a_key_is_checked_while_the_callers_tenant_is_suspended(db: TestDb) {
        let server = serve(&db).await;
        let admin = admin(&server).await;
        let change = async |key: &str, action: &str| {
            let body = format!(r#"{{"action":"{action}","tenant_id":"acme","reason":"x"}}"#);
            let answer = post(&admin, TENANTS, key, &body).await;
            assert_eq!(answer.status, 200, "{key} {action}: {answer:?}");
            answer
        };
        let suspended = change("k1", "suspend").await;
        replayed(&change("k1", "suspend").await, &suspended);
        let reactivated = change("k2", "reactivate").await;
        change("k3", "suspend").await;
        replayed(&change("k2", "reactivate").await, &reactivated);
        replayed(&change("k1", "suspend").await, &suspended);
        let refused = post(&admin, KEYS, "k4", NEW_KEY).await;
        assert_eq!(refused.status, 401, "a suspended tenant must be refused as without a key: {refused:?}");
        let refused = post(&admin, KEYS, "a b", NEW_KEY).await;
        assert_eq!(refused.status, 401, "the guard must refuse before the key is checked: {refused:?}");
        let reused = post(&admin, TENANTS, "k2", r#"{"action":"reactivate","tenant_id":"acme"}"#).await;
        assert_eq!(reused.status, 409, "{reused:?}");
        let state = server.admin().get("/v1/admin/tenants").await.json();
        assert_eq!(state["tenants"][0]["status"], "suspended", "a replay must not change the tenant: {state}");
        let again = change("k6", "reactivate").await.json();
        assert_eq!(again["tenant"]["version"], 5, "each of the four changes must take effect once: {again}");
        change("k7", "suspend").await;
        for status in [204, 401] {
            let out = admin.clone().header("idempotency-key", "k8").call(reqwest::Method::POST, LOGOUT, None).await;
            assert_eq!(out.status, status, "after a logout the credential must be refused: {out:?}");
        }
    }

    async fn a_refusal_is_not_stored_as_the_response(db: TestDb) {
        let server = serve(&db).await;
        let admin = admin(&server).await;
        let above = r#"{"name":"x","role":"platform_admin"}"#;
        for _ in 0..2 {
            let refused = post(&admin, KEYS, "right", above).await;
            assert_eq!((refused.status, refused.header("idempotent-replayed")), (403, None));
        }
        let nobody = post(&server.http(), KEYS, "a b", NEW_KEY).await;
        assert_eq!(nobody.status, 401, "the caller must be authenticated before the key is checked");
        for bad in ["", "a b", "ä", &"x".repeat(256)] {
            let refused = post(&admin, KEYS, bad, NEW_KEY).await;
            assert_eq!((refused.status, &refused.json()["error"]), (400, &"bad_request".into()), "{bad}");
        }
        let twice = admin.clone().header("idempotency-key", "a");
        assert_eq!(post(&twice, KEYS, "b", NEW_KEY).await.status, 400);
        assert_eq!(total(&admin, KEYS).await, 0);
    }
}

/// Only on PostgreSQL: on SQLite the clock of the database is that of its single server.
#[tokio::test]
async fn a_server_whose_clock_is_ahead_keeps_keys() {
    let db = crate::db::postgres().await;
    let clock = Clock::manual(db.clock().now() + time::Duration::days(3));
    let fast = Store::open(StoreConfig { clock, ..StoreConfig::new(&db.url) }).await.unwrap();
    write(&db, &call("one", "a")).await.unwrap();
    assert!(matches!(idempotent::look(&fast, &call("one", "a")).await.unwrap(), Known::Unanswered(_)));
    assert!(write(&fast, &call("one", "a")).await.is_err(), "the second write must be refused");
    assert_eq!(idempotent::prune(&fast, 1000).await.unwrap(), 0);
    // And it keeps keys no longer than other servers.
    write(&fast, &call("two", "a")).await.unwrap();
    let rows = idempotent_answers::Entity::find().all(db.read()).await.unwrap();
    let end = tenantry::store::Stamp::from(db.clock().now() + 2 * idempotent::KEPT);
    assert!(rows.len() == 2 && rows.iter().all(|row| row.expires_at < end), "{rows:?}");
}

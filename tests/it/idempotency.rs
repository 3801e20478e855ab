//! `Idempotency-Key`: a call that comes twice takes effect once.

use futures::future::join_all;
use sea_orm::EntityTrait;
use tenantry::{
    base::Clock,
    store::{
        Store, StoreConfig,
        entities::idempotent_answers,
        idempotent::{self, Claim},
    },
};

use crate::{
    db::TestDb,
    directory_verbs::tenant,
    harness::{
        http::{Answer, Http},
        server::{Server, Setup},
    },
};

const KEYS: &str = "/v1/admin/api-keys";
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

both_databases! {
    async fn one_of_many_claims_is_the_first(db: TestDb) {
        let replica = db.replica().await;
        let claims = join_all((0..32).map(|number| {
            let store = if number % 2 == 0 { db.store.clone() } else { replica.clone() };
            tokio::spawn(async move { idempotent::claim(&store, "id", "hash").await.unwrap() })
        }));
        let claims: Vec<_> = claims.await.into_iter().map(Result::unwrap).collect();
        assert_eq!(claims.iter().filter(|claim| **claim == Claim::First).count(), 1);
        assert!(claims.iter().all(|claim| matches!(claim, Claim::First | Claim::Begun(_))));
        assert_eq!(idempotent::claim(&db, "id", "other").await.unwrap(), Claim::Other);
        idempotent::keep(&db, "id", "sealed".to_owned()).await.unwrap();
        assert_eq!(idempotent::claim(&db, "id", "hash").await.unwrap(), Claim::Answered("sealed".to_owned()));
        idempotent::release(&db, "id").await.unwrap();
        assert!(matches!(idempotent::claim(&db, "id", "hash").await.unwrap(), Claim::Answered(_)), "an answer stays");
    }

    async fn a_claim_ends_after_a_day_or_when_it_is_given_back(db: TestDb) {
        assert_eq!(idempotent::claim(&db, "one", "a").await.unwrap(), Claim::First);
        idempotent::release(&db, "one").await.unwrap();
        assert_eq!(idempotent::claim(&db, "one", "b").await.unwrap(), Claim::First);
        let clock = Clock::manual(db.clock().now() + idempotent::KEPT - time::Duration::SECOND);
        let later = Store::open(StoreConfig { clock: clock.clone(), ..StoreConfig::new(&db.url) }).await.unwrap();
        assert!(matches!(idempotent::claim(&later, "one", "b").await.unwrap(), Claim::Begun(_)));
        assert_eq!(idempotent::prune(&later).await.unwrap(), 0);
        clock.advance(time::Duration::seconds(2));
        assert_eq!(idempotent::claim(&later, "one", "c").await.unwrap(), Claim::First);
        clock.advance(time::Duration::days(2));
        assert_eq!(idempotent::prune(&later).await.unwrap(), 1);
    }

    async fn a_call_that_comes_again_is_answered_as_before(db: TestDb) {
        let server = serve(&db).await;
        let admin = admin(&server).await;
        let first = post(&admin, KEYS, "one", NEW_KEY).await;
        assert_eq!(first.status, 201, "{first:?}");
        replayed(&post(&admin, KEYS, "one", NEW_KEY).await, &first);
        assert_eq!(total(&admin, KEYS).await, 1);
        let other_body = post(&admin, KEYS, "one", r#"{"name":"other","role":"read_only"}"#).await;
        assert_eq!((other_body.status, &other_body.json()["error"]), (409, &"conflict".into()));
        let with_query = post(&admin, &format!("{KEYS}?tenant_id=acme"), "one", NEW_KEY).await;
        assert_eq!(with_query.status, 409, "the query belongs to the request");
        let other_path = post(&admin, GROUPS, "one", r#"{"action":"create","name":"ops"}"#).await;
        assert_eq!(other_path.status, 201, "{other_path:?}");
        let other_caller = post(&server.admin(), KEYS, "one", r#"{"tenant_id":"acme","name":"ci","role":"admin"}"#).await;
        assert_eq!(other_caller.status, 201, "{other_caller:?}");
        assert_eq!(total(&admin, KEYS).await, 2);
    }

    async fn an_answer_outlives_the_server_and_is_sealed(db: TestDb) {
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

    async fn calls_at_the_same_moment_take_effect_once(db: TestDb) {
        let server = serve(&db).await;
        let admin = admin(&server).await;
        let answers = join_all((0..16).map(|_| post(&admin, KEYS, "one", NEW_KEY))).await;
        let first = answers.iter().find(|answer| answer.header("idempotent-replayed").is_none()).unwrap();
        assert_eq!(first.status, 201, "{first:?}");
        let others = answers.iter().filter(|answer| answer.header("idempotent-replayed").is_some());
        assert_eq!(others.clone().count(), 15, "each of the others waited for the answer");
        others.for_each(|answer| replayed(answer, first));
        assert_eq!(total(&admin, KEYS).await, 1);
    }

    async fn a_caller_who_hangs_up_is_answered_when_it_comes_again(db: TestDb) {
        let server = serve(&db).await;
        let admin = admin(&server).await;
        let line = format!("POST {KEYS} HTTP/1.1\r\nIdempotency-Key: one");
        let mut begun = admin.begin(&line, NEW_KEY.len()).await;
        begun.send(NEW_KEY).await;
        drop(begun);
        let answer = post(&admin, KEYS, "one", NEW_KEY).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(total(&admin, KEYS).await, 1);
    }

    async fn refusals_are_no_answers_and_broken_rules_are(db: TestDb) {
        let server = serve(&db).await;
        let admin = admin(&server).await;
        let broken = post(&admin, KEYS, "rule", r#"{"name":"","role":"user"}"#).await;
        assert_eq!(broken.status, 422, "{broken:?}");
        replayed(&post(&admin, KEYS, "rule", r#"{"name":"","role":"user"}"#).await, &broken);
        let above = r#"{"name":"x","role":"platform_admin"}"#;
        for _ in 0..2 {
            let refused = post(&admin, KEYS, "right", above).await;
            assert_eq!((refused.status, refused.header("idempotent-replayed")), (403, None));
        }
        let nobody = post(&server.http(), KEYS, "a b", NEW_KEY).await;
        assert_eq!(nobody.status, 401, "who calls is asked before the key is read");
        for bad in ["", "a b", "ä", &"x".repeat(256)] {
            let refused = post(&admin, KEYS, bad, NEW_KEY).await;
            assert_eq!((refused.status, &refused.json()["error"]), (400, &"bad_request".into()), "{bad}");
        }
        let twice = admin.clone().header("idempotency-key", "a");
        assert_eq!(post(&twice, KEYS, "b", NEW_KEY).await.status, 400);
        assert_eq!(total(&admin, KEYS).await, 0);
    }
}

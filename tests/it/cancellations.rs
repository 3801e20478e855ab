//! Cancelled calls with an `Idempotency-Key`: however the wait ends, each of them takes effect once.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt, future::join_all, stream};
use prost_reflect::MethodDescriptor;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};

use crate::{
    db::TestDb,
    harness::{
        eventually,
        grpc::{self, Grpc},
        http::{Answer, Begun, Http},
        json as messages,
        server::{Server, Setup},
    },
    rows::tenant,
};

const KEYS: &str = "/v1/admin/api-keys";
/// Number of calls cancelled while the server keeps running, on each database.
const CUT_OFF: u32 = 500;
/// Number of concurrent calls.
const AT_ONCE: usize = 12;
/// How often the server is killed, on each database.
const KILLS: u32 = 5;
/// Number of calls in flight when the server is killed.
const KILLED: u32 = 8;

/// A call whose effect is identified by its key.
struct Call {
    key: String,
    body: String,
}

impl Call {
    fn new(key: impl Into<String>) -> Self {
        let key = key.into();
        let body = format!(r#"{{"name":"{key}","role":"read_only"}}"#);
        Self { key, body }
    }

    async fn send(&self, http: &Http) -> Answer {
        http.clone().header("idempotency-key", &self.key).call(reqwest::Method::POST, KEYS, Some(&self.body)).await
    }

    /// Sends the head of the request.
    async fn begin(&self, http: &Http) -> Begun {
        http.begin(&format!("POST {KEYS} HTTP/1.1\r\nIdempotency-Key: {}", self.key), self.body.len()).await
    }

    /// Sends the request and disconnects after a while.
    async fn disconnect(&self, http: &Http, after: Duration) {
        let mut begun = self.begin(http).await;
        begun.send(&self.body).await;
        tokio::time::sleep(after).await;
    }

    /// Sends the request with a deadline.
    async fn send_with_deadline(&self, http: &Http, within: Duration) -> Answer {
        self.send(&http.clone().header("x-server-timeout", &format!("{:.6}", within.as_secs_f64()))).await
    }

    /// Sends it over gRPC with this timeout.
    async fn send_grpc_with_deadline(&self, grpc: &Grpc, within: Duration) {
        let message = messages::message(&method().input(), &serde_json::from_str(&self.body).unwrap());
        drop(grpc.clone().key(&self.key).timeout(within).call(&method(), message).await);
    }

    /// Sends it over gRPC, and disconnects after this time.
    async fn disconnect_grpc(&self, grpc: &Grpc, after: Duration) {
        drop(tokio::time::timeout(after, self.send_grpc_with_deadline(grpc, Duration::from_secs(60))).await);
    }

    /// Retries until it gets a response: the call takes effect, or is reported to have done so.
    async fn complete(&self, http: &Http) -> Answer {
        eventually(&format!("a response to {}", self.key), async || {
            let answer = self.send(http).await;
            let pending = answer.status == 503 || (answer.status == 409 && answer.body.contains("retry later"));
            (!pending).then_some(answer)
        })
        .await
    }
}

/// A random time of up to 20 ms.
fn random_delay() -> Duration {
    Duration::from_micros(rand::random_range(0..20_000))
}

async fn admin(server: &Server) -> Http {
    server.http().token(server.setup().mint(&["--role", "admin", "--tenant", "acme"]).await)
}

/// Clients with one token: a key belongs to the caller.
async fn admins(server: &Server) -> (Http, Grpc) {
    let token = server.setup().mint(&["--role", "admin", "--tenant", "acme"]).await;
    (server.http().token(&token), Grpc::new(server.address()).token(token))
}

/// The RPC behind the path.
fn method() -> MethodDescriptor {
    let name = "tenantry.zerotrust.v1.ApiKeyService.ChangeApiKey";
    grpc::methods().into_iter().find(|method| method.full_name() == name).unwrap()
}

/// The number of API keys of each name.
async fn effects(db: &TestDb) -> BTreeMap<String, u32> {
    let mut effects = BTreeMap::new();
    let names = Statement::from_string(db.backend(), "SELECT name FROM api_keys");
    for row in db.read().query_all_raw(names).await.unwrap() {
        *effects.entry(row.try_get("", "name").unwrap()).or_default() += 1;
    }
    effects
}

/// Blocks every write of API keys until it is dropped.
async fn block_writes(db: &TestDb) -> DatabaseConnection {
    let mut options = sea_orm::ConnectOptions::new(&db.url);
    options.max_connections(1);
    let holding = Database::connect(options).await.unwrap();
    let statements = match db.is_sqlite() {
        true => "BEGIN IMMEDIATE",
        false => "BEGIN; LOCK TABLE api_keys IN EXCLUSIVE MODE",
    };
    holding.execute_unprepared(statements).await.unwrap();
    holding
}

async fn let_go(holding: DatabaseConnection) {
    holding.execute_unprepared("COMMIT").await.unwrap();
    holding.close().await.unwrap();
}

both_databases! {
    async fn a_deadline_ends_the_wait_and_not_the_call(db: TestDb) {
        tenant(&db, "acme").await;
        let server = Setup::dev().database(&db.url).start().await;
        let admin = admin(&server).await;
        let call = Call::new("deadline");
        assert_eq!(Call::new("before").send(&admin).await.status, 201);
        let holding = block_writes(&db).await;
        let late = call.send_with_deadline(&admin, Duration::from_millis(100)).await;
        assert_eq!(late.status, 504, "{late:?}");
        let_go(holding).await;
        let answer = call.complete(&admin).await;
        assert_eq!((answer.status, answer.header("idempotent-replayed")), (201, Some("true")), "{answer:?}");
        assert_eq!(effects(&db).await["deadline"], 1);
    }

    async fn a_disconnect_ends_the_wait_and_not_the_call(db: TestDb) {
        tenant(&db, "acme").await;
        let server = Setup::dev().database(&db.url).start().await;
        let admin = admin(&server).await;
        let call = Call::new("hang-up");
        assert_eq!(Call::new("before").send(&admin).await.status, 201);
        let holding = block_writes(&db).await;
        call.disconnect(&admin, Duration::from_millis(100)).await;
        let_go(holding).await;
        let answer = call.complete(&admin).await;
        assert_eq!((answer.status, answer.header("idempotent-replayed")), (201, Some("true")), "{answer:?}");
        assert_eq!(effects(&db).await["hang-up"], 1);
    }

    async fn cancelled_calls_take_effect_exactly_once(db: TestDb) {
        tenant(&db, "acme").await;
        let server = Setup::dev().database(&db.url).start().await;
        let (admin, grpc) = admins(&server).await;
        let calls = stream::iter(0..CUT_OFF).for_each_concurrent(AT_ONCE, async |number| {
            let call = Call::new(format!("cut-{number}"));
            match number % 7 {
                0 => drop(call.send_with_deadline(&admin, random_delay()).await),
                1 => call.disconnect(&admin, random_delay()).await,
                2 => drop(tokio::join!(call.send_with_deadline(&admin, random_delay()), call.disconnect(&admin, random_delay()))),
                3 => call.send_grpc_with_deadline(&grpc, random_delay()).await,
                4 => call.disconnect_grpc(&grpc, random_delay()).await,
                5 => drop(tokio::join!(call.send_grpc_with_deadline(&grpc, random_delay()), call.disconnect(&admin, random_delay()))),
                // Short, because most calls complete sooner.
                _ => drop(call.send_with_deadline(&admin, random_delay() / 8).await),
            }
            let answer = call.complete(&admin).await;
            assert_eq!(answer.status, 201, "{}: {answer:?}", call.key);
        });
        calls.await;
        let effects = effects(&db).await;
        assert!(effects.values().all(|times| *times == 1), "{effects:?}");
        assert_eq!(effects.len(), CUT_OFF as usize);
    }

    async fn calls_of_a_killed_server_take_effect_exactly_once(db: TestDb) {
        tenant(&db, "acme").await;
        let setup = Setup::dev().database(&db.url);
        for kill in 0..KILLS {
            let mut server = setup.start().await;
            let http = admin(&server).await;
            let calls: Vec<_> = (0..KILLED).map(|number| Call::new(format!("kill-{kill}-{number}"))).collect();
            let under_way = join_all(calls.iter().map(async |call| {
                let mut begun = call.begin(&http).await;
                begun.send(&call.body).await;
                begun
            }));
            let under_way = under_way.await;
            // The input of the test: a server is killed at a random moment.
            tokio::time::sleep(random_delay()).await;
            server.kill().await;
            drop(under_way);
            let server = setup.start().await;
            let http = http.at(server.address());
            for call in &calls {
                let answer = call.complete(&http).await;
                let reported = answer.status == 201 || (answer.status == 409 && answer.body.contains("took effect"));
                assert!(reported, "{}: {answer:?}", call.key);
            }
        }
        let effects = effects(&db).await;
        assert!(effects.values().all(|times| *times == 1), "{effects:?}");
        assert_eq!(effects.len(), (KILLS * KILLED) as usize);
    }
}

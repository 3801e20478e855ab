//! Operations on the native surface: reading, watching and cancelling them, on both databases.

use sea_orm::{Database, DatabaseConnection};
use serde_json::{Value, json};
use tenantry::{
    base::TenantRef,
    controlplane::provisioning::{self, AutoPlacement, ServerAddress, Site},
    store::{Store, StoreConfig},
};

use crate::{
    db::{platform_cx, postgres_unmigrated},
    harness::{
        conversation::Ids,
        eventually, golden,
        grpc::{self, Grpc},
        http::Http,
        mask::Mask,
        operations,
        server::{Server, Setup},
        stream::Stream,
    },
};

const OPERATIONS: &str = "/registry/v1/operations";

/// A server, and its database.
struct World {
    server: Server,
    url: String,
    db: DatabaseConnection,
}

impl World {
    async fn start(setup: Setup, url: Option<String>) -> Self {
        let server = setup.start().await;
        let file = || format!("sqlite:{}", server.setup().data_dir().join("tenantry.db").display());
        let url = url.unwrap_or_else(file);
        let db = Database::connect(&url).await.unwrap();
        Self { server, url, db }
    }

    /// Creates a tenant, and returns its id.
    async fn tenant(&self, name: &str) -> String {
        let body = json!({"name": name, "slug": name}).to_string();
        let made = self.server.admin().call(reqwest::Method::POST, "/api/control-plane/tenants", Some(&body)).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.json()["id"].as_str().unwrap().to_owned()
    }

    async fn delete(&self, name: &str) {
        let path = format!("/api/control-plane/tenants/{name}?confirm={name}");
        let done = self.server.admin().call(reqwest::Method::DELETE, &path, None).await;
        assert_eq!(done.status, 200, "{done:?}");
    }

    /// Inserts an operation, and returns its id.
    async fn operation(&self, of: Value) -> String {
        operations::insert(&self.db, &of).await["id"].as_str().unwrap().to_owned()
    }

    async fn minted(&self, role: &str, tenant: &str) -> Http {
        self.server.http().token(self.server.setup().mint(&["--role", role, "--tenant", tenant]).await)
    }

    async fn cancel(&self, id: &str) -> Value {
        let path = format!("{OPERATIONS}/{id}:cancel");
        let done = self.server.admin().call(reqwest::Method::POST, &path, None).await;
        assert_eq!(done.status, 200, "{done:?}");
        done.json()
    }
}

/// A server on each database.
async fn worlds(setup: impl Fn() -> Setup) -> [World; 2] {
    let url = postgres_unmigrated().await;
    [World::start(setup(), None).await, World::start(setup().database(&url), Some(url)).await]
}

/// The type of a message without its prefix, and the state of its operation.
fn brief(message: &Value) -> String {
    let kind = message["type"].as_str().unwrap_or_else(|| panic!("{message}")).trim_start_matches("EVENT_TYPE_");
    match message["operation"]["state"].as_str() {
        Some(state) => format!("{kind} {}", state.trim_start_matches("OPERATION_STATE_")),
        None => kind.to_owned(),
    }
}

async fn next(stream: &mut Stream) -> Value {
    stream.json().await.expect("an open stream")
}

/// Reads until a message fits.
async fn until(stream: &mut Stream, fits: impl Fn(&Value) -> bool) -> Value {
    loop {
        let message = next(stream).await;
        if fits(&message) {
            return message;
        }
    }
}

fn ids(list: &Value) -> Vec<&str> {
    list["operations"].as_array().unwrap().iter().map(|operation| operation["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn operations_are_read_and_cancelled_as_documented() {
    for world in worlds(Setup::dev).await {
        let (acme, beta) = (world.tenant("acme").await, world.tenant("beta").await);
        let steps = json!([{"name": "create owner role", "items": 1, "done": 1_767_225_600_000_000_i64},
            {"name": "create database"}]);
        let failing = json!({"tenant_id": acme, "target": "acme", "kind": "test.provision", "state": "running",
            "attempts": 3, "reason": "PROVISIONER_UNAVAILABLE", "cause": "the database server cannot be reached", "steps": steps});
        let failing = world.operation(failing).await;
        let failed = json!({"tenant_id": beta, "target": "beta", "state": "failed", "cancellable": true,
            "reason": "DATABASE_NAME_TAKEN", "cause": "the name is taken"});
        let failed = world.operation(failed).await;
        let pending = world.operation(json!({"tenant_id": acme, "target": "acme", "cancellable": true})).await;
        let platform =
            world.operation(json!({"target": "everything", "state": "cancelling", "cancellable": true})).await;
        let gone = "01900000-0000-7000-8000-000000000001";
        let of_gone = world.operation(json!({"tenant_id": gone, "target": "gone", "state": "succeeded"})).await;

        let (mut known, mut times, mut written) = (Ids::default(), Mask::default(), String::new());
        for id in [&acme, &beta, &failing, &failed, &pending, &platform, &of_gone] {
            known.mask(id);
        }
        let (admin, nobody) = (world.server.admin(), world.server.http());
        let (reader, owner, user) = (
            world.minted("read_only", "acme").await,
            world.minted("admin", "acme").await,
            world.minted("user", "acme").await,
        );
        for (who, http, method, path) in [
            ("admin", &admin, "GET", "/<3>"),
            ("admin", &admin, "GET", "/<4>"),
            ("admin", &admin, "GET", "/<6>"),
            ("admin", &admin, "GET", "/01900000-0000-7000-8000-000000000002"),
            ("admin", &admin, "GET", "/not-an-id"),
            ("admin", &admin, "GET", "?state=OPERATION_STATE_FAILED"),
            ("admin", &admin, "GET", "?tenantId=ACME"),
            ("admin", &admin, "GET", "?tenant_id=<1>&kind=test.other&state=OPERATION_STATE_PENDING"),
            ("admin", &admin, "GET", "?tenantId=01900000-0000-7000-8000-000000000001"),
            ("admin", &admin, "GET", "?tenantId=missing"),
            ("admin", &admin, "GET", "?kind=no.such"),
            ("admin", &admin, "GET", "?state=failed"),
            ("admin", &admin, "GET", "?limit=0"),
            ("admin", &admin, "GET", "?limit=501"),
            ("admin", &admin, "GET", "?cursor=AAAA"),
            ("admin", &admin, "GET", ":watch?tenantId=missing"),
            ("admin", &admin, "GET", "/01900000-0000-7000-8000-000000000002:watch"),
            ("admin", &admin, "GET", "/<3>:watch?tenantId=beta"),
            ("admin", &admin, "GET", ":watch?revision=-1"),
            ("reader", &reader, "GET", "?limit=2"),
            ("reader", &reader, "GET", "?tenantId=beta"),
            ("reader", &reader, "GET", "/<4>"),
            ("reader", &reader, "GET", "/<6>"),
            ("reader", &reader, "GET", "/<4>:watch"),
            ("reader", &reader, "GET", ":watch?tenantId=beta"),
            ("user", &user, "GET", ""),
            ("user", &user, "GET", "/<3>"),
            ("nobody", &nobody, "GET", ""),
            ("owner", &owner, "POST", "/<5>:cancel"),
            ("nobody", &nobody, "POST", "/<5>:cancel"),
            ("admin", &admin, "POST", "/<4>:cancel"),
            ("admin", &admin, "POST", "/<3>:cancel"),
            ("admin", &admin, "POST", "/not-an-id:cancel"),
            ("admin", &admin, "POST", "/<5>:cancel"),
            ("admin", &admin, "POST", "/<5>:cancel"),
            ("admin", &admin, "POST", "/<6>:cancel"),
            ("admin", &admin, "DELETE", "/<5>"),
            ("admin", &admin, "POST", "/<5>:resume"),
        ] {
            let sent = known.fill(&format!("{OPERATIONS}{path}"));
            let answer = http.call(method.parse().unwrap(), &sent, None).await;
            let shown = known.mask(&times.hide(&answer.shown()));
            written.push_str(&format!("> {who}: {method} {OPERATIONS}{path}\n{shown}\n"));
        }
        golden::check("registry/operations.txt", &written);
    }
}

#[tokio::test]
async fn operations_are_listed_in_pages_newest_first() {
    for world in worlds(Setup::dev).await {
        let acme = world.tenant("acme").await;
        let mut made = Vec::new();
        for _ in 0..3 {
            made.push(world.operation(json!({"tenant_id": acme})).await);
        }
        let admin = world.server.admin();
        let first = admin.get(&format!("{OPERATIONS}?tenantId=acme&limit=2")).await.json();
        assert_eq!((ids(&first), &first["total"]), (vec![made[2].as_str(), &made[1]], &json!("3")));
        let cursor = first["nextCursor"].as_str().unwrap();
        let second = admin.get(&format!("{OPERATIONS}?tenantId=acme&limit=2&cursor={cursor}")).await.json();
        assert_eq!((ids(&second), &second["nextCursor"]), (vec![made[0].as_str()], &Value::Null));
        // The cursor belongs to the list with this filter.
        for other in ["", "tenantId=acme&state=OPERATION_STATE_PENDING&", "tenantId=acme&kind=test.other&"] {
            let refused = admin.get(&format!("{OPERATIONS}?{other}cursor={cursor}")).await;
            assert_eq!(refused.status, 400, "{other}");
        }
    }
}

#[tokio::test]
async fn a_watch_shows_each_step_of_an_operation() {
    for world in worlds(Setup::dev).await {
        let (acme, beta) = (world.tenant("acme").await, world.tenant("beta").await);
        let waiting = world.operation(json!({"tenant_id": beta})).await;
        world.operation(json!({"tenant_id": beta, "state": "succeeded"})).await;
        let mut all = world.server.admin().stream(&format!("{OPERATIONS}:watch")).await;
        assert_eq!(all.headers()["content-type"], "application/x-ndjson");
        let current = next(&mut all).await;
        assert_eq!((brief(&current), &current["operation"]["id"]), ("CURRENT PENDING".to_owned(), &json!(waiting)));
        assert_eq!(brief(&next(&mut all).await), "BOOKMARK", "an operation that has ended must not be sent");

        world.delete("acme").await;
        let begun = until(&mut all, |message| message["operation"]["tenantId"] == json!(acme)).await;
        let id = begun["operation"]["id"].as_str().unwrap().to_owned();
        let (mut done, mut version, mut revision) = (0, 0, 0);
        let mut last = begun;
        loop {
            let operation = &last["operation"];
            let number = |value: &Value| value.as_str().unwrap().parse::<i64>().unwrap();
            let steps = operation["steps"].as_array().unwrap();
            let now_done = steps.iter().filter(|step| step["done"] == json!(true)).count();
            assert!(now_done >= done && number(&operation["version"]) > version, "{last}");
            assert!(number(&last["revision"]) > revision, "{last}");
            (done, version, revision) = (now_done, number(&operation["version"]), number(&last["revision"]));
            if operation["state"] == "OPERATION_STATE_SUCCEEDED" {
                assert_eq!(done, steps.len());
                assert!(operation["startTime"].is_string() && operation["endTime"].is_string(), "{operation}");
                assert_eq!(*operation, world.server.admin().get(&format!("{OPERATIONS}/{id}")).await.json());
                break;
            }
            last = until(&mut all, |message| message["operation"]["id"] == json!(id)).await;
        }
        // A watch of an operation that has ended has one message, and ends.
        let mut one = world.server.admin().stream(&format!("{OPERATIONS}/{id}:watch")).await;
        assert_eq!(brief(&next(&mut one).await), "CURRENT SUCCEEDED");
        assert_eq!(one.line().await, None);
        // So does one that resumes after the end. The state after it may have been sent before, for the change of a step.
        let mut all = world.server.admin().stream(&format!("{OPERATIONS}:watch")).await;
        let bookmark = until(&mut all, |message| brief(message) == "BOOKMARK").await;
        let end = bookmark["revision"].as_str().unwrap();
        let mut one = world.server.admin().stream(&format!("{OPERATIONS}:watch?operationId={id}&revision={end}")).await;
        assert_eq!(brief(&next(&mut one).await), "BOOKMARK");
        assert_eq!(one.line().await, None);
        let before = revision - 1;
        let mut one = world.server.admin().stream(&format!("{OPERATIONS}/{id}:watch?revision={before}")).await;
        assert_eq!(brief(&next(&mut one).await), "CHANGED SUCCEEDED");
        assert_eq!(one.line().await, None);
    }
}

#[tokio::test]
async fn a_watch_of_one_operation_skips_others_and_ends_with_it() {
    for world in worlds(Setup::dev).await {
        let acme = world.tenant("acme").await;
        let pending = || json!({"tenant_id": acme, "cancellable": true});
        let (watched, other) = (world.operation(pending()).await, world.operation(pending()).await);
        let mut stream = world.server.admin().stream(&format!("{OPERATIONS}/{watched}:watch")).await;
        assert_eq!(brief(&next(&mut stream).await), "CURRENT PENDING");
        assert_eq!(brief(&next(&mut stream).await), "BOOKMARK");
        world.cancel(&other).await;
        world.cancel(&watched).await;
        let last = next(&mut stream).await;
        assert_eq!((brief(&last), &last["operation"]["id"]), ("CHANGED CANCELLED".to_owned(), &json!(watched)));
        assert_eq!(stream.line().await, None);
    }
}

#[tokio::test]
async fn callers_of_a_tenant_watch_the_operations_of_their_own() {
    for world in worlds(Setup::dev).await {
        let (acme, beta) = (world.tenant("acme").await, world.tenant("beta").await);
        let pending = |tenant: &str| json!({"tenant_id": tenant, "cancellable": true});
        let mine = [world.operation(pending(&acme)).await, world.operation(pending(&acme)).await];
        let other = world.operation(pending(&beta)).await;
        let mut own = world.minted("auditor", "acme").await.stream(&format!("{OPERATIONS}:watch")).await;
        let mut named = world.server.admin().stream(&format!("{OPERATIONS}:watch?tenantId=acme")).await;
        for stream in [&mut own, &mut named] {
            for id in &mine {
                assert_eq!(next(stream).await["operation"]["id"], json!(id));
            }
            assert_eq!(brief(&next(stream).await), "BOOKMARK");
        }
        world.cancel(&other).await;
        world.cancel(&mine[1]).await;
        for stream in [&mut own, &mut named] {
            let changed = until(stream, |message| brief(message) != "BOOKMARK").await;
            assert_eq!(changed["operation"]["id"], json!(mine[1]), "{changed}");
        }
        // A client may resume at any revision, also at one that is older than what the server has in memory.
        let mut resumed = world.minted("auditor", "acme").await.stream(&format!("{OPERATIONS}:watch?revision=1")).await;
        let changed = until(&mut resumed, |message| brief(message) != "BOOKMARK").await;
        assert_eq!(changed["operation"]["id"], json!(mine[1]), "{changed}");
    }
}

#[tokio::test]
async fn a_watch_shows_failed_attempts_in_words_for_callers() {
    // Nothing listens on this port.
    let setup = || Setup::dev().env("TENANTRY_PROVISIONER_URL", "postgres://nobody:secret@127.0.0.1:1/postgres");
    for world in worlds(setup).await {
        world.tenant("acme").await;
        let mut stream = world.server.admin().stream(&format!("{OPERATIONS}:watch")).await;
        assert_eq!(brief(&next(&mut stream).await), "BOOKMARK");
        let store = Store::open(StoreConfig::new(&world.url)).await.unwrap();
        let server = Some(ServerAddress { host: Some("127.0.0.1".to_owned()), port: 1 });
        let site = Site { server, openbao: false };
        let (cx, tenant) = (platform_cx("tenant.provision"), TenantRef::parse("acme"));
        let started = provisioning::auto_provision(&cx, &store, &site, &tenant, AutoPlacement::default());
        let id = started.await.unwrap().operation.to_string();
        let failing = until(&mut stream, |message| message["operation"]["attempts"].as_i64() > Some(0)).await;
        let operation = &failing["operation"];
        assert_eq!((&operation["id"], &operation["kind"]), (&json!(id), &json!("tenant.provision")));
        let failure = json!({"step": "create owner role", "reason": "PROVISIONER_UNAVAILABLE",
            "cause": "the database server cannot be reached"});
        assert_eq!(operation["failure"], failure);
        assert!(
            operation["nextAttemptTime"].is_string() && operation["state"] == "OPERATION_STATE_RUNNING",
            "{operation}"
        );
        assert!(!failing.to_string().contains("secret"), "{failing}");
        store.close().await;
    }
}

#[tokio::test]
async fn a_browser_resumes_a_watch_with_the_id_of_the_last_event() {
    let world = World::start(Setup::dev(), None).await;
    let acme = world.tenant("acme").await;
    let pending = world.operation(json!({"tenant_id": acme, "cancellable": true})).await;
    let browser = world.server.admin().header("accept", "text/event-stream");
    let of = |fields: &[(String, String)], name: &str| {
        fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone()).unwrap()
    };
    let data = |fields: &[(String, String)]| serde_json::from_str::<Value>(&of(fields, "data")).unwrap();
    let mut events = browser.stream(&format!("{OPERATIONS}:watch")).await;
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    let current = events.event().await.unwrap();
    assert_eq!((brief(&data(&current)), of(&current, "id")), ("CURRENT PENDING".to_owned(), "0".to_owned()));
    let bookmark = events.event().await.unwrap();
    assert_eq!(brief(&data(&bookmark)), "BOOKMARK");
    drop(events);
    world.cancel(&pending).await;
    let resumed = browser.header("last-event-id", &of(&bookmark, "id"));
    let mut events = resumed.stream(&format!("{OPERATIONS}/{pending}:watch")).await;
    assert_eq!(brief(&data(&events.event().await.unwrap())), "CHANGED CANCELLED");
    assert_eq!(of(&events.event().await.unwrap(), "event"), "end");
    assert_eq!(events.event().await, None);
}

#[tokio::test]
async fn a_grpc_watch_of_one_operation_ends_without_an_error() {
    let world = World::start(Setup::dev(), None).await;
    let acme = world.tenant("acme").await;
    let pending = world.operation(json!({"tenant_id": acme, "cancellable": true})).await;
    let method = grpc::methods().into_iter().find(|method| method.name() == "WatchOperations").unwrap();
    let mut request = prost_reflect::DynamicMessage::new(method.input());
    request.set_field_by_name("operation_id", prost_reflect::Value::String(pending.clone()));
    let client = Grpc::new(world.server.address()).token(world.server.admin_token());
    let mut stream = client.open(&method, request).await.unwrap();
    let kind = |message: &prost_reflect::DynamicMessage| message.get_field_by_name("type").unwrap().as_enum_number();
    assert_eq!(kind(&stream.message().await.unwrap().unwrap()), Some(1));
    assert_eq!(kind(&stream.message().await.unwrap().unwrap()), Some(4));
    world.cancel(&pending).await;
    assert_eq!(kind(&stream.message().await.unwrap().unwrap()), Some(2));
    assert!(stream.message().await.unwrap().is_none());
}

#[tokio::test]
async fn a_revoked_token_ends_its_watch_of_operations() {
    let world = World::start(Setup::dev(), None).await;
    let token = world.server.setup().mint(&["--role", "platform_admin"]).await;
    let mut stream = world.server.http().token(&token).stream(&format!("{OPERATIONS}:watch")).await;
    assert_eq!(brief(&next(&mut stream).await), "BOOKMARK");
    let done = world.server.setup().run(&["token", "revoke", &token]).await;
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let last = until(&mut stream, |message| message.get("error").is_some()).await;
    assert_eq!(last["error"]["status"], "UNAUTHENTICATED");
    assert_eq!(stream.line().await, None);
}

#[tokio::test]
async fn an_operation_at_one_server_is_seen_at_another() {
    let url = postgres_unmigrated().await;
    let one = World::start(Setup::dev().database(&url), Some(url.clone())).await;
    let two = Setup::dev().database(&url).start().await;
    let acme = one.tenant("acme").await;
    let pending = one.operation(json!({"tenant_id": acme, "cancellable": true})).await;
    let mut stream = two.admin().stream(&format!("{OPERATIONS}/{pending}:watch")).await;
    assert_eq!(brief(&next(&mut stream).await), "CURRENT PENDING");
    one.cancel(&pending).await;
    let last = until(&mut stream, |message| brief(message) != "BOOKMARK").await;
    assert_eq!(brief(&last), "CHANGED CANCELLED");
    let shown = eventually("the state at the other server", async || {
        let shown = two.admin().get(&format!("{OPERATIONS}/{pending}")).await.json();
        (shown["state"] == "OPERATION_STATE_CANCELLED").then_some(shown)
    })
    .await;
    assert_eq!(shown, last["operation"]);
}

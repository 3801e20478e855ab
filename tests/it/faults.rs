//! Faults: malformed requests, and the loss of the server, the client or the database.

use crate::{
    db::postgres_unmigrated,
    harness::{
        eventually,
        line::Line,
        server::{Server, Setup},
    },
};

const INFO: &str = r#"{"allowedClusters":["standalone"]}"#;

#[tokio::test]
async fn a_body_that_is_not_json_is_refused_unparsed() {
    let server = Server::dev().await;
    let head =
        format!("PUT /admin/v2/tenants/a HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: {}", INFO.len());
    let answer = server.admin().raw(&head, INFO).await;
    assert!(answer.starts_with("HTTP/1.1 415 "), "{answer}");
    assert!(answer.ends_with(r#"{"reason":"the body must be JSON: send Content-Type: application/json"}"#), "{answer}");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let server = Setup::dev().env("TENANTRY_MAX_BODY_BYTES", "2048").start().await;
    let body = format!(r#"{{"allowedClusters":["{}"]}}"#, "x".repeat(3000));
    let answer = server.admin().put("/admin/v2/tenants/a", &body).await;
    assert_eq!(
        answer.shown(),
        "413\ncontent-type: application/json\n{\"reason\":\"the body is larger than 2048 bytes\"}\n"
    );
}

#[tokio::test]
async fn a_small_body_that_is_large_in_memory_is_refused() {
    let server = Server::dev().await;
    let body = format!(r#"{{"allowedClusters":[{}""]}}"#, r#""","#.repeat(20_000));
    let answer = server.admin().put("/admin/v2/tenants/a", &body).await;
    assert_eq!(
        answer.shown(),
        "400\ncontent-type: application/json\n{\"reason\":\"allowedClusters[10000]: more than 10000 items\"}\n"
    );
}

#[tokio::test]
async fn deep_nesting_is_refused_even_in_ignored_members() {
    let server = Server::dev().await;
    let deep = format!(r#"{{"allowedClusters":["standalone"],"x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let answer = server.admin().put("/admin/v2/tenants/a", &deep).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(answer.json()["reason"].is_string());
    assert_eq!(server.http().get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_malformed_message_is_refused_without_library_texts() {
    let server = Server::dev().await;
    // Invalid base64, and a frame whose message has an invalid wire type.
    for (kind, body) in [("grpc-web-text", "\0\0\0"), ("grpc-web+proto", "\0\0\0\0\x01\x07")] {
        let head = format!(
            "POST /tenantry.messaging.v2.BrokerService/CheckHealth HTTP/1.1\r\nContent-Type: application/{kind}\r\n\
             Content-Length: {}",
            body.len()
        );
        let answer = server.http().raw(&head, body).await.to_lowercase();
        assert!(answer.contains("grpc-status: 3\r\n") && answer.contains("malformed%20message"), "{answer}");
        assert!(!answer.contains("tonic") && !answer.contains("protobuf message"), "{answer}");
    }
}

#[tokio::test]
async fn incomplete_calls_do_not_block_others() {
    let server = Server::dev().await;
    let paths = ["/tenantry.messaging.v2.BrokerService/CheckHealth", "/grpc.health.v1.Health/Check"];
    let mut begun = Vec::new();
    for n in 0..10 {
        begun.push(half_open(&server, paths[n % 2], 240).await);
    }
    eventually("the server to see the calls", async || {
        let metrics = server.http().get("/metrics").await.body;
        let line = metrics.lines().find_map(|line| line.strip_prefix("tenantry_calls_in_flight "))?;
        (line.parse::<f64>().unwrap() > 2400.0).then_some(())
    })
    .await;
    let written = server.admin().put("/admin/v2/tenants/works", INFO).await;
    assert_eq!(written.status, 204, "{written:?}");
    assert_eq!(server.admin().h2().get("/admin/v2/tenants/works").await.status, 200);
    assert_eq!(server.http().get("/admin/v2/brokers/health").await.status, 200);
}

/// Starts gRPC calls on one connection and sends nothing of their bodies.
async fn half_open(server: &Server, path: &str, calls: usize) -> impl Sized {
    let stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut begun = Vec::new();
    for _ in 0..calls {
        client = client.ready().await.unwrap();
        let request = http::Request::post(format!("http://{}{path}", server.address()))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        begun.push(client.send_request(request.body(()).unwrap(), false).unwrap());
    }
    (client, begun)
}

#[tokio::test]
async fn a_client_that_disconnects_in_a_write_leaves_the_pool_usable() {
    for database in both().await {
        let server = database.setup().start().await;
        let admin = server.admin();
        // More clients than connections, each of which disconnects right after its request.
        for n in 0..100 {
            let mut begun = admin.begin(&format!("PUT /admin/v2/tenants/gone-{n} HTTP/1.1"), INFO.len()).await;
            begun.send(INFO).await;
        }
        for n in 0..30 {
            let answer = admin.put(&format!("/admin/v2/tenants/stays-{n}"), INFO).await;
            assert_eq!(answer.status, 204, "{answer:?}");
        }
    }
}

#[tokio::test]
async fn one_of_many_creates_of_a_name_wins() {
    for database in both().await {
        let server = database.setup().start().await;
        let mut creates = tokio::task::JoinSet::new();
        for n in 0..32 {
            let admin = server.admin();
            let name = if n % 2 == 0 { "same" } else { "Same" };
            creates.spawn(async move { admin.put(&format!("/admin/v2/tenants/{name}"), INFO).await });
        }
        let answers = creates.join_all().await;
        let won = answers.iter().filter(|answer| answer.status == 204).count();
        let lost = answers.iter().filter(|answer| answer.body == r#"{"reason":"Tenant already exist"}"#).count();
        assert_eq!((won, lost), (1, 31), "{answers:?}");
    }
}

#[tokio::test]
async fn a_database_outage_needs_no_restart() {
    let database = postgres_unmigrated().await;
    let line = Line::to(&database).await;
    let server = Setup::dev().database(line.url()).start().await;
    let admin = server.admin();
    assert_eq!(admin.put("/admin/v2/tenants/before", INFO).await.status, 204);

    line.cut();
    eventually("the server to see that the database is gone", async || {
        let ready = admin.get("/readyz").await;
        (ready.status == 503 && ready.body.contains("database")).then_some(())
    })
    .await;
    let ready = server.http().get("/ready").await;
    assert_eq!((ready.status, ready.json()["error"].as_str()), (503, Some("not_ready")), "{ready:?}");
    let read = admin.get("/admin/v2/tenants/before").await;
    assert_eq!((read.status, read.json()["reason"].is_string()), (503, true), "{read:?}");
    let write = admin.put("/admin/v2/tenants/during", INFO).await;
    assert_eq!(write.status, 503, "{write:?}");
    assert!(!write.body.contains("127.0.0.1") && !write.body.contains("sqlx"), "{write:?}");
    assert_eq!(admin.get("/healthz").await.status, 200);

    line.restore();
    eventually("the server to be ready again", async || (admin.get("/readyz").await.status == 200).then_some(())).await;
    assert_eq!(admin.get("/admin/v2/tenants/before").await.status, 200);
    assert_eq!(admin.put("/admin/v2/tenants/after", INFO).await.status, 204);
}

#[tokio::test]
async fn serve_does_not_start_on_development_defaults() {
    let output = Setup::dev().run(&["serve", "--listen", "127.0.0.1:0"]).await;
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("TENANTRY_DATABASE_URL") && said.contains("TENANTRY_JWT_KEY"), "{said}");
}

/// The database of a test.
enum Data {
    Sqlite,
    Postgres(String),
}

impl Data {
    fn setup(&self) -> Setup {
        match self {
            Self::Sqlite => Setup::dev(),
            Self::Postgres(database) => Setup::dev().database(database),
        }
    }
}

async fn both() -> [Data; 2] {
    [Data::Sqlite, Data::Postgres(postgres_unmigrated().await)]
}

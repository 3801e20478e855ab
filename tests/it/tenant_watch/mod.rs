//! The watch of tenants as clients see it: lines, events and gRPC, across a restart, and from another server.

mod ends;

use std::{collections::BTreeMap, fs};

use futures::future::join_all;
use prost_reflect::{DynamicMessage, Value as Field};
use reqwest::Method;
use serde_json::{Value, json};
use tenantry::{
    base::TenantScope,
    store::{Store, StoreConfig},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::{
    db::postgres_unmigrated,
    harness::{
        PATIENCE, grpc,
        http::Http,
        server::{Server, Setup},
        stream::Stream,
    },
};

const WATCH: &str = "/registry/v1/tenants:watch";

async fn servers() -> [Server; 2] {
    [Setup::dev().start().await, Setup::dev().database(postgres_unmigrated().await).start().await]
}

async fn create(admin: &Http, name: &str) {
    let body = json!({"name": name, "slug": name}).to_string();
    let made = admin.call(Method::POST, "/api/control-plane/tenants", Some(&body)).await;
    assert_eq!(made.status, 201, "{made:?}");
}

async fn lifecycle(admin: &Http, body: Value) -> Value {
    let done = admin.call(Method::POST, "/v1/admin/tenants/lifecycle", Some(&body.to_string())).await;
    assert_eq!(done.status, 200, "{done:?}");
    done.json()
}

async fn update(admin: &Http, name: &str, display_name: &str) {
    lifecycle(admin, json!({"action": "update", "tenant_id": name, "name": display_name})).await;
}

async fn watch(http: &Http, revision: &str) -> Stream {
    let stream = http.stream(&format!("{WATCH}?revision={revision}")).await;
    assert_eq!(stream.status(), 200);
    stream
}

/// The type of a message without its prefix, and the name and version of its tenant.
fn brief(message: &Value) -> String {
    let kind = message["type"].as_str().unwrap_or_else(|| panic!("{message}")).trim_start_matches("EVENT_TYPE_");
    let tenant = &message["tenant"];
    match kind {
        "BOOKMARK" => kind.to_owned(),
        "DELETED" => format!("{kind} {}", tenant["id"].as_str().unwrap().len()),
        _ => format!("{kind} {} {}", tenant["name"].as_str().unwrap(), tenant["version"].as_str().unwrap()),
    }
}

/// Reads up to and including the next bookmark, and returns its revision.
async fn until_bookmark(stream: &mut Stream) -> String {
    loop {
        let message = stream.json().await.expect("an open stream");
        if brief(&message) == "BOOKMARK" {
            return message["revision"].as_str().unwrap().to_owned();
        }
    }
}

#[tokio::test]
async fn lines_have_the_current_states_and_then_changes() {
    for server in servers().await {
        let admin = server.admin();
        create(&admin, "acme").await;
        let mut stream = watch(&admin, "0").await;
        assert_eq!(stream.headers()["content-type"], "application/x-ndjson");
        let current = stream.json().await.unwrap();
        assert_eq!((brief(&current), &current["revision"]), ("CURRENT acme 1".to_owned(), &json!("0")));
        assert_eq!(current["tenant"], admin.get("/registry/v1/tenants/acme").await.json());
        let from = until_bookmark(&mut stream).await;
        create(&admin, "beta").await;
        update(&admin, "acme", "Acme Inc").await;
        let mut told: Vec<serde_json::Value> = Vec::new();
        let mut until = async |count| {
            while told.len() < count {
                let message = stream.json().await.expect("an open stream");
                // PostgreSQL's relay may number the creation after the first bookmark, and a state may come again.
                told.retain(|earlier| brief(earlier) != brief(&message));
                told.extend(Some(message).filter(|message| brief(message) != "CHANGED acme 1"));
            }
        };
        until(2).await;
        lifecycle(&admin, json!({"action": "delete", "tenant_id": "beta", "confirm_slug": "beta", "purge": true}))
            .await;
        until(3).await;
        told.sort_by_key(|message| message["revision"].as_str().unwrap().parse::<i64>().unwrap());
        assert_eq!(told.iter().map(brief).collect::<Vec<_>>(), ["CHANGED beta 1", "CHANGED acme 2", "DELETED 36"]);
        let revisions: Vec<i64> =
            told.iter().map(|message| message["revision"].as_str().unwrap().parse().unwrap()).collect();
        assert!(
            revisions.is_sorted_by(|a, b| a < b) && revisions[0] > from.parse().unwrap(),
            "{revisions:?} after {from}"
        );
    }
}

#[tokio::test]
async fn a_browser_resumes_with_the_id_of_the_last_event() {
    let server = Server::dev().await;
    let admin = server.admin().header("accept", "text/event-stream");
    create(&admin, "acme").await;
    let mut events = admin.stream(WATCH).await;
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    let message = |fields: &[(String, String)]| {
        let of = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone());
        let data: Value = serde_json::from_str(&of("data").unwrap()).unwrap();
        assert_eq!(of("id").as_deref(), data["revision"].as_str());
        (brief(&data), of("id").unwrap())
    };
    assert_eq!(message(&events.event().await.unwrap()), ("CURRENT acme 1".to_owned(), "0".to_owned()));
    let (kind, id) = message(&events.event().await.unwrap());
    assert_eq!(kind, "BOOKMARK");
    drop(events);
    update(&admin, "acme", "Acme Inc").await;
    // The URL is the original one; the header overrides its revision.
    let mut events = admin.header("last-event-id", &id).stream(&format!("{WATCH}?revision=0")).await;
    assert_eq!(message(&events.event().await.unwrap()).0, "CHANGED acme 2");
    assert_eq!(message(&events.event().await.unwrap()).0, "BOOKMARK");
}

#[tokio::test]
async fn a_grpc_stream_has_the_same_messages() {
    let server = Server::dev().await;
    let admin = server.admin();
    create(&admin, "acme").await;
    let methods = grpc::methods();
    let method = methods.iter().find(|method| method.name() == "WatchTenants").unwrap();
    let client = grpc::Grpc::new(server.address()).token(server.admin_token());
    let mut stream = client.open(method, DynamicMessage::new(method.input())).await.unwrap();
    let mut next = async || timeout(PATIENCE, stream.message()).await.unwrap().unwrap().unwrap();
    let kind = |message: &DynamicMessage| message.get_field_by_name("type").unwrap().as_enum_number().unwrap();
    let current = next().await;
    assert_eq!((kind(&current), kind(&next().await)), (1, 4));
    update(&admin, "acme", "Acme Inc").await;
    let changed = next().await;
    let tenant = changed.get_field_by_name("tenant").unwrap();
    let tenant = tenant.as_message().unwrap();
    assert_eq!((kind(&changed), tenant.get_field_by_name("version").unwrap().as_i64()), (2, Some(2)));
    let mut future = DynamicMessage::new(method.input());
    future.set_field_by_name("revision", Field::I64(1_000_000));
    let status = match client.open(method, future).await {
        Err(status) => status,
        Ok(mut stream) => stream.message().await.unwrap_err(),
    };
    assert_eq!(status.code(), tonic::Code::OutOfRange);
}

#[tokio::test]
async fn unknown_and_invalid_revisions_are_refused() {
    let server = Server::dev().await;
    for (revision, expected) in [("1000000", (410, "REVISION_UNKNOWN")), ("-1", (400, "INVALID_ARGUMENT"))] {
        let answer = server.admin().get(&format!("{WATCH}?revision={revision}")).await;
        let error = &answer.json()["error"];
        let reason = error["details"][0]["reason"].as_str().unwrap().to_owned();
        assert_eq!((answer.status, reason.as_str()), expected, "{error}");
    }
}

#[tokio::test]
async fn a_watch_resumes_after_the_server_was_killed() {
    for setup in [Setup::dev(), Setup::dev().database(postgres_unmigrated().await)] {
        let mut server = setup.start().await;
        for name in ["acme", "beta", "gamma"] {
            create(&server.admin(), name).await;
        }
        let mut stream = watch(&server.admin(), "0").await;
        let mut last: i64 = until_bookmark(&mut stream).await.parse().unwrap();
        let mut versions = BTreeMap::new();
        // Some changes are seen before the crash, some are not.
        for number in 0..10 {
            update(&server.admin(), "acme", &format!("Acme {number}")).await;
        }
        note(&stream.json().await.unwrap(), &mut last, &mut versions);
        for number in 0..10 {
            update(&server.admin(), "beta", &format!("Beta {number}")).await;
        }
        server.kill().await;
        while let Some(line) = stream.line().await {
            // The last line may be truncated.
            let Ok(message) = serde_json::from_str(&line) else { break };
            note(&message, &mut last, &mut versions);
        }
        let server = setup.start().await;
        update(&server.admin(), "gamma", "Gamma Inc").await;
        let mut stream = watch(&server.admin(), &last.to_string()).await;
        loop {
            let message = stream.json().await.unwrap();
            if brief(&message) == "BOOKMARK" {
                break;
            }
            note(&message, &mut last, &mut versions);
        }
        // PostgreSQL's relay may number the newest change after the bookmark.
        while versions.get("gamma") != Some(&2) {
            note(&stream.json().await.unwrap(), &mut last, &mut versions);
        }
        let expected = [("acme", 11), ("beta", 11), ("gamma", 2)].map(|(name, version)| (name.to_owned(), version));
        assert_eq!(versions, BTreeMap::from(expected));
    }
}

/// Checks a change: revisions increase, and no state is older than an earlier one.
fn note(message: &Value, last: &mut i64, versions: &mut BTreeMap<String, i64>) {
    if brief(message) == "BOOKMARK" {
        return;
    }
    assert_eq!(message["type"], "EVENT_TYPE_CHANGED");
    let revision = message["revision"].as_str().unwrap().parse().unwrap();
    assert!(revision > *last, "{revision} after {last}");
    *last = revision;
    let tenant = &message["tenant"];
    let version = tenant["version"].as_str().unwrap().parse().unwrap();
    let before = versions.insert(tenant["name"].as_str().unwrap().to_owned(), version);
    assert!(before.is_none_or(|before| before <= version), "{message}");
}

#[tokio::test]
async fn a_change_at_one_server_is_seen_at_another() {
    let url = postgres_unmigrated().await;
    let one = Setup::dev().database(&url).start().await;
    let two = Setup::dev().database(&url).start().await;
    create(&one.admin(), "acme").await;
    let mut streams = [watch(&one.admin(), "0").await, watch(&two.admin(), "0").await];
    for stream in &mut streams {
        until_bookmark(stream).await;
    }
    update(&two.admin(), "acme", "Acme Inc").await;
    let mut revisions = Vec::new();
    for stream in &mut streams {
        loop {
            let message = stream.json().await.unwrap();
            // The creation may have been numbered after the first bookmark.
            if brief(&message) == "CHANGED acme 2" {
                revisions.push(message["revision"].as_str().unwrap().to_owned());
                break;
            }
        }
    }
    // A client may resume at the other server.
    let mut stream = watch(&one.admin(), &revisions[1]).await;
    // The state may have been sent with the revision of the creation; then it is sent again.
    while brief(&stream.json().await.unwrap()) != "BOOKMARK" {}
}

/// The resident memory of a server, in bytes.
fn resident(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_reader_holds_no_more_than_64_kib_and_then_gets_the_newest_state() {
    const READERS: usize = 128;
    let server = Server::dev().await;
    let admin = server.admin();
    for number in 0..50 {
        create(&admin, &format!("tenant-{number}")).await;
    }
    let store =
        Store::open(StoreConfig::new(format!("sqlite:{}", server.setup().data_dir().join("tenantry.db").display())))
            .await
            .unwrap();
    let scopes = crate::streams::scopes(&store).await;
    // The memory that the changes need with a stream that reads.
    let before = changed(&server, &store, &scopes, 201).await;
    let mut stalled = join_all((0..READERS).map(|_| stalled(&server))).await;
    let after = changed(&server, &store, &scopes, 401).await;
    let each = after.saturating_sub(before) / READERS as u64;
    assert!(each <= 64 * 1024, "{each} bytes for each stalled reader");
    let expected = BTreeMap::from_iter((0..50).map(|number| (format!("tenant-{number}"), 401)));
    for stream in stalled.iter_mut().take(3) {
        assert_eq!(newest_versions(&server, stream).await, expected);
    }
    store.close().await;
}

/// Makes 10,000 changes until all 50 tenants have a version, and returns the memory of the server when a stream has them.
async fn changed(server: &Server, store: &Store, scopes: &[TenantScope], version: i64) -> u64 {
    let mut reader = watch(&server.admin(), "0").await;
    until_bookmark(&mut reader).await;
    let reading = async {
        let mut versions = BTreeMap::new();
        while versions.len() < 50 || versions.values().any(|known| *known < version) {
            take(&reader.json().await.unwrap(), &mut versions);
        }
    };
    tokio::join!(crate::streams::change_all(store, scopes.to_vec(), 10_000), reading);
    resident(server)
}

/// Records the version of a tenant.
fn take(message: &Value, versions: &mut BTreeMap<String, i64>) {
    let tenant = &message["tenant"];
    if let Some(name) = tenant["name"].as_str() {
        versions.insert(name.to_owned(), tenant["version"].as_str().unwrap().parse().unwrap());
    }
}

/// A watch over a connection with small buffers, from which nothing is read.
async fn stalled(server: &Server) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(server.address()).await.unwrap();
    let head = format!(
        "GET {WATCH} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\r\n",
        server.address(),
        server.admin_token()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.peek(&mut [0]).await.unwrap();
    stream
}

/// Reads a stalled stream until every tenant has its newest version, and checks that revisions increase. A server disconnects a peer
/// that does not read for too long; then the client resumes.
async fn newest_versions(server: &Server, stream: &mut TcpStream) -> BTreeMap<String, i64> {
    let (mut versions, mut read, mut last) = (BTreeMap::new(), Vec::new(), 0);
    let mut buffer = vec![0; 65_536];
    let is_done =
        |versions: &BTreeMap<String, i64>| versions.len() == 50 && versions.values().all(|known| *known == 401);
    while !is_done(&versions) {
        let length = timeout(PATIENCE, stream.read(&mut buffer)).await.expect("an open stream").unwrap_or(0);
        if length == 0 {
            let mut resumed = watch(&server.admin(), &last.to_string()).await;
            while !is_done(&versions) {
                take(&resumed.json().await.unwrap(), &mut versions);
            }
            break;
        }
        read.extend_from_slice(&buffer[..length]);
        while let Some(end) = read.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = read.drain(..=end).collect();
            // The head and the chunk sizes are not messages.
            let Ok(message @ Value::Object(_)) = serde_json::from_slice::<Value>(&line) else { continue };
            take(&message, &mut versions);
            let revision: i64 = message["revision"].as_str().unwrap().parse().unwrap();
            assert!(message["type"] != "EVENT_TYPE_CHANGED" || revision > last, "{revision} after {last}");
            last = last.max(revision);
        }
    }
    versions
}

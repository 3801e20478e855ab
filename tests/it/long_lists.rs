//! Lists longer than a page, over the wire: complete and in order whatever is written concurrently, read no
//! faster than the client takes them, and aborted if they cannot be completed.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use http::Version;
use prost::Message as _;
use reqwest::{Client, Method, Response};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use serde_json::Value;
use tenantry::{
    base::{names, text},
    proto::messaging::v2::ListTenantsResponse,
    store::{columns::TenantStatus, tables::tenants},
};

use crate::{
    db,
    harness::{
        PATIENCE, eventually,
        http::Http,
        server::{Server, Setup},
        wire::Wire,
    },
    long_list_queries::{fill, present},
};

const INFO: &str = r#"{"allowedClusters":["standalone"]}"#;

/// A list of tenants that clients get without pagination.
struct List {
    path: &'static str,
    /// The items of a response.
    items: fn(&Value) -> &Value,
    /// The name in an item.
    name: fn(&Value) -> &Value,
    /// The sort key.
    key: fn(&tenants::Model) -> (String, String),
    newest_first: bool,
}

const LISTS: &[List] = &[
    List {
        path: "/admin/v2/tenants",
        items: |answer| answer,
        name: |item| item,
        key: |row| (row.name.clone(), String::new()),
        newest_first: false,
    },
    List {
        path: "/v1/tenants",
        items: |answer| answer,
        name: |item| &item["name"],
        key: |row| (row.id.to_string(), String::new()),
        newest_first: true,
    },
    List {
        path: "/api/tenant/list",
        items: |answer| &answer["tenants"],
        name: |item| &item["name"],
        key: |row| (text::fold(&row.display_name), names::fold(&row.name)),
        newest_first: false,
    },
    List {
        path: "/api/control-plane/tenants?status=active",
        items: |answer| &answer["tenants"],
        name: |item| &item["slug"],
        key: |row| (row.id.to_string(), String::new()),
        newest_first: false,
    },
];

impl List {
    /// The names in a response.
    fn listed(&self, answer: &Value) -> Vec<String> {
        let items = (self.items)(answer).as_array().unwrap();
        items.iter().map(|item| (self.name)(item).as_str().unwrap().to_owned()).collect()
    }

    /// The names that it should contain for these tenants.
    fn expected(&self, mut rows: Vec<tenants::Model>) -> Vec<String> {
        rows.retain(|row| !self.path.ends_with("=active") || row.status == TenantStatus::Active);
        rows.sort_by_cached_key(self.key);
        if self.newest_first {
            rows.reverse();
        }
        rows.into_iter().map(|row| row.name).collect()
    }
}

/// A server on a fresh database of each kind, and a separate connection to the database.
async fn both(setup: impl Fn() -> Setup) -> Vec<(Server, DatabaseConnection)> {
    let sqlite = setup().start().await;
    let url = format!("sqlite:{}", sqlite.setup().data_dir().join("tenantry.db").display());
    let beside = Database::connect(url).await.unwrap();
    let url = db::postgres_unmigrated().await;
    let postgres = setup().database(&url).start().await;
    vec![(sqlite, beside), (postgres, Database::connect(url).await.unwrap())]
}

#[tokio::test]
async fn every_list_is_complete_and_ordered_under_concurrent_changes() {
    for (server, beside) in both(Setup::dev).await {
        fill(&beside, 3500, 0).await;
        let (stay, admin) = (present(&beside).await, server.admin());
        let (going_on, made) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU32::new(0)));
        let mut others = tokio::task::JoinSet::new();
        for client in 0..3 {
            others.spawn(create_and_delete(server.admin(), client, going_on.clone(), made.clone()));
        }
        for list in LISTS {
            let before = made.load(Ordering::Relaxed);
            let answer = admin.get(list.path).await;
            let mut listed = list.listed(&answer.json());
            // Every tenant exactly once.
            assert_eq!(listed.iter().collect::<BTreeSet<_>>().len(), listed.len(), "{}", list.path);
            if let Some(total) = answer.json()["total"].as_u64() {
                assert_eq!(total, listed.len() as u64);
            }
            listed.retain(|name| !name.starts_with("come-"));
            assert!(listed == list.expected(stay.clone()), "{}: {} tenants", list.path, listed.len());
            let has_changed = async || (made.load(Ordering::Relaxed) > before).then_some(());
            eventually("tenants to come and go", has_changed).await;
        }
        going_on.store(false, Ordering::Relaxed);
        others.join_all().await;
        let paged = list_by_pages(&admin).await;
        for list in LISTS.iter().take(3) {
            let listed = list.listed(&admin.get(list.path).await.json());
            assert!(listed.into_iter().collect::<BTreeSet<_>>() == paged, "{}", list.path);
        }
    }
}

/// Creates and deletes tenants, one after the other.
async fn create_and_delete(admin: Http, client: u32, going_on: Arc<AtomicBool>, made: Arc<AtomicU32>) {
    while going_on.load(Ordering::Relaxed) {
        // Anywhere in the order of names.
        let path = format!("/admin/v2/tenants/come-{client}-{}", made.fetch_add(1, Ordering::Relaxed));
        assert_eq!(admin.put(&path, INFO).await.status, 204);
        assert_eq!(admin.call(Method::DELETE, &path, None).await.status, 204);
    }
}

/// The names of all tenants, by the one list that has pagination for clients.
async fn list_by_pages(admin: &Http) -> BTreeSet<String> {
    let (mut found, mut cursor) = (BTreeSet::new(), String::new());
    loop {
        let page = admin.get(&format!("/v1/admin/tenants?limit=500&cursor={cursor}")).await.json();
        let there = page["tenants"].as_array().unwrap().iter().filter(|tenant| tenant["status"] != "deleted");
        found.extend(there.map(|tenant| tenant["slug"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return found,
        }
    }
}

#[tokio::test]
async fn long_lists_have_the_same_items_as_short_ones() {
    for (server, beside) in both(Setup::dev).await {
        fill(&beside, 2500, 0).await;
        let admin = server.admin();
        let answer = admin.get("/api/tenant/list").await;
        assert!(!answer.body.contains("sealed") && answer.header("content-length").is_none());
        for item in answer.json()["tenants"].as_array().unwrap() {
            let sealed = item["authConfig"].get("clientSecret");
            assert_eq!(sealed.map(|secret| secret == "***"), (item["authProvider"] == "keycloak").then_some(true));
        }
        let head = admin.call(Method::HEAD, "/admin/v2/tenants", None).await;
        assert_eq!((head.status, head.header("content-type")), (200, Some("application/json")));
        // A user of one of its tenants sees that tenant.
        let own = present(&beside).await.remove(7);
        let token = server.setup().mint(&["--role", "admin", "--tenant", &own.name]).await;
        let listed = server.http().token(&token).get("/api/tenant/list").await.json();
        assert_eq!(LISTS[2].listed(&listed), [own.name]);
        for path in ["/admin/v2/tenants", "/v1/tenants", "/api/control-plane/tenants"] {
            assert_eq!(server.http().token(&token).get(path).await.status, 403, "{path}");
        }
    }
}

/// Requests a list, and reads only the head of the response.
async fn ask(server: &Server, path: &str, http2: bool) -> Response {
    let client = Client::builder().no_proxy();
    let client = match http2 {
        true => client.http2_prior_knowledge().http2_initial_stream_window_size(65_535),
        false => client.http1_only(),
    };
    let request = client.build().unwrap().get(format!("http://{}{path}", server.address()));
    let answer = request.bearer_auth(server.admin_token()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer
}

/// Reads the rest of a response, and whether it was complete.
async fn read(mut answer: Response) -> (String, bool) {
    let mut listed = Vec::new();
    let whole = loop {
        match tokio::time::timeout(PATIENCE, answer.chunk()).await.expect("the end of the response or an abort") {
            Ok(Some(chunk)) => listed.extend_from_slice(&chunk),
            Ok(None) => break true,
            Err(_) => break false,
        }
    };
    (String::from_utf8_lossy(&listed).into_owned(), whole)
}

/// The number of tenants in a response of the warehouse's list.
fn count_tenants(listed: &str) -> usize {
    listed.matches("\"displayName\"").count()
}

#[tokio::test]
async fn no_pages_are_read_ahead_of_the_client() {
    for (server, beside) in both(Setup::dev).await {
        for http2 in [false, true] {
            // Forty pages of half a mebibyte. The system's buffers may hold a few.
            fill(&beside, 40_000, 400).await;
            let answer = ask(&server, "/api/tenant/list", http2).await;
            // Gives a server that reads ahead the time to do so.
            tokio::time::sleep(Duration::from_secs(1)).await;
            beside.execute_unprepared("DELETE FROM tenants").await.unwrap();
            let (listed, whole) = read(answer).await;
            assert!(whole && listed.ends_with("]}"));
            assert!(
                (1..20_000).contains(&count_tenants(&listed)),
                "{} tenants were read before they were gone",
                count_tenants(&listed)
            );
        }
    }
}

#[tokio::test]
async fn a_list_that_cannot_be_completed_is_aborted() {
    for (server, beside) in both(Setup::dev).await {
        fill(&beside, 20_000, 400).await;
        for http2 in [false, true] {
            let answer = ask(&server, "/api/tenant/list", http2).await;
            beside.execute_unprepared("ALTER TABLE tenants RENAME TO tenants_that_were").await.unwrap();
            let (listed, whole) = read(answer).await;
            assert!(!whole && count_tenants(&listed) > 0 && !listed.ends_with("]}"), "http2: {http2}");
            // An immediate failure gets a normal error response.
            assert_eq!(server.admin().get("/api/tenant/list").await.status, 500);
            beside.execute_unprepared("ALTER TABLE tenants_that_were RENAME TO tenants").await.unwrap();
        }
        let logged = async || {
            let log = server.log();
            let ended =
                |line: &&str| line.contains("warehouse.v1.TenantService/ListTenants") && line.contains("UNKNOWN");
            (log.contains("a list was not finished") && log.lines().filter(ended).count() == 2).then_some(())
        };
        eventually("the log to tell of it", logged).await;
    }
}

#[tokio::test]
async fn the_timeout_of_a_list_ends_with_its_first_page() {
    for (server, beside) in both(|| Setup::dev().env("TENANTRY_REQUEST_TIMEOUT", "1s")).await {
        fill(&beside, 20_000, 400).await;
        let answer = ask(&server, "/api/tenant/list", false).await;
        tokio::time::sleep(Duration::from_millis(2500)).await;
        let (listed, whole) = read(answer).await;
        assert!(whole && count_tenants(&listed) == present(&beside).await.len(), "{}", count_tenants(&listed));
    }
}

#[tokio::test]
async fn over_grpc_a_list_is_one_message_or_refused() {
    for (server, beside) in both(Setup::dev).await {
        let call = Wire::new(server.address(), "tenantry.messaging.v2.TenantService/ListTenants");
        let call = call.token(&server.admin_token());
        let web = call.clone().header("content-type", "application/grpc-web+proto").over(Version::HTTP_11);
        fill(&beside, 2500, 0).await;
        for call in [&call, &web] {
            let reply = call.send().await;
            let [(_, message)] = &reply.messages()[..] else { panic!("{:?} {}", reply.grpc(), reply.message()) };
            let listed = ListTenantsResponse::decode(message.clone()).unwrap().tenants;
            assert!(listed == LISTS[0].expected(present(&beside).await));
        }
        let long = format!("UPDATE tenants SET name = name || '{}'", "x".repeat(200));
        fill(&beside, 30_000, 0).await;
        beside.execute_unprepared(&long).await.unwrap();
        for call in [&call, &web] {
            let reply = call.send().await;
            assert_eq!((reply.grpc(), &*reply.reason()), (Some(8), "tenantry/LIST_TOO_LONG"));
            assert_eq!(reply.message(), "the list is too long for one gRPC message; request it over REST");
            assert!(reply.messages().is_empty());
        }
        let listed = server.admin().get("/admin/v2/tenants").await;
        assert!(LISTS[0].listed(&listed.json()) == LISTS[0].expected(present(&beside).await));
    }
}

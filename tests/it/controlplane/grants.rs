//! What a grant gives to a person who logs in, and how soon it ends, on both databases and on servers with wrong clocks.

use std::time::{Duration, Instant};

use reqwest::Method;
use sea_orm::{Database, EntityTrait, QueryOrder};
use serde_json::{Value, json};
use tenantry::store::tables::audit_events;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    db::postgres_unmigrated,
    harness::{
        eventually,
        http::Http,
        server::{Server, Setup},
        skew::skewed,
    },
};

const PASSWORD: &str = "correct horse battery";
/// By how many seconds the clocks of servers are wrong.
const OFF: i64 = 600;
/// The second in which an end takes effect everywhere, and a part for a busy machine.
const SOON: Duration = Duration::from_secs(5);

/// Servers of one database that accept the tokens of each other. The clock of each is wrong by a number of seconds.
async fn servers(setup: Setup, off: &[i64]) -> Vec<Server> {
    let mut servers: Vec<Server> = Vec::new();
    for off in off {
        let mut own = if servers.is_empty() { setup.clone() } else { setup.elsewhere() };
        if let Some(first) = servers.first() {
            let key = first.setup().data_dir().join("jwt.pem");
            own = own.env("TENANTRY_JWT_KEY", key.to_str().unwrap());
        }
        if *off != 0 {
            own = skewed(own, *off).await;
        }
        servers.push(own.start().await);
    }
    servers
}

/// A server on each database; on PostgreSQL, several.
async fn worlds(off: &[i64]) -> [Vec<Server>; 2] {
    let url = postgres_unmigrated().await;
    [servers(Setup::dev(), &off[..1]).await, servers(Setup::dev().database(url), off).await]
}

async fn post(server: &Server, path: &str, body: Value) -> Value {
    let path = format!("/api/control-plane{path}");
    let answer = server.admin().call(Method::POST, &path, Some(&body.to_string())).await;
    assert_eq!(answer.status, 201, "{body}: {answer:?}");
    answer.json()
}

/// Creates a user, and returns its id.
async fn user(server: &Server, email: &str) -> Value {
    post(server, "/users", json!({"email": email})).await["id"].clone()
}

/// Creates tenants.
async fn tenants(server: &Server, names: &[&str]) {
    for name in names {
        post(server, "/tenants", json!({"name": name, "slug": name})).await;
    }
}

/// Sets the password of a user, and returns what the command printed.
async fn set_password(server: &Server, email: &str) -> String {
    std::fs::write(server.setup().home().join("password"), PASSWORD).unwrap();
    let output = server.setup().run(&["users", "set-password", email, "--password-file", "password"]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

async fn try_login(server: &Server, userid: &str) -> (u16, Value) {
    let body = json!({"userid": userid, "password": PASSWORD}).to_string();
    let answer = server.http().call(Method::POST, "/api/login", Some(&body)).await;
    (answer.status, answer.json())
}

async fn login(server: &Server, userid: &str) -> String {
    let (status, answer) = try_login(server, userid).await;
    assert_eq!(status, 200, "{answer}");
    answer["Authorization"].as_str().unwrap().to_owned()
}

async fn switch(http: &Http, to: &str) -> (u16, Value) {
    let body = json!({"tenant_id": to}).to_string();
    let answer = http.call(Method::POST, "/api/auth/switch-account", Some(&body)).await;
    (answer.status, answer.json())
}

/// The status of a call for administrators of a tenant.
async fn reads(http: &Http, tenant: &str) -> u16 {
    http.get(&format!("/api/control-plane/tenants/{tenant}")).await.status
}

fn rfc3339(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap()
}

/// Waits until all clients are refused as unauthenticated. Returns when.
async fn refused(clients: &[Http], tenant: &str) -> OffsetDateTime {
    eventually("the end of the sessions", async || {
        for client in clients {
            if reads(client, tenant).await != 401 {
                return None;
            }
        }
        Some(())
    })
    .await;
    OffsetDateTime::now_utc()
}

#[tokio::test]
async fn a_user_with_a_grant_logs_in_with_its_role_until_the_grant_is_deleted() {
    for servers in worlds(&[0, 0]).await {
        let server = &servers[0];
        tenants(server, &["acme", "beta"]).await;
        let bob = user(server, "Bob@Example.com").await;
        assert_eq!(try_login(server, "bob@example.com").await.0, 401, "a user has no password at first");
        assert_eq!(
            set_password(server, "bob@example.com").await,
            "created the account of bob@example.com and set its password"
        );
        let grant = post(server, "/grants", json!({"user_id": bob, "tenant_id": "acme", "role": "admin"})).await;
        let token = login(server, "BOB@example.com").await;
        let everywhere: Vec<_> = servers.iter().map(|server| server.http().token(&token)).collect();
        for http in &everywhere {
            assert_eq!((reads(http, "acme").await, reads(http, "beta").await), (200, 403));
        }
        assert_eq!(
            set_password(server, "bob@example.com").await,
            "set the password of bob@example.com and revoked its tokens",
            "the account exists now"
        );
        refused(&everywhere, "acme").await;

        let token = login(server, "bob@example.com").await;
        let everywhere: Vec<_> = servers.iter().map(|server| server.http().token(&token)).collect();
        for http in &everywhere {
            assert_eq!(reads(http, "acme").await, 200);
        }
        let path = format!("/api/control-plane/grants/{}", grant["id"].as_str().unwrap());
        assert_eq!(server.admin().call(Method::DELETE, &path, None).await.status, 204);
        let begun = Instant::now();
        refused(&everywhere, "acme").await;
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
        let after = server.http().token(login(server, "bob@example.com").await);
        assert_eq!(reads(&after, "acme").await, 403);
    }
}

#[tokio::test]
async fn a_user_whose_address_cannot_be_a_name_logs_in_by_it() {
    let server = Server::dev().await;
    tenants(&server, &["acme"]).await;
    let user = user(&server, "o'brien@example.com").await;
    set_password(&server, "o'brien@example.com").await;
    post(&server, "/grants", json!({"user_id": user, "tenant_id": "acme", "role": "admin"})).await;
    let http = server.http().token(login(&server, "O'Brien@example.com").await);
    assert_eq!(reads(&http, "acme").await, 200);
    std::fs::write(server.setup().home().join("password"), PASSWORD).unwrap();
    let unknown = ["users", "set-password", "eve@example.com", "--password-file", "password"];
    let output = server.setup().run(&unknown).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("account not found"), "{output:?}");
}

#[tokio::test]
async fn sessions_end_with_their_grant_on_every_server_whatever_its_clock() {
    // A token of one server is for the future of the others, so each has sessions of its own.
    for servers in worlds(&[0, -OFF, OFF]).await {
        let first = &servers[0];
        tenants(first, &["acme", "beta"]).await;
        let bob = user(first, "bob@example.com").await;
        set_password(first, "bob@example.com").await;
        let end = OffsetDateTime::now_utc() + Duration::from_secs(15);
        let end = end.replace_nanosecond(0).unwrap();
        let zoned = end.to_offset(time::UtcOffset::from_hms(5, 30, 0).unwrap());
        let grant = json!({"user_id": bob, "tenant_id": "acme", "role": "admin", "expires_at": rfc3339(zoned)});
        post(first, "/grants", grant).await;
        post(first, "/grants", json!({"user_id": bob, "tenant_id": "beta", "role": "admin"})).await;
        let (mut in_acme, mut from_acme, mut in_beta) = (Vec::new(), Vec::new(), Vec::new());
        for server in &servers {
            let start = async || server.http().token(login(server, "bob@example.com").await);
            let go = async |http: &Http, to: &str| {
                let (status, answer) = switch(http, to).await;
                assert_eq!(status, 200, "{answer}");
                server.http().token(answer["Authorization"].as_str().unwrap())
            };
            in_acme.push(go(&start().await, "acme").await);
            // A login starts where the last switch led.
            let started = start().await;
            from_acme.push(go(&started, "beta").await);
            in_acme.push(started);
            in_beta.push(start().await);
        }
        let until = end - Duration::from_millis(1500);
        while OffsetDateTime::now_utc() < until {
            for http in &in_acme {
                let status = reads(http, "acme").await;
                assert!(status == 200 || OffsetDateTime::now_utc() >= until, "{status} before the end of the grant");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let ended = refused(&in_acme, "acme").await;
        assert!(ended - end < SOON, "{}", ended - end);
        // A session that came from one in the tenant ends with it.
        refused(&from_acme, "beta").await;
        for (server, http) in servers.iter().zip(&in_beta) {
            assert_eq!(reads(http, "beta").await, 200, "the session under another grant must not end");
            let again = server.http().token(login(server, "bob@example.com").await);
            assert_eq!((reads(&again, "beta").await, reads(&again, "acme").await), (200, 403));
            assert_eq!(switch(&again, "acme").await.0, 403);
        }
    }
}

#[tokio::test]
async fn a_token_of_one_server_ends_with_its_grant_at_the_others() {
    let servers = servers(Setup::dev().database(postgres_unmigrated().await), &[0, 0, 0]).await;
    tenants(&servers[0], &["acme"]).await;
    let bob = user(&servers[0], "bob@example.com").await;
    set_password(&servers[0], "bob@example.com").await;
    let end = (OffsetDateTime::now_utc() + Duration::from_secs(8)).replace_nanosecond(0).unwrap();
    let grant = json!({"user_id": bob, "tenant_id": "acme", "role": "admin", "expires_at": rfc3339(end)});
    post(&servers[0], "/grants", grant).await;
    let token = login(&servers[1], "bob@example.com").await;
    let everywhere: Vec<_> = servers.iter().map(|server| server.http().token(&token)).collect();
    for http in &everywhere {
        let status = reads(http, "acme").await;
        assert!(status == 200 || OffsetDateTime::now_utc() > end - Duration::from_millis(1500), "{status}");
    }
    let ended = refused(&everywhere, "acme").await;
    assert!(ended - end < SOON, "{}", ended - end);
}

#[tokio::test]
async fn access_for_support_is_audited_from_its_reason_to_its_end() {
    for servers in worlds(&[0]).await {
        let server = &servers[0];
        tenants(server, &["acme"]).await;
        let eve = user(server, "eve@example.com").await;
        set_password(server, "eve@example.com").await;
        let end = rfc3339(OffsetDateTime::now_utc() + Duration::from_secs(6));
        let grant =
            json!({"user_id": eve, "tenant_id": "acme", "role": "support", "expires_at": end, "reason": "ticket 4711"});
        let grant = post(server, "/grants", grant).await;
        assert_eq!(grant["reason"], "ticket 4711");
        let token = login(server, "eve@example.com").await;
        let http = server.http().token(&token);
        let url = match server.setup().database_url() {
            Some(url) => url,
            None => format!("sqlite:{}", server.setup().data_dir().join("tenantry.db").display()),
        };
        let db = Database::connect(url).await.unwrap();
        let events =
            async || audit_events::Entity::find().order_by_asc(audit_events::Column::Id).all(&db).await.unwrap();
        let created = events().await.into_iter().find(|event| event.action == "grant.create").unwrap();
        let details: Value = serde_json::from_str(&created.details).unwrap();
        assert_eq!((&details["reason"], &details["role"]), (&json!("ticket 4711"), &json!("support")));
        assert_eq!(created.target, grant["id"].as_str().unwrap());
        eventually("the end of the session", async || {
            (http.get("/api/auth/accounts").await.status == 401).then_some(())
        })
        .await;
        let id = claims(&token)["jti"].as_str().unwrap().to_owned();
        eventually("the audit event of the end", async || {
            events().await.into_iter().find(|event| event.action == "grant.expire" && event.target == id).map(drop)
        })
        .await;
    }
}

fn claims(token: &str) -> Value {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

//! Conversations over REST that are the same on both databases, and are compared with a golden file.

use std::{collections::HashMap, fmt::Write as _};

use reqwest::Method;
use serde_json::Value;

use crate::{
    db::TestDb,
    harness::{
        fleet, golden,
        http::Http,
        mask::Mask,
        server::{Server, Setup},
    },
    rows::{account, tenant},
};

/// The caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// Without a token.
    Nobody,
    /// A text that is not a token.
    Garbage,
    /// One of our tokens, for another surface.
    Elsewhere,
    /// The platform administrator.
    Platform,
    /// `admin` in tenant `acme`.
    Admin,
    /// `network_admin` in tenant `acme`.
    Network,
    /// `security_operator` in tenant `acme`.
    Operator,
    /// `auditor` in tenant `acme`.
    Auditor,
    /// `user` in tenant `acme`.
    User,
    /// `admin` in tenant `other`.
    Other,
}

/// The caller, the method, the path and the body of a request.
pub type Line = (Who, &'static str, &'static str, Option<&'static str>);

/// A server on a database with two tenants and their users.
pub async fn serve(db: &TestDb) -> Server {
    serve_with(db, &[]).await
}

/// The same with these settings.
pub async fn serve_with(db: &TestDb, settings: &[(&str, &str)]) -> Server {
    let (acme, other) = (tenant(db, "acme").await, tenant(db, "other").await);
    for name in ["ada", "bob"] {
        account(db, acme, name).await;
    }
    account(db, other, "eve").await;
    let setup = Setup::dev().database(&db.url).env("TENANTRY_PUBLIC_URL", "https://tenantry.example");
    settings.iter().fold(setup, |setup, (name, value)| setup.env(name, *value)).start().await
}

pub async fn http(server: &Server, who: Who) -> Http {
    let (setup, http) = (server.setup(), server.http());
    let of = async |role: &str, tenant: &str| {
        let subject = format!("{tenant}-{role}");
        http.clone().token(setup.mint(&["--role", role, "--tenant", tenant, "--sub", &subject]).await)
    };
    match who {
        Who::Nobody => http,
        Who::Garbage => http.token("tak_garbage"),
        Who::Elsewhere => http.token(setup.mint(&["--role", "platform_admin", "--audience", "messaging"]).await),
        Who::Platform => server.admin(),
        Who::Admin => of("admin", "acme").await,
        Who::Network => of("network_admin", "acme").await,
        Who::Operator => of("security_operator", "acme").await,
        Who::Auditor => of("auditor", "acme").await,
        Who::User => of("user", "acme").await,
        Who::Other => of("admin", "other").await,
    }
}

/// Sends each line, and compares it and its response with a golden file of the surface.
pub async fn check(name: &str, server: &Server, lines: &[Line]) {
    let (mut mask, mut written, mut callers) = (Mask::default(), String::new(), HashMap::new());
    for (who, method, path, body) in lines {
        if !callers.contains_key(who) {
            callers.insert(*who, http(server, *who).await);
        }
        let (method, real) = (Method::from_bytes(method.as_bytes()).unwrap(), body.map(|body| mask.reveal(body)));
        let answer = callers[who].call(method.clone(), &mask.reveal(path), real.as_deref()).await;
        if path.ends_with("/logout") {
            callers.remove(who);
        }
        writeln!(written, "> {who:?}: {method} {path} {}", body.unwrap_or_default()).unwrap();
        writeln!(written, "{}", mask.hide(&answer.shown())).unwrap();
    }
    golden::check(&format!("zerotrust/{name}.txt"), &written);
}

/// Inserts an enrolled device of tenant `acme` with these members of [`fleet::enroll`], and returns its id.
pub async fn device(db: &TestDb, server: &Server, mut of: Value) -> String {
    let tenants = http(server, Who::Admin).await.get("/v1/admin/tenants").await.json();
    of["tenant_id"] = tenants["tenants"][0]["id"].clone();
    fleet::enroll(&fleet::connect(&db.url).await, "device", &of).await["id"].as_str().unwrap().to_owned()
}

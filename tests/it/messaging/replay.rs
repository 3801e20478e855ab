//! A recorded conversation with a real broker of the messaging platform, replayed against this server: the
//! broker's responses, except where we decided otherwise (contract 4, section 13).
//! `tests/data/messaging-replay.ndjson` has one call per line; their order matters.

use std::{collections::BTreeMap, fmt::Write as _, fs};

use serde::Deserialize;
use serde_json::Value;

use crate::{
    db,
    harness::{
        eventually,
        http::Http,
        root,
        server::{Server, Setup},
    },
};

/// Paths of that broker that this server does not have, by their segments after `/admin/v2`; `*` is any
/// segment. They must respond with 404: implementing one removes its line here, and its responses are compared.
const UNSERVED: &[&[&str]] = &[
    &["brokers", "leaderBroker"],
    &["brokers", "standalone"],
    &["brokers", "version"],
    &["clusters", "*", "failureDomains"],
    &["clusters", "*", "peers"],
    // The policies of a namespace, one by one.
    &["namespaces", "*", "*", "*"],
];

/// The caller.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
enum Who {
    /// The platform administrator.
    Admin,
    /// An admin role of the tenant `t1`, without other permissions.
    Alice,
    /// A token without permissions.
    Nobody,
    /// A token signed with another key.
    Forged,
    /// No credential.
    None,
    /// A bearer token that is not a token.
    Garbage,
    /// Basic authentication.
    Basic,
}

/// A call and its response.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    /// The caller.
    #[serde(rename = "as")]
    who: Who,
    /// Method and path.
    send: String,
    /// The media type of the body.
    #[serde(rename = "type")]
    media_type: Option<String>,
    body: Option<String>,
    status: u16,
    /// The body of the response, as JSON; an empty string for an empty one. Not compared if missing.
    answer: Option<Value>,
}

impl Call {
    fn is_unserved(&self) -> bool {
        let (_, path) = self.send.split_once(' ').unwrap();
        let path = path.split(['?', '#']).next().unwrap();
        let Some(below) = path.strip_prefix("/admin/v2/") else { return false };
        let segments: Vec<_> = below.trim_end_matches('/').split('/').collect();
        let meets = |prefix: &&[&str]| {
            prefix.len() <= segments.len()
                && prefix.iter().zip(&segments).all(|(is, segment)| *is == "*" || is == segment)
        };
        UNSERVED.iter().any(meets)
    }
}

#[tokio::test]
async fn the_recorded_responses_are_reproduced_on_sqlite() {
    replay(Setup::dev()).await;
}

#[tokio::test]
async fn the_recorded_responses_are_reproduced_on_postgres() {
    let url = db::postgres_unmigrated().await;
    replay(Setup::dev().database(&url)).await;
}

async fn replay(setup: Setup) {
    let server = setup.env("TENANTRY_MESSAGING_BOOTSTRAP", "true").start().await;
    let admin = server.admin();
    eventually("the tenant of the first start", async || {
        (admin.get("/admin/v2/tenants/public").await.status == 200).then_some(())
    })
    .await;
    let callers = callers(&server).await;
    let text = fs::read_to_string(root().join("tests/data/messaging-replay.ndjson")).unwrap();
    let calls: Vec<Call> = text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert!(calls.len() > 300, "{} calls are too few", calls.len());
    let mut differing = String::new();
    for call in &calls {
        let (status, body) = send(&callers[&call.who], call).await;
        let expected = if call.is_unserved() { 404 } else { call.status };
        let compared = call.answer.as_ref().filter(|_| !call.is_unserved());
        let same = compared.is_none_or(|answer| plain(&read(&body)) == plain(answer));
        if status != expected || !same {
            writeln!(differing, "{call:?}\n  expected {expected}\n  answered {status} {body}").unwrap();
        }
    }
    assert!(differing.is_empty(), "{differing}");
}

async fn callers(server: &Server) -> BTreeMap<Who, Http> {
    // Every token needs a tenant: one that is not part of the conversation.
    let info = r#"{"allowedClusters":["standalone"]}"#;
    assert_eq!(server.admin().put("/admin/v2/tenants/home", info).await.status, 204);
    let of = async |subject: &str| {
        let token = server.setup().mint(&["--role", "user", "--tenant", "home", "--sub", subject]).await;
        server.http().token(token)
    };
    // Another installation has another key.
    let elsewhere = Setup::dev().start().await;
    let forged = elsewhere.setup().mint(&["--role", "platform_admin"]).await;
    let bare = server.http();
    BTreeMap::from([
        (Who::Admin, server.admin()),
        (Who::Alice, of("alice").await),
        (Who::Nobody, of("nobody").await),
        (Who::Forged, bare.clone().token(forged)),
        (Who::Garbage, bare.clone().token("x.y.z")),
        (Who::Basic, bare.clone()),
        (Who::None, bare),
    ])
}

/// Sends a call exactly as written, because client libraries would normalize some of them.
async fn send(http: &Http, call: &Call) -> (u16, String) {
    let mut head = format!("{} HTTP/1.1", call.send);
    if let Some(media_type) = &call.media_type {
        write!(head, "\r\nContent-Type: {media_type}").unwrap();
    }
    if call.who == Who::Basic {
        head.push_str("\r\nAuthorization: Basic YWRtaW46YWRtaW4=");
    }
    let body = call.body.as_deref().unwrap_or_default();
    if call.body.is_some() || call.send.starts_with('P') {
        write!(head, "\r\nContent-Length: {}", body.len()).unwrap();
    }
    let answer = http.raw(&head, body).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer to {call:?}: {answer:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("no status: {head}")), body.to_owned())
}

fn read(body: &str) -> Value {
    if body.is_empty() { Value::from("") } else { serde_json::from_str(body).unwrap_or(Value::Null) }
}

/// The value with its lists sorted, because they are sets.
fn plain(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<_> = items.iter().map(plain).collect();
            items.sort_by_key(Value::to_string);
            Value::Array(items)
        }
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), plain(value))).collect(),
        other => other.clone(),
    }
}

//! The messaging surface over REST: every documented response and error text, in one conversation.

use std::fmt::Write as _;

use reqwest::Method;

use crate::harness::{
    golden,
    server::{Server, Setup},
};

/// The caller.
#[derive(Clone, Copy, PartialEq)]
enum Who {
    /// Without a token.
    Nobody,
    /// The platform administrator.
    Admin,
    /// `read_only` in tenant `acme`.
    Reader,
    /// `user` in tenant `acme`.
    User,
}
use Who::{Admin, Nobody, Reader, User};

type Line = (Who, &'static str, &'static str, Option<&'static str>);

const BOTH: Option<&str> = Some(r#"{"adminRoles":["admin","ops-team"],"allowedClusters":["us-west","us-east"]}"#);
const NAMELESS: Option<&str> = Some(r#"{"adminRoles":[],"allowedClusters":["us-west"]}"#);

#[rustfmt::skip]
const TENANTS: &[Line] = &[
    // Document 004, in its order.
    (Admin, "GET", "/tenants", None),
    (Admin, "GET", "/tenants/my-tenant", None),
    (Admin, "PUT", "/tenants/my-tenant", BOTH),
    (Admin, "GET", "/tenants/my-tenant", None),
    (Admin, "POST", "/tenants/my-tenant",
        Some(r#"{"adminRoles":["admin","ops-team","new-admin"],"allowedClusters":["us-west","us-east","eu-central"]}"#)),
    (Admin, "GET", "/tenants/my-tenant", None),
    (Admin, "DELETE", "/tenants/my-tenant", None),
    // Create: the checks in their order.
    (Admin, "PUT", "/tenants/acme", NAMELESS),
    (Admin, "PUT", "/tenants/acme", NAMELESS),
    (Admin, "PUT", "/tenants/ACME", NAMELESS),
    (Admin, "PUT", "/tenants/acme", Some(r#"{"allowedClusters":["nowhere"]}"#)),
    (Admin, "PUT", "/tenants/a%20b", Some(r#"{"allowedClusters":["nowhere"]}"#)),
    (Admin, "PUT", "/tenants/a%2Fb", NAMELESS),
    (Admin, "PUT", "/tenants/t_0191f3a47c107b2e9d315a6b7c8d9e0f", NAMELESS),
    (Admin, "PUT", "/tenants/n", None),
    (Admin, "PUT", "/tenants/n", Some("null")),
    (Admin, "PUT", "/tenants/n", Some("{}")),
    (Admin, "PUT", "/tenants/n", Some(r#"{"adminRoles":null,"allowedClusters":null}"#)),
    (Admin, "PUT", "/tenants/n", Some(r#"{"allowedClusters":[]}"#)),
    (Admin, "PUT", "/tenants/n", Some(r#"{"adminRoles":[],"allowedClusters":[""]}"#)),
    (Admin, "PUT", "/tenants/n", Some(r#"{"adminRoles":[" ops"],"allowedClusters":["us-west"]}"#)),
    (Admin, "PUT", "/tenants/n", Some(r#"{"adminRoles":[""],"allowedClusters":["us-west","us-west"],"unknown":{"a":[1]}}"#)),
    (Admin, "GET", "/tenants/n", None),
    (Admin, "GET", "/tenants/", None),
    // Malformed requests.
    (Admin, "PUT", "/tenants/m", Some("{")),
    (Admin, "PUT", "/tenants/m", Some("[]")),
    (Admin, "PUT", "/tenants/m", Some(r#"{"allowedClusters":"us-west"}"#)),
    (Admin, "PUT", "/tenants/m", Some(r#"{"allowedClusters":[1]}"#)),
    (Admin, "PUT", "/tenants/m", Some(r#"{"allowedClusters":["us-west"],"allowedClusters":["us-east"]}"#)),
    (Admin, "GET", "/tenants/%zz", None),
    (Admin, "PATCH", "/tenants/acme", Some("{}")),
    (Admin, "OPTIONS", "/tenants/acme", None),
    (Admin, "HEAD", "/tenants/acme", None),
    (Admin, "GET", "/tenants/acme/more", None),
    (Admin, "GET", "/nowhere", None),
    // Update.
    (Admin, "POST", "/tenants/missing", NAMELESS),
    (Admin, "POST", "/tenants/missing", Some(r#"{"allowedClusters":["nowhere"]}"#)),
    (Admin, "POST", "/tenants/acme", None),
    (Admin, "POST", "/tenants/acme", Some(r#"{"allowedClusters":["us-west","us-east"]}"#)),
    (Admin, "GET", "/tenants/acme", None),
    // Permissions.
    (Nobody, "GET", "/tenants", None),
    (Nobody, "PUT", "/tenants/x", Some("{")),
    (Reader, "GET", "/tenants", None),
    (Reader, "GET", "/tenants/acme", None),
    (Reader, "GET", "/tenants/Acme", None),
    (Reader, "GET", "/tenants/n", None),
    (Reader, "GET", "/tenants/missing", None),
    (Reader, "PUT", "/tenants/x", Some("{")),
    (Reader, "DELETE", "/tenants/acme", None),
    (User, "GET", "/tenants/acme", None),
    (User, "GET", "/clusters", None),
    // Delete.
    (Admin, "PUT", "/namespaces/acme/orders", None),
    (Admin, "DELETE", "/tenants/acme", None),
    (Admin, "DELETE", "/tenants/acme?force=no", None),
    (Admin, "DELETE", "/tenants/acme?force=TRUE", None),
    (Admin, "DELETE", "/tenants/acme", None),
    (Admin, "DELETE", "/tenants/acme?force=true", None),
];

#[rustfmt::skip]
const NEIGHBOURS: &[Line] = &[
    (Admin, "GET", "/clusters", None),
    (Admin, "GET", "/clusters/standalone", None),
    (Admin, "GET", "/clusters/us-west", None),
    (Admin, "GET", "/clusters/nowhere", None),
    (Admin, "PUT", "/clusters/us-west", Some("{}")),
    (Admin, "PUT", "/clusters/a%20b", Some("{}")),
    (Admin, "PUT", "/clusters/b", None),
    (Admin, "POST", "/clusters/us-west", Some(r#"{"serviceUrl":"http://new:8080","brokerServiceUrl":"pulsar://new:6650"}"#)),
    (Admin, "GET", "/clusters/us-west", None),
    (Admin, "POST", "/clusters/nowhere", Some("{}")),
    (Admin, "POST", "/clusters/us-west", Some(r#"{"serviceUrl":"https://new:8443"}"#)),
    (Admin, "PUT", "/clusters/b", Some(r#"{"serviceUrlTls":"http://b:8080"}"#)),
    (Admin, "PUT", "/clusters/b", Some(r#"{"brokerServiceUrl":"b:6650"}"#)),
    (Admin, "PUT", "/clusters/b", Some(r#"{"brokerServiceUrlTls":"pulsar://b:6650"}"#)),
    (Admin, "PUT", "/clusters/b", Some(r#"{"proxyServiceUrl":"http://b:6650"}"#)),
    (Admin, "PUT", "/tenants/acme", BOTH),
    (Reader, "PUT", "/clusters/b", Some("{}")),
    (Admin, "GET", "/namespaces/acme", None),
    (Admin, "PUT", "/namespaces/acme/orders", None),
    (Admin, "PUT", "/namespaces/acme/orders", None),
    (Admin, "PUT", "/namespaces/acme/east", Some(r#"{"replication_clusters":["us-east"]}"#)),
    (Admin, "PUT", "/namespaces/acme/x", Some(r#"{"replication_clusters":["nowhere"]}"#)),
    (Admin, "PUT", "/namespaces/acme/x", Some(r#"{"replication_clusters":["eu-central"]}"#)),
    (Admin, "PUT", "/namespaces/acme/a%20b", None),
    (Admin, "PUT", "/namespaces/a%20b/x", None),
    (Admin, "PUT", "/namespaces/missing/x", None),
    (Admin, "PUT", "/namespaces/acme/x", Some(r#"{"message_ttl_in_seconds":-1}"#)),
    (Admin, "PUT", "/namespaces/acme/x", Some(r#"{"message_ttl_in_seconds":"an hour"}"#)),
    (Admin, "PUT", "/namespaces/acme/x", Some(r#"{"retention_policies":{"retentionTimeInMinutes":5}}"#)),
    (Admin, "PUT", "/namespaces/acme/x", Some(r#"{"bundles":{"numBundles":5000}}"#)),
    (Admin, "PUT", "/namespaces/acme/x", Some(r#"{"auth_policies":{"namespace_auth":{"ops":["nope"]}}}"#)),
    (Admin, "PUT", "/namespaces/acme/x", Some(r#"{"subscription_auth_mode":"none"}"#)),
    (Admin, "PUT", "/namespaces/acme/x", Some(r#"{"offload_policies":{"managedLedgerOffloadDriver":"aws-s3"}}"#)),
    (Admin, "PUT", "/namespaces/acme/both", Some(r#"{"replication_clusters":["us-west","us-east"]}"#)),
    (Admin, "DELETE", "/namespaces/acme/both", None),
    (Admin, "DELETE", "/namespaces/acme/both?force=true", None),
    (Admin, "GET", "/namespaces/acme/east", None),
    (Reader, "GET", "/namespaces/acme/east", None),
    (Reader, "GET", "/namespaces/other/east", None),
    (Admin, "GET", "/namespaces/ACME/east", None),
    (Admin, "GET", "/namespaces/acme/missing", None),
    (Admin, "GET", "/namespaces/acme", None),
    (Reader, "GET", "/namespaces/acme", None),
    (Reader, "GET", "/namespaces/other", None),
    (Admin, "GET", "/namespaces/missing", None),
    (Admin, "GET", "/namespaces/a%20b", None),
    (Admin, "POST", "/tenants/acme", Some(r#"{"allowedClusters":["us-west"]}"#)),
    (Admin, "DELETE", "/namespaces/acme/east", None),
    (Admin, "DELETE", "/namespaces/acme/east", None),
    (Admin, "DELETE", "/namespaces/acme/orders?force=true", None),
    (Admin, "DELETE", "/clusters/eu-central", None),
    (Admin, "DELETE", "/clusters/eu-central", None),
    (Nobody, "GET", "/brokers/health", None),
    (Nobody, "GET", "/brokers/ready", None),
];

#[tokio::test]
async fn tenants_answer_as_documented() {
    golden::check("messaging/tenants.txt", &run_conversation(&prepared(Setup::dev()).await, TENANTS).await);
}

#[tokio::test]
async fn clusters_and_namespaces_answer_as_documented() {
    golden::check("messaging/neighbours.txt", &run_conversation(&prepared(Setup::dev()).await, NEIGHBOURS).await);
}

#[tokio::test]
async fn the_configuration_may_forbid_force_and_limit_tenants() {
    let setup = Setup::dev().env("TENANTRY_MESSAGING_FORCE_DELETE", "false").env("TENANTRY_MAX_TENANTS", "1");
    let server = prepared(setup).await;
    let lines: &[Line] = &[
        (Admin, "PUT", "/tenants/one", NAMELESS),
        (Admin, "PUT", "/tenants/two", NAMELESS),
        (Admin, "DELETE", "/tenants/one?force=true", None),
        (Admin, "DELETE", "/tenants/one?force=false", None),
        (Admin, "PUT", "/tenants/two", NAMELESS),
    ];
    golden::check("messaging/configured.txt", &run_conversation(&server, lines).await);
}

/// A server with the clusters of document 004.
async fn prepared(setup: Setup) -> Server {
    let server = setup.start().await;
    let admin = server.admin();
    for cluster in ["us-west", "us-east", "eu-central"] {
        let answer = admin.put(&format!("/admin/v2/clusters/{cluster}"), "{}").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{answer:?}");
    }
    server
}

/// Sends each line and records it with its response.
async fn run_conversation(server: &Server, lines: &[Line]) -> String {
    let mut written = String::new();
    for (who, method, path, body) in lines {
        let http = match who {
            Nobody => server.http(),
            Admin => server.admin(),
            // Minted right before use, because the token contains the id of the current tenant of that name.
            Reader => server.http().token(server.setup().mint(&["--role", "read_only", "--tenant", "acme"]).await),
            User => server.http().token(server.setup().mint(&["--role", "user", "--tenant", "acme"]).await),
        };
        let label = match who {
            Nobody => "nobody",
            Admin => "admin",
            Reader => "read_only",
            User => "user",
        };
        let answer =
            http.call(Method::from_bytes(method.as_bytes()).unwrap(), &format!("/admin/v2{path}"), *body).await;
        writeln!(written, "> {label}: {method} {path} {}", body.unwrap_or_default()).unwrap();
        writeln!(written, "{}", answer.shown()).unwrap();
    }
    written
}

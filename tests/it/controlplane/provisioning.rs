//! Provisioning over REST: every documented response and error text, as conversations. The registry is in SQLite with PostgreSQL 18 for
//! the databases of tenants, and in PostgreSQL with the installed version.

use crate::{
    harness::{conversation::Ids, golden, http::Http, server::Setup},
    provisioner::{
        Place,
        stage::{Plan, Stage},
    },
};

/// The caller.
#[derive(Clone, Copy, Debug)]
enum Who {
    /// Without a token.
    Nobody,
    /// The platform administrator.
    Admin,
    /// `admin` in tenant `acme`.
    Owner,
    /// `read_only` in tenant `acme`.
    Reader,
    /// An account of the platform without rights.
    Guest,
}
use Who::{Admin, Guest, Nobody, Owner, Reader};

/// A path without `=` is relative to `/api/control-plane`. The response of one with `!`, of another surface, is not recorded.
type Line = (Who, &'static str, &'static str, Option<&'static str>);

#[rustfmt::skip]
const LINES: &[Line] = &[
    (Admin, "POST", "/tenants", Some(r#"{"name":"Acme","slug":"acme"}"#)),
    (Admin, "GET", "/migration-status", None),
    (Guest, "GET", "/migration-status", None),
    (Nobody, "GET", "/migration-status", None),
    // Manual provisioning needs a placement. The body is ignored.
    (Admin, "POST", "/tenants/acme/provision", Some("{}")),
    (Admin, "POST", "/tenants/acme/provision", None),
    (Admin, "POST", "/tenants/missing/provision", Some("{}")),
    (Admin, "POST", "/tenants/0191f3a4-7c10-4b2e-9d31-5a6b7c8d9e0f/provision", Some("{}")),
    (Owner, "POST", "/tenants/acme/provision", Some("{}")),
    (Reader, "POST", "/tenants/acme/provision", Some("{}")),
    (Nobody, "POST", "/tenants/acme/provision", Some("{}")),
    (Admin, "GET", "/tenants/acme/provision", None),
    // Automatic provisioning: the fields, then the tenant, then the server.
    (Admin, "POST", "/tenants/acme/auto-provision", None),
    (Admin, "POST", "/tenants/acme/auto-provision", Some("[]")),
    (Admin, "POST", "/tenants/acme/auto-provision", Some("{")),
    (Admin, "POST", "/tenants/acme/auto-provision", Some(r#"{"port":"five"}"#)),
    (Admin, "POST", "/tenants/missing/auto-provision", Some(r#"{"port":0,"host":"a b","region":"\u0000"}"#)),
    (Admin, "POST", "/tenants/missing/auto-provision", Some(r#"{"tier":"palace"}"#)),
    (Admin, "POST", "/tenants/missing/auto-provision", Some("{}")),
    (Admin, "POST", "/tenants/acme/auto-provision", Some(r#"{"host":"pg.example.com"}"#)),
    (Admin, "POST", "/tenants/acme/auto-provision", Some(r#"{"host":"app:hunter2@127.0.0.1"}"#)),
    (Owner, "POST", "/tenants/acme/auto-provision", Some("{}")),
    (Owner, "POST", "/tenants/other/auto-provision", Some("{}")),
    (Reader, "POST", "/tenants/acme/auto-provision", Some("{}")),
    (Nobody, "POST", "/tenants/acme/auto-provision", Some("{")),
    (Admin, "PUT", "/tenants/acme/auto-provision", Some("{}")),
    (Admin, "GET", "/tenants/acme/placement", None),
    (Admin, "GET", "/tenants/acme", None),
    (Admin, "POST", "/tenants/acme/auto-provision", Some(r#"{"host":"127.0.0.1","port":null,"region":"eu","unknown":1}"#)),
    (Admin, "GET", "/tenants/acme/placement", None),
    (Admin, "GET", "/tenants/acme", None),
    (Admin, "GET", "/migration-status", None),
    // Repeated, which changes nothing.
    (Admin, "POST", "/tenants/ACME/provision", None),
    (Admin, "POST", "=/api/v1/control-plane/tenants/<1>/provision", Some("{")),
    (Admin, "POST", "/tenants/<1>/auto-provision", Some(r#"{"tier":"pool"}"#)),
    // A placement with chosen names.
    (Admin, "POST", "/tenants", Some(r#"{"name":"Beta","slug":"beta"}"#)),
    (Admin, "GET", "=/api/v1/control-plane/migration-status", None),
    (Owner, "GET", "/migration-status", None),
    (Admin, "PUT", "/tenants/beta/placement", Some(r#"{"dbname":"crm-1","openbao_role":"crm.reader"}"#)),
    (Admin, "POST", "/tenants/beta/provision", Some("{}")),
    (Admin, "GET", "/tenants/beta/placement", None),
    (Admin, "PUT", "/tenants/beta/placement", Some(r#"{"dbname":"other"}"#)),
    (Admin, "POST", "/tenants/beta/provision", Some("{}")),
    (Admin, "PUT", "/tenants/beta/placement", Some(r#"{"host":"pg.example.com","dbname":"crm-1"}"#)),
    (Admin, "POST", "/tenants/beta/provision", Some("{}")),
    // Names of other tenants are taken.
    (Admin, "POST", "/tenants", Some(r#"{"name":"Gamma","slug":"gamma"}"#)),
    (Admin, "PUT", "/tenants/gamma/placement", Some(r#"{"dbname":"tenant_acme"}"#)),
    (Admin, "POST", "/tenants/gamma/provision", Some("{}")),
    (Admin, "PUT", "/tenants/gamma/placement", Some(r#"{"openbao_role":"acme-role"}"#)),
    (Admin, "POST", "/tenants/gamma/auto-provision", Some("{}")),
    // A suspended tenant.
    (Admin, "POST", "!/v1/admin/tenants/lifecycle", Some(r#"{"action":"suspend","tenant_id":"acme"}"#)),
    (Admin, "POST", "/tenants/acme/provision", Some("{}")),
    (Admin, "POST", "/tenants/acme/auto-provision", Some("{}")),
    (Owner, "POST", "/tenants/acme/auto-provision", Some("{}")),
    (Admin, "POST", "!/v1/admin/tenants/lifecycle", Some(r#"{"action":"reactivate","tenant_id":"acme"}"#)),
    // A deleted one.
    (Admin, "DELETE", "/tenants/acme?confirm=acme", None),
    (Admin, "POST", "/tenants/<1>/provision", Some("{}")),
    (Admin, "GET", "/migration-status", None),
];

/// Without self-service provisioning, and without servers.
#[rustfmt::skip]
const DISABLED: &[Line] = &[
    (Admin, "POST", "/tenants", Some(r#"{"name":"Acme","slug":"acme"}"#)),
    (Admin, "POST", "/tenants/acme/auto-provision", Some("{}")),
    (Admin, "POST", "/tenants/missing/auto-provision", Some("{}")),
    (Owner, "POST", "/tenants/acme/auto-provision", Some("{}")),
    (Nobody, "POST", "/tenants/acme/auto-provision", Some("{}")),
    (Admin, "POST", "/tenants/acme/auto-provision", None),
    (Admin, "PUT", "/tenants/acme/placement", Some("{}")),
    (Admin, "POST", "/tenants/acme/provision", Some("{}")),
    (Admin, "POST", "/tenants/missing/provision", Some("{}")),
];

async fn converse(setup: &Setup, client: &Http, admin: &Http, lines: &[Line]) -> String {
    let (mut ids, mut written) = (Ids::default(), String::new());
    for (who, method, path, body) in lines {
        let path = match path.strip_prefix('=') {
            Some(path) => path.to_owned(),
            None => format!("/api/control-plane{path}"),
        };
        let token = async |arguments: &[&str]| client.clone().token(setup.mint(arguments).await);
        let http = match who {
            Nobody => client.clone(),
            Admin => admin.clone(),
            Guest => token(&["--role", "user"]).await,
            // Minted right before use, because the token contains the id of the current tenant of that name.
            Owner => token(&["--role", "admin", "--tenant", "acme"]).await,
            Reader => token(&["--role", "read_only", "--tenant", "acme"]).await,
        };
        if let Some(other) = path.strip_prefix("/api/control-plane!") {
            let answer = http.call(method.parse().unwrap(), other, *body).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            continue;
        }
        written.push_str(&ids.say(&format!("{who:?}").to_lowercase(), &http, (method, &path, *body)).await);
    }
    written
}

async fn conversation(stage: &Stage) -> String {
    let server = &stage.server;
    let written = converse(server.setup(), &server.http(), &server.admin(), LINES).await;
    written.replace(&stage.place.postgres.port().to_string(), "<port>")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn provisioning_answers_as_documented() {
    for (place, on_postgres) in [(Place::of_18().await, false), (Place::installed().await, true)] {
        let stage = Plan::with(place).await.on_postgres(on_postgres).await.start().await;
        golden::check("controlplane/provisioning.txt", &conversation(&stage).await);
    }
}

#[tokio::test]
async fn disabled_self_service_is_reported_before_everything_else() {
    let server = Setup::dev().start().await;
    let written = converse(server.setup(), &server.http(), &server.admin(), DISABLED).await;
    golden::check("controlplane/self_service_disabled.txt", &written);
}

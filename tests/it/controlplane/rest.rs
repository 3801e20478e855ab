//! The control-plane surface over REST: every documented response and error text, as conversations, on both databases.

use std::time::Duration;

use futures::future::join_all;
use reqwest::Method;
use tenantry::{
    auth::{
        Surface,
        authn::{
            keys::Keys,
            tokens::{self, Claims},
        },
    },
    base::{Clock, Role},
};

use crate::{
    db::postgres_unmigrated,
    harness::{
        conversation::Ids,
        golden,
        http::Http,
        server::{Server, Setup},
    },
};

/// The caller.
#[derive(Clone, Copy, Debug)]
pub(super) enum Who {
    /// Without a token.
    Nobody,
    /// The platform administrator.
    Admin,
    /// `admin` in tenant `acme`.
    Owner,
    /// `read_only` in tenant `acme`.
    Reader,
    /// A platform administrator with a token for another surface.
    Elsewhere,
    /// A platform administrator with an expired token.
    Late,
    /// A text that is not a token.
    Garbage,
}
use Who::{Admin, Elsewhere, Garbage, Late, Nobody, Owner, Reader};

/// A path without `=` is relative to `/api/control-plane`.
type Line = (Who, &'static str, &'static str, Option<&'static str>);

const MESSAGING: Option<&str> = Some(r#"{"allowedClusters":["standalone"]}"#);

#[rustfmt::skip]
const TENANTS: &[Line] = &[
    // Callers.
    (Admin, "GET", "/status", None),
    (Nobody, "GET", "/status", None),
    (Garbage, "GET", "/status", None),
    (Late, "GET", "/status", None),
    (Elsewhere, "GET", "/status", None),
    // Create.
    (Admin, "GET", "/tenants", None),
    (Admin, "POST", "/tenants", Some(r#"{"name":" Acme Inc. ","slug":" acme ","edition":{"any":[1]}}"#)),
    (Admin, "POST", "/tenants", Some(r#"{"name":"Again","slug":"acme"}"#)),
    (Admin, "PUT", "=/admin/v2/tenants/BETA", MESSAGING),
    (Admin, "POST", "/tenants", Some(r#"{"name":"Beta","slug":"beta"}"#)),
    (Admin, "PUT", "=/admin/v2/tenants/Gamma.Co", MESSAGING),
    (Admin, "POST", "/tenants", None),
    (Admin, "POST", "/tenants", Some("{}")),
    (Admin, "POST", "/tenants", Some("null")),
    (Admin, "POST", "/tenants", Some(r#"{"name":"A","#)),
    (Admin, "POST", "/tenants", Some("[]")),
    (Admin, "POST", "/tenants", Some(r#"{"name":7,"slug":"x"}"#)),
    (Admin, "POST", "/tenants", Some(r#"{"name":"A","slug":["x"]}"#)),
    (Admin, "POST", "/tenants", Some(r#"{"name":null,"slug":"x"}"#)),
    (Admin, "POST", "/tenants", Some(r#"{"name":"A","name":"B","slug":"x"}"#)),
    (Admin, "POST", "/tenants", Some(r#"{"name":" ","slug":"X y!"}"#)),
    (Admin, "POST", "/tenants", Some(r#"{"name":"A","slug":"t-0191f3a47c107b2e9d315a6b7c8d9e0f"}"#)),
    (Admin, "POST", "/tenants", Some(r#"{"name":"a\u0000b","slug":"x"}"#)),
    // Read.
    (Admin, "GET", "/tenants", None),
    (Admin, "GET", "/tenants?status=active&unknown=1", None),
    (Admin, "GET", "/tenants?status=", None),
    (Admin, "GET", "/tenants?status=suspended", None),
    (Admin, "GET", "/tenants?status=no%00such", None),
    (Admin, "GET", "/tenants?status=%zz", None),
    (Admin, "GET", "/tenants/<1>", None),
    (Admin, "GET", "/tenants/ACME", None),
    (Admin, "GET", "/tenants/gamma.co", None),
    (Admin, "GET", "/tenants/missing", None),
    (Admin, "GET", "/tenants/0191f3a4-7c10-4b2e-9d31-5a6b7c8d9e0f", None),
    (Admin, "GET", "/tenants/a%00b", None),
    (Admin, "GET", "=/api/v1/control-plane/tenants/acme", None),
    (Admin, "GET", "=/api/v1/control-plane/status", None),
    // Permissions.
    (Nobody, "POST", "/tenants", Some("{")),
    (Owner, "GET", "/status", None),
    (Owner, "GET", "/tenants/acme", None),
    (Owner, "GET", "/tenants/beta", None),
    (Owner, "GET", "/tenants/missing", None),
    (Owner, "GET", "/tenants", None),
    (Owner, "POST", "/tenants", Some("{")),
    (Owner, "DELETE", "/tenants/acme?confirm=acme", None),
    (Reader, "GET", "/tenants/acme", None),
    // Paths and methods.
    (Admin, "GET", "/nothing", None),
    (Admin, "GET", "", None),
    (Admin, "GET", "/tenants/acme/database", None),
    (Admin, "POST", "=/api/host/register", Some("{}")),
    (Admin, "PUT", "/tenants", Some("{}")),
    (Admin, "PATCH", "/tenants/acme", Some("{}")),
    (Admin, "GET", "/tenants/?status=active", None),
    // Delete.
    (Admin, "DELETE", "/tenants/acme", None),
    (Admin, "DELETE", "/tenants/acme", Some("{}")),
    (Admin, "DELETE", "/tenants/acme", Some(r#"{"confirm":"Acme"}"#)),
    (Admin, "DELETE", "/tenants/acme?confirm=acm", None),
    (Admin, "DELETE", "/tenants/acme?confirm=acm", Some(r#"{"confirm":"acme"}"#)),
    (Admin, "DELETE", "/tenants/acme", Some(r#"{"confirm":"acme","drop_database":"maybe"}"#)),
    (Admin, "DELETE", "/tenants/acme?confirm=acme&drop_database=maybe", None),
    (Admin, "DELETE", "/tenants/missing", Some(r#"{"confirm":"missing"}"#)),
    (Admin, "PUT", "=/admin/v2/namespaces/acme/orders", None),
    (Admin, "DELETE", "/tenants/acme", Some(r#"{"confirm":"acme"}"#)),
    (Admin, "DELETE", "=/admin/v2/namespaces/acme/orders", None),
    (Admin, "DELETE", "/tenants/<1>?confirm=acme", Some(r#"{"confirm":"acme","drop_database":true}"#)),
    (Admin, "GET", "/tenants/<1>", None),
    (Admin, "DELETE", "/tenants/BETA?confirm=BETA", None),
    (Admin, "DELETE", "/tenants/gamma.co", Some(r#"{"confirm":"Gamma.Co","drop_database":false}"#)),
    (Admin, "GET", "/tenants", None),
];

#[rustfmt::skip]
const PLACEMENTS: &[Line] = &[
    (Admin, "POST", "/tenants", Some(r#"{"name":"Acme","slug":"acme"}"#)),
    (Admin, "GET", "/tenants/acme", None),
    (Admin, "GET", "/tenants/acme/placement", None),
    (Admin, "GET", "/tenants/missing/placement", None),
    // Everything is optional, and what is left out is unset.
    (Admin, "PUT", "/tenants/acme/placement", Some("{}")),
    (Admin, "PUT", "/tenants/<1>/placement", Some(r#"{"host":" PG-1.example.com, 10.0.0.7","port":"5433","dbname":"tenant_acme","region":"eu","tier":"silo","openbao_role":"acme-role"}"#)),
    (Admin, "GET", "/tenants/acme/placement", None),
    (Admin, "GET", "=/api/v1/control-plane/tenants/ACME/placement", None),
    (Admin, "GET", "/tenants/acme", None),
    (Admin, "PUT", "/tenants/acme/placement", Some(r#"{"host":null,"port":65535,"tier":"pool","dbname":"","region":null}"#)),
    (Admin, "GET", "/tenants/acme/placement", None),
    // Credentials are neither accepted nor shown.
    (Admin, "PUT", "/tenants/acme/placement", Some(r#"{"host":"pg","user":"app","password":"hunter2"}"#)),
    (Admin, "PUT", "/tenants/acme/placement", Some(r#"{"host":"app:hunter2@pg"}"#)),
    (Admin, "PUT", "/tenants/acme/placement", Some(r#"{"host":"postgres://app:hunter2@pg/db"}"#)),
    // Refused, the fields before the tier, and the tier before the tenant.
    (Admin, "PUT", "/tenants/acme/placement", None),
    (Admin, "PUT", "/tenants/acme/placement", Some("[]")),
    (Admin, "PUT", "/tenants/acme/placement", Some(r#"{"host":7}"#)),
    (Admin, "PUT", "/tenants/acme/placement", Some(r#"{"port":"five"}"#)),
    (Admin, "PUT", "/tenants/acme/placement", Some(r#"{"port":0}"#)),
    (Admin, "PUT", "/tenants/acme/placement", Some(r#"{"port":65536,"dbname":"a\"; DROP DATABASE postgres; --","openbao_role":"../../sys/seal","region":"\u0000","tier":"palace"}"#)),
    (Admin, "PUT", "/tenants/missing/placement", Some(r#"{"tier":"palace"}"#)),
    (Admin, "PUT", "/tenants/missing/placement", Some(r#"{"tier":""}"#)),
    (Admin, "PUT", "/tenants/missing/placement", Some(r#"{"tier":"silo"}"#)),
    (Admin, "GET", "/tenants/acme/placement", None),
    // Permissions.
    (Owner, "GET", "/tenants/acme/placement", None),
    (Owner, "GET", "/tenants/other/placement", None),
    (Owner, "PUT", "/tenants/acme/placement", Some("{}")),
    (Reader, "GET", "/tenants/acme/placement", None),
    (Nobody, "PUT", "/tenants/acme/placement", Some("{}")),
    (Admin, "POST", "/tenants/acme/placement", Some("{}")),
    (Admin, "DELETE", "/tenants/acme/placement", None),
    // Settings and limits come from the other surfaces.
    (Admin, "GET", "/tenants/beta", None),
    // The placement is deleted with its tenant.
    (Admin, "DELETE", "/tenants/acme?confirm=acme", None),
    (Admin, "GET", "/tenants/acme/placement", None),
    (Admin, "POST", "/tenants", Some(r#"{"name":"Acme","slug":"acme"}"#)),
    (Admin, "GET", "/tenants/acme/placement", None),
];

#[rustfmt::skip]
const PEOPLE: &[Line] = &[
    (Admin, "POST", "/tenants", Some(r#"{"name":"Acme","slug":"acme"}"#)),
    (Admin, "POST", "/tenants", Some(r#"{"name":"Beta","slug":"beta"}"#)),
    // Users.
    (Admin, "GET", "/users", None),
    (Admin, "POST", "/users", Some(r#"{"email":" Bob@Example.COM "}"#)),
    (Admin, "POST", "/users", Some(r#"{"email":"bob@example.com"}"#)),
    (Admin, "POST", "/users", Some(r#"{"email":"ada@bücher.example"}"#)),
    (Admin, "POST", "/users", Some(r#"{"email":"bob"}"#)),
    (Admin, "POST", "/users", Some(r#"{"email":7}"#)),
    (Admin, "POST", "/users", Some("{}")),
    (Admin, "POST", "/users", None),
    (Admin, "GET", "/users", None),
    (Admin, "GET", "/users?email=%20BOB%40example.com", None),
    (Admin, "GET", "/users?email=nobody%40example.com", None),
    (Admin, "GET", "/users?email=%00", None),
    (Admin, "DELETE", "/users", None),
    (Admin, "GET", "/users/<3>", None),
    (Owner, "GET", "/users", None),
    (Nobody, "GET", "/users", None),
    // Email domains.
    (Admin, "GET", "/tenants/acme/email-domains", None),
    (Admin, "GET", "/tenants/missing/email-domains", None),
    (Admin, "POST", "/tenants/acme/email-domains", Some(r#"{"domain":" Somebody@Example.ORG "}"#)),
    (Admin, "POST", "/tenants/<1>/email-domains", Some(r#"{"domain":"example.org"}"#)),
    (Admin, "POST", "/tenants/beta/email-domains", Some(r#"{"domain":"example.org"}"#)),
    (Admin, "POST", "/tenants/acme/email-domains", Some(r#"{"domain":"BÜCHER.example"}"#)),
    (Admin, "POST", "/tenants/acme/email-domains", Some(r#"{"domain":"bob@"}"#)),
    (Admin, "POST", "/tenants/acme/email-domains", Some(r#"{"domain":"not a domain"}"#)),
    (Admin, "POST", "/tenants/acme/email-domains", Some(r#"{"domain":true}"#)),
    (Admin, "POST", "/tenants/acme/email-domains", Some("{}")),
    (Admin, "POST", "/tenants/missing/email-domains", Some(r#"{"domain":"example.org"}"#)),
    (Owner, "GET", "/tenants/acme/email-domains", None),
    (Owner, "GET", "/tenants/beta/email-domains", None),
    (Owner, "POST", "/tenants/acme/email-domains", Some(r#"{"domain":"example.com"}"#)),
    (Reader, "GET", "/tenants/acme/email-domains", None),
    // Grants: the checks in their order.
    (Admin, "GET", "/grants", None),
    (Admin, "POST", "/grants", None),
    (Admin, "POST", "/grants", Some("{}")),
    (Admin, "POST", "/grants", Some(r#"{"user_id":"<3>","tenant_id":"acme","role":"owner","expires_at":"never"}"#)),
    (Admin, "POST", "/grants", Some(r#"{"user_id":"bob","tenant_id":"missing","expires_at":"never"}"#)),
    (Admin, "POST", "/grants", Some(r#"{"user_id":"<3>","tenant_id":"missing","expires_at":"never"}"#)),
    (Admin, "POST", "/grants", Some(r#"{"user_id":"<3>","tenant_id":"acme","expires_at":"never"}"#)),
    (Admin, "POST", "/grants", Some(r#"{"user_id":"<4>","tenant_id":"acme","expires_at":"never"}"#)),
    (Admin, "POST", "/grants", Some(r#"{"user_id":"<4>","tenant_id":"acme","expires_at":5}"#)),
    (Admin, "POST", "/grants", Some(r#"{"user_id":"<4>","tenant_id":"acme","role":"support","reason":"a ticket"}"#)),
    (Admin, "POST", "/grants", Some(r#"{"user_id":"<4>","tenant_id":"acme","role":"support","reason":"a ticket","expires_at":"<in 73 h>"}"#)),
    (Admin, "POST", "/grants", Some(r#"{"user_id":"<4>","tenant_id":"acme","role":"support","expires_at":"<in 71 h>"}"#)),
    (Admin, "POST", "/grants", Some(r#"{"user_id":"<4>","tenant_id":"acme","role":"support","reason":" \n","expires_at":"<in 71 h>"}"#)),
    (Admin, "POST", "/grants", Some(r#"{"user_id":"<3>","tenant_id":"missing","reason":"a\u0000b"}"#)),
    (Admin, "POST", "/grants", Some(r#"{"user_id":"<3>","tenant_id":"missing","reason":7}"#)),
    (Admin, "POST", "/grants", Some(r#"{"user_id":"<4>","tenant_id":"acme","is_default":"yes"}"#)),
    (Admin, "POST", "/grants", Some(r#"{"user_id":"<4>","tenant_id":"acme","is_default":true}"#)),
    (Admin, "POST", "/grants", Some(r#"{"user_id":"<4>","tenant_id":"<1>","role":"admin"}"#)),
    (Admin, "DELETE", "/tenants/beta/email-domains/<5>", None),
    (Admin, "DELETE", "/tenants/beta/email-domains/<6>", None),
    (Admin, "DELETE", "/tenants/beta/email-domains/<6>", None),
    (Admin, "DELETE", "/tenants/beta/email-domains/none", None),
    (Admin, "DELETE", "/tenants/missing/email-domains/<5>", None),
    (Admin, "POST", "/grants", Some(r#"{"user_id":"<3>","tenant_id":"beta","role":"support","reason":" ticket 4711 ","expires_at":"<in 71 h>"}"#)),
    (Admin, "POST", "/grants", Some(r#"{"user_id":"<3>","tenant_id":"acme","reason":"of the wrong domain"}"#)),
    (Admin, "POST", "/grants", Some(r#"{"user_id":"<4>","tenant_id":"beta","role":"admin","is_default":true,"expires_at":"2020-01-01"}"#)),
    (Admin, "POST", "/tenants", Some(r#"{"name":"Gamma","slug":"gamma"}"#)),
    (Admin, "POST", "/grants", Some(r#"{"user_id":"<4>","tenant_id":"gamma","role":"admin","expires_at":"2031-05-01T12:00:00+02:00"}"#)),
    (Admin, "GET", "/grants", None),
    (Admin, "GET", "/grants?user_id=<4>", None),
    (Admin, "GET", "/grants?tenant_id=BETA", None),
    (Admin, "GET", "/grants?user_id=<4>&tenant_id=<2>", None),
    (Admin, "GET", "/grants?user_id=bob", None),
    (Admin, "GET", "/grants?tenant_id=missing", None),
    (Owner, "GET", "/grants", None),
    (Owner, "POST", "/grants", Some("{}")),
    (Owner, "DELETE", "/grants/<8>", None),
    (Admin, "PUT", "/grants/<8>", Some("{}")),
    (Admin, "DELETE", "/grants/<8>", None),
    (Admin, "DELETE", "/grants/<8>", None),
    (Admin, "DELETE", "/grants/none", None),
    // The resources of a tenant are deleted with it; users stay.
    (Admin, "DELETE", "/tenants/beta?confirm=beta", None),
    (Admin, "GET", "/grants", None),
    (Admin, "GET", "/users", None),
];

/// The servers of a conversation: one on each database.
pub(super) async fn servers(setup: fn() -> Setup) -> [Server; 2] {
    let sqlite = setup().start().await;
    [sqlite, setup().database(postgres_unmigrated().await).start().await]
}

/// Sends each line and records it with its response.
async fn run_conversation(server: &Server, lines: &[Line]) -> String {
    let (mut ids, mut written) = (Ids::default(), String::new());
    for (who, method, path, body) in lines {
        let path = match path.strip_prefix('=') {
            Some(path) => path.to_owned(),
            None => format!("/api/control-plane{path}"),
        };
        let http = client(server, *who).await;
        written.push_str(&ids.say(&format!("{who:?}").to_lowercase(), &http, (method, &path, *body)).await);
    }
    written
}

pub(super) async fn client(server: &Server, who: Who) -> Http {
    let http = server.http();
    match who {
        Nobody => http,
        Admin => server.admin(),
        Garbage => http.token("garbage"),
        Late => http.token(late(server)),
        Elsewhere => http.token(server.setup().mint(&["--role", "platform_admin", "--audience", "messaging"]).await),
        // Minted right before use, because the token contains the id of the current tenant of that name.
        Owner => http.token(server.setup().mint(&["--role", "admin", "--tenant", "acme"]).await),
        Reader => http.token(server.setup().mint(&["--role", "read_only", "--tenant", "acme"]).await),
    }
}

fn late(server: &Server) -> String {
    let keys = Keys::load(&server.setup().data_dir().join("jwt.pem"), None).unwrap();
    let (role, surfaces) = (Role::PlatformAdmin, [Surface::ControlPlane]);
    let good = Claims::minted("ops".into(), role, &surfaces, Duration::from_secs(60), &Clock::system());
    tokens::issue(&keys, &Claims { iat: good.iat - 7200, exp: good.iat - 3600, ..good }).unwrap()
}

#[tokio::test]
async fn tenants_answer_as_documented() {
    for server in servers(Setup::dev).await {
        golden::check("controlplane/tenants.txt", &run_conversation(&server, TENANTS).await);
    }
}

#[tokio::test]
async fn placements_answer_as_documented() {
    for server in servers(Setup::dev).await {
        let beta = r#"{"action":"create","name":"Beta","slug":"beta","plan":"starter","overrides":{"users":25,"devices":null}}"#;
        let created = server.admin().call(Method::POST, "/v1/admin/tenants/lifecycle", Some(beta)).await;
        assert_eq!(created.status, 201, "{created:?}");
        golden::check("controlplane/placements.txt", &run_conversation(&server, PLACEMENTS).await);
    }
}

#[tokio::test]
async fn users_grants_and_email_domains_answer_as_documented() {
    for server in servers(Setup::dev).await {
        golden::check("controlplane/people.txt", &run_conversation(&server, PEOPLE).await);
    }
}

#[tokio::test]
async fn the_limit_on_tenants_is_a_conflict() {
    let server = Setup::dev().env("TENANTRY_MAX_TENANTS", "1").start().await;
    let lines: &[Line] = &[
        (Admin, "POST", "/tenants", Some(r#"{"name":"One","slug":"one"}"#)),
        (Admin, "POST", "/tenants", Some(r#"{"name":"Two","slug":"two"}"#)),
        (Admin, "POST", "/tenants", Some(r#"{"name":"One","slug":"one"}"#)),
    ];
    golden::check("controlplane/limit.txt", &run_conversation(&server, lines).await);
}

#[tokio::test]
async fn one_of_many_concurrent_creates_of_a_slug_succeeds() {
    for server in servers(Setup::dev).await {
        let admin = server.admin();
        let create = async |surface: usize| match surface % 2 {
            0 => {
                let body = Some(r#"{"name":"Race","slug":"race"}"#);
                admin.call(Method::POST, "/api/control-plane/tenants", body).await.status
            }
            _ => admin.put("/admin/v2/tenants/RACE", r#"{"allowedClusters":["standalone"]}"#).await.status,
        };
        let statuses = join_all((0..32).map(create)).await;
        assert_eq!(statuses.iter().filter(|status| matches!(status, 201 | 204)).count(), 1, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 31, "{statuses:?}");
    }
}

//! The calls over REST and gRPC, with the whole program.

use reqwest::Method;
use serde_json::{Value, json};
use tonic::Code;

use super::{DatabaseSettings, Stack};
use crate::{
    db::TestDb,
    harness::{
        conversation::Ids,
        golden,
        grpc::Grpc,
        http::Http,
        server::{Server, Setup},
    },
    provisioner::rows,
};

const LEASE: &str = "/registry/v1/tenants/acme/database:leaseCredentials";
const RELEASE: &str = "/registry/v1/tenants/acme/database:releaseCredentials";

/// The program, with the servers of a stack.
async fn server(db: &TestDb, stack: &Stack) -> Server {
    Setup::dev()
        .database(&db.url)
        .env("TENANTRY_PROVISIONER_URL", stack.place.url())
        .env("TENANTRY_SELF_SERVICE_PROVISIONING", "true")
        .env("TENANTRY_OPENBAO_ADDR", stack.bao.address())
        .env("TENANTRY_OPENBAO_TOKEN", &stack.token)
        .env("TENANTRY_OPENBAO_TIMEOUT", "2s")
        .env("TENANTRY_MAX_DATABASE_LEASES", "2")
        .start()
        .await
}

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Nobody,
    Admin,
    /// A program of `acme`.
    Program,
    /// A program of `acme` that may only read.
    Reader,
    /// A program of `beta`.
    Stranger,
}
use Who::{Admin, Nobody, Program, Reader, Stranger};

/// A call, or a change of OpenBAO.
enum Line {
    Call(Who, &'static str, &'static str, Option<&'static str>),
    Seal,
    Unseal,
    /// Allows the server nothing.
    Deny,
    Permit,
}
use Line::{Call, Deny, Permit, Seal, Unseal};

const ADMIN: &str = "/api/control-plane/tenants";

#[rustfmt::skip]
fn lines() -> Vec<Line> {
    let lifecycle = |body| Call(Admin, "POST", "/v1/admin/tenants/lifecycle", Some(body));
    vec![
        Call(Admin, "POST", ADMIN, Some(r#"{"name":"Acme","slug":"acme"}"#)),
        Call(Admin, "POST", ADMIN, Some(r#"{"name":"Beta","slug":"beta"}"#)),
        // Callers.
        Call(Nobody, "POST", LEASE, Some("{}")),
        Call(Reader, "POST", LEASE, Some("{}")),
        Call(Stranger, "POST", LEASE, Some("{}")),
        Call(Admin, "POST", "/registry/v1/tenants/none/database:leaseCredentials", Some("{}")),
        Call(Admin, "GET", LEASE, None),
        // Bad requests.
        Call(Program, "POST", LEASE, Some("{}")),
        Call(Program, "POST", LEASE, None),
        Call(Program, "POST", LEASE, Some(r#"{"ttl":"59s"}"#)),
        Call(Program, "POST", LEASE, Some(r#"{"ttl":"86400.5s"}"#)),
        Call(Program, "POST", LEASE, Some(r#"{"ttl":3600}"#)),
        Call(Program, "POST", LEASE, Some(r#"{"ttl":"1h"}"#)),
        Call(Program, "POST", LEASE, Some(r#"{"role":"postgres"}"#)),
        Call(Admin, "POST", "/api/control-plane/tenants/acme/auto-provision", Some("{}")),
        // Leases.
        Call(Program, "POST", LEASE, Some("{}")),
        Call(Admin, "POST", LEASE, Some(r#"{"ttl":"60s"}"#)),
        Call(Program, "POST", LEASE, Some("{}")),
        Call(Program, "POST", RELEASE, Some("{}")),
        Call(Program, "POST", RELEASE, Some(r#"{"leaseId":"x"}"#)),
        Call(Stranger, "POST", RELEASE, Some(r#"{"leaseId":"<4>"}"#)),
        Call(Reader, "POST", RELEASE, Some(r#"{"leaseId":"<4>"}"#)),
        Call(Program, "POST", RELEASE, Some(r#"{"leaseId":"<4>"}"#)),
        Call(Program, "POST", RELEASE, Some(r#"{"leaseId":"<4>"}"#)),
        // OpenBAO.
        Seal,
        Call(Program, "POST", LEASE, Some("{}")),
        Unseal,
        Deny,
        Call(Program, "POST", LEASE, Some("{}")),
        Permit,
        // Suspension.
        lifecycle(r#"{"action":"suspend","tenant_id":"acme"}"#),
        Call(Program, "POST", LEASE, Some("{}")),
        Call(Admin, "POST", LEASE, Some("{}")),
        lifecycle(r#"{"action":"reactivate","tenant_id":"acme"}"#),
        // Deletion.
        Call(Admin, "DELETE", "/api/control-plane/tenants/acme", Some(r#"{"confirm":"acme","drop_database":true}"#)),
        Call(Program, "POST", LEASE, Some("{}")),
        Call(Admin, "POST", LEASE, Some("{}")),
    ]
}

both_databases! {
    async fn the_calls_answer_as_documented(db: TestDb) {
        let stack = Stack::start_with(&db, DatabaseSettings::default()).await;
        let server = server(&db, &stack).await;
        let (admin, http) = (server.admin(), server.http());
        let mint = async |role: &str, tenant: &str| http.clone().token(server.setup().mint(&["--role", role, "--tenant", tenant]).await);
        let (mut ids, mut text) = (Ids::default(), String::new());
        // Tokens are minted once their tenants exist.
        let mut callers: Option<[Http; 3]> = None;
        for (number, line) in lines().into_iter().enumerate() {
            if number == 2 {
                callers = Some([mint("user", "acme").await, mint("read_only", "acme").await, mint("admin", "beta").await]);
            }
            match line {
                Seal => stack.bao.seal().await,
                Unseal => stack.bao.unseal().await,
                Deny => stack.set_policy("path \"auth/token/*\" { capabilities = [\"read\", \"update\"] }").await,
                Permit => stack.set_policy(&super::faults::policy()).await,
                Call(who, method, path, body) => {
                    let caller = match (who, &callers) {
                        (Nobody, _) => &http,
                        (Program, Some([program, ..])) => program,
                        (Reader, Some([_, reader, _])) => reader,
                        (Stranger, Some([.., stranger])) => stranger,
                        _ => &admin,
                    };
                    text.push_str(&ids.say(&format!("{who:?}").to_lowercase(), caller, (method, path, body)).await);
                }
            }
        }
        golden::check("registry/databases.txt", &masked(&text, stack.place.postgres.port()));
    }

    async fn a_login_over_either_protocol_works_and_is_not_cached(db: TestDb) {
        let stack = Stack::start(&db).await;
        let server = server(&db, &stack).await;
        let admin = server.admin();
        for slug in ["acme", "beta"] {
            let body = json!({"name": slug, "slug": slug}).to_string();
            assert_eq!(admin.call(Method::POST, ADMIN, Some(&body)).await.status, 201);
            let provisioned = admin.call(Method::POST, &format!("{ADMIN}/{slug}/auto-provision"), Some("{}")).await;
            assert_eq!(provisioned.status, 200, "{provisioned:?}");
        }
        let token = server.setup().mint(&["--role", "user", "--tenant", "acme"]).await;
        let program = server.http().token(&token);
        // A key is ignored: a stored response would have the password.
        let keyed = program.clone().header("idempotency-key", "one");
        let lease = async || keyed.call(Method::POST, LEASE, Some("{}")).await;
        let (one, two) = (lease().await, lease().await);
        for answer in [&one, &two] {
            assert_eq!((answer.status, answer.header("cache-control"), answer.header("idempotent-replayed")), (200, Some("no-store"), None), "{answer:?}");
        }
        assert_ne!(one.json()["username"], two.json()["username"]);
        let log_in = async |leased: &Value| {
            let text = |member: &str| leased[member].as_str().unwrap().to_owned();
            let url = stack.place.postgres.url_of(&text("username"), &text("password"), &text("database"));
            crate::provisioner::connect(&url).await
        };
        let session = log_in(&one.json()).await.unwrap();
        rows(&session, "CREATE TABLE notes (n int)").await.unwrap();
        let grpc = Grpc::new(server.address()).token(token);
        let method = crate::harness::grpc::methods().into_iter().find(|method| method.name() == "LeaseCredentials").unwrap();
        let request = crate::harness::json::message(&method.input(), &json!({"tenant": "acme"}));
        let refused = grpc.call(&method, request).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition, "the limit: {refused:?}");
        let released = program.call(Method::POST, RELEASE, Some(&json!({"leaseId": one.json()["leaseId"]}).to_string())).await;
        assert_eq!((released.status, released.body.as_str()), (204, ""), "{released:?}");
        let request = crate::harness::json::message(&method.input(), &json!({"tenant": "acme", "ttl": "120s"}));
        let leased = crate::harness::json::shown(&grpc.call(&method, request).await.unwrap());
        let session = log_in(&leased).await.unwrap();
        assert!(rows(&session, "SELECT n FROM notes").await.unwrap().is_empty());
        let log = server.log();
        for secret in [one.json()["password"].clone(), leased["password"].clone()] {
            assert!(!log.contains(secret.as_str().unwrap()));
        }
        let deleted = admin.call(Method::DELETE, &format!("{ADMIN}/acme"), Some(r#"{"confirm":"acme"}"#)).await;
        assert_eq!(deleted.json(), json!({"openbao_removed": true, "database_dropped": false, "registry_removed": true, "errors": []}));
        let operation = deleted.header("operation-id").unwrap();
        let kinds = super::strings(&db, "SELECT kind FROM operations WHERE state = 'succeeded' AND kind = 'tenant.teardown'").await;
        assert!(operation.len() == 36 && kinds.len() == 1, "{operation} {kinds:?}");
    }
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused() {
    for (name, value, wanted) in [
        ("TENANTRY_SUSPEND_DISCONNECTS", "true", "must be set only together with provisioner_url"),
        ("TENANTRY_SUSPEND_DISCONNECTS", "maybe", "must be true or false"),
        ("TENANTRY_MAX_DATABASE_LEASES", "0", "must be a whole number from 1 to 100000"),
    ] {
        let output = Setup::dev().env(name, value).run(&["config", "check"]).await;
        let text = crate::commands::output_text(&output) + &String::from_utf8_lossy(&output.stdout);
        assert!(output.status.code() == Some(1) && text.contains(wanted), "{name}={value}: {text}");
    }
}

/// Without what differs between runs: the port of the database server, the names of logins, ids of other surfaces, and times.
fn masked(text: &str, port: u16) -> String {
    let text = text.replace(&format!(":{port},"), ":<port>,").replace("<not the documented form of a time>", "<time>");
    [("\"v-", "\"<login>"), ("\"ten_", "\"<id>"), ("\"requestId\":\"", "\"requestId\":\"<id>")].iter().fold(
        text,
        |text, (head, mask)| {
            let mut parts = text.split(head);
            let mut masked = parts.next().unwrap_or_default().to_owned();
            for part in parts {
                masked.push_str(mask);
                masked.push_str(&part[part.find('"').unwrap_or_default()..]);
            }
            masked
        },
    )
}

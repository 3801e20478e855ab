//! Isolation of tenants: every RPC, found by reflection, called by the administrator of one tenant with
//! references to another tenant's resources in path, query and body. None of them may be returned or changed.

use std::collections::BTreeMap;

use reqwest::Method;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use serde_json::{Value, json};

use crate::{
    db,
    harness::{
        enroll::{DpopKey, csr},
        grpc::Grpc,
        http::Http,
        operations,
        rpc::{self, Row},
        server::{Server, Setup},
    },
};

/// A word in everything of the other tenant that people may read, and in nothing else.
const MARK: &str = "zebra";

/// The other tenant's references, by the names of the fields that may contain them.
type Foreign = BTreeMap<&'static str, Vec<String>>;

#[tokio::test]
async fn other_tenants_are_neither_visible_nor_changed_on_sqlite() {
    let server = closed(Setup::dev()).start().await;
    let url = format!("sqlite:{}", server.setup().data_dir().join("tenantry.db").display());
    check(&server, &Database::connect(url).await.unwrap()).await;
}

#[tokio::test]
async fn other_tenants_are_neither_visible_nor_changed_on_postgres() {
    let url = db::postgres_unmigrated().await;
    let server = closed(Setup::dev().database(&url)).start().await;
    check(&server, &Database::connect(url).await.unwrap()).await;
}

/// In open manager mode every caller is the platform administrator on the manager's paths.
fn closed(setup: Setup) -> Setup {
    setup.env("KUBEOP_REQUIRE_AUTH", "true")
}

/// Tables in which the other tenant has no row: settings of surfaces that did not create it, what the server itself writes, and what
/// devices and gateways report.
const EMPTY: [&str; 11] = [
    "artifacts",
    "database_leases",
    "derived_names",
    "gateway_directories",
    "gateway_materials",
    "invoices",
    "messaging_tenants",
    "policy_bundles",
    "policy_reports",
    "tenant_databases",
    "warehouse_tenants",
];

/// Fields of which a request may have only one, and not beside `spc_id`.
const ALONE: &[&str] = &["key_id", "subject"];

/// Fields with several references.
const LISTS: &[&str] = &["user_ids", "group_ids", "allowed_group_ids", "device_ids", "session_ids"];

/// Fields that look like references but do not refer to resources of a tenant: ids of other systems, and what
/// does not exist yet.
const NO_REFERENCES: &[&str] = &["display_name", "message_id", "policy_id"];

/// Fails for a request field that may refer to another tenant's resource and that the test does not fill.
fn assert_complete(foreign: &Foreign) {
    let requests: Vec<_> = rpc::rows().into_iter().map(|row| row.method.input()).collect();
    let fields = requests.iter().flat_map(|request| request.fields().collect::<Vec<_>>());
    let mut fields: Vec<_> = fields.map(|field| field.name().to_owned()).filter(|name| is_reference(name)).collect();
    fields.sort();
    fields.dedup();
    let known = |name: &str| foreign.contains_key(name) || NO_REFERENCES.contains(&name);
    let unknown: Vec<_> = fields.iter().filter(|name| !known(name)).collect();
    assert!(unknown.is_empty(), "say in `other_tenant` what {unknown:?} of the other tenant are");
    let unused: Vec<_> = NO_REFERENCES.iter().filter(|name| !fields.iter().any(|field| field == *name)).collect();
    assert!(unused.is_empty(), "{unused:?} are fields of no request");
}

fn is_reference(field: &str) -> bool {
    let names = ["id", "ids", "tenant", "namespace", "cluster", "name", "email", "user", "group", "key", "subject"];
    names.contains(&field)
        || ["_id", "_ids", "_ref", "_tenant", "_tenants", "_name"].iter().any(|end| field.ends_with(end))
}

async fn check(server: &Server, db: &DatabaseConnection) {
    let (foreign, id) = other_tenant(server, db).await;
    assert_complete(&foreign);
    let own = json!({"action": "create", "name": "Own", "slug": "own"});
    post(&server.admin(), "/v1/admin/tenants/lifecycle", &own).await;
    let token = server.setup().mint(&["--role", "admin", "--tenant", "own"]).await;
    let before = rows_of(db, id).await;
    let empty: Vec<_> = before.iter().filter(|(_, rows)| rows.is_empty()).map(|(table, _)| table.as_str()).collect();
    assert_eq!(empty, EMPTY, "`other_tenant` must create a row in each table with rows of tenants");
    let mut passed = Vec::new();
    for row in rpc::rows() {
        let mut sent = Vec::new();
        for fields in variants(&foreign) {
            // Combinations of fields that the request does not have lead to the same request.
            let message = row.request(&fields);
            if sent.contains(&message) {
                continue;
            }
            passed.extend(call(server, &token, &row, &fields).await);
            sent.push(message);
            // The method may have ended the session; the next call needs another one.
        }
    }
    assert_eq!(rows_of(db, id).await, before, "something of the other tenant changed");
    // Only lists of the caller's own tenant, and responses independent of tenants, may succeed.
    passed.sort();
    passed.dedup();
    crate::harness::golden::check("isolation.txt", &(passed.join("\n") + "\n"));
}

/// Calls one RPC over gRPC and REST, and returns its name if the call was not refused.
async fn call(server: &Server, token: &str, row: &Row, fields: &[(&str, &str)]) -> Vec<String> {
    let token = if row.method.name().eq_ignore_ascii_case("logout") {
        server.setup().mint(&["--role", "admin", "--tenant", "own"]).await
    } else {
        token.to_owned()
    };
    let message = row.request(fields);
    let name = format!("{} {}", row.method.full_name(), row.action.as_deref().unwrap_or_default());
    let mut passed = Vec::new();
    match Grpc::new(server.address()).token(&token).call(&row.method, message.clone()).await {
        Ok(answer) => {
            let reported = format!("{answer:?}");
            assert!(!reported.contains(MARK), "{name} reveals {reported}");
            passed.push(name.trim().to_owned());
        }
        Err(status) => assert!(!status.message().contains(MARK) || echoed(fields), "{name} reveals {status:?}"),
    }
    for (method, path, body) in row.rest(&message) {
        let answer = server.http().token(&token).call(method.clone(), &path, body.as_deref()).await;
        let what = format!("{method} {path} {body:?}: {} {}", answer.status, answer.body);
        assert!(!answer.body.contains(MARK) || (answer.status >= 400 && echoed(fields)), "{what}");
        assert!(answer.status < 500, "{what}");
    }
    passed
}

/// Whether the request itself contains the mark, so that an error may repeat it.
fn echoed(fields: &[(&str, &str)]) -> bool {
    fields.iter().any(|(_, value)| value.contains(MARK))
}

/// Requests that refer to the other tenant's resources: all fields in the first format, then in the next.
fn variants(foreign: &Foreign) -> Vec<Vec<(&'static str, &str)>> {
    let most = foreign.values().map(Vec::len).max().unwrap_or_default();
    let of =
        |n: usize| foreign.iter().map(move |(field, values)| (*field, values[n % values.len()].as_str())).collect();
    // And requests that refer to the other tenant's resources within the caller's own tenant.
    let children = |n: usize| {
        let in_own = |(field, value): (&'static str, &'static str)| (field, value);
        let named = foreign.iter().filter(|(field, _)| !["tenant", "tenant_id", "name", "id"].contains(field));
        let named = named.map(move |(field, values)| (*field, values[n % values.len()].as_str()));
        named.chain([in_own(("tenant_id", "own")), in_own(("tenant", "own"))]).collect()
    };
    let all: Vec<Vec<_>> = (0..most).map(of).chain((0..most).map(children)).collect();
    // A call that is refused because of a list might be admitted without it.
    let one_by_one =
        |fields: &Vec<(&'static str, _)>| fields.iter().filter(|(field, _)| !LISTS.contains(field)).copied().collect();
    let alone =
        |fields: &Vec<(&'static str, _)>| fields.iter().filter(|(field, _)| !ALONE.contains(field)).copied().collect();
    let certificates = |fields: &Vec<(&'static str, _)>| {
        fields.iter().filter(|(field, _)| !["spc_id", "key_id"].contains(field)).copied().collect()
    };
    let some = all.iter().map(one_by_one).chain(all.iter().map(alone)).chain(all.iter().map(certificates));
    some.chain(all.iter().cloned()).collect()
}

/// Creates the other tenant, with at least one of everything that a tenant can have.
async fn other_tenant(server: &Server, db: &DatabaseConnection) -> (Foreign, uuid::Uuid) {
    let admin = &server.admin();
    let slug = format!("{MARK}-inc");
    let tenant = json!({"action": "create", "name": format!("{MARK} Inc"), "slug": slug});
    let made = post(admin, "/v1/admin/tenants/lifecycle", &tenant).await;
    let shown = text(&made["tenant"]["id"]);
    let id: tenantry::base::TenantId = shown.parse().unwrap();
    let email = format!("ada@{MARK}.example");
    let user = json!({"action": "create", "tenant_id": shown, "email": email, "display_name": format!("Ada {MARK}"),
        "role": "admin", "password": "a long enough password"});
    let user = post(admin, "/v1/admin/users/lifecycle", &user).await;
    let user = text(&user["user"]["id"]);
    let group = json!({"action": "create", "tenant_id": shown, "name": format!("{MARK}s"), "user_ids": [user]});
    let group = text(&post(admin, "/v1/admin/groups/lifecycle", &group).await["group"]["id"]);
    let role = json!({"tenant_id": shown, "user_id": user, "role": "auditor"});
    post(admin, "/v1/admin/rbac/grant", &role).await;
    let key = json!({"tenant_id": shown, "name": format!("{MARK} key"), "role": "read_only"});
    let key = text(&post(admin, "/v1/admin/api-keys", &key).await["key_id"]);
    let pool =
        json!({"action": "create", "tenant_id": shown, "name": format!("{MARK} pool"), "allowed_group_ids": [group]});
    let pool = text(&post(admin, "/v1/admin/settings/gateway-pools", &pool).await["pool"]["id"]);
    let token = json!({"tenant_id": shown, "name": format!("{MARK} token"), "user_id": user, "group_ids": [group]});
    let token = text(&post(admin, "/v1/admin/tokens/generate", &token).await["token_id"]);
    let device = json!({"tenant_id": shown, "user_id": user, "group_ids": [group]});
    let device = text(&enroll(admin, device, "device").await["device_id"]);
    let gateway = json!({"tenant_id": shown, "kind": "gateway", "pool_id": pool});
    let stable = json!({"tenant_id": shown, "channel": "stable", "policy": {"kill_switch": true}});
    post(admin, "/v1/admin/policy/publish", &stable).await;
    let spc = json!({"tenant_id": shown, "subject": {"type": "device", "id": device}});
    let spc = text(&post(admin, "/v1/spc/issue", &spc).await["spc_id"]);
    let bundle = admin.get(&format!("/v1/spc/bundle?tenant_id={shown}")).await;
    assert_eq!(bundle.status, 200, "{bundle:?}");
    let policy = json!({"tenant_id": shown, "channel": "canary", "policy": {"gateway_pools": [pool]},
        "scope": {"type": "group", "id": group}, "canary": {"group_ids": [group]}, "notes": format!("{MARK} notes")});
    post(admin, "/v1/admin/policy/publish", &policy).await;
    let signer = json!({"action": "create", "tenant_id": shown, "purpose": "spc", "reason": format!("{MARK} reason")});
    let signer = text(&post(admin, "/v1/admin/settings/signers", &signer).await["signer"]["id"]);
    let rotations = admin.get(&format!("/v1/trust/rotations?tenant_id={shown}")).await.json();
    let rotation = text(&rotations["rotations"][0]["id"]);
    let gateway = Gateway::enroll(admin, gateway).await;
    let devices = admin.get(&format!("/v1/admin/devices?tenant_id={shown}")).await.json();
    let session = gateway.admit(server, &device, &text(&devices["devices"][0]["key_thumbprint"])).await;
    gateway.report(server).await;
    let gateway = gateway.id;
    let domains = format!("/api/control-plane/tenants/{}/email-domains", id.dashed());
    let domain = text(&post(admin, &domains, &json!({"domain": format!("{MARK}.example")})).await["id"]);
    let enrollments = format!("/api/control-plane/tenants/{}/enrollment-tokens", id.dashed());
    let enrollment = post(admin, &enrollments, &json!({"label": format!("{MARK} hosts")})).await;
    let host = json!({"active": true, "fqdn": format!("web.{MARK}.example"), "hostname": format!("{MARK}-web"),
        "enrollment_token": enrollment["token"]});
    let host = text(&post(admin, "/api/host/register", &host).await["id"]);
    let placement = format!("/api/control-plane/tenants/{}/placement", id.dashed());
    let placed = Some(json!({"host": format!("pg.{MARK}.example")}).to_string());
    let answer = admin.call(Method::PUT, &placement, placed.as_deref()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let identity = post(admin, "/api/control-plane/users", &json!({"email": format!("eve@{MARK}.example")})).await;
    let identity = text(&identity["id"]);
    let grant = json!({"user_id": identity, "tenant_id": id.dashed()});
    let grant = text(&post(admin, "/api/control-plane/grants", &grant).await["id"]);
    let answer = admin.call(Method::PUT, &format!("/admin/v2/namespaces/{slug}/{MARK}"), None).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    let project = json!({"tenant_id": id.manager(), "name": format!("{MARK} project")});
    let project = text(&post(admin, "/v1/projects", &project).await["id"]);
    let app = json!({"project_id": project, "name": format!("{MARK} app"), "image": format!("{MARK}/web")});
    let app = text(&post(admin, "/v1/apps", &app).await["id"]);
    let now = time::OffsetDateTime::now_utc().format(&time::format_description::well_known::Rfc3339).unwrap();
    post(admin, "/v1/usage/ingest", &json!([{"ts": now, "tenant_id": shown, "cpu_milli": 7}])).await;
    let rates = Some(json!({"cpuMilli": "0.5"}).to_string());
    let answer = admin.call(Method::PUT, &format!("/registry/v1/tenants/{slug}/rates"), rates.as_deref()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let operation = json!({"tenant_id": shown, "target": slug, "cancellable": true});
    let operation = text(&operations::insert(db, &operation).await["id"]);
    let spellings = vec![shown, slug, id.dashed(), id.manager(), id.warehouse()];
    let ids = [spellings.clone(), vec![project.clone(), app.clone()]].concat();
    let foreign = [
        ("tenant", spellings.clone()),
        ("tenant_id", spellings.clone()),
        ("name", spellings),
        ("id", ids),
        ("project_id", vec![project]),
        ("app_id", vec![app]),
        ("user_id", vec![user.clone(), email.clone(), identity]),
        ("user_ids", vec![user.clone()]),
        ("user", vec![user]),
        ("group_id", vec![group.clone()]),
        ("group_ids", vec![group.clone()]),
        ("allowed_group_ids", vec![group]),
        ("pool_id", vec![pool]),
        ("token_id", vec![token, text(&enrollment["summary"]["id"])]),
        ("host_id", vec![host]),
        ("version", vec!["1".to_owned()]),
        ("device_id", vec![device.clone()]),
        ("subject", vec![format!("device:{device}")]),
        ("spc_id", vec![spc]),
        ("device_ids", vec![device]),
        ("gateway_id", vec![gateway]),
        ("signer_id", vec![signer]),
        ("rotation_id", vec![rotation]),
        ("session_id", vec![session.clone()]),
        ("session_ids", vec![session]),
        ("report_id", vec!["r1".to_owned()]),
        ("operation_id", vec![operation]),
        ("key_id", vec![key]),
        ("domain_id", vec![domain]),
        ("lease_id", vec!["01900000-0000-7000-8000-000000000000".to_owned()]),
        ("grant_id", vec![grant]),
        ("namespace", vec![MARK.to_owned()]),
        ("cluster", vec!["standalone".to_owned()]),
        ("email", vec![email]),
        ("code", vec!["000000".to_owned()]),
        ("reason", vec!["none".to_owned()]),
        ("role", vec!["user".to_owned()]),
        ("auth_provider", vec!["db".to_owned()]),
        ("confirm_slug", vec![format!("{MARK}-inc")]),
        ("confirm", vec![format!("{MARK}-inc")]),
        ("slug", vec!["taken-over".to_owned()]),
        ("plan", vec!["starter".to_owned()]),
    ];
    (foreign.into_iter().collect(), id.uuid())
}

/// A gateway of the other tenant.
struct Gateway {
    id: String,
    key: DpopKey,
    token: String,
}

impl Gateway {
    async fn enroll(admin: &Http, token: Value) -> Self {
        let token = text(&post(admin, "/v1/admin/tokens/generate", &token).await["token"]);
        let key = DpopKey::generate();
        let proof = key.proof_of_token(&token, None);
        let request = json!({"token": token, "public_key": key.jwk(), "proof": proof,
            "gateway": {"name": format!("{MARK} gateway")}});
        let made = post(admin, "/v1/enroll", &request).await;
        Self { id: text(&made["gateway_id"]), key, token: text(&made["device_token"]) }
    }

    fn http(&self, server: &Server, method: &str, path: &str) -> Http {
        let proof = self.key.dpop(method, &format!("http://{}{path}", server.address()), &self.token);
        server.http().header("authorization", &format!("DPoP {}", self.token)).header("dpop", &proof)
    }

    /// Starts a session of a device.
    async fn admit(&self, server: &Server, device: &str, key: &str) -> String {
        let path = "/v1/gateway/runtime/client-admission-grant";
        let question = format!("{path}?device_id={device}&client_key={key}&auth_mode=B");
        text(&self.http(server, "GET", path).get(&question).await.json()["session_id"])
    }

    async fn report(&self, server: &Server) {
        let path = "/v1/gateway/metering";
        let body = json!({"report_id": "r1", "window_start": "2024-01-01T00:00:00Z",
            "window_end": "2024-01-01T00:01:00Z", "sequence": 1});
        let answer = self.http(server, "POST", path).call(Method::POST, path, Some(&body.to_string())).await;
        assert_eq!(answer.status, 202, "{answer:?}");
    }
}

async fn post(http: &Http, path: &str, body: &Value) -> Value {
    let answer = http.call(Method::POST, path, Some(&body.to_string())).await;
    assert!(matches!(answer.status, 200 | 201), "{path} {body}: {answer:?}");
    answer.json()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// All rows of a tenant by table, in every table with a reference to it, except the audit log.
async fn rows_of(db: &DatabaseConnection, id: uuid::Uuid) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    for table in tables(db).await {
        let column = if table == "tenants" { "id" } else { "tenant_id" };
        let sql = match db.get_database_backend() {
            DbBackend::Sqlite => {
                format!("SELECT {} AS row FROM {table} WHERE {column} = ?", whole_row(db, &table).await)
            }
            _ => format!("SELECT to_jsonb(t)::text AS row FROM {table} t WHERE {column} = $1"),
        };
        let query = Statement::from_sql_and_values(db.get_database_backend(), sql, [id.into()]);
        let rows = db.query_all_raw(query).await.unwrap();
        let mut rows: Vec<String> = rows.iter().map(|row| row.try_get("", "row").unwrap()).collect();
        rows.sort();
        found.insert(table, rows);
    }
    found
}

/// The tables with rows of tenants.
async fn tables(db: &DatabaseConnection) -> Vec<String> {
    let sql = match db.get_database_backend() {
        DbBackend::Sqlite => {
            "SELECT m.name AS name FROM sqlite_master m JOIN pragma_table_info(m.name) c \
             WHERE m.type = 'table' AND (c.name = 'tenant_id' OR (m.name = 'tenants' AND c.name = 'id'))"
        }
        _ => {
            "SELECT table_name::text AS name FROM information_schema.columns WHERE table_schema = 'public' \
             AND (column_name = 'tenant_id' OR (table_name = 'tenants' AND column_name = 'id'))"
        }
    };
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap();
    let names = rows.iter().map(|row| row.try_get::<String>("", "name").unwrap());
    names.filter(|name| !["audit_events", "outbox"].contains(&name.as_str())).collect()
}

/// The SQLite expression for a whole row as text.
async fn whole_row(db: &DatabaseConnection, table: &str) -> String {
    let sql = format!("SELECT name FROM pragma_table_info('{table}')");
    let rows = db.query_all_raw(Statement::from_string(DbBackend::Sqlite, sql)).await.unwrap();
    let columns = rows.iter().map(|row| format!("quote({})", row.try_get::<String>("", "name").unwrap()));
    columns.collect::<Vec<_>>().join(" || ',' || ")
}

/// Enrolls a device or a gateway with a new token.
async fn enroll(admin: &Http, token: Value, kind: &str) -> Value {
    let token = text(&post(admin, "/v1/admin/tokens/generate", &token).await["token"]);
    let mut request = json!({"token": token, "csr_pem": csr()});
    request[kind] = json!({"name": format!("{MARK} {kind}")});
    if kind == "device" {
        request[kind]["platform"] = json!("linux");
    }
    post(admin, "/v1/enroll", &request).await
}

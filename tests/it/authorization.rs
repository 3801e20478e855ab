//! Who may call what: every RPC, found by reflection, as every caller, on its own tenant, another and one that does not
//! exist, over gRPC and REST. The golden file is read in review.

use std::fmt::Write as _;

use prost_reflect::{DynamicMessage, Kind, MethodDescriptor, ReflectMessage as _, Value};
use reqwest::Method;
use tonic::Code;

use crate::harness::{
    golden,
    grpc::{self, Grpc},
    http::Http,
    server::{Server, Setup},
};

/// Tenants that a request names.
const TENANTS: [(&str, &str); 3] = [("own", "matrix-own"), ("other", "matrix-other"), ("missing", "matrix-missing")];
/// The subject that the messaging surface lets administer `matrix-own`.
const ADMIN_ROLE: &str = "ops-team";
/// Roles inside of a tenant.
const ROLES: [&str; 7] = ["admin", "network_admin", "security_operator", "auditor", "read_only", "user", "project"];

/// What the service says to callers whom the guard let pass, and who have no grant.
const NO_GRANT: &str = "You do not have access to the selected account.";

struct Caller {
    name: String,
    /// What `token mint` is told; none for those without a token.
    minted: Option<Vec<&'static str>>,
    grpc: Grpc,
    http: Http,
}

impl Caller {
    async fn new(server: &Server, name: &str, minted: Option<Vec<&'static str>>) -> Self {
        let (grpc, http) = (Grpc::new(server.address()), server.http());
        let (grpc, http) = match &minted {
            Some(arguments) => {
                let token = server.setup().mint(arguments).await;
                (grpc.token(token.clone()), http.token(token))
            }
            None => (grpc, http),
        };
        Self { name: name.to_owned(), minted, grpc, http }
    }

    /// The caller with a token that it has not used yet, where the method ends the session that it comes with.
    async fn before(&self, server: &Server, method: &MethodDescriptor) -> Option<Self> {
        if !method.name().eq_ignore_ascii_case("logout") {
            return None;
        }
        Some(Self::new(server, &self.name, self.minted.clone()).await)
    }
}

/// An RPC, or one of its actions where a field of the request decides what may be done.
struct Row {
    method: MethodDescriptor,
    action: Option<String>,
}

#[tokio::test]
async fn every_rpc_admits_whom_the_matrix_admits() {
    // In open manager mode everybody passes on the manager's paths.
    let server = Setup::dev().env("KUBEOP_REQUIRE_AUTH", "true").start().await;
    let admin = server.admin();
    for (_, tenant) in &TENANTS[..2] {
        let info = format!(r#"{{"adminRoles":["{}"],"allowedClusters":["standalone"]}}"#, roles_of(tenant));
        assert_eq!(admin.put(&format!("/admin/v2/tenants/{tenant}"), &info).await.status, 204);
    }
    let callers = callers(&server).await;
    let rows: Vec<_> = grpc::methods().into_iter().flat_map(rows_of).collect();
    let mut cells = vec![vec![String::new(); callers.len()]; rows.len()];
    // The platform comes last: what it deletes, nobody else can be asked about any more.
    for (column, caller) in callers.iter().enumerate() {
        for (row, cells) in rows.iter().zip(&mut cells) {
            for (_, tenant) in TENANTS {
                let verdict = verdict(&server, caller, row, tenant).await;
                write!(cells[column], "{verdict:<9}").unwrap();
                if row.action.as_deref() == Some("suspend") {
                    lift(&admin, tenant).await;
                }
            }
        }
    }
    golden::check("authorization.txt", &table(&rows, &callers, &cells));
}

/// Takes back what a caller might do to a tenant.
async fn lift(admin: &Http, tenant: &str) {
    let body = format!(r#"{{"action":"reactivate","tenant_id":"{tenant}"}}"#);
    let answer = admin.call(Method::POST, "/v1/admin/tenants/lifecycle", Some(&body)).await;
    assert!(matches!(answer.status, 200 | 404), "{answer:?}");
}

/// The rows of a method: itself, or each action that its rule lists.
fn rows_of(method: MethodDescriptor) -> Vec<Row> {
    let actions = actions(&method);
    if actions.is_empty() {
        return vec![Row { method, action: None }];
    }
    actions.into_iter().map(|action| Row { method: method.clone(), action: Some(action) }).collect()
}

/// The values of the field that decides the permission, sorted.
fn actions(method: &MethodDescriptor) -> Vec<String> {
    let auth = method.parent_pool().get_extension_by_name("tenantry.options.v1.auth").unwrap();
    let options = method.options();
    let rule = options.get_extension(&auth).as_message().unwrap().clone();
    if !rule.has_field_by_name("permission_by") {
        return Vec::new();
    }
    let by = rule.get_field_by_name("permission_by").unwrap().as_message().unwrap().clone();
    let map = by.get_field_by_name("map").unwrap().as_map().unwrap().clone();
    let mut values: Vec<_> = map.keys().map(|key| key.as_str().unwrap().to_owned()).collect();
    values.sort();
    values
}

/// The admin roles of a tenant: only the caller's own has one that anybody bears.
fn roles_of(tenant: &str) -> &'static str {
    if tenant == TENANTS[0].1 { ADMIN_ROLE } else { "nobody" }
}

async fn callers(server: &Server) -> Vec<Caller> {
    let mut callers = vec![Caller::new(server, "anonymous", None).await];
    for role in ROLES {
        let mut arguments = vec!["--role", role, "--tenant", TENANTS[0].1];
        if role == "project" {
            arguments.extend(["--project", "p_00000000000000000000000000000001"]);
        }
        callers.push(Caller::new(server, role, Some(arguments)).await);
    }
    let of_role = vec!["--role", "user", "--tenant", TENANTS[1].1, "--sub", ADMIN_ROLE];
    callers.push(Caller::new(server, &format!("{ADMIN_ROLE} of other"), Some(of_role)).await);
    // The audience is a surface that has no services yet.
    let elsewhere = vec!["--role", "platform_admin", "--audience", "native"];
    callers.push(Caller::new(server, "other audience", Some(elsewhere)).await);
    callers.push(Caller::new(server, "platform_admin", Some(vec!["--role", "platform_admin"])).await);
    callers
}

/// Whether the guard lets a call pass. gRPC and every REST path of the method must agree.
async fn verdict(server: &Server, caller: &Caller, row: &Row, tenant: &str) -> &'static str {
    let (method, message) = (&row.method, request(row, tenant));
    let fresh = caller.before(server, method).await;
    let over_grpc = match fresh.as_ref().unwrap_or(caller).grpc.call(method, message.clone()).await {
        Err(status) if status.code() == Code::Unauthenticated => "no token",
        Err(status) if status.code() == Code::PermissionDenied && status.message() != NO_GRANT => "denied",
        _ => "passes",
    };
    for (http, path, body) in paths(method) {
        let (path, body) = rest(&message, &http, &path, &body);
        let fresh = caller.before(server, method).await;
        let answer = fresh.as_ref().unwrap_or(caller).http.call(http.clone(), &path, body.as_deref()).await;
        let over_rest = match answer.status {
            401 => "no token",
            403 if !answer.body.contains(NO_GRANT) => "denied",
            _ => "passes",
        };
        assert_eq!(over_rest, over_grpc, "{} calls {http} {path} {body:?}: {answer:?}", caller.name);
    }
    over_grpc
}

/// Fields of requests with their values; none stands for the tenant.
const FIELDS: &[(&str, Option<&str>)] = &[
    ("tenant", None),
    ("tenant_id", None),
    ("name", None),
    ("id", None),
    ("namespace", Some("ns")),
    ("cluster", Some("standalone")),
    ("domain_id", Some("01900000-0000-7000-8000-000000000000")),
    ("grant_id", Some("01900000-0000-7000-8000-000000000000")),
];

/// A request that names the tenant, and is bad in all else, so that little comes of it.
fn request(row: &Row, tenant: &str) -> DynamicMessage {
    let mut message = DynamicMessage::new(row.method.input());
    let is_text = |message: &DynamicMessage, name: &str| {
        message.descriptor().get_field_by_name(name).is_some_and(|field| matches!(field.kind(), Kind::String))
    };
    for (field, value) in FIELDS {
        if is_text(&message, field) {
            message.set_field_by_name(field, Value::String(value.unwrap_or(tenant).to_owned()));
        }
    }
    if let Some(action) = &row.action {
        message.set_field_by_name("action", Value::String(action.clone()));
    }
    message
}

/// The path and the body of a REST call that says the same as a request: its texts in the path, then in the body if that
/// is the whole request, else in the query.
fn rest(message: &DynamicMessage, http: &Method, path: &str, body: &str) -> (String, Option<String>) {
    let (mut path, mut left) = (path.to_owned(), serde_json::Map::new());
    for (field, value) in message.fields() {
        let (variable, text) = (format!("{{{}}}", field.name()), value.as_str().unwrap());
        if path.contains(&variable) {
            path = path.replace(&variable, text);
        } else {
            left.insert(field.json_name().to_owned(), text.into());
        }
    }
    assert!(!path.contains('{'), "{path} has a variable that this test does not know");
    match body {
        "*" => (path, Some(serde_json::Value::Object(left).to_string())),
        "" if !left.is_empty() => {
            let pairs: Vec<_> = left.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap())).collect();
            (format!("{path}?{}", pairs.join("&")), None)
        }
        _ => (path, matches!(*http, Method::PUT | Method::POST | Method::PATCH).then(|| "{}".to_owned())),
    }
}

/// The REST paths of a method, each with the field that its body is.
fn paths(method: &MethodDescriptor) -> Vec<(Method, String, String)> {
    let http = method.parent_pool().get_extension_by_name("google.api.http").unwrap();
    let options = method.options();
    let rule = options.get_extension(&http).as_message().unwrap().clone();
    let more = rule.get_field_by_name("additional_bindings").unwrap().as_list().unwrap().to_vec();
    std::iter::once(rule)
        .chain(more.iter().filter_map(|value| value.as_message().cloned()))
        .filter_map(|rule| {
            ["get", "put", "post", "delete", "patch"].into_iter().find_map(|name| {
                let path = rule.get_field_by_name(name)?.as_str()?.to_owned();
                let body = rule.get_field_by_name("body")?.as_str()?.to_owned();
                (!path.is_empty()).then(|| (name.to_uppercase().parse().unwrap(), path, body))
            })
        })
        .collect()
}

fn table(rows: &[Row], callers: &[Caller], cells: &[Vec<String>]) -> String {
    let mut text = String::from(
        "Who passes the guard, over gRPC and REST alike. The columns are the tenant that the request names.\n",
    );
    let mut heads = String::new();
    for (head, _) in TENANTS {
        write!(heads, "{head:<9}").unwrap();
    }
    for (row, cells) in rows.iter().zip(cells) {
        let action = row.action.as_deref().map(|action| format!(" {action}")).unwrap_or_default();
        writeln!(text, "\n{}{action}\n  {:<20}{}", row.method.full_name(), "", heads.trim_end()).unwrap();
        for (caller, cell) in callers.iter().zip(cells) {
            writeln!(text, "  {:<20}{}", caller.name, cell.trim_end()).unwrap();
        }
    }
    text
}

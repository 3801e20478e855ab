//! Who may call what: every RPC, found by reflection, as every caller, on its own tenant, another and one that does not
//! exist, over gRPC and REST. The golden file is read in review.

use std::fmt::Write as _;

use prost_reflect::{DynamicMessage, MethodDescriptor, ReflectMessage as _, Value};
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
        if method.name() != "Logout" {
            return None;
        }
        Some(Self::new(server, &self.name, self.minted.clone()).await)
    }
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
    let methods = grpc::methods();
    let mut cells = vec![vec![String::new(); callers.len()]; methods.len()];
    // The platform comes last: what it deletes, nobody else can be asked about any more.
    for (column, caller) in callers.iter().enumerate() {
        for (row, method) in methods.iter().enumerate() {
            for (_, tenant) in TENANTS {
                let verdict = verdict(&server, caller, method, tenant).await;
                write!(cells[row][column], "{verdict:<9}").unwrap();
            }
        }
    }
    golden::check("authorization.txt", &table(&methods, &callers, &cells));
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
async fn verdict(server: &Server, caller: &Caller, method: &MethodDescriptor, tenant: &str) -> &'static str {
    let message = request(method, tenant);
    let fresh = caller.before(server, method).await;
    let over_grpc = match fresh.as_ref().unwrap_or(caller).grpc.call(method, message.clone()).await {
        Err(status) if status.code() == Code::Unauthenticated => "no token",
        Err(status) if status.code() == Code::PermissionDenied => "denied",
        _ => "passes",
    };
    for (http, path, whole) in paths(method) {
        let path = VARIABLES
            .iter()
            .fold(path, |path, (variable, value)| path.replace(&format!("{{{variable}}}"), value.unwrap_or(tenant)));
        assert!(!path.contains('{'), "{path} has a variable that this test does not know");
        let body = matches!(http, Method::PUT | Method::POST | Method::PATCH)
            .then(|| if whole { json(&message) } else { "{}".to_owned() });
        let fresh = caller.before(server, method).await;
        let answer = fresh.as_ref().unwrap_or(caller).http.call(http.clone(), &path, body.as_deref()).await;
        let over_rest = match answer.status {
            401 => "no token",
            403 => "denied",
            _ => "passes",
        };
        assert_eq!(over_rest, over_grpc, "{} calls {http} {path}", caller.name);
    }
    over_grpc
}

/// Fields of requests and variables of paths, with their values; none stands for the tenant.
const VARIABLES: &[(&str, Option<&str>)] = &[
    ("tenant", None),
    ("tenant_id", None),
    ("name", None),
    ("id", None),
    ("namespace", Some("ns")),
    ("cluster", Some("standalone")),
];

/// A request that names the tenant, and is bad in all else, so that little comes of it.
fn request(method: &MethodDescriptor, tenant: &str) -> DynamicMessage {
    let mut message = DynamicMessage::new(method.input());
    for (field, value) in VARIABLES {
        if message.descriptor().get_field_by_name(field).is_some() {
            message.set_field_by_name(field, Value::String(value.unwrap_or(tenant).to_owned()));
        }
    }
    message
}

/// The texts of a request as the body of a call.
fn json(message: &DynamicMessage) -> String {
    let texts = message.fields().map(|(field, value)| (field.json_name().to_owned(), value.as_str().unwrap().into()));
    serde_json::Value::Object(texts.collect()).to_string()
}

/// The REST paths of a method, each with whether the body is the whole request.
fn paths(method: &MethodDescriptor) -> Vec<(Method, String, bool)> {
    let http = method.parent_pool().get_extension_by_name("google.api.http").unwrap();
    let options = method.options();
    let rule = options.get_extension(&http).as_message().unwrap().clone();
    let more = rule.get_field_by_name("additional_bindings").unwrap().as_list().unwrap().to_vec();
    std::iter::once(rule)
        .chain(more.iter().filter_map(|value| value.as_message().cloned()))
        .filter_map(|rule| {
            ["get", "put", "post", "delete", "patch"].into_iter().find_map(|name| {
                let path = rule.get_field_by_name(name)?.as_str()?.to_owned();
                let whole = rule.get_field_by_name("body")?.as_str()? == "*";
                (!path.is_empty()).then(|| (name.to_uppercase().parse().unwrap(), path, whole))
            })
        })
        .collect()
}

fn table(methods: &[MethodDescriptor], callers: &[Caller], cells: &[Vec<String>]) -> String {
    let mut text = String::from(
        "Who passes the guard, over gRPC and REST alike. The columns are the tenant that the request names.\n",
    );
    let mut heads = String::new();
    for (head, _) in TENANTS {
        write!(heads, "{head:<9}").unwrap();
    }
    for (method, cells) in methods.iter().zip(cells) {
        writeln!(text, "\n{}\n  {:<20}{}", method.full_name(), "", heads.trim_end()).unwrap();
        for (caller, cell) in callers.iter().zip(cells) {
            writeln!(text, "  {:<20}{}", caller.name, cell.trim_end()).unwrap();
        }
    }
    text
}

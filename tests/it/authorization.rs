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
    server::Server,
};

/// Tenants that a request names.
const TENANTS: [(&str, &str); 3] = [("own", "matrix-own"), ("other", "matrix-other"), ("missing", "matrix-missing")];
/// The subject that the messaging surface lets administer `matrix-own`.
const ADMIN_ROLE: &str = "ops-team";
/// Roles inside of a tenant.
const ROLES: [&str; 7] = ["admin", "network_admin", "security_operator", "auditor", "read_only", "user", "project"];

/// What stands in requests for other things than tenants, by the variable of the path.
const VARIABLES: [(&str, &str); 4] = [
    ("namespace", "ns"),
    ("cluster", "standalone"),
    ("domain_id", "0191f3a4-7c10-7b2e-9d31-5a6b7c8d9e0f"),
    ("grant_id", "0191f3a4-7c10-7b2e-9d31-5a6b7c8d9e0f"),
];
/// What the service says to callers whom the guard let pass, and who have no grant.
const NO_GRANT: &str = "You do not have access to the selected account.";

struct Caller {
    name: String,
    grpc: Grpc,
    http: Http,
}

#[tokio::test]
async fn every_rpc_admits_whom_the_matrix_admits() {
    let server = Server::dev().await;
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
                let verdict = verdict(caller, method, tenant).await;
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
    let setup = server.setup();
    let mut tokens = vec![("anonymous".to_owned(), None)];
    for role in ROLES {
        let mut arguments = vec!["--role", role, "--tenant", TENANTS[0].1];
        if role == "project" {
            arguments.extend(["--project", "p_00000000000000000000000000000001"]);
        }
        tokens.push((role.to_owned(), Some(setup.mint(&arguments).await)));
    }
    let of_role = setup.mint(&["--role", "user", "--tenant", TENANTS[1].1, "--sub", ADMIN_ROLE]).await;
    tokens.push((format!("{ADMIN_ROLE} of other"), Some(of_role)));
    let elsewhere = setup.mint(&["--role", "platform_admin", "--audience", "warehouse"]).await;
    tokens.push(("other audience".to_owned(), Some(elsewhere)));
    tokens.push(("platform_admin".to_owned(), Some(server.admin_token())));
    let caller = |(name, token): (String, Option<String>)| {
        let (grpc, http) = (Grpc::new(server.address()), server.http());
        match token {
            Some(token) => Caller { name, grpc: grpc.token(token.clone()), http: http.token(token) },
            None => Caller { name, grpc, http },
        }
    };
    tokens.into_iter().map(caller).collect()
}

/// Whether the guard lets a call pass. gRPC and every REST path of the method must agree.
async fn verdict(caller: &Caller, method: &MethodDescriptor, tenant: &str) -> &'static str {
    let over_grpc = match caller.grpc.call(method, request(method, tenant)).await {
        Err(status) if status.code() == Code::Unauthenticated => "no token",
        Err(status) if status.code() == Code::PermissionDenied && status.message() != NO_GRANT => "denied",
        _ => "passes",
    };
    for (http, path) in paths(method) {
        let path =
            VARIABLES.iter().fold(path, |path, (variable, value)| path.replace(&format!("{{{variable}}}"), value));
        let path = path.replace("{tenant}", tenant).replace("{tenant_id}", tenant);
        assert!(!path.contains('{'), "{path} has a variable that this test does not know");
        let body = matches!(http, Method::PUT | Method::POST | Method::PATCH).then_some("{}");
        let answer = caller.http.call(http.clone(), &path, body).await;
        let over_rest = match answer.status {
            401 => "no token",
            403 if !answer.body.contains(NO_GRANT) => "denied",
            _ => "passes",
        };
        assert_eq!(over_rest, over_grpc, "{} calls {http} {path}", caller.name);
    }
    over_grpc
}

/// A request that names the tenant, and is bad in all else, so that little comes of it.
fn request(method: &MethodDescriptor, tenant: &str) -> DynamicMessage {
    let mut message = DynamicMessage::new(method.input());
    for (field, value) in VARIABLES.iter().copied().chain([("tenant", tenant), ("tenant_id", tenant)]) {
        if message.descriptor().get_field_by_name(field).is_some() {
            message.set_field_by_name(field, Value::String(value.to_owned()));
        }
    }
    message
}

/// The REST paths of a method.
fn paths(method: &MethodDescriptor) -> Vec<(Method, String)> {
    let http = method.parent_pool().get_extension_by_name("google.api.http").unwrap();
    let options = method.options();
    let rule = options.get_extension(&http).as_message().unwrap().clone();
    let more = rule.get_field_by_name("additional_bindings").unwrap().as_list().unwrap().to_vec();
    std::iter::once(rule)
        .chain(more.iter().filter_map(|value| value.as_message().cloned()))
        .filter_map(|rule| {
            ["get", "put", "post", "delete", "patch"].into_iter().find_map(|name| {
                let path = rule.get_field_by_name(name)?.as_str()?.to_owned();
                (!path.is_empty()).then(|| (name.to_uppercase().parse().unwrap(), path))
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

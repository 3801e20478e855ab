//! The authorization matrix: every RPC, found by reflection, called as every caller, on its own tenant, another
//! one and a missing one, over gRPC and REST. The golden file is read in review.

use std::fmt::Write as _;

use prost_reflect::MethodDescriptor;
use reqwest::Method;
use tonic::Code;

use crate::harness::{
    golden,
    grpc::Grpc,
    http::Http,
    rpc::{self, Row},
    server::{Server, Setup},
};

/// The tenants that requests name.
const TENANTS: [(&str, &str); 3] = [("own", "matrix-own"), ("other", "matrix-other"), ("missing", "matrix-missing")];
/// The subject that is an admin role of `matrix-own` on the messaging surface.
const ADMIN_ROLE: &str = "ops-team";
/// Roles in a tenant.
const ROLES: [&str; 7] = ["admin", "network_admin", "security_operator", "auditor", "read_only", "user", "project"];

/// The service's error for callers that pass the guard but have no grant.
const NO_GRANT: &str = "You do not have access to the selected account.";

struct Caller {
    name: String,
    /// Arguments of `token mint`; none for callers without a token.
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

    /// The caller with a fresh token for methods that end the session of their call, and of another audience where its own is
    /// the right one.
    async fn before(&self, server: &Server, method: &MethodDescriptor) -> Option<Self> {
        if self.name == ELSEWHERE && method.full_name().starts_with("tenantry.registry.") {
            return Some(Self::new(server, ELSEWHERE, Some(elsewhere("messaging"))).await);
        }
        if !method.name().eq_ignore_ascii_case("logout") {
            return None;
        }
        Some(Self::new(server, &self.name, self.minted.clone()).await)
    }
}

#[tokio::test]
async fn every_rpc_admits_the_callers_of_the_matrix() {
    // In open manager mode every caller is admitted on the manager's paths.
    let server = Setup::dev()
        .env("KUBEOP_REQUIRE_AUTH", "true")
        // Where it is disabled, every caller learns that.
        .env("TENANTRY_SELF_SERVICE_PROVISIONING", "true")
        .start()
        .await;
    let admin = server.admin();
    for (_, tenant) in &TENANTS[..2] {
        let info = format!(r#"{{"adminRoles":["{}"],"allowedClusters":["standalone"]}}"#, roles_of(tenant));
        assert_eq!(admin.put(&format!("/admin/v2/tenants/{tenant}"), &info).await.status, 204);
    }
    let callers = callers(&server).await;
    let rows = rpc::rows();
    let mut cells = vec![vec![String::new(); callers.len()]; rows.len()];
    // The platform administrator is last, because it deletes what the others are tested with.
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

/// A platform administrator whose token is for another surface.
const ELSEWHERE: &str = "other audience";

/// How to mint a token that is good on one surface only.
fn elsewhere(audience: &'static str) -> Vec<&'static str> {
    vec!["--role", "platform_admin", "--audience", audience]
}

/// Undoes a suspension.
async fn lift(admin: &Http, tenant: &str) {
    let body = format!(r#"{{"action":"reactivate","tenant_id":"{tenant}"}}"#);
    let answer = admin.call(Method::POST, "/v1/admin/tenants/lifecycle", Some(&body)).await;
    assert!(matches!(answer.status, 200 | 404), "{answer:?}");
}

/// The admin roles of a tenant: only the caller's own tenant has one that a caller has.
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
    callers.push(Caller::new(server, ELSEWHERE, Some(elsewhere("native"))).await);
    callers.push(Caller::new(server, "platform_admin", Some(vec!["--role", "platform_admin"])).await);
    callers
}

/// Whether the guard admits a call. gRPC and every REST path of the method must agree.
async fn verdict(server: &Server, caller: &Caller, row: &Row, tenant: &str) -> &'static str {
    let fields: Vec<_> = OTHERS.into_iter().chain(TENANT_FIELDS.map(|field| (field, tenant))).collect();
    let (method, message) = (&row.method, row.request(&fields));
    let fresh = caller.before(server, method).await;
    let over_grpc = match fresh.as_ref().unwrap_or(caller).grpc.call(method, message.clone()).await {
        Err(status) if status.code() == Code::Unauthenticated => "no token",
        Err(status) if status.code() == Code::PermissionDenied && status.message() != NO_GRANT => "denied",
        _ => "passes",
    };
    for (http, path, body) in row.rest(&message) {
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

/// Values for request fields that do not name the tenant.
pub(crate) const OTHERS: [(&str, &str); 12] = [
    ("namespace", "ns"),
    ("cluster", "standalone"),
    ("domain_id", "01900000-0000-7000-8000-000000000000"),
    ("grant_id", "01900000-0000-7000-8000-000000000000"),
    ("operation_id", "01900000-0000-7000-8000-000000000000"),
    ("host_id", "01900000-0000-7000-8000-000000000000"),
    ("lease_id", "01900000-0000-7000-8000-000000000000"),
    ("token_id", "tok_01J7ST8Z0GFCQ9TCATDDY8V7GF"),
    ("rotation_id", "rot_01J7ST8Z0GFCQ9TCATDDY8V7GF"),
    ("version", "1"),
    ("project_id", "p_00000000000000000000000000000001"),
    ("app_id", "a_00000000000000000000000000000001"),
];
/// Request fields that name the tenant.
const TENANT_FIELDS: [&str; 4] = ["tenant", "tenant_id", "name", "id"];

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

//! The tenant of a call: the one that the request names, or else the caller's own. The guard decides it, for the operation,
//! the access log and the audit log alike.

use prost_reflect::{DynamicMessage, MethodDescriptor, Value};
use reqwest::Method;
use sea_orm::{ColumnTrait, Database, EntityTrait, QueryFilter};
use serde_json::json;
use tenantry::{base::TenantId, store::tables::audit_events};
use tonic::Code;

use crate::harness::{
    eventually,
    grpc::{self, Grpc},
    http::Http,
    server::{Server, Setup},
};

const GROUPS: &str = "/v1/admin/groups";
const SUSPEND: &str = "/v1/admin/users/suspend";

/// Where the rule of a method finds the tenant.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    Field,
    FieldOrCaller,
    /// A value of `TenantSource`.
    From(String),
    /// The method is public.
    Nowhere,
}

fn source(method: &MethodDescriptor) -> Source {
    let extension = method.parent_pool().get_extension_by_name("tenantry.options.v1.auth").unwrap();
    let auth = method.options().get_extension(&extension).as_message().unwrap().clone();
    let rule = auth.get_field_by_name("tenant").unwrap().as_message().unwrap().clone();
    let Some((field, value)) = rule.fields().next().map(|(field, value)| (field, value.clone())) else {
        return Source::Nowhere;
    };
    match (field.name(), value) {
        ("field", _) => Source::Field,
        ("field_or_caller", _) => Source::FieldOrCaller,
        ("from", Value::EnumNumber(number)) => {
            Source::From(field.kind().as_enum().unwrap().get_value(number).unwrap().name().to_owned())
        }
        (other, _) => panic!("{other} is a rule that this test does not know"),
    }
}

/// Whether a field of a request names a tenant, by its name.
fn names_tenant(field: &str) -> bool {
    field.split('_').any(|word| word == "tenant")
}

/// Methods that check the named tenant themselves, because their document has an empty list or a 404 where the guard refuses. The
/// conversations of the manager surface name the tenants of others.
const OWN_CHECKS: [&str; 2] =
    ["tenantry.manager.v1.ProjectService.CreateProject", "tenantry.manager.v1.ProjectService.ListProjects"];

#[test]
fn a_request_that_may_name_a_tenant_is_not_on_the_callers_own() {
    let methods = grpc::methods();
    let mut or_caller = 0;
    for method in &methods {
        let fields: Vec<_> = method.input().fields().map(|field| field.name().to_owned()).collect();
        let naming: Vec<_> = fields.iter().filter(|field| names_tenant(field)).collect();
        match source(method) {
            Source::From(from) if ["TENANT_SOURCE_CALLER", "TENANT_SOURCE_RESOURCE"].contains(&from.as_str()) => {
                let name = method.full_name();
                assert_eq!(
                    !naming.is_empty(),
                    OWN_CHECKS.contains(&name),
                    "{name}: declare field_or_caller instead of {from}: {naming:?}"
                );
            }
            Source::FieldOrCaller => or_caller += 1,
            _ => {}
        }
    }
    assert!(or_caller >= 15, "the test finds the rules: {or_caller}");
    assert!(names_tenant("tenant") && names_tenant("tenant_id") && names_tenant("target_tenant"));
    assert!(!names_tenant("tenants_total") && !names_tenant("name"));
}

/// A server with the tenants `acme` and `other`.
async fn serve() -> Server {
    let server = Setup::dev().start().await;
    for slug in ["acme", "other"] {
        let tenant = json!({"action": "create", "slug": slug});
        let created = server.admin().call(Method::POST, "/v1/admin/tenants/lifecycle", Some(&tenant.to_string())).await;
        assert_eq!(created.status, 201, "{created:?}");
    }
    server
}

async fn token(server: &Server, role: &str) -> String {
    server.setup().mint(&["--role", role, "--tenant", "acme"]).await
}

/// The tenant in the access log line of a call with this request id; `None` if the line has none.
async fn logged_tenant(server: &Server, id: &str) -> Option<String> {
    let line: serde_json::Value = eventually("the line of the call", async || {
        let log = server.log();
        let line = log.lines().find(|line| line.contains(id))?;
        Some(serde_json::from_str(line).unwrap())
    })
    .await;
    line["tenant"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn the_access_log_names_the_tenant_of_a_call() {
    let server = serve().await;
    let admin = server.http().token(token(&server, "admin").await);
    let user = server.http().token(token(&server, "user").await);
    let platform = server.admin();
    let cases: [(&Http, &str, u16, Option<&str>); 11] = [
        (&admin, "/v1/admin/groups", 200, Some("acme")),
        (&admin, "/v1/admin/groups?tenant_id=", 200, Some("acme")),
        (&admin, "/v1/admin/groups?tenant_id=ACME", 200, Some("ACME")),
        (&admin, "/v1/admin/groups?tenant_id=other", 403, Some("other")),
        (&admin, "/v1/admin/tenants", 200, Some("acme")),
        (&user, "/v1/admin/groups", 403, Some("acme")),
        (&user, "/v1/admin/users", 200, Some("acme")),
        (&platform, "/v1/admin/groups?tenant_id=other", 200, Some("other")),
        (&platform, "/v1/admin/groups", 422, None),
        (&platform, "/v1/admin/tenants", 200, None),
        (&admin, "/admin/v2/namespaces/acme", 200, Some("acme")),
    ];
    for (n, (client, path, status, tenant)) in cases.into_iter().enumerate() {
        let id = format!("call-{n}-of-the-table");
        let response = client.clone().header("x-request-id", &id).get(path).await;
        assert_eq!(response.status, status, "{path}: {response:?}");
        assert_eq!(logged_tenant(&server, &id).await.as_deref(), tenant, "{n}: {path}");
    }
}

#[tokio::test]
async fn a_foreign_tenant_is_refused_before_the_request_is_checked() {
    let server = serve().await;
    let token = token(&server, "admin").await;
    let admin = server.http().token(&token);
    // Without the user, which is required.
    for (body, status) in [(json!({}), 422), (json!({"tenant_id": "acme"}), 422), (json!({"tenant_id": "other"}), 403)]
    {
        let response = admin.call(Method::POST, SUSPEND, Some(&body.to_string())).await;
        assert_eq!(response.status, status, "{body}: {response:?}");
    }
    let name = "tenantry.zerotrust.v1.UserService.SuspendUser";
    let method = grpc::methods().into_iter().find(|method| method.full_name() == name).unwrap();
    let mut message = DynamicMessage::new(method.input());
    for (tenant, code) in [("acme", Code::InvalidArgument), ("other", Code::PermissionDenied)] {
        message.set_field_by_name("tenant_id", Value::String(tenant.to_owned()));
        let status = Grpc::new(server.address()).token(&token).call(&method, message.clone()).await.unwrap_err();
        assert_eq!(status.code(), code, "{tenant}: {status:?}");
    }
}

#[tokio::test]
async fn a_refused_foreign_tenant_is_a_denied_call() {
    let mut server = serve().await;
    let admin = server.http().token(token(&server, "admin").await);
    assert_eq!(admin.get(&format!("{GROUPS}?tenant_id=other")).await.status, 403);
    let acme = server.admin().get("/v1/admin/tenants").await.json();
    let acme =
        acme["tenants"].as_array().unwrap().iter().find(|tenant| tenant["slug"] == "acme").unwrap()["id"].clone();
    let acme: TenantId = acme.as_str().unwrap().parse().unwrap();
    // Denials are written once a minute and when the server stops.
    server.terminate().await;
    server.ended().await;
    let url = format!("sqlite:{}", server.setup().data_dir().join("tenantry.db").display());
    let db = Database::connect(url).await.unwrap();
    let denied = audit_events::Entity::find().filter(audit_events::Column::Action.eq("call.refuse"));
    let denied = denied.all(&db).await.unwrap();
    let reported: Vec<_> = denied.iter().map(|event| (event.tenant_id, event.rpc.as_str())).collect();
    assert_eq!(reported, [(Some(acme), "/tenantry.zerotrust.v1.GroupService/ListGroups")]);
}

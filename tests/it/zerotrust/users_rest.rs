//! Tenants, users and roles over REST: every documented response, in conversations that are the same on both databases.

use reqwest::Method;

use super::conversation::{
    Line,
    Who::{Admin, Auditor, Elsewhere, Garbage, Nobody, Operator, Other, Platform, User},
    check,
};
use crate::{
    db::{self, TestDb},
    harness::server::Setup,
};

const TENANTS: &str = "/v1/admin/tenants";
const TENANT: &str = "/v1/admin/tenants/lifecycle";
const USERS: &str = "/v1/admin/users";
const USER: &str = "/v1/admin/users/lifecycle";
const PASSWORD: &str = "/v1/admin/users/password";
const SUSPEND: &str = "/v1/admin/users/suspend";
const REACTIVATE: &str = "/v1/admin/users/reactivate";
const ENROLL: &str = "/v1/admin/users/totp/enroll";
const VERIFY: &str = "/v1/admin/users/totp/verify";
const DISABLE: &str = "/v1/admin/users/totp/disable";
const GRANT: &str = "/v1/admin/rbac/grant";
const REVOKE: &str = "/v1/admin/rbac/revoke";
const LOGIN: &str = "/v1/admin/login";
const LOGOUT: &str = "/v1/admin/logout";
const SESSION: &str = "/v1/admin/session";

const ACME: Line = (Platform, "POST", TENANT, Some(r#"{"action":"create","slug":"acme","name":"Acme Inc"}"#));
const OTHER: Line = (Platform, "POST", TENANT, Some(r#"{"action":"create","slug":"other"}"#));

#[rustfmt::skip]
const ABOUT_TENANTS: &[Line] = &[
    (Platform, "GET", TENANTS, None),
    (Platform, "POST", TENANT, Some(r#"{"action":"create","slug":"acme","name":"Acme Inc","plan":"starter","overrides":{"users":30,"devices":null},"admin_email":"Root@Acme.Example"}"#)),
    OTHER,
    (Platform, "PUT", "/admin/v2/tenants/Else.where", Some(r#"{"allowedClusters":["standalone"]}"#)),
    (Platform, "GET", TENANTS, None),
    (Platform, "GET", "/v1/admin/tenants?limit=2", None),
    (Admin, "GET", TENANTS, None),
    (Auditor, "GET", TENANTS, None),
    (Platform, "GET", "/v1/admin/users?tenant_id=acme", None),
    // Creation: violated rules.
    (Platform, "POST", TENANT, Some(r#"{"action":"create"}"#)),
    (Platform, "POST", TENANT, Some(r#"{"action":"create","slug":"ACME"}"#)),
    (Platform, "POST", TENANT, Some(r#"{"action":"create","slug":"acme"}"#)),
    (Platform, "PUT", "/admin/v2/tenants/Shop-1", Some(r#"{"allowedClusters":["standalone"]}"#)),
    (Platform, "POST", TENANT, Some(r#"{"action":"create","slug":"shop-1"}"#)),
    (Platform, "POST", TENANT, Some(r#"{"action":"create","slug":"t-0191f3a47c107b2e9d315a6b7c8d9e0f"}"#)),
    (Platform, "POST", TENANT, Some(r#"{"action":"create","slug":"new","plan":"gold"}"#)),
    (Platform, "POST", TENANT, Some(r#"{"action":"create","slug":"new","overrides":{"rockets":1}}"#)),
    (Platform, "POST", TENANT, Some(r#"{"action":"create","slug":"new","overrides":{"users":-1}}"#)),
    (Platform, "POST", TENANT, Some(r#"{"action":"create","slug":"new","admin_email":"nobody"}"#)),
    (Platform, "POST", TENANT, Some(r#"{"action":"create","slug":"new","tenant_id":"acme"}"#)),
    // Change.
    (Platform, "POST", TENANT, Some(r#"{"action":"update","tenant_id":"acme","name":"Acme Ltd","slug":"acme-2","if_version":1}"#)),
    (Platform, "POST", TENANT, Some(r#"{"action":"update","tenant_id":"acme-2","name":"x","if_version":1}"#)),
    (Platform, "POST", TENANT, Some(r#"{"action":"update","tenant_id":"acme-2","name":" \u3000 "}"#)),
    (Platform, "POST", TENANT, Some(r#"{"action":"update","tenant_id":"acme-2","slug":"OTHER"}"#)),
    (Platform, "POST", TENANT, Some(r#"{"action":"update","tenant_id":"acme-2","slug":"other"}"#)),
    (Platform, "POST", TENANT, Some(r#"{"action":"update","tenant_id":"else.WHERE","name":"Elsewhere","slug":"Else.where"}"#)),
    (Platform, "POST", TENANT, Some(r#"{"action":"update","tenant_id":"<ten_1>","slug":"acme"}"#)),
    (Platform, "POST", TENANT, Some(r#"{"action":"update","tenant_id":"nowhere","name":"x"}"#)),
    (Platform, "POST", TENANT, Some(r#"{"action":"update","name":"x"}"#)),
    (Platform, "POST", TENANT, Some(r#"{"action":"set_plan","tenant_id":"acme","plan":"business"}"#)),
    (Platform, "POST", TENANT, Some(r#"{"action":"set_plan","tenant_id":"acme"}"#)),
    (Platform, "POST", TENANT, Some(r#"{"action":"set_plan","tenant_id":"acme","plan":"business","slug":"x"}"#)),
    // Suspension: the tenant can lift its own suspension, but not the platform's.
    (Admin, "POST", TENANT, Some(r#"{"action":"suspend","reason":"we are on holiday"}"#)),
    (Admin, "GET", TENANTS, None),
    (Admin, "POST", TENANT, Some(r#"{"action":"suspend"}"#)),
    (Admin, "POST", TENANT, Some(r#"{"action":"reactivate","tenant_id":"acme"}"#)),
    (Platform, "POST", TENANT, Some(r#"{"action":"suspend","tenant_id":"acme"}"#)),
    (Admin, "POST", TENANT, Some(r#"{"action":"reactivate"}"#)),
    (Platform, "POST", TENANT, Some(r#"{"action":"suspend","tenant_id":"acme"}"#)),
    (Platform, "POST", TENANT, Some(r#"{"action":"reactivate","tenant_id":"acme","if_version":1}"#)),
    (Platform, "POST", TENANT, Some(r#"{"action":"reactivate","tenant_id":"acme"}"#)),
    // Deletion.
    (Platform, "POST", TENANT, Some(r#"{"action":"delete","tenant_id":"acme"}"#)),
    (Platform, "POST", TENANT, Some(r#"{"action":"delete","tenant_id":"acme","confirm_slug":"other"}"#)),
    (Platform, "PUT", "/admin/v2/namespaces/acme/orders", None),
    (Platform, "POST", TENANT, Some(r#"{"action":"delete","tenant_id":"acme","confirm_slug":"acme"}"#)),
    (Platform, "DELETE", "/admin/v2/namespaces/acme/orders", None),
    (Platform, "POST", TENANT, Some(r#"{"action":"delete","tenant_id":"acme","confirm_slug":"ACME"}"#)),
    (Platform, "POST", TENANT, Some(r#"{"action":"update","tenant_id":"acme","name":"x"}"#)),
    (Platform, "POST", TENANT, Some(r#"{"action":"create","slug":"acme"}"#)),
    (Platform, "GET", "/admin/v2/tenants", None),
    (Platform, "POST", TENANT, Some(r#"{"action":"reactivate","tenant_id":"<ten_1>"}"#)),
    (Platform, "POST", TENANT, Some(r#"{"action":"delete","tenant_id":"acme","confirm_slug":"acme"}"#)),
    (Platform, "POST", TENANT, Some(r#"{"action":"delete","tenant_id":"acme","confirm_slug":"acme","purge":true}"#)),
    (Platform, "POST", TENANT, Some(r#"{"action":"delete","tenant_id":"acme","confirm_slug":"acme","purge":true}"#)),
    // Permissions.
    (Nobody, "GET", TENANTS, None),
    (Nobody, "POST", TENANT, Some("{")),
    (Other, "POST", TENANT, Some(r#"{"action":"create","slug":"mine"}"#)),
    (Other, "POST", TENANT, Some(r#"{"action":"suspend","tenant_id":"Else.where"}"#)),
    (Other, "POST", TENANT, Some(r#"{"action":"suspend","tenant_id":"nowhere"}"#)),
    (Other, "POST", TENANT, Some(r#"{"action":"explode"}"#)),
    // Malformed requests.
    (Platform, "POST", TENANT, None),
    (Platform, "POST", TENANT, Some("{")),
    (Platform, "POST", TENANT, Some(r#"{"action":1}"#)),
    (Platform, "POST", TENANT, Some(r#"{"action":"create","slug":"new","colour":"red"}"#)),
    (Platform, "POST", TENANT, Some(r#"{"action":"suspend","tenant_id":"other","if_version":"soon"}"#)),
    (Platform, "DELETE", TENANTS, None),
    (Platform, "GET", "/v1/admin/tenants?limit=0", None),
    (Platform, "GET", "/v1/admin/tenants?colour=red", None),
    (Platform, "GET", "/v1/admin/tenants/", None),
    (Platform, "GET", "/v1/nowhere", None),
];

#[rustfmt::skip]
const ABOUT_USERS: &[Line] = &[
    ACME, OTHER,
    (Admin, "POST", "/v1/admin/groups/lifecycle", Some(r#"{"action":"create","name":"Ops"}"#)),
    // From creation to deletion.
    (Admin, "POST", USER, Some(r#"{"action":"create","email":"Ada@Example.COM","display_name":"Ada","role":"admin","group_ids":["<grp_1>"],"password":"correct horse battery staple"}"#)),
    (Admin, "POST", USER, Some(r#"{"action":"create","user_id":"bob","email":"bob@example.com"}"#)),
    (Admin, "POST", USER, Some(r#"{"action":"invite","email":"eve@example.com","role":"read_only"}"#)),
    (Admin, "POST", USER, Some(r#"{"action":"invite","email":"EVE@example.com"}"#)),
    (Admin, "GET", USERS, None),
    (Admin, "POST", USER, Some(r#"{"action":"update","user_id":"bob","email":"robert@example.com","display_name":"Robert","role":"auditor","if_version":1}"#)),
    (Admin, "POST", USER, Some(r#"{"action":"update","user_id":"bob","display_name":"x","if_version":1}"#)),
    (Admin, "POST", USER, Some(r#"{"action":"update","user_id":"BOB","display_name":"Robert"}"#)),
    (Admin, "POST", PASSWORD, Some(r#"{"user_id":"bob","generate":true}"#)),
    (Admin, "POST", PASSWORD, Some(r#"{"user_id":"robert@example.com","password":"another long enough one","must_change":true}"#)),
    (Operator, "POST", SUSPEND, Some(r#"{"user_id":"bob","reason":"lost a laptop"}"#)),
    (Operator, "POST", SUSPEND, Some(r#"{"user_id":"bob"}"#)),
    (Operator, "POST", REACTIVATE, Some(r#"{"user_id":"bob"}"#)),
    (Operator, "POST", REACTIVATE, Some(r#"{"user_id":"bob"}"#)),
    (Admin, "POST", USER, Some(r#"{"action":"suspend","user_id":"bob"}"#)),
    (Admin, "POST", USER, Some(r#"{"action":"reactivate","user_id":"bob"}"#)),
    (Admin, "POST", USER, Some(r#"{"action":"force_reauth","user_id":"bob","reason":"a drill"}"#)),
    (Admin, "POST", USER, Some(r#"{"action":"delete","user_id":"bob","reason":"left"}"#)),
    (Admin, "POST", USER, Some(r#"{"action":"delete","user_id":"bob"}"#)),
    (Admin, "POST", USER, Some(r#"{"action":"create","user_id":"Bob","email":"robert@example.com"}"#)),
    (Admin, "POST", USER, Some(r#"{"action":"create","email":"robert@example.com"}"#)),
    (Admin, "GET", "/v1/admin/users?status=deleted", None),
    // Filters and pages.
    (Admin, "GET", "/v1/admin/users?q=ADA", None),
    (Admin, "GET", "/v1/admin/users?q=100%25", None),
    (Admin, "GET", "/v1/admin/users?role=admin&limit=1", None),
    (Admin, "GET", "/v1/admin/users?group_id=<grp_1>&status=active", None),
    (Admin, "GET", "/v1/admin/users?status=asleep", None),
    (Admin, "GET", "/v1/admin/users?role=owner", None),
    (Admin, "GET", "/v1/admin/users?group_id=ops", None),
    (Admin, "GET", "/v1/admin/users?limit=501", None),
    (Admin, "GET", "/v1/admin/users?limit=many", None),
    (Admin, "GET", "/v1/admin/users?cursor=garbage", None),
    (Admin, "GET", "/v1/admin/users?colour=red", None),
    // Violated rules.
    (Admin, "POST", USER, Some(r#"{"action":"create"}"#)),
    (Admin, "POST", USER, Some(r#"{"action":"create","email":"nobody"}"#)),
    (Admin, "POST", USER, Some(r#"{"action":"create","email":"ADA@example.com"}"#)),
    (Admin, "POST", USER, Some(r#"{"action":"create","email":"x@example.com","user_id":"a b"}"#)),
    (Admin, "POST", USER, Some(r#"{"action":"create","email":"x@example.com","role":"owner"}"#)),
    (Admin, "POST", USER, Some(r#"{"action":"create","email":"x@example.com","role":"platform_admin"}"#)),
    (Platform, "POST", USER, Some(r#"{"action":"create","tenant_id":"acme","email":"x@example.com","role":"platform_admin"}"#)),
    (Admin, "POST", USER, Some(r#"{"action":"create","email":"x@example.com","group_ids":["grp_01J7ST8Z0GFCQ9TCATDDY8V7GF"]}"#)),
    (Admin, "POST", USER, Some(r#"{"action":"create","email":"x@example.com","password":"short"}"#)),
    (Admin, "POST", USER, Some(r#"{"action":"create","email":"x@example.com","password":"password1234"}"#)),
    (Admin, "POST", USER, Some(r#"{"action":"create","email":"long.name@example.com","password":"Long.Name@example.com"}"#)),
    (Admin, "POST", USER, Some(r#"{"action":"create","email":"x@example.com","if_version":1}"#)),
    (Admin, "POST", USER, Some(r#"{"action":"invite","email":"x@example.com","password":"correct horse battery"}"#)),
    (Admin, "POST", USER, Some(r#"{"action":"invite","email":"ada@example.com"}"#)),
    (Admin, "POST", USER, Some(r#"{"action":"update","display_name":"x"}"#)),
    (Admin, "POST", USER, Some(r#"{"action":"update","user_id":"nobody","display_name":"x"}"#)),
    (Admin, "POST", USER, Some(r#"{"action":"update","user_id":"eve@example.com","email":"ADA@example.com"}"#)),
    (Admin, "POST", USER, Some(r#"{"action":"explode","user_id":"bob"}"#)),
    (Admin, "POST", PASSWORD, Some(r#"{"user_id":"ada@example.com"}"#)),
    (Admin, "POST", PASSWORD, Some(r#"{"user_id":"ada@example.com","generate":true,"password":"correct horse battery"}"#)),
    (Admin, "POST", PASSWORD, Some(r#"{"password":"correct horse battery"}"#)),
    (Admin, "POST", PASSWORD, Some(r#"{"user_id":"ada@example.com","password":"111111111111"}"#)),
    (Admin, "POST", SUSPEND, Some("{}")),
    (Admin, "POST", SUSPEND, Some(r#"{"user_id":"nobody"}"#)),
    // The last administrator cannot be removed.
    (Admin, "POST", SUSPEND, Some(r#"{"user_id":"ada@example.com"}"#)),
    (Admin, "POST", USER, Some(r#"{"action":"delete","user_id":"ada@example.com"}"#)),
    (Admin, "POST", USER, Some(r#"{"action":"update","user_id":"ada@example.com","role":"user"}"#)),
    // Callers cannot act on users above their own role, or lift a suspension by the platform.
    (Operator, "POST", SUSPEND, Some(r#"{"user_id":"ada@example.com"}"#)),
    (Platform, "POST", SUSPEND, Some(r#"{"tenant_id":"<ten_1>","user_id":"eve@example.com"}"#)),
    (Admin, "POST", REACTIVATE, Some(r#"{"user_id":"eve@example.com"}"#)),
    (Platform, "POST", REACTIVATE, Some(r#"{"tenant_id":"acme","user_id":"eve@example.com"}"#)),
    // Tenants and permissions.
    (Platform, "GET", USERS, None),
    (Platform, "GET", "/v1/admin/users?tenant_id=ACME&limit=1", None),
    (Platform, "GET", "/v1/admin/users?tenant_id=nowhere", None),
    (Platform, "POST", USER, Some(r#"{"action":"create","email":"x@example.com"}"#)),
    (Platform, "POST", SUSPEND, Some(r#"{"tenant_id":"acme","user_id":"admin"}"#)),
    (Admin, "POST", SUSPEND, Some(r#"{"user_id":"admin"}"#)),
    (Admin, "GET", "/v1/admin/users?tenant_id=other", None),
    (Admin, "GET", "/v1/admin/users?tenant_id=nowhere", None),
    (Other, "GET", USERS, None),
    (Other, "POST", SUSPEND, Some(r#"{"user_id":"<usr_1>"}"#)),
    (Other, "POST", USER, Some(r#"{"action":"delete","tenant_id":"acme","user_id":"<usr_1>"}"#)),
    (Auditor, "GET", "/v1/admin/users?limit=1", None),
    (Auditor, "POST", USER, Some(r#"{"action":"create","email":"x@example.com"}"#)),
    (Operator, "POST", USER, Some(r#"{"action":"create","email":"x@example.com"}"#)),
    (User, "GET", USERS, None),
    (User, "POST", PASSWORD, Some(r#"{"user_id":"<usr_1>","password":"correct horse battery"}"#)),
    (User, "POST", PASSWORD, Some(r#"{"user_id":"nobody","password":"correct horse battery"}"#)),
    (User, "POST", SUSPEND, Some(r#"{"user_id":"<usr_1>"}"#)),
    (Nobody, "GET", USERS, None),
    (Garbage, "GET", USERS, None),
    (Elsewhere, "GET", USERS, None),
    // Malformed requests.
    (Admin, "POST", USER, None),
    (Admin, "POST", USER, Some("{")),
    (Admin, "POST", USER, Some("[]")),
    (Admin, "POST", USER, Some(r#"{"action":"create","email":["x@example.com"]}"#)),
    (Admin, "POST", USER, Some(r#"{"action":"create","email":"x@example.com","colour":"red"}"#)),
    (Admin, "POST", PASSWORD, Some(r#"{"user_id":"<usr_1>","password":12345678901234}"#)),
    (Admin, "PUT", USER, Some("{}")),
    (Admin, "GET", SUSPEND, None),
];

#[rustfmt::skip]
const ABOUT_ROLES: &[Line] = &[
    ACME, OTHER,
    (Admin, "POST", "/v1/admin/groups/lifecycle", Some(r#"{"action":"create","name":"Ops"}"#)),
    (Admin, "POST", USER, Some(r#"{"action":"create","email":"ada@example.com","role":"admin","password":"correct horse battery staple"}"#)),
    (Admin, "POST", USER, Some(r#"{"action":"create","email":"bob@example.com","password":"correct horse battery staple"}"#)),
    (Admin, "POST", GRANT, Some(r#"{"user_id":"bob@example.com","role":"auditor"}"#)),
    (Admin, "POST", GRANT, Some(r#"{"user_id":"bob@example.com","role":"auditor","scope":{"type":"tenant","id":"ACME"}}"#)),
    (Admin, "POST", GRANT, Some(r#"{"user_id":"bob@example.com","role":"auditor","expires_at":"2999-01-01T00:00:00Z"}"#)),
    (Admin, "POST", GRANT, Some(r#"{"user_id":"bob@example.com","role":"network_admin","scope":{"type":"group","id":"<grp_1>"}}"#)),
    (Admin, "POST", GRANT, Some(r#"{"user_id":"bob@example.com","role":"user"}"#)),
    (Admin, "GET", "/v1/admin/users?role=auditor", None),
    (Admin, "GET", "/v1/admin/users?role=network_admin", None),
    (Admin, "POST", REVOKE, Some(r#"{"user_id":"bob@example.com","role":"network_admin"}"#)),
    (Admin, "POST", REVOKE, Some(r#"{"user_id":"bob@example.com","role":"network_admin","scope":{"type":"group","id":"<grp_1>"}}"#)),
    (Admin, "POST", REVOKE, Some(r#"{"user_id":"bob@example.com","role":"auditor"}"#)),
    (Admin, "POST", REVOKE, Some(r#"{"user_id":"bob@example.com","role":"user"}"#)),
    // The last administrator cannot be removed until there is another one.
    (Admin, "POST", REVOKE, Some(r#"{"user_id":"ada@example.com","role":"admin"}"#)),
    (Admin, "POST", GRANT, Some(r#"{"user_id":"bob@example.com","role":"admin","expires_at":"2999-01-01T00:00:00Z"}"#)),
    (Admin, "POST", REVOKE, Some(r#"{"user_id":"ada@example.com","role":"admin"}"#)),
    (Admin, "POST", GRANT, Some(r#"{"user_id":"bob@example.com","role":"admin"}"#)),
    (Admin, "POST", REVOKE, Some(r#"{"user_id":"ada@example.com","role":"admin"}"#)),
    (Admin, "POST", GRANT, Some(r#"{"user_id":"bob@example.com","role":"admin","expires_at":"2999-01-01T00:00:00Z"}"#)),
    // Violated rules.
    (Admin, "POST", GRANT, Some("{}")),
    (Admin, "POST", GRANT, Some(r#"{"user_id":"bob@example.com","role":"owner"}"#)),
    (Admin, "POST", GRANT, Some(r#"{"user_id":"nobody","role":"user"}"#)),
    (Admin, "POST", GRANT, Some(r#"{"user_id":"bob@example.com","role":"platform_admin"}"#)),
    (Admin, "POST", GRANT, Some(r#"{"user_id":"bob@example.com","role":"auditor","expires_at":"2001-01-01T00:00:00Z"}"#)),
    (Admin, "POST", GRANT, Some(r#"{"user_id":"bob@example.com","role":"auditor","expires_at":"soon"}"#)),
    (Admin, "POST", GRANT, Some(r#"{"user_id":"bob@example.com","role":"auditor","scope":{}}"#)),
    (Admin, "POST", GRANT, Some(r#"{"user_id":"bob@example.com","role":"auditor","scope":{"type":"planet"}}"#)),
    (Admin, "POST", GRANT, Some(r#"{"user_id":"bob@example.com","role":"auditor","scope":{"type":"group"}}"#)),
    (Admin, "POST", GRANT, Some(r#"{"user_id":"bob@example.com","role":"auditor","scope":{"type":"group","id":"grp_01J7ST8Z0GFCQ9TCATDDY8V7GF"}}"#)),
    (Admin, "POST", GRANT, Some(r#"{"user_id":"bob@example.com","role":"auditor","scope":{"type":"pool","id":"pool_1"}}"#)),
    (Admin, "POST", GRANT, Some(r#"{"user_id":"bob@example.com","role":"auditor","scope":{"type":"tenant","id":"other"}}"#)),
    // Permissions.
    (Operator, "POST", GRANT, Some(r#"{"user_id":"bob@example.com","role":"user"}"#)),
    (Auditor, "POST", REVOKE, Some(r#"{"user_id":"bob@example.com","role":"user"}"#)),
    (Other, "POST", GRANT, Some(r#"{"user_id":"<usr_2>","role":"auditor"}"#)),
    (Other, "POST", GRANT, Some(r#"{"tenant_id":"acme","user_id":"<usr_2>","role":"auditor"}"#)),
    (Platform, "POST", GRANT, Some(r#"{"tenant_id":"acme","user_id":"<usr_2>","role":"read_only"}"#)),
    (Nobody, "POST", GRANT, Some("{")),
    (Admin, "GET", GRANT, None),
];

#[rustfmt::skip]
const ABOUT_SESSIONS: &[Line] = &[
    ACME, OTHER,
    (Admin, "POST", USER, Some(r#"{"action":"create","user_id":"ada","email":"ada@example.com","role":"admin","password":"correct horse battery staple"}"#)),
    (Admin, "POST", USER, Some(r#"{"action":"invite","user_id":"eve","email":"eve@example.com"}"#)),
    (Nobody, "POST", LOGIN, Some(r#"{"tenant":"ACME","user":"ada","password":"correct horse battery staple"}"#)),
    (Nobody, "POST", LOGIN, Some(r#"{"user":"admin","password":"admin"}"#)),
    (Nobody, "POST", LOGIN, Some(r#"{"tenant":"acme","user":"ada","password":"wrong"}"#)),
    (Nobody, "POST", LOGIN, Some(r#"{"tenant":"acme","user":"nobody","password":"wrong"}"#)),
    (Nobody, "POST", LOGIN, Some(r#"{"tenant":"acme","user":"eve","password":""}"#)),
    (Nobody, "POST", LOGIN, Some(r#"{"tenant":"other","user":"ada","password":"correct horse battery staple"}"#)),
    (Nobody, "POST", LOGIN, Some(r#"{"tenant":"nowhere","user":"ada","password":"correct horse battery staple"}"#)),
    (Nobody, "POST", LOGIN, Some(r#"{"user":"ada","password":"correct horse battery staple"}"#)),
    (Nobody, "POST", LOGIN, Some("{}")),
    (Nobody, "POST", LOGIN, Some(r#"{"user":7,"password":"x"}"#)),
    (Nobody, "POST", LOGIN, Some(r#"{"user":"ada","password":"x","colour":"red"}"#)),
    (Nobody, "POST", LOGIN, None),
    (Nobody, "GET", LOGIN, None),
    (Platform, "GET", SESSION, None),
    (Admin, "GET", SESSION, None),
    (Nobody, "GET", SESSION, None),
    (Admin, "POST", LOGOUT, None),
    (Nobody, "POST", LOGOUT, None),
    // Second factors, as far as possible without an authenticator app.
    (Admin, "POST", ENROLL, Some(r#"{"user_id":"ada"}"#)),
    (Admin, "POST", VERIFY, Some(r#"{"user_id":"eve","code":"123456"}"#)),
    (Admin, "POST", VERIFY, Some(r#"{"user_id":"ada","code":"no code"}"#)),
    (Admin, "POST", VERIFY, Some(r#"{"user_id":"ada"}"#)),
    (Admin, "POST", DISABLE, Some(r#"{"user_id":"eve","reason":"lost her phone"}"#)),
    (Admin, "POST", DISABLE, Some(r#"{"user_id":"ada"}"#)),
    (Admin, "POST", DISABLE, Some(r#"{"user_id":"ada","reason":" "}"#)),
    (Admin, "POST", ENROLL, Some("{}")),
    (Admin, "POST", ENROLL, Some(r#"{"user_id":"nobody"}"#)),
    (User, "POST", ENROLL, Some(r#"{"user_id":"ada"}"#)),
    (User, "POST", DISABLE, Some(r#"{"user_id":"ada","reason":"x"}"#)),
    (Operator, "POST", DISABLE, Some(r#"{"user_id":"ada","reason":"x"}"#)),
    (Other, "POST", DISABLE, Some(r#"{"user_id":"ada","reason":"x"}"#)),
    (Other, "POST", ENROLL, Some(r#"{"tenant_id":"acme","user_id":"ada"}"#)),
    (Nobody, "POST", ENROLL, Some("{")),
];

/// Sends the lines to a new server on a database.
async fn run(name: &str, db: &TestDb, lines: &[Line]) {
    check(name, &Setup::dev().database(&db.url).start().await, lines).await;
}

both_databases! {
    async fn tenants_answer_as_documented(db: TestDb) {
        run("tenants", &db, ABOUT_TENANTS).await;
    }

    async fn users_answer_as_documented(db: TestDb) {
        run("users", &db, ABOUT_USERS).await;
    }

    async fn roles_answer_as_documented(db: TestDb) {
        run("roles", &db, ABOUT_ROLES).await;
    }

    async fn sessions_and_second_factors_answer_as_documented(db: TestDb) {
        run("sessions", &db, ABOUT_SESSIONS).await;
    }

    async fn one_of_many_creations_of_a_name_succeeds(db: TestDb) {
        let server = Setup::dev().database(&db.url).start().await;
        let admin = server.admin();
        let create = r#"{"action":"create","slug":"acme"}"#;
        let many = (0..32).map(|_| admin.call(Method::POST, TENANT, Some(create)));
        let made = futures::future::join_all(many).await;
        let count = |status| made.iter().filter(|answer| answer.status == status).count();
        assert_eq!((count(201), count(409)), (1, 31), "{made:?}");
        let create = r#"{"action":"create","tenant_id":"acme","email":"ada@example.com"}"#;
        let many = (0..32).map(|_| admin.call(Method::POST, USER, Some(create)));
        let made = futures::future::join_all(many).await;
        let count = |status| made.iter().filter(|answer| answer.status == status).count();
        assert_eq!((count(201), count(409)), (1, 31), "{made:?}");
    }

    async fn a_tenant_is_named_by_every_spelling_of_its_id(db: TestDb) {
        let server = Setup::dev().database(&db.url).start().await;
        let admin = server.admin();
        let made = admin.call(Method::POST, TENANT, Some(r#"{"action":"create","slug":"acme"}"#)).await.json();
        let id: tenantry::base::TenantId = made["tenant"]["id"].as_str().unwrap().parse().unwrap();
        for spelling in [id.dashed(), id.zero_trust(), id.manager(), id.warehouse(), "AcMe".to_owned()] {
            let answer = admin.get(&format!("{USERS}?tenant_id={spelling}")).await;
            assert_eq!((answer.status, &answer.json()["total"]), (200, &0.into()), "{spelling}");
        }
        // A cursor leads to the next page.
        for slug in ["second", "third"] {
            let create = format!(r#"{{"action":"create","slug":"{slug}"}}"#);
            assert_eq!(admin.call(Method::POST, TENANT, Some(&create)).await.status, 201);
        }
        let (mut slugs, mut cursor) = (Vec::new(), String::new());
        for _ in 0..2 {
            let page = admin.get(&format!("{TENANTS}?limit=2&cursor={cursor}")).await.json();
            slugs.extend(page["tenants"].as_array().unwrap().iter().map(|tenant| tenant["slug"].clone()));
            cursor = page["next_cursor"].as_str().unwrap_or_default().to_owned();
        }
        assert_eq!((slugs, cursor.as_str()), (vec!["acme".into(), "second".into(), "third".into()], ""));
        let stranger = admin.get(&format!("{USERS}?tenant_id=acme&cursor=AAAA")).await;
        assert_eq!(stranger.status, 400);
    }
}

#[tokio::test]
async fn the_limit_on_tenants_is_reported() {
    let db = db::sqlite().await;
    let server = Setup::dev().database(&db.url).env("TENANTRY_MAX_TENANTS", "1").start().await;
    let create = async |slug: &str| {
        let body = format!(r#"{{"action":"create","slug":"{slug}"}}"#);
        server.admin().call(Method::POST, TENANT, Some(&body)).await
    };
    assert_eq!(create("one").await.status, 201);
    let refused = create("two").await;
    assert_eq!((refused.status, &refused.json()["error"]), (409, &"entitlement_exceeded".into()));
    let limit = &refused.json()["limit"];
    assert_eq!((&limit["resource"], limit["limit"] == limit["used"]), (&"tenants".into(), true), "{limit}");
}

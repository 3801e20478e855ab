use time::macros::datetime;
use transcoder::{Action, Actions, AuditRule, Guard as _, Surface as SurfaceInfo, TrailingSlash, json::JsonOptions};
use uuid::Uuid;

use super::*;
use crate::{
    auth::Surface,
    base::{Kind, TenantId, caller::CallerTenant},
};

static MESSAGING: SurfaceInfo = SurfaceInfo {
    name: "messaging",
    error_dialect: "messaging",
    json: JsonOptions::PROTO3,
    trailing_slash: TrailingSlash::Ignore,
    blank_body_absent: false,
};

const ONLY_PERMISSION: AuthRule = AuthRule {
    public: false,
    permission: Permission::Fixed("messaging.namespaces.create"),
    callers: &[],
    tenant: TenantRule::Field("tenant"),
    custom: None,
    while_suspended: false,
};

const ACTIONS: Actions = Actions {
    field: "to_do",
    listed: &[
        Action { name: "create", permission: "messaging.namespaces.create", audit: "thing.create" },
        Action { name: "list", permission: "messaging.namespaces.list", audit: "thing.list" },
    ],
};

macro_rules! method {
    ($name:ident, $auth:expr) => {
        static $name: MethodInfo = MethodInfo {
            service: "t.S",
            name: "M",
            path: concat!("/t.S/", stringify!($name)),
            surface: &MESSAGING,
            auth: $auth,
            audit: Some(AuditRule { action: "thing.do", target: "tenant" }),
            takes_key: !$auth.public,
        };
    };
}

method!(FIXED, ONLY_PERMISSION);
method!(OTHER, ONLY_PERMISSION);
method!(CUSTOM, AuthRule { custom: Some("admins"), ..ONLY_PERMISSION });
method!(UNKNOWN_CUSTOM, AuthRule { custom: Some("nobody wrote it"), ..ONLY_PERMISSION });
method!(PUBLIC, AuthRule { public: true, permission: Permission::None, tenant: TenantRule::None, ..ONLY_PERMISSION });
method!(
    WIDE,
    AuthRule { permission: Permission::Fixed("messaging.clusters.list"), tenant: TenantRule::None, ..ONLY_PERMISSION }
);
method!(OWN, AuthRule { tenant: TenantRule::Caller, ..ONLY_PERMISSION });
method!(NAMED_OR_OWN, AuthRule { tenant: TenantRule::FieldOrCaller("tenant"), ..ONLY_PERMISSION });
method!(GATEWAYS, AuthRule { callers: &["GATEWAY"], ..ONLY_PERMISSION });
method!(BY_ACTION, AuthRule { permission: Permission::ByAction(ACTIONS), ..ONLY_PERMISSION });
method!(
    BY_ACTION_OR_CUSTOM,
    AuthRule { permission: Permission::ByAction(ACTIONS), custom: Some("admins"), ..ONLY_PERMISSION }
);
method!(
    PLATFORMS,
    AuthRule { permission: Permission::Fixed("messaging.tenants.create"), tenant: TenantRule::None, ..ONLY_PERMISSION }
);
method!(
    OWN_OR_ALL,
    AuthRule {
        permission: Permission::OwnOrAll { own: "zerotrust.users.self", all: "zerotrust.users.read" },
        tenant: TenantRule::Caller,
        ..ONLY_PERMISSION
    }
);
method!(ASLEEP, AuthRule { while_suspended: true, ..ONLY_PERMISSION });

/// `ops` administers the tenant `beta`; there are no other tenants.
struct Admins;

#[async_trait]
impl Custom for Admins {
    async fn admits(&self, caller: &Caller, tenant: &TenantRef) -> Result<Option<TenantId>> {
        let admits = caller.subject == "ops" && *tenant == TenantRef::parse("beta");
        Ok(admits.then(|| TenantId::from_uuid(Uuid::from_u128(8))))
    }
}

fn guard() -> Guard {
    let clock = Clock::manual(datetime!(2026-01-01 00:00 UTC));
    Guard::new(Denials::new(clock.clone()), clock).with_custom("admins", Arc::new(Admins))
}

fn caller(role: Role, tenant: Option<&str>) -> Caller {
    Caller::new(CallerFacts {
        kind: CallerKind::User,
        subject: "ops".to_owned(),
        role,
        tenant: tenant.map(|key| CallerTenant {
            id: TenantId::from_uuid(Uuid::from_u128(7)),
            key: key.to_owned(),
            suspended: key == "asleep",
            named_since: None,
        }),
        token_id: "j".to_owned(),
        ..CallerFacts::default()
    })
}

fn extensions(caller: Caller) -> Extensions {
    let mut extensions = Extensions::new();
    extensions.insert(Authentication::Caller(caller, Surface::Messaging));
    extensions.insert(CallFacts::default());
    extensions
}

/// Both steps, in the order of the generated code.
async fn call(method: &'static MethodInfo, caller: Caller, claim: Claim<'_>) -> Result<Cx, (Kind, String)> {
    let (guard, mut extensions) = (guard(), extensions(caller));
    let reason = |status: Status| {
        use tonic_types::StatusExt;
        (status.code(), status.get_details_error_info().map(|info| info.reason).unwrap_or_default())
    };
    guard.admit(method, &mut extensions).map_err(reason)?;
    guard.enter(method, claim, &mut extensions).await.map_err(reason)?;
    Ok(Cx::of(&extensions).unwrap())
}

fn on(tenant: &str) -> Claim<'_> {
    Claim { tenant: Some(tenant), target: Some(tenant), ..Claim::default() }
}

fn refusal(reason: &str) -> (Kind, String) {
    (Kind::PermissionDenied, reason.to_owned())
}

#[tokio::test]
async fn a_platform_caller_reaches_every_tenant() {
    let cx = call(&FIXED, caller(Role::PlatformAdmin, None), on("acme")).await.unwrap();
    assert_eq!(cx.access, Access::Platform);
    assert_eq!((cx.rpc, cx.audit_action, cx.audit_target.as_deref()), ("/t.S/FIXED", Some("thing.do"), Some("acme")));
}

#[tokio::test]
async fn a_tenants_caller_reaches_its_own_tenant_in_every_spelling() {
    let id = TenantId::from_uuid(Uuid::from_u128(7));
    for name in ["acme", "ACME", &id.dashed(), &id.manager(), &id.zero_trust()] {
        let cx = call(&FIXED, caller(Role::Admin, Some("acme")), on(name)).await.unwrap();
        assert_eq!(cx.access, Access::Tenant(TenantRef::Id(id)), "a name may be another's soon");
    }
    for name in ["beta", "", "acme ", "t_00000000000000000000000000000008"] {
        let refused = call(&FIXED, caller(Role::Admin, Some("acme")), on(name)).await.unwrap_err();
        assert_eq!(refused, refusal("TENANT_FOREIGN"), "{name}");
    }
}

#[tokio::test]
async fn a_role_without_the_permission_is_refused_before_the_message() {
    let guard = guard();
    let mut extensions = extensions(caller(Role::ReadOnly, Some("acme")));
    let status = guard.admit(&FIXED, &mut extensions).unwrap_err();
    assert_eq!(status.code(), Kind::PermissionDenied);
    assert_eq!(guard.denials.take(true).len(), 1);
}

#[tokio::test]
async fn permissions_of_the_platform_have_their_own_reason() {
    for (role, reason) in [(Role::Admin, "PLATFORM_REQUIRED"), (Role::User, "PERMISSION_DENIED")] {
        let refused = call(&PLATFORMS, caller(role, Some("acme")), Claim::default()).await.unwrap_err();
        assert_eq!(refused, refusal(reason));
    }
    assert!(call(&PLATFORMS, caller(Role::PlatformAdmin, None), Claim::default()).await.is_ok());
}

#[tokio::test]
async fn a_tenant_role_without_a_tenant_has_no_access() {
    let refused = call(&FIXED, caller(Role::Admin, None), on("acme")).await.unwrap_err();
    assert_eq!(refused, refusal("TENANT_FOREIGN"));
    let refused = call(&OWN, caller(Role::Admin, None), Claim::default()).await.unwrap_err();
    assert_eq!(refused, refusal("TENANT_FOREIGN"));
}

#[tokio::test]
async fn a_custom_check_admits_only_on_its_tenant() {
    for (role, tenant) in [(Role::User, None), (Role::User, Some("acme")), (Role::Admin, Some("acme"))] {
        let cx = call(&CUSTOM, caller(role, tenant), on("Beta")).await.unwrap();
        assert_eq!(cx.access, Access::Tenant(TenantRef::Id(TenantId::from_uuid(Uuid::from_u128(8)))));
        let missing = call(&CUSTOM, caller(role, tenant), on("nowhere")).await.unwrap_err();
        assert_eq!(missing.0, Kind::PermissionDenied);
    }
    let refused = call(&FIXED, caller(Role::User, None), on("beta")).await.unwrap_err();
    assert_eq!(refused, refusal("PERMISSION_DENIED"));
    let refused = call(&UNKNOWN_CUSTOM, caller(Role::User, None), on("beta")).await.unwrap_err();
    assert_eq!(refused, refusal("PERMISSION_DENIED"));
}

#[tokio::test]
async fn the_action_chooses_the_permission() {
    let call_with =
        |role, action| call(&BY_ACTION, caller(role, Some("acme")), Claim { action: Some(action), ..on("acme") });
    assert!(call_with(Role::ReadOnly, "list").await.is_ok());
    assert_eq!(call_with(Role::ReadOnly, "create").await.unwrap_err(), refusal("PERMISSION_DENIED"));
    for action in ["explode", "Create", ""] {
        assert_eq!(call_with(Role::Admin, action).await.unwrap_err(), unknown(), "{action}");
        assert_eq!(call_with(Role::ReadOnly, action).await.unwrap_err(), unknown(), "{action}");
        assert_eq!(call_with(Role::User, action).await.unwrap_err(), refusal("PERMISSION_DENIED"));
    }
    assert_eq!(call_with(Role::User, "list").await.unwrap_err(), refusal("PERMISSION_DENIED"));
    let platform = call(&BY_ACTION, caller(Role::PlatformAdmin, None), on("acme")).await.unwrap_err();
    assert_eq!(platform, unknown(), "the field is not given");
}

fn unknown() -> (Kind, String) {
    (Kind::InvalidArgument, "ACTION_UNKNOWN".to_owned())
}

#[tokio::test]
async fn an_unknown_action_is_an_invalid_argument_that_lists_the_known_ones() {
    let guard = guard();
    let mut extensions = extensions(caller(Role::Admin, Some("acme")));
    guard.admit(&BY_ACTION, &mut extensions).unwrap();
    let claim = Claim { action: Some("explode"), ..on("acme") };
    let status = guard.enter(&BY_ACTION, claim, &mut extensions).await.unwrap_err();
    let details = tonic_types::StatusExt::get_details_bad_request(&status).unwrap();
    let violation = &details.field_violations[0];
    assert_eq!((&*violation.field, &*violation.description), ("to_do", "must be one of create, list"));
    assert_eq!(guard.denials.take(true).len(), 0);
}

#[tokio::test]
async fn a_custom_check_does_not_make_an_action_known() {
    let call_with = |action, tenant| {
        call(&BY_ACTION_OR_CUSTOM, caller(Role::User, None), Claim { action: Some(action), ..on(tenant) })
    };
    assert!(call_with("create", "beta").await.is_ok());
    assert_eq!(call_with("explode", "beta").await.unwrap_err(), unknown());
    assert_eq!(call_with("explode", "acme").await.unwrap_err(), refusal("PERMISSION_DENIED"));
}

#[tokio::test]
async fn the_action_chooses_the_audit_name() {
    for (action, name) in [("create", "thing.create"), ("list", "thing.list")] {
        let claim = Claim { action: Some(action), ..on("acme") };
        let cx = call(&BY_ACTION, caller(Role::Admin, Some("acme")), claim).await.unwrap();
        assert_eq!(cx.audit_action, Some(name), "{action}");
    }
    let cx = call(&FIXED, caller(Role::Admin, Some("acme")), on("acme")).await.unwrap();
    assert_eq!(cx.audit_action, Some("thing.do"));
}

#[tokio::test]
async fn the_permission_determines_the_reach() {
    let guard = guard();
    let reached = async |method, caller: Caller| {
        let mut extensions = extensions(caller);
        guard.admit(method, &mut extensions).unwrap();
        guard.enter(method, on("acme"), &mut extensions).await.unwrap();
        extensions.get::<Reach>().copied()
    };
    assert_eq!(reached(&OWN_OR_ALL, caller(Role::User, Some("acme"))).await, Some(Reach::Own));
    for role in [Role::ReadOnly, Role::Admin] {
        assert_eq!(reached(&OWN_OR_ALL, caller(role, Some("acme"))).await, Some(Reach::All), "{role}");
    }
    assert_eq!(reached(&OWN_OR_ALL, caller(Role::PlatformAdmin, None)).await, Some(Reach::All));
    assert_eq!(reached(&FIXED, caller(Role::Admin, Some("acme"))).await, None, "the rule has no reach");
    // Who speaks for a principal reaches no further than the principal.
    let mut proxy = CallerFacts::clone(&caller(Role::PlatformAdmin, None));
    proxy.principal = Some(caller(Role::User, Some("acme")));
    assert_eq!(reached(&OWN_OR_ALL, Caller::new(proxy)).await, Some(Reach::Own));
}

#[tokio::test]
async fn a_suspended_tenant_is_admitted_where_the_rule_says_so() {
    assert!(call(&ASLEEP, caller(Role::Admin, Some("asleep")), on("asleep")).await.is_ok());
    let refused = call(&ASLEEP, caller(Role::ReadOnly, Some("asleep")), on("asleep")).await.unwrap_err();
    assert_eq!(refused, refusal("PERMISSION_DENIED"));
    let refused = call(&ASLEEP, caller(Role::Admin, Some("asleep")), on("acme")).await.unwrap_err();
    assert_eq!(refused, refusal("TENANT_FOREIGN"));
}

#[tokio::test]
async fn other_rules_of_tenant() {
    let cx = call(&WIDE, caller(Role::User, Some("acme")), Claim::default()).await.unwrap();
    assert_eq!(cx.access, Access::None);
    let cx = call(&OWN, caller(Role::Admin, Some("acme")), Claim::default()).await.unwrap();
    assert_eq!(cx.access, Access::Tenant(TenantRef::Id(TenantId::from_uuid(Uuid::from_u128(7)))));
    for claim in [on("acme"), on(""), Claim::default()] {
        let cx = call(&NAMED_OR_OWN, caller(Role::Admin, Some("acme")), claim).await.unwrap();
        assert_eq!(cx.access, Access::Tenant(TenantRef::Id(TenantId::from_uuid(Uuid::from_u128(7)))));
    }
    let foreign = call(&NAMED_OR_OWN, caller(Role::Admin, Some("acme")), on("other")).await.unwrap_err();
    assert_eq!(foreign, refusal("TENANT_FOREIGN"));
    let without_claim = call(&FIXED, caller(Role::Admin, Some("acme")), Claim::default()).await.unwrap_err();
    assert_eq!(without_claim.0, Kind::Internal);
}

#[tokio::test]
async fn the_tenant_of_a_call_is_the_named_one_or_else_the_callers() {
    let own = || TenantRef::Id(TenantId::from_uuid(Uuid::from_u128(7)));
    let tenant_of = async |method, caller, claim: Claim<'_>| call(method, caller, claim).await.unwrap().tenant.clone();
    let known = |text: &str| CallTenant::Known(TenantRef::parse(text));
    let (admin, platform) = (|| caller(Role::Admin, Some("acme")), || caller(Role::PlatformAdmin, None));
    for method in [&FIXED, &NAMED_OR_OWN] {
        assert_eq!(tenant_of(method, admin(), on("ACME")).await, known("ACME"));
        assert_eq!(tenant_of(method, platform(), on("beta")).await, known("beta"));
    }
    for claim in [on(""), Claim::default()] {
        assert_eq!(tenant_of(&NAMED_OR_OWN, admin(), claim).await, CallTenant::Known(own()));
        assert_eq!(tenant_of(&NAMED_OR_OWN, platform(), claim).await, CallTenant::Missing("tenant"));
    }
    assert_eq!(tenant_of(&OWN, admin(), Claim::default()).await, CallTenant::Known(own()));
    assert_eq!(tenant_of(&OWN, platform(), Claim::default()).await, CallTenant::None);
    assert_eq!(tenant_of(&WIDE, admin(), Claim::default()).await, CallTenant::None);
    let admitted = call(&CUSTOM, caller(Role::User, Some("acme")), on("beta")).await.unwrap();
    assert_eq!(admitted.tenant, known("beta"), "not the caller's own");
}

#[tokio::test]
async fn a_call_without_a_tenant_fails_where_it_is_needed() {
    let platform = || caller(Role::PlatformAdmin, None);
    let cx = call(&NAMED_OR_OWN, platform(), on("")).await.unwrap();
    let missing = cx.tenant().unwrap_err();
    assert_eq!((missing.reason, missing.message.as_ref()), (Reason::FieldRequired, "missing: tenant"));
    assert_eq!((missing.kind, missing.violations[0].field.as_str()), (Kind::InvalidArgument, "tenant"));
    for method in [&OWN, &WIDE] {
        let cx = call(method, platform(), Claim::default()).await.unwrap();
        assert_eq!(cx.tenant().unwrap_err().kind, Kind::Internal, "{}", method.path);
    }
}

#[tokio::test]
async fn the_access_log_has_the_tenant_of_the_call() {
    let logged = async |method, caller: Caller, claim: Claim<'_>| {
        let (guard, mut extensions) = (guard(), extensions(caller));
        if guard.admit(method, &mut extensions).is_ok() {
            let _ = guard.enter(method, claim, &mut extensions).await;
        }
        extensions.get::<CallFacts>().and_then(CallFacts::tenant).map(str::to_owned)
    };
    let (admin, platform) = (|| caller(Role::Admin, Some("acme")), || caller(Role::PlatformAdmin, None));
    for method in [&FIXED, &NAMED_OR_OWN] {
        for name in ["ACME", "beta"] {
            assert_eq!(logged(method, admin(), on(name)).await.as_deref(), Some(name), "as it was written");
            assert_eq!(logged(method, platform(), on(name)).await.as_deref(), Some(name));
        }
        assert_eq!(logged(method, platform(), on("")).await, None);
    }
    for (method, claim) in [(&NAMED_OR_OWN, on("")), (&OWN, Claim::default())] {
        assert_eq!(logged(method, admin(), claim).await.as_deref(), Some("acme"));
        let denied = caller(Role::ReadOnly, Some("acme"));
        assert_eq!(logged(method, denied, claim).await.as_deref(), Some("acme"), "in the first step");
    }
    for (method, claim) in [(&FIXED, on("")), (&WIDE, Claim::default())] {
        assert_eq!(logged(method, admin(), claim).await, None, "{}", method.path);
    }
}

#[tokio::test]
async fn suspended_tenants_and_wrong_kinds_are_refused() {
    let refused = call(&FIXED, caller(Role::Admin, Some("asleep")), on("asleep")).await.unwrap_err();
    assert_eq!(refused, refusal("TENANT_SUSPENDED"));
    let refused = call(&GATEWAYS, caller(Role::PlatformAdmin, None), on("acme")).await.unwrap_err();
    assert_eq!(refused, refusal("CALLER_KIND_REFUSED"));
}

#[tokio::test]
async fn a_public_method_ignores_credentials() {
    let cx = call(&PUBLIC, caller(Role::PlatformAdmin, None), Claim::default()).await.unwrap();
    assert_eq!((cx.access.clone(), cx.caller.subject.as_str()), (Access::None, "anonymous"));
}

#[tokio::test]
async fn a_malformed_idempotency_key_is_refused_in_the_first_step() {
    let mut headers = http::HeaderMap::new();
    headers.insert(SentKey::HEADER, http::HeaderValue::from_static("a b"));
    let admitted = |method, role| {
        let mut extensions = extensions(caller(role, None));
        extensions.insert(SentKey::of(&headers).unwrap());
        guard().admit(method, &mut extensions).map_err(|status| status.code())
    };
    assert_eq!(admitted(&FIXED, Role::PlatformAdmin), Err(Kind::InvalidArgument));
    assert_eq!(admitted(&FIXED, Role::User), Err(Kind::PermissionDenied), "the caller comes first");
    assert_eq!(admitted(&PUBLIC, Role::PlatformAdmin), Ok(()), "nobody's key");
}

#[tokio::test]
async fn missing_extensions_are_internal_errors() {
    let guard = guard();
    let mut empty = Extensions::new();
    assert_eq!(guard.admit(&FIXED, &mut empty).unwrap_err().code(), Kind::Internal);
    assert_eq!(guard.enter(&FIXED, on("acme"), &mut empty).await.unwrap_err().code(), Kind::Internal);

    let mut admitted_elsewhere = extensions(caller(Role::PlatformAdmin, None));
    guard.admit(&OTHER, &mut admitted_elsewhere).unwrap();
    let status = guard.enter(&FIXED, on("acme"), &mut admitted_elsewhere).await.unwrap_err();
    assert_eq!(status.code(), Kind::Internal);

    let mut elsewhere = Extensions::new();
    elsewhere.insert(Authentication::Caller(caller(Role::PlatformAdmin, None), Surface::Manager));
    assert_eq!(guard.admit(&FIXED, &mut elsewhere).unwrap_err().code(), Kind::Unauthenticated);

    let mut anonymous = Extensions::new();
    anonymous.insert(Authentication::Anonymous);
    assert_eq!(guard.admit(&FIXED, &mut anonymous).unwrap_err().code(), Kind::Unauthenticated);
}

#[tokio::test]
async fn the_context_has_the_client_address() {
    let (guard, mut extensions) = (guard(), extensions(caller(Role::PlatformAdmin, None)));
    let address = std::net::IpAddr::from([192, 0, 2, 1]);
    let user_agent = Some("curl/8".into());
    extensions.insert(ClientInfo {
        address: Some(address),
        peer: address,
        secure: Some(true),
        host: None,
        local: false,
        user_agent,
    });
    guard.admit(&FIXED, &mut extensions).unwrap();
    guard.enter(&FIXED, on("acme"), &mut extensions).await.unwrap();
    let cx = Cx::of(&extensions).unwrap();
    assert_eq!((cx.client, cx.secure, cx.user_agent.as_deref()), (Some(address), true, Some("curl/8")));
}

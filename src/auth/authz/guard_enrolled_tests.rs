use time::macros::datetime;
use transcoder::{Guard as _, Surface as SurfaceInfo, TrailingSlash, json::JsonOptions};
use uuid::Uuid;

use super::*;
use crate::{
    auth::Surface,
    base::{Basis, caller::CallerTenant},
};

static ZERO_TRUST: SurfaceInfo = SurfaceInfo {
    name: "zero-trust",
    error_dialect: "zerotrust",
    json: JsonOptions::PROTO3,
    trailing_slash: TrailingSlash::Ignore,
    blank_body_absent: false,
};

const LISTED: &str = "zerotrust.gateways.read";

macro_rules! method {
    ($name:ident, $public:expr, $permission:expr, $callers:expr) => {
        static $name: MethodInfo = MethodInfo {
            service: "t.S",
            name: "M",
            path: concat!("/t.S/", stringify!($name)),
            surface: &ZERO_TRUST,
            auth: AuthRule {
                public: $public,
                permission: $permission,
                callers: $callers,
                tenant: if $public { TenantRule::None } else { TenantRule::Caller },
                custom: None,
                while_suspended: false,
            },
            audit: None,
            takes_key: false,
        };
    };
}

method!(ADMIN, false, Permission::Fixed(LISTED), &["USER", "SERVICE"]);
method!(DEVICES, false, Permission::Fixed(LISTED), &["DEVICE"]);
method!(GATEWAYS, false, Permission::Fixed(LISTED), &["GATEWAY"]);
method!(ALL, false, Permission::Fixed(LISTED), &["USER", "SERVICE", "DEVICE", "GATEWAY"]);
method!(NOT_LISTED, false, Permission::Fixed("zerotrust.gateways.write"), &["DEVICE", "GATEWAY"]);
method!(ENROLL, true, Permission::None, &["DEVICE", "GATEWAY"]);
method!(ENROLL_DEVICES, true, Permission::None, &["DEVICE"]);
method!(PUBLIC, true, Permission::None, &[]);

fn caller(kind: CallerKind) -> Caller {
    let credential = Uuid::from_u128(3);
    let basis = match kind {
        CallerKind::Device => Basis::Device { id: Uuid::from_u128(1), credential },
        CallerKind::Gateway => Basis::Gateway { id: Uuid::from_u128(2), credential },
        _ => Basis::Token,
    };
    Caller::new(CallerFacts {
        kind,
        subject: "it".to_owned(),
        // Also a role that should not matter.
        role: Role::Admin,
        basis,
        tenant: Some(CallerTenant { id: own(), key: "acme".to_owned(), suspended: false, named_since: None }),
        ..CallerFacts::default()
    })
}

fn own() -> TenantId {
    TenantId::from_uuid(Uuid::from_u128(7))
}

fn held(kind: CallerKind) -> Authentication {
    Authentication::Held(kind, Error::denied(Reason::DevicePending, "pending").into())
}

/// Both steps, in the order of the generated code.
async fn call(method: &'static MethodInfo, authentication: Authentication) -> Result<Cx, (Kind, String)> {
    let clock = Clock::manual(datetime!(2026-01-01 00:00 UTC));
    let guard = Guard::new(Denials::new(clock.clone()), clock);
    let mut extensions = Extensions::new();
    extensions.insert(authentication);
    let reason = |status: Status| {
        use tonic_types::StatusExt;
        (status.code(), status.get_details_error_info().map(|info| info.reason).unwrap_or_default())
    };
    guard.admit(method, &mut extensions).map_err(reason)?;
    guard.enter(method, Claim::default(), &mut extensions).await.map_err(reason)?;
    Ok(Cx::of(&extensions).unwrap())
}

async fn call_as(method: &'static MethodInfo, kind: CallerKind) -> Result<Cx, (Kind, String)> {
    call(method, Authentication::Caller(caller(kind), Surface::ZeroTrust)).await
}

fn invalid() -> (Kind, String) {
    (Kind::Unauthenticated, "CREDENTIALS_INVALID".to_owned())
}

fn denied(reason: &str) -> (Kind, String) {
    (Kind::PermissionDenied, reason.to_owned())
}

#[tokio::test]
async fn each_kind_calls_its_own_methods() {
    use CallerKind::{Device, Gateway, Service, User};
    for (method, kind) in [(&DEVICES, Device), (&GATEWAYS, Gateway), (&ALL, Device), (&ALL, Gateway), (&ALL, User)] {
        let cx = call_as(method, kind).await.unwrap();
        assert_eq!((cx.caller.kind, &cx.access), (kind, &Access::Tenant(TenantRef::Id(own()))), "{}", method.path);
    }
    for (method, kind) in [(&DEVICES, Gateway), (&GATEWAYS, Device), (&DEVICES, User), (&GATEWAYS, Service)] {
        assert_eq!(call_as(method, kind).await.unwrap_err(), denied("CALLER_KIND_REFUSED"), "{}", method.path);
    }
    for kind in [Device, Gateway] {
        assert_eq!(call_as(&ADMIN, kind).await.unwrap_err(), invalid(), "on a method of administrators");
    }
}

#[tokio::test]
async fn a_role_gives_devices_and_gateways_nothing() {
    for kind in [CallerKind::Device, CallerKind::Gateway] {
        assert_eq!(call_as(&NOT_LISTED, kind).await.unwrap_err(), denied("PERMISSION_DENIED"));
    }
}

#[tokio::test]
async fn a_held_device_is_refused_only_where_it_may_call() {
    assert_eq!(call(&DEVICES, held(CallerKind::Device)).await.unwrap_err(), denied("DEVICE_PENDING"));
    assert_eq!(call(&GATEWAYS, held(CallerKind::Device)).await.unwrap_err(), denied("CALLER_KIND_REFUSED"));
    assert_eq!(call(&ADMIN, held(CallerKind::Device)).await.unwrap_err(), invalid());
}

#[tokio::test]
async fn a_public_method_may_take_a_device_or_gateway() {
    for kind in [CallerKind::Device, CallerKind::Gateway] {
        let cx = call_as(&ENROLL, kind).await.unwrap();
        assert_eq!(cx.enrolled().unwrap().kind, kind);
        assert_eq!(cx.access, Access::Tenant(TenantRef::Id(own())));
        assert_eq!(cx.tenant().unwrap(), &TenantRef::Id(own()));
    }
}

#[tokio::test]
async fn a_refused_credential_is_nobody_on_a_public_method() {
    let refused = || Authentication::Refused(tokens::revoked().into());
    let user = || Authentication::Caller(caller(CallerKind::User), Surface::ZeroTrust);
    let gateway = || Authentication::Caller(caller(CallerKind::Gateway), Surface::ZeroTrust);
    let foreign = || Authentication::Caller(caller(CallerKind::Device), Surface::Manager);
    for (method, authentication, reason) in [
        (&ENROLL, Authentication::Anonymous, Reason::CredentialsMissing),
        (&ENROLL, refused(), Reason::CredentialsRevoked),
        (&ENROLL, held(CallerKind::Device), Reason::DevicePending),
        (&ENROLL, user(), Reason::CallerKindRefused),
        (&ENROLL, foreign(), Reason::CredentialsInvalid),
        (&ENROLL_DEVICES, gateway(), Reason::CallerKindRefused),
        (&ENROLL_DEVICES, held(CallerKind::Gateway), Reason::CallerKindRefused),
    ] {
        let cx = call(method, authentication).await.unwrap();
        assert_eq!((cx.caller.subject.as_str(), &cx.access), ("anonymous", &Access::None), "{reason:?}");
        assert_eq!(cx.enrolled().unwrap_err().reason, reason);
        assert!(cx.tenant().is_err());
    }
    // Where no credential is taken, none is considered.
    for authentication in [refused(), gateway(), held(CallerKind::Device)] {
        let cx = call(&PUBLIC, authentication).await.unwrap();
        assert_eq!((cx.caller.subject.as_str(), cx.refused.is_none()), ("anonymous", true));
    }
}

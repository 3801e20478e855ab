//! Enforces the authorization rules of the proto options. Denies by default.

use std::{collections::HashMap, future::Future, pin::Pin, sync::Arc};

use async_trait::async_trait;
use http::Extensions;
use tonic::Status;
use transcoder::{AuthRule, Claim, Deadline, MethodInfo, Permission, Reach, RequestId, TenantRule};

use super::roles;
use crate::audit::Denials;
use crate::auth::{
    authn::{authenticate::Authentication, tokens},
    request::{CallFacts, ClientInfo},
};
use crate::base::{
    Access, CallTenant, Caller, CallerKind, Clock, Cx, Drain, Error, Kind, Result, Role, SentKey, TenantId, TenantRef,
    caller::CallerFacts,
    cx::CxFacts,
    error::Reason,
    scope::{access_to, foreign_tenant},
    seat::Seated,
    time_limit::TimeLimit,
};

/// A custom check that may admit a caller on one tenant although its role does not.
#[async_trait]
pub trait Custom: Send + Sync + 'static {
    /// The tenant, if the caller may call on it; `None` if not, or if there is no such tenant.
    async fn admits(&self, caller: &Caller, tenant: &TenantRef) -> Result<Option<TenantId>>;
}

pub struct Guard {
    customs: HashMap<&'static str, Arc<dyn Custom>>,
    denials: Denials,
    clock: Clock,
}

/// Proof that the first step succeeded, for one method.
#[derive(Clone, Debug)]
struct Admitted {
    method: &'static MethodInfo,
    caller: Caller,
}

impl Guard {
    /// A guard without custom checks.
    pub fn new(denials: Denials, clock: Clock) -> Self {
        Self { customs: HashMap::new(), denials, clock }
    }

    pub fn with_custom(mut self, name: &'static str, custom: Arc<dyn Custom>) -> Self {
        self.customs.insert(name, custom);
        self
    }

    /// The access of a caller, determined from the decoded message, which may name a tenant.
    async fn access(
        &self,
        rule: &AuthRule,
        caller: &Caller,
        claim: &Claim<'_>,
        named: Option<&TenantRef>,
    ) -> Result<Access> {
        if rule.public {
            return Ok(own_tenant(rule, caller).map_or(Access::None, Access::Tenant));
        }
        let by_table = check_permission(rule, caller, claim).and_then(|()| table_access(rule.tenant, caller, named));
        if matches!(&by_table, Err(error) if error.kind == Kind::InvalidArgument) {
            return by_table;
        }
        let (Err(refused), Some(custom)) = (&by_table, rule.custom) else { return by_table };
        let (Some(tenant), Some(custom)) = (named, self.customs.get(custom)) else { return by_table };
        tracing::debug!(reason = refused.reason_name(), "refused by the permission table; the custom check decides");
        // By the id that the check found: the name may belong to another tenant by the time it is looked up again.
        match custom.admits(caller, tenant).await? {
            Some(id) => asked_permission(rule, claim).map(|_| Access::Tenant(TenantRef::Id(id))),
            None => by_table,
        }
    }

    async fn context(&self, method: &'static MethodInfo, claim: &Claim<'_>, extensions: &Extensions) -> Result<Cx> {
        let admitted = extensions.get::<Admitted>().filter(|admitted| std::ptr::eq(admitted.method, method));
        let caller = admitted.map(|admitted| admitted.caller.clone()).ok_or_else(|| Error::internal(NOT_ADMITTED))?;
        record_tenant(method, &caller, claim.tenant, extensions);
        let named = named_tenant(method.auth.tenant, claim);
        let mut access = Access::Platform;
        for party in caller.parties() {
            access = access.and(self.access(&method.auth, &party, claim, named.as_ref()).await?)?;
        }
        let tenant = match own_tenant(&method.auth, &caller) {
            Some(own) => CallTenant::Known(own),
            None => call_tenant(method.auth.tenant, &caller, named),
        };
        let client = extensions.get::<ClientInfo>();
        Ok(Cx::new(CxFacts {
            refused: refused_credential(method, extensions),
            caller,
            access,
            tenant,
            request_id: extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default(),
            rpc: method.path,
            audit_action: method.audited(claim),
            audit_target: claim.target.map(str::to_owned),
            deadline: extensions.get::<Deadline>().map(|deadline| deadline.0),
            client: client.and_then(|client| client.address),
            peer: client.map(|client| client.peer),
            secure: client.is_some_and(ClientInfo::needs_tls),
            user_agent: client.and_then(|client| client.user_agent.clone()),
            keyed: None,
            limit: extensions.get::<TimeLimit>().cloned(),
            seat: extensions.get::<Seated>().cloned(),
            clock: self.clock.clone(),
            drain: extensions.get::<Drain>().cloned().unwrap_or_default(),
        }))
    }

    /// Counts a denial for the audit log, logs the cause of a failure, and returns the status.
    fn refuse(&self, method: &'static MethodInfo, extensions: &Extensions, error: &Error) -> Status {
        match (&error.cause, extensions.get::<Authentication>()) {
            (Some(cause), _) => tracing::error!(rpc = method.path, cause = cause.as_ref(), "the guard failed"),
            // An invalid request is not a denial.
            (None, _) if error.kind == Kind::InvalidArgument => {}
            (None, Some(Authentication::Caller(caller, _))) => {
                self.denials.count(Some(caller), method.path, error.reason);
            }
            (None, _) => self.denials.count(None, method.path, error.reason),
        }
        error.to_status()
    }
}

impl transcoder::Guard for Guard {
    fn admit(&self, method: &'static MethodInfo, extensions: &mut Extensions) -> Result<(), Status> {
        if let Some(facts) = extensions.get::<CallFacts>() {
            facts.set_method(method);
        }
        match admit(method, extensions) {
            Ok(caller) => {
                extensions.insert(Admitted { method, caller });
                Ok(())
            }
            Err(refusal) => {
                if let Some(Authentication::Caller(caller, _)) = extensions.get() {
                    record_tenant(method, caller, None, extensions);
                }
                Err(self.refuse(method, extensions, &refusal))
            }
        }
    }

    fn enter<'a>(
        &'a self,
        method: &'static MethodInfo,
        claim: Claim<'a>,
        extensions: &'a mut Extensions,
    ) -> Pin<Box<dyn Future<Output = Result<(), Status>> + Send + 'a>> {
        Box::pin(async move {
            match self.context(method, &claim, extensions).await {
                Ok(cx) => {
                    if let Some(reach) = reach(&method.auth.permission, &cx.caller) {
                        extensions.insert(reach);
                    }
                    extensions.insert(cx);
                    Ok(())
                }
                Err(error) => Err(self.refuse(method, extensions, &error)),
            }
        })
    }
}

const NOT_ADMITTED: &str = "the first step of the guard did not run";

/// The first step: the caller, its kind, whether its role can permit this method at all, and the form of an idempotency key.
fn admit(method: &'static MethodInfo, extensions: &Extensions) -> Result<Caller, std::sync::Arc<Error>> {
    if method.auth.public {
        return Ok(optional_caller(method, extensions).cloned().unwrap_or_else(nobody));
    }
    let caller = match extensions.get::<Authentication>() {
        // The credential was verified for the surface of the path; the method must belong to that surface.
        Some(Authentication::Caller(caller, surface)) if surface.as_str() == method.surface.name => caller,
        Some(Authentication::Caller(..)) => return Err(tokens::invalid().into()),
        Some(Authentication::Refused(error)) => return Err(error.clone()),
        // Only methods that the kind may call say that it may not call them now.
        Some(Authentication::Held(kind, error)) => {
            check_kind(method.auth.callers, *kind)?;
            return Err(error.clone());
        }
        Some(Authentication::Anonymous) => return Err(tokens::missing().into()),
        None => return Err(Error::internal("authentication did not run").into()),
    };
    caller.parties().try_for_each(|party| check_caller(method, &party))?;
    // Where no key is taken, what was sent does not matter.
    if let Some(key) = extensions.get::<SentKey>().filter(|_| method.takes_key) {
        key.read()?;
    }
    Ok(caller.clone())
}

fn check_caller(method: &MethodInfo, caller: &Caller) -> Result<()> {
    let rule = &method.auth;
    if let (false, Some(tenant)) = (rule.while_suspended, &caller.tenant) {
        tenant.refuse_suspended(method.path)?;
    }
    check_kind(rule.callers, caller.kind)?;
    // A custom check needs the message, so the decision is left to the second step.
    let possible = rule.custom.is_some() || holds_any(&rule.permission, caller);
    if possible { Ok(()) } else { Err(permission_denied(&rule.permission, caller)) }
}

/// Whether the caller's role has any of the permissions that the method may require.
fn holds_any(permission: &Permission, caller: &Caller) -> bool {
    match permission {
        Permission::None => false,
        Permission::Fixed(permission) | Permission::OwnOrAll { own: permission, .. } => {
            roles::permits(caller, permission)
        }
        Permission::ByAction(actions) => actions.listed.iter().any(|action| roles::permits(caller, action.permission)),
    }
}

/// Refuses the kinds of caller that a method does not list. Where neither devices nor gateways can call, their credentials
/// are not valid (zero-trust contract, decisions: 401).
fn check_kind(callers: &[&str], kind: CallerKind) -> Result<()> {
    let lists = |kind: CallerKind| callers.contains(&kind.as_str());
    if kind_admitted(callers, kind) {
        Ok(())
    } else if kind.is_enrolled() && ![CallerKind::Device, CallerKind::Gateway].into_iter().any(lists) {
        Err(tokens::invalid())
    } else {
        Err(kind_refused())
    }
}

fn kind_refused() -> Error {
    Error::denied(Reason::CallerKindRefused, "this kind of caller cannot call this method")
}

/// An empty list admits users and services.
fn kind_admitted(callers: &[&str], kind: CallerKind) -> bool {
    match callers {
        [] => matches!(kind, CallerKind::User | CallerKind::Service),
        listed => listed.contains(&kind.as_str()),
    }
}

/// The permission check of the second step: for the permission that the message requires.
fn check_permission(rule: &AuthRule, caller: &Caller, claim: &Claim<'_>) -> Result<()> {
    match asked_permission(rule, claim) {
        Ok(Some(permission)) if roles::permits(caller, permission) => Ok(()),
        // Only callers with one of the permissions learn which values exist.
        Err(unknown) if holds_any(&rule.permission, caller) => Err(unknown),
        _ => Err(permission_denied(&rule.permission, caller)),
    }
}

/// The permission that the message requires; none for public methods. Fails for a value without a permission.
fn asked_permission(rule: &AuthRule, claim: &Claim<'_>) -> Result<Option<&'static str>> {
    match &rule.permission {
        Permission::None => Ok(None),
        Permission::Fixed(permission) | Permission::OwnOrAll { own: permission, .. } => Ok(Some(permission)),
        Permission::ByAction(actions) => match actions.named(claim.action.unwrap_or_default()) {
            Some(action) => Ok(Some(action.permission)),
            None => Err(Error::invalid(Reason::ActionUnknown, actions.field, actions.must_be())),
        },
    }
}

/// Which resources the caller reaches, where the rule has a permission for its own and another one for all.
fn reach(permission: &Permission, caller: &Caller) -> Option<Reach> {
    let Permission::OwnOrAll { all, .. } = permission else { return None };
    Some(if roles::permits(caller, all) { Reach::All } else { Reach::Own })
}

/// The tenant that the message names.
fn named_tenant(rule: TenantRule, claim: &Claim<'_>) -> Option<TenantRef> {
    let text = match rule {
        TenantRule::Field(_) => claim.tenant,
        TenantRule::FieldOrCaller(_) => claim.tenant.filter(|text| !text.is_empty()),
        TenantRule::None | TenantRule::Caller | TenantRule::Resource => None,
    };
    text.map(TenantRef::parse)
}

/// The tenant of the call: the named one, or else the caller's own if the rule says so. The caller's access to it has
/// been checked.
fn call_tenant(rule: TenantRule, caller: &Caller, named: Option<TenantRef>) -> CallTenant {
    let own = || caller.tenant.as_ref().map(|own| TenantRef::Id(own.id));
    let missing = match rule {
        TenantRule::FieldOrCaller(field) => CallTenant::Missing(field),
        _ => CallTenant::None,
    };
    named.or_else(|| own().filter(|_| or_caller(rule))).map_or(missing, CallTenant::Known)
}

/// Whether a call that names no tenant is on the caller's own.
fn or_caller(rule: TenantRule) -> bool {
    matches!(rule, TenantRule::Caller | TenantRule::FieldOrCaller(_))
}

/// Records the tenant of the call for the access log: as the caller wrote it, or else the name of the caller's own if the
/// rule says so. `named` is unknown before the message is read.
fn record_tenant(method: &MethodInfo, caller: &Caller, named: Option<&str>, extensions: &Extensions) {
    let own = || caller.tenant.as_ref().map(|own| own.key.as_str()).filter(|_| or_caller(method.auth.tenant));
    let tenant = named.filter(|text| !text.is_empty()).or_else(own);
    if let (Some(facts), Some(tenant)) = (extensions.get::<CallFacts>(), tenant) {
        facts.set_tenant(tenant);
    }
}

/// The access of a caller that has the permission. Does not look up a tenant.
fn table_access(rule: TenantRule, caller: &Caller, named: Option<&TenantRef>) -> Result<Access> {
    if caller.is_platform() {
        return Ok(Access::Platform);
    }
    match (rule, named, &caller.tenant) {
        (TenantRule::None, ..) => Ok(Access::None),
        (_, Some(tenant), _) => access_to(caller, tenant),
        (TenantRule::Field(_), None, _) => Err(no_tenant_claim()),
        (_, None, Some(own)) => Ok(Access::Tenant(TenantRef::Id(own.id))),
        (_, None, None) => Err(foreign_tenant()),
    }
}

fn no_tenant_claim() -> Error {
    Error::internal("the rule names a tenant field that the claim does not have")
}

/// The reason tells an administrator of a tenant that no role inside a tenant would suffice.
fn permission_denied(permission: &Permission, caller: &Caller) -> Error {
    let administers = caller.roles().contains(Role::Admin);
    let reason = match permission {
        Permission::Fixed(permission) | Permission::OwnOrAll { own: permission, .. }
            if administers && roles::platform_alone_holds(permission) =>
        {
            Reason::PlatformRequired
        }
        _ => Reason::PermissionDenied,
    };
    Error::denied(reason, "your role does not have the required permission")
}

/// The device or gateway that calls a public method which lists its kind.
fn optional_caller<'e>(method: &MethodInfo, extensions: &'e Extensions) -> Option<&'e Caller> {
    let Some(Authentication::Caller(caller, surface)) = extensions.get() else { return None };
    let is_listed = caller.kind.is_enrolled() && method.auth.callers.contains(&caller.kind.as_str());
    (is_listed && surface.as_str() == method.surface.name).then_some(caller)
}

/// Why the credential of a call is not that of its caller, on a public method that takes one.
fn refused_credential(method: &MethodInfo, extensions: &Extensions) -> Option<Arc<Error>> {
    if !method.auth.public || method.auth.callers.is_empty() || optional_caller(method, extensions).is_some() {
        return None;
    }
    match extensions.get::<Authentication>()? {
        Authentication::Anonymous => None,
        Authentication::Refused(error) => Some(error.clone()),
        Authentication::Held(kind, error) => Some(match check_kind(method.auth.callers, *kind) {
            Ok(()) => error.clone(),
            Err(refused) => refused.into(),
        }),
        Authentication::Caller(_, surface) if surface.as_str() != method.surface.name => Some(tokens::invalid().into()),
        Authentication::Caller(..) => Some(kind_refused().into()),
    }
}

/// The tenant of the device or gateway that calls a public method; only such callers have one there.
fn own_tenant(rule: &AuthRule, caller: &Caller) -> Option<TenantRef> {
    let own = caller.tenant.as_ref().filter(|_| rule.public && caller.kind.is_enrolled());
    own.map(|own| TenantRef::Id(own.id))
}

/// The caller of a public method without a credential that it takes.
fn nobody() -> Caller {
    Caller::new(CallerFacts { kind: CallerKind::User, subject: "anonymous".to_owned(), ..CallerFacts::default() })
}

#[cfg(test)]
#[path = "guard_enrolled_tests.rs"]
mod enrolled_tests;
#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;

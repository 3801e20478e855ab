//! What the descriptors say of an RPC, as static data that the generated code carries.

#[cfg(doc)]
use crate::Reach;
use crate::{Actions, Claim, json::Habits};

/// One RPC: its names, its rules and the surface it belongs to. Generated, one `static` a method.
#[derive(Debug)]
pub struct MethodInfo {
    /// Full name of the service, such as `tenantry.messaging.v2.TenantService`.
    pub service: &'static str,
    /// Name of the method, such as `GetTenant`.
    pub name: &'static str,
    /// The gRPC path, `/<service>/<method>`.
    pub path: &'static str,
    /// The surface.
    pub surface: &'static Surface,
    /// Who may call it.
    pub auth: AuthRule,
    /// What it leaves in the audit log; `None` on reads.
    pub audit: Option<AuditRule>,
    /// A call may have an idempotency key: the method changes something, has a caller who owns the key, and takes and returns one
    /// message.
    pub takes_key: bool,
}

impl MethodInfo {
    /// What a call does, as the audit log names it; `None` on reads.
    pub fn audited(&self, claim: &Claim<'_>) -> Option<&'static str> {
        let fixed = self.audit.as_ref().map(|audit| audit.action);
        match &self.auth.permission {
            Permission::ByAction(actions) => {
                let action = actions.named(claim.action.unwrap_or_default());
                fixed.map(|fixed| action.map_or(fixed, |action| action.audit))
            }
            _ => fixed,
        }
    }
}

/// A surface: the habits of one documented API.
#[derive(Debug)]
pub struct Surface {
    /// Its name.
    pub name: &'static str,
    /// Name of its error dialect.
    pub error_dialect: &'static str,
    /// Its JSON habits.
    pub habits: Habits,
    /// What a trailing slash means.
    pub trailing_slash: TrailingSlash,
    /// A JSON body of blanks alone is taken for none; elsewhere it is JSON that is malformed.
    pub blank_body_absent: bool,
}

/// What a trailing slash in a path means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrailingSlash {
    /// Nothing matches: 404.
    Refuse,
    /// Served as the path without it.
    Ignore,
    /// 307 to the path without it.
    Redirect,
}

/// Who may call an RPC.
#[derive(Debug)]
pub struct AuthRule {
    /// No credential is needed.
    pub public: bool,
    /// The permission that the caller needs.
    pub permission: Permission,
    /// Kinds of caller that are admitted, by the enum's names without prefix (`USER`).
    pub callers: &'static [&'static str],
    /// Where the tenant of the call is found.
    pub tenant: TenantRule,
    /// Name of a hand-written check that may admit whom the table of roles refuses.
    pub custom: Option<&'static str>,
    /// Callers whose tenant is suspended are admitted too.
    pub while_suspended: bool,
}

/// The permission that an RPC asks for.
#[derive(Debug)]
pub enum Permission {
    /// None: the RPC is public.
    None,
    /// One, whatever the message says.
    Fixed(&'static str),
    /// One to reach what is the caller's own, and another one to reach everything. The guard leaves the [`Reach`] of the
    /// caller in the extensions of the request.
    OwnOrAll {
        /// The permission that the caller needs.
        own: &'static str,
        /// The permission to reach everything.
        all: &'static str,
    },
    /// That of the action that the request asks for.
    ByAction(Actions),
}

/// Where the tenant of a call is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TenantRule {
    /// The call is platform-wide.
    None,
    /// The caller's own tenant.
    Caller,
    /// A resource reached by its own id; the verb scopes it by the caller.
    Resource,
    /// A field of the request, by its path.
    Field(&'static str),
    /// A field of the request, by its path; the caller's own tenant where the field is empty.
    FieldOrCaller(&'static str),
}

/// What an RPC leaves in the audit log.
#[derive(Debug)]
pub struct AuditRule {
    /// Name of the action; empty where each action of the method has one of its own.
    pub action: &'static str,
    /// Path of the request field that names the target; empty where the verb names it.
    pub target: &'static str,
}

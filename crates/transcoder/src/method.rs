//! What the descriptors say about an RPC, as static data in the generated code.

#[cfg(doc)]
use crate::Reach;
use crate::{Actions, Claim, json::JsonOptions};

/// One RPC: its names, its rules and its surface. Generated, one `static` for each method.
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
    /// Its audit rule; `None` for reads.
    pub audit: Option<AuditRule>,
    /// Whether a call may have an idempotency key: the method has an audit rule, is not public (a key belongs to a caller), and takes
    /// and returns one message.
    pub takes_key: bool,
}

impl MethodInfo {
    /// The action of a call in the audit log; `None` for reads.
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

/// A surface: the options of one documented API.
#[derive(Debug)]
pub struct Surface {
    /// Its name.
    pub name: &'static str,
    /// Name of its error dialect.
    pub error_dialect: &'static str,
    /// Its JSON options.
    pub json: JsonOptions,
    /// How a trailing slash is treated.
    pub trailing_slash: TrailingSlash,
    /// A JSON body of only white space counts as no body; otherwise it is malformed JSON.
    pub blank_body_absent: bool,
}

/// How a trailing slash in a path is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrailingSlash {
    /// No match: 404.
    Refuse,
    /// Served as the path without it.
    Ignore,
    /// 307 redirect to the path without it.
    Redirect,
}

/// Who may call an RPC.
#[derive(Debug)]
pub struct AuthRule {
    /// No credential is needed. One of a kind in `callers` is taken.
    pub public: bool,
    /// The permission that the caller needs.
    pub permission: Permission,
    /// The kinds of caller that are admitted: enum names without their prefix (`USER`).
    pub callers: &'static [&'static str],
    /// Where the tenant of the call comes from.
    pub tenant: TenantRule,
    /// Name of a hand-written check that may admit callers without the permission.
    pub custom: Option<&'static str>,
    /// Callers of a suspended tenant are admitted too.
    pub while_suspended: bool,
}

/// The permission that an RPC needs.
#[derive(Debug)]
pub enum Permission {
    /// None: the RPC is public.
    None,
    /// The same one for every message.
    Fixed(&'static str),
    /// One for the caller's own resources, and another one for all. The guard puts the [`Reach`] of the caller into the
    /// extensions of the request.
    OwnOrAll {
        /// The permission that the caller needs.
        own: &'static str,
        /// The permission for all resources.
        all: &'static str,
    },
    /// The permission of the requested action.
    ByAction(Actions),
}

/// Where the tenant of a call comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TenantRule {
    /// The call is platform-wide.
    None,
    /// The caller's own tenant.
    Caller,
    /// A resource with an id of its own; the operation limits it to the caller's scope.
    Resource,
    /// A field of the request, by its path.
    Field(&'static str),
    /// A field of the request, by its path; the caller's own tenant if the field is empty.
    FieldOrCaller(&'static str),
}

/// What an RPC writes to the audit log.
#[derive(Debug)]
pub struct AuditRule {
    /// Name of the action; empty if each of the method's actions has its own.
    pub action: &'static str,
    /// Path of the request field that names the target; empty if the operation names it.
    pub target: &'static str,
}

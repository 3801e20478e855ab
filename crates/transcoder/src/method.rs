//! What the descriptors say of an RPC, as static data that the generated code carries.

use crate::json::Habits;

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
    /// By the value of a field of the request.
    ByField {
        /// Path of the field.
        field: &'static str,
        /// Pairs of value and permission, sorted by value.
        map: &'static [(&'static str, &'static str)],
    },
}

impl Permission {
    /// The permission that a value of the deciding field asks for; `None` for a value that is not listed.
    pub fn by_value(&self, value: &str) -> Option<&'static str> {
        match self {
            Permission::None => None,
            Permission::Fixed(permission) => Some(permission),
            Permission::ByField { map, .. } => lookup(map, value),
        }
    }
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
}

/// What an RPC leaves in the audit log.
#[derive(Debug)]
pub struct AuditRule {
    /// Name of the action, of values that `action_by` does not list; empty where it lists all.
    pub action: &'static str,
    /// Path of the request field that names the target; empty where the verb names it.
    pub target: &'static str,
    /// Pairs of value and action, sorted by value, where a field of the request decides the action.
    pub action_by: &'static [(&'static str, &'static str)],
}

impl AuditRule {
    /// The action for a value of the deciding field.
    pub fn by_value(&self, value: &str) -> &'static str {
        lookup(self.action_by, value).unwrap_or(self.action)
    }
}

fn lookup(map: &[(&str, &'static str)], value: &str) -> Option<&'static str> {
    map.iter().find(|(listed, _)| *listed == value).map(|(_, name)| *name)
}

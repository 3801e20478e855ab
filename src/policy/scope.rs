//! The scope of a policy: whose devices it is for.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    base::{Error, IdKind, Result, TenantId, error::Reason},
    store::{columns::PolicyScopeKind, tables::PolicyRow},
};

/// Whose devices a policy is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// All devices: of every tenant.
    Global,
    Tenant,
    Group(Uuid),
    Device(Uuid),
}

impl Scope {
    /// Parses a scope; without a kind it is the tenant. That of the tenant has no id, or the id of the tenant, which is returned.
    pub fn read(kind: &str, id: Option<&str>) -> Result<(Self, Option<TenantId>)> {
        let id_of = |of: IdKind, unknown: &'static str| {
            let text = id.ok_or_else(|| invalid(Reason::FieldRequired, "scope.id", "the scope needs an id"))?;
            of.read(text).ok_or_else(|| invalid(Reason::InvalidArgument, "scope.id", unknown))
        };
        let kind = if kind.is_empty() { PolicyScopeKind::Tenant.as_str() } else { kind };
        match PolicyScopeKind::ALL.iter().find(|known| known.as_str() == kind) {
            Some(PolicyScopeKind::Tenant) => {
                let tenant = id.map(str::parse).transpose();
                let tenant = tenant.map_err(|_| {
                    invalid(Reason::InvalidArgument, "scope.id", "scope.id must be the id of the tenant")
                })?;
                Ok((Self::Tenant, tenant))
            }
            Some(PolicyScopeKind::Global) if id.is_some() => {
                Err(invalid(Reason::InvalidArgument, "scope.id", "the scope global has no id"))
            }
            Some(PolicyScopeKind::Global) => Ok((Self::Global, None)),
            Some(PolicyScopeKind::Group) => Ok((Self::Group(id_of(IdKind::Group, "group not found")?), None)),
            Some(PolicyScopeKind::Device) => Ok((Self::Device(id_of(IdKind::Device, "device not found")?), None)),
            None => {
                let text = "scope.type must be global, tenant, group or device";
                Err(invalid(Reason::InvalidArgument, "scope.type", text))
            }
        }
    }

    /// The scope of a stored policy.
    pub fn of(row: &PolicyRow) -> Self {
        match row.scope_type {
            PolicyScopeKind::Global => Self::Global,
            PolicyScopeKind::Tenant => Self::Tenant,
            PolicyScopeKind::Group => Self::Group(row.scope_id),
            PolicyScopeKind::Device => Self::Device(row.scope_id),
        }
    }

    pub fn kind(self) -> PolicyScopeKind {
        match self {
            Self::Global => PolicyScopeKind::Global,
            Self::Tenant => PolicyScopeKind::Tenant,
            Self::Group(_) => PolicyScopeKind::Group,
            Self::Device(_) => PolicyScopeKind::Device,
        }
    }

    /// The stored id.
    pub fn id(self, tenant: TenantId) -> Uuid {
        match self {
            Self::Global => Uuid::nil(),
            Self::Tenant => tenant.uuid(),
            Self::Group(id) | Self::Device(id) => id,
        }
    }

    /// The public id, if it has one.
    pub fn shown_id(self, tenant: TenantId) -> Option<String> {
        match self {
            Self::Global => None,
            Self::Tenant => Some(tenant.zero_trust()),
            Self::Group(id) => Some(IdKind::Group.show(id)),
            Self::Device(id) => Some(IdKind::Device.show(id)),
        }
    }

    /// As it is signed and recorded: its type and its public id.
    pub fn to_json(self, tenant: TenantId) -> Value {
        match self.shown_id(tenant) {
            Some(id) => json!({"type": self.kind().as_str(), "id": id}),
            None => json!({"type": self.kind().as_str()}),
        }
    }
}

fn invalid(reason: Reason, field: &str, text: &'static str) -> Error {
    Error::invalid(reason, field, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: &str = "grp_01J7ST8Z0GFCQ9TCATDDY8V7GF";

    #[test]
    fn a_scope_has_the_id_of_its_kind() {
        let field = |kind: &str, id: Option<&str>| Scope::read(kind, id).unwrap_err().violations[0].field.clone();
        let id = IdKind::Group.read(GROUP).unwrap();
        assert_eq!(Scope::read("group", Some(GROUP)).unwrap().0, Scope::Group(id));
        assert_eq!(Scope::read("tenant", None).unwrap(), (Scope::Tenant, None));
        let tenant = TenantId::from_uuid(id);
        assert_eq!(Scope::read("tenant", Some(&tenant.zero_trust())).unwrap(), (Scope::Tenant, Some(tenant)));
        assert_eq!(field("group", None), "scope.id");
        assert_eq!(field("device", Some(GROUP)), "scope.id");
        assert_eq!(field("tenant", Some(GROUP)), "scope.id");
        assert_eq!(field("world", None), "scope.type");
        assert_eq!(field("global", Some(GROUP)), "scope.id");
        assert_eq!(Scope::read("global", None).unwrap(), (Scope::Global, None));
        assert_eq!(Scope::read("", None).unwrap(), (Scope::Tenant, None));
    }
}

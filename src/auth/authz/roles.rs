//! Which roles, and which kinds of enrolled callers, have which permissions.

use std::{collections::HashMap, sync::LazyLock};

use crate::{
    base::{Caller, Role, RoleSet},
    proto::permissions::{ENROLLED, TABLE},
};

/// The roles that have each permission, as bits, so that a check costs one lookup and no string comparison.
static HOLDERS: LazyLock<HashMap<&'static str, RoleSet>> = LazyLock::new(|| {
    TABLE
        .iter()
        .map(|(permission, words)| {
            let holders = Role::ALL.into_iter().filter(|role| words.contains(&role.as_str()));
            (*permission, holders.chain([Role::PlatformAdmin]).collect())
        })
        .collect()
});

/// Whether a caller has a permission: by its roles, or as a device or gateway by its kind.
pub fn permits(caller: &Caller, permission: &str) -> bool {
    if !caller.kind.is_enrolled() {
        return holds(caller.roles(), permission);
    }
    ENROLLED.iter().any(|(listed, kinds)| *listed == permission && kinds.contains(&caller.kind.as_str()))
}

/// Whether any of the roles has a permission. `platform_admin` has every permission of the table; nobody has
/// one that is not in the table.
fn holds(roles: RoleSet, permission: &str) -> bool {
    HOLDERS.get(permission).is_some_and(|holders| holders.meets(roles))
}

/// Whether only `platform_admin` has a permission of the table.
pub fn platform_alone_holds(permission: &str) -> bool {
    HOLDERS.get(permission) == Some(&RoleSet::default().with(Role::PlatformAdmin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{CallerKind, caller::CallerFacts};

    fn holds(role: Role, permission: &str) -> bool {
        super::holds(RoleSet::default().with(role), permission)
    }

    #[test]
    fn the_table_decides() {
        assert!(holds(Role::PlatformAdmin, "messaging.tenants.create"));
        assert!(!holds(Role::Admin, "messaging.tenants.create"));
        assert!(holds(Role::Admin, "messaging.namespaces.create"));
        assert!(!holds(Role::ReadOnly, "messaging.namespaces.create"));
        assert!(holds(Role::Project, "messaging.clusters.list"));
        assert!(!holds(Role::User, "messaging.tenants.get"));
    }

    #[test]
    fn permissions_without_roles_belong_to_the_platform() {
        assert!(platform_alone_holds("messaging.tenants.create"));
        assert!(!platform_alone_holds("messaging.namespaces.create"));
        assert!(!platform_alone_holds("messaging.tenants.explode"));
    }

    #[test]
    fn no_role_has_a_permission_outside_the_table() {
        for role in Role::ALL {
            assert!(!holds(role, "messaging.tenants.explode"), "{role}");
        }
    }

    #[test]
    fn devices_and_gateways_have_only_the_permissions_of_their_kind() {
        let caller = |kind, role| Caller::new(CallerFacts { kind, role, ..CallerFacts::default() });
        for kind in [CallerKind::Device, CallerKind::Gateway] {
            for (permission, _) in TABLE {
                let listed = ENROLLED.iter().any(|(own, kinds)| own == permission && kinds.contains(&kind.as_str()));
                assert_eq!(permits(&caller(kind, Role::PlatformAdmin), permission), listed, "{permission}");
            }
        }
        for (permission, kinds) in ENROLLED {
            assert!(kinds.iter().all(|kind| ["DEVICE", "GATEWAY"].contains(kind)), "{permission}");
        }
        assert!(permits(&caller(CallerKind::User, Role::PlatformAdmin), "messaging.tenants.create"));
    }

    #[test]
    fn the_table_names_only_roles_that_exist() {
        for (permission, words) in TABLE {
            for word in *words {
                assert!(word.parse::<Role>().is_ok_and(|role| role != Role::PlatformAdmin), "{permission}: {word}");
            }
        }
    }
}

//! Which roles have which permissions.

use std::{collections::HashMap, sync::LazyLock};

use crate::{
    base::{Role, RoleSet},
    proto::permissions::TABLE,
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

/// Whether any of the roles has a permission. `platform_admin` has every permission of the table; nobody has
/// one that is not in the table.
pub fn holds(roles: RoleSet, permission: &str) -> bool {
    HOLDERS.get(permission).is_some_and(|holders| holders.meets(roles))
}

/// Whether only `platform_admin` has a permission of the table.
pub fn platform_alone_holds(permission: &str) -> bool {
    HOLDERS.get(permission) == Some(&RoleSet::default().with(Role::PlatformAdmin))
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn the_table_names_only_roles_that_exist() {
        for (permission, words) in TABLE {
            for word in *words {
                assert!(word.parse::<Role>().is_ok_and(|role| role != Role::PlatformAdmin), "{permission}: {word}");
            }
        }
    }
}

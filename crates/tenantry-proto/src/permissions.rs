//! Roles and permissions, in one table.
//!
//! The build script reads this file too: a rule in `proto/` with an unknown permission fails the build. The names of
//! the roles are those of `token mint --role` (zero-trust contract, section 4.5).

/// Every permission with the roles that hold it. `platform_admin` holds every permission and is not listed.
pub const TABLE: &[(&str, &[&str])] = &[
    ("controlplane.accounts.list", ANYONE),
    ("controlplane.accounts.switch", ANYONE),
    ("controlplane.email_domains.create", &[]),
    ("controlplane.email_domains.delete", &[]),
    ("controlplane.email_domains.list", &["admin"]),
    ("controlplane.grants.create", &[]),
    ("controlplane.grants.delete", &[]),
    ("controlplane.grants.list", &[]),
    ("controlplane.migrations.get", ANYONE),
    ("controlplane.placements.get", &["admin"]),
    ("controlplane.placements.replace", &[]),
    ("controlplane.status.get", ANYONE),
    ("controlplane.tenants.create", &[]),
    ("controlplane.tenants.delete", &[]),
    ("controlplane.tenants.get", &["admin"]),
    ("controlplane.tenants.list", &[]),
    ("controlplane.tenants.provision", &[]),
    ("controlplane.users.create", &[]),
    ("controlplane.users.list", &[]),
    ("manager.tenants.create", &[]),
    ("manager.tenants.delete", &[]),
    ("manager.tenants.get", READERS),
    ("manager.tenants.list", &[]),
    ("manager.tenants.update", &[]),
    ("messaging.clusters.create", &[]),
    ("messaging.clusters.delete", &[]),
    ("messaging.clusters.get", &[]),
    ("messaging.clusters.list", ANYONE),
    ("messaging.clusters.update", &[]),
    ("messaging.namespaces.create", &["admin"]),
    ("messaging.namespaces.delete", &["admin"]),
    ("messaging.namespaces.get", READERS),
    ("messaging.namespaces.list", READERS),
    ("messaging.tenants.create", &[]),
    ("messaging.tenants.delete", &[]),
    ("messaging.tenants.get", READERS),
    ("messaging.tenants.list", &[]),
    ("messaging.tenants.update", &[]),
    ("registry.databases.lease", &["admin", "user"]),
    ("registry.tenants.get", READERS),
    ("registry.tenants.list", READERS),
    ("registry.tenants.watch", READERS),
    ("warehouse.session.end", ANYONE),
    ("warehouse.session.get", ANYONE),
    ("warehouse.tenants.create", &[]),
    ("warehouse.tenants.delete", &[]),
    ("warehouse.tenants.disable", &["admin"]),
    ("warehouse.tenants.list", &["admin"]),
    ("warehouse.tenants.set_auth", &["admin"]),
    ("zerotrust.api_keys.read", &["admin", "auditor"]),
    ("zerotrust.api_keys.write", &["admin"]),
    ("zerotrust.devices.own", ANYONE),
    ("zerotrust.devices.read", READERS),
    ("zerotrust.devices.write", &["admin", "security_operator"]),
    ("zerotrust.gateways.read", READERS),
    ("zerotrust.gateways.write", &["admin", "network_admin"]),
    ("zerotrust.groups.read", READERS),
    ("zerotrust.groups.write", &["admin"]),
    ("zerotrust.policy.publish", &["admin", "network_admin"]),
    ("zerotrust.policy.publish_stable", &["admin"]),
    ("zerotrust.policy.read", READERS),
    ("zerotrust.rbac.write", &["admin"]),
    ("zerotrust.session.end", ANYONE),
    ("zerotrust.session.read", ANYONE),
    ("zerotrust.sessions.own", ANYONE),
    ("zerotrust.sessions.read", READERS),
    ("zerotrust.sessions.write", &["admin", "security_operator"]),
    ("zerotrust.signers.read", &["admin", "security_operator", "auditor"]),
    ("zerotrust.signers.revoke", &["admin", "security_operator"]),
    ("zerotrust.signers.write", &["admin"]),
    ("zerotrust.spc.read", &["admin", "security_operator", "auditor"]),
    ("zerotrust.spc.revoke", &["admin", "security_operator"]),
    ("zerotrust.spc.write", &["admin"]),
    ("zerotrust.tenants.read", &["admin", "auditor"]),
    ("zerotrust.tenants.suspend", &["admin"]),
    ("zerotrust.tenants.write", &[]),
    ("zerotrust.tokens.own", ANYONE),
    ("zerotrust.tokens.read", READERS),
    ("zerotrust.tokens.write", &["admin", "security_operator"]),
    ("zerotrust.users.mfa", &["admin"]),
    ("zerotrust.users.read", READERS),
    ("zerotrust.users.self", ANYONE),
    ("zerotrust.users.suspend", &["admin", "security_operator"]),
    ("zerotrust.users.write", &["admin"]),
];

/// The permissions of devices and gateways, with the kinds of caller that hold them. They have no roles, and hold no other
/// permissions.
pub const ENROLLED: &[(&str, &[&str])] = &[
    ("zerotrust.gateways.directory", &["DEVICE", "GATEWAY"]),
    ("zerotrust.gateways.read", &["DEVICE", "GATEWAY"]),
    ("zerotrust.gateways.runtime", &["GATEWAY"]),
    ("zerotrust.metering.report", &["GATEWAY"]),
    ("zerotrust.policy.receive", &["DEVICE", "GATEWAY"]),
    ("zerotrust.sessions.admit", &["GATEWAY"]),
    ("zerotrust.spc.read", &["DEVICE", "GATEWAY"]),
    ("zerotrust.spc.write", &["DEVICE"]),
    ("zerotrust.telemetry.report", &["DEVICE"]),
];

/// The names of all permissions, some of them twice.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().chain(ENROLLED).map(|(permission, _)| *permission)
}

/// Every role inside a tenant.
const ANYONE: &[&str] = &["admin", "network_admin", "security_operator", "auditor", "read_only", "user", "project"];

/// Roles that may read the data of their tenant.
const READERS: &[&str] = &["admin", "network_admin", "security_operator", "auditor", "read_only"];

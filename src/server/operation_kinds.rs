//! The list of all kinds of operations that a server runs. A new kind is registered only here.

use crate::{
    controlplane::provisioning::ProvisionTenant,
    operations::Kinds,
    tenants::{
        PurgeTenant,
        database::{Databases, FollowTenantStatus, TearDownTenant},
    },
};

/// A server without a provisioner leaves provisioning to those that have one, and a server with neither that nor OpenBAO everything that
/// concerns databases.
pub(super) fn all(databases: &Databases) -> Kinds {
    let store = &databases.store;
    let mut kinds = Kinds::default().with(PurgeTenant::new(store));
    if let Some(provisioner) = &databases.provisioner {
        kinds = kinds.with(ProvisionTenant::new(store, provisioner.clone()));
    }
    if databases.openbao.is_some() || databases.provisioner.is_some() {
        kinds = kinds.with(FollowTenantStatus::new(databases)).with(TearDownTenant::new(databases));
    }
    kinds
}

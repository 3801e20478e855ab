//! The list of all kinds of operations that a server runs. A new kind is registered only here.

use std::sync::Arc;

use crate::{
    controlplane::{migrations::TenantMigrations, provisioning::ProvisionTenant},
    operations::Kinds,
    tenants::{
        PurgeTenant,
        database::{Databases, FollowTenantStatus, TearDownTenant},
    },
};

/// A server without a provisioner leaves provisioning to those that have one, and a server with neither that nor OpenBAO everything that
/// concerns databases.
pub(super) fn all(databases: &Databases, migrations: &Arc<TenantMigrations>) -> Kinds {
    let Databases { store, openbao, keeper, provisioner, .. } = databases;
    let mut kinds = Kinds::default().with(PurgeTenant::new(store));
    if let Some(provisioner) = provisioner {
        let openbao = openbao.clone().zip(keeper.clone());
        kinds = kinds.with(ProvisionTenant::new(store, provisioner.clone(), openbao, migrations.clone()));
    }
    if openbao.is_some() || provisioner.is_some() {
        kinds = kinds.with(FollowTenantStatus::new(databases)).with(TearDownTenant::new(databases));
    }
    kinds
}

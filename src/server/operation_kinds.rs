//! The list of all kinds of operations that a server runs. A new kind is registered only here.

use crate::{
    controlplane::provisioning::ProvisionTenant, operations::Kinds, providers::provisioner::Provisioner, store::Store,
    tenants::PurgeTenant,
};

/// A server without a provisioner leaves provisioning to those that have one.
pub(super) fn all(store: &Store, provisioner: Option<&Provisioner>) -> Kinds {
    let kinds = Kinds::default().with(PurgeTenant::new(store));
    match provisioner {
        Some(provisioner) => kinds.with(ProvisionTenant::new(store, provisioner.clone())),
        None => kinds,
    }
}

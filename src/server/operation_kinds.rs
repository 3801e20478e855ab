//! The list of all kinds of operations that a server runs. A new kind is registered only here.

use crate::{controlplane::provisioning::ProvisionTenant, operations::Kinds, store::Store, tenants::PurgeTenant};

/// A server without a provisioner leaves provisioning to those that have one.
pub(super) fn all(store: &Store, provision: Option<ProvisionTenant>) -> Kinds {
    let kinds = Kinds::default().with(PurgeTenant::new(store));
    match provision {
        Some(provision) => kinds.with(provision),
        None => kinds,
    }
}

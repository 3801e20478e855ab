//! The list of all kinds of operations that a server runs. A new kind is registered only here.

use crate::{operations::Kinds, store::Store, tenants::PurgeTenant};

pub(super) fn all(store: &Store) -> Kinds {
    Kinds::default().with(PurgeTenant::new(store))
}

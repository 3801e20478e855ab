//! The names of what was created for a tenant outside of the registry. They are recorded before anything is created, and never change.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use crate::{
    base::{Error, Result, TenantId},
    openbao::Name,
    store::{Db, Fetch, tables::derived_names},
    tenants::derived_names::NameKind,
};

/// The recorded names of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatabaseNames {
    pub database: Option<String>,
    /// The role that owns the database.
    pub owner: Option<String>,
    pub identity: Option<Identity>,
}

/// The objects of a tenant in OpenBAO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub connection: Name,
    pub role: Name,
}

impl DatabaseNames {
    /// Whether nothing was created.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The recorded names of a tenant, which may be deleted.
pub async fn read(conn: &impl Db, tenant: TenantId) -> Result<DatabaseNames> {
    let kinds = [NameKind::DATABASE, NameKind::DATABASE_OWNER, NameKind::OPENBAO_CONNECTION, NameKind::OPENBAO_ROLE];
    let mut rows = derived_names::Entity::find()
        .filter(derived_names::Column::Kind.is_in(kinds.map(|kind| kind.kind)))
        .filter(derived_names::Column::TenantId.eq(tenant))
        .fetch_all(conn)
        .await?;
    let mut take = |kind: NameKind| {
        let found = rows.iter().position(|row| row.kind == kind.kind);
        found.map(|at| rows.swap_remove(at).name)
    };
    let (database, owner) = (take(NameKind::DATABASE), take(NameKind::DATABASE_OWNER));
    let identity = match (take(NameKind::OPENBAO_CONNECTION), take(NameKind::OPENBAO_ROLE)) {
        (Some(connection), Some(role)) => Some(Identity { connection: name(&connection)?, role: name(&role)? }),
        _ => None,
    };
    Ok(DatabaseNames { database, owner, identity })
}

/// A recorded name of an object in OpenBAO.
pub(super) fn name(text: &str) -> Result<Name> {
    text.parse().map_err(|_| Error::internal(format!("a recorded name is not one of OpenBAO: {text:?}")))
}

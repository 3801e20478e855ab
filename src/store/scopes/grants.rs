//! Grants: the roles of identities in a tenant.
//!
//! A grant belongs to a tenant, but two queries span tenants: the grants of an identity, and the tenant of a grant. They
//! check the access of the call, or are only for code that handles the identity's own account.

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, ExprTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect, Select, sea_query::Expr,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::TenantRows;
use crate::{
    base::{Access, Cx, Result, TenantId, scope::platform_only},
    store::{
        Pages, Stamp, Store, Tx,
        entities::{grants as rows, tenants},
    },
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRow {
    pub id: Uuid,
    pub tenant: TenantId,
    pub identity: Uuid,
    pub role: String,
    /// Whether logins start in this tenant.
    pub is_default: bool,
    /// None if it does not expire.
    pub expires_at: Option<OffsetDateTime>,
}

impl From<rows::Model> for GrantRow {
    fn from(row: rows::Model) -> Self {
        Self {
            id: row.id,
            tenant: TenantId::from_uuid(row.tenant_id),
            identity: row.identity_id,
            role: row.role,
            is_default: row.is_default,
            expires_at: row.expires_at.map(Stamp::time),
        }
    }
}

impl<C: ConnectionTrait> TenantRows<'_, C> {
    /// Whether an identity has a grant in the tenant.
    pub async fn has_grant(&self, identity: Uuid) -> Result<bool> {
        let found = rows::Entity::find()
            .filter(rows::Column::TenantId.eq(self.uuid()))
            .filter(rows::Column::IdentityId.eq(identity))
            .one(self.conn)
            .await?;
        Ok(found.is_some())
    }

    /// Inserts a grant. Fails with [`GrantExists`](crate::base::error::Reason::GrantExists) if the identity has one.
    pub async fn insert_grant(&self, grant: &GrantRow, now: OffsetDateTime) -> Result<()> {
        let row = rows::Model {
            tenant_id: self.uuid(),
            id: grant.id,
            identity_id: grant.identity,
            role: grant.role.clone(),
            is_default: grant.is_default,
            expires_at: grant.expires_at.map(Stamp::from),
            created_at: Stamp::from(now),
        };
        rows::Entity::insert(row.into_active_model()).exec_without_returning(self.conn).await?;
        Ok(())
    }

    /// Deletes a grant. Returns whether it existed.
    pub async fn delete_grant(&self, id: Uuid) -> Result<bool> {
        Ok(rows::Entity::delete_by_id((self.uuid(), id)).exec(self.conn).await?.rows_affected > 0)
    }
}

/// Grants, oldest first, optionally of one identity or in one tenant. For platform callers.
pub async fn grants(
    cx: &Cx,
    store: &Store,
    identity: Option<Uuid>,
    tenant: Option<TenantId>,
) -> Result<Pages<GrantRow>> {
    platform_only(&cx.access)?;
    let query = move |after, limit| grants_query(identity, tenant, after).limit(limit).into_model::<rows::Model>();
    Ok(Pages::read(cx, store, |row| row.id, query).await?.map(GrantRow::from))
}

/// The query for the grants after an id.
pub fn grants_query(identity: Option<Uuid>, tenant: Option<TenantId>, after: Option<Uuid>) -> Select<rows::Entity> {
    let wanted = Condition::all()
        .add_option(identity.map(|identity| rows::Column::IdentityId.eq(identity)))
        .add_option(tenant.map(|tenant| rows::Column::TenantId.eq(tenant.uuid())))
        .add_option(after.map(|after| rows::Column::Id.gt(after)));
    let gone = tenants::is_deleted((rows::Entity, rows::Column::TenantId));
    rows::Entity::find().filter(wanted).filter(gone.not()).order_by_asc(rows::Column::Id)
}

/// The grant with an id, in any tenant. For platform callers.
pub async fn grant_by_id(conn: &impl ConnectionTrait, access: &Access, id: Uuid) -> Result<Option<GrantRow>> {
    platform_only(access)?;
    let gone = tenants::is_deleted((rows::Entity, rows::Column::TenantId));
    let found = rows::Entity::find().filter(rows::Column::Id.eq(id)).filter(gone.not()).one(conn).await?;
    Ok(found.map(GrantRow::from))
}

/// The grants of an identity with their tenants, oldest first. The caller must make sure that the identity
/// belongs to its own account.
pub async fn grants_of_identity(
    conn: &impl ConnectionTrait,
    identity: Uuid,
) -> Result<Vec<(GrantRow, tenants::Model)>> {
    let found = rows::Entity::find()
        .filter(rows::Column::IdentityId.eq(identity))
        .filter(tenants::exists())
        .order_by_asc(rows::Column::Id)
        .find_also_related(tenants::Entity)
        .all(conn)
        .await?;
    Ok(found.into_iter().filter_map(|(grant, tenant)| Some((grant.into(), tenant?))).collect())
}

/// Clears the default flag of all grants of an identity. For platform callers.
pub async fn clear_defaults(tx: &Tx, identity: Uuid) -> Result<()> {
    platform_only(&tx.cx().access)?;
    rows::Entity::update_many()
        .col_expr(rows::Column::IsDefault, Expr::value(false))
        .filter(rows::Column::IdentityId.eq(identity))
        .filter(rows::Column::IsDefault.eq(true))
        .exec(tx.conn())
        .await?;
    Ok(())
}

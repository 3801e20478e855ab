//! Grants: the role of an identity in a tenant.
//!
//! A grant belongs to a tenant, but some queries span tenants: the grants of an identity, and the tenant of a grant. They
//! check the access of the call, or are only for code that handles the identity's own account.

use sea_orm::{
    Condition, QueryOrder, QuerySelect,
    entity::prelude::*,
    sea_query::{Expr, ExprTrait},
};

use super::{
    rows::{Rows, TenantRows, TenantTable, WithId},
    tenants,
};
use crate::{
    base::{Access, Cx, Result, TenantId, error::Reason, scope::platform_only},
    store::{
        Db, Exec, Fetch, Pages, Store,
        columns::{GrantRole, Owner, Stamp},
        unique::Unique,
    },
};

/// The unique indexes whose violations callers see.
pub(super) const UNIQUE: &[Unique] = &[Unique {
    index: "grants_member_unique",
    columns: "grants.identity_id, grants.tenant_id",
    reason: Reason::GrantExists,
    message: "the user already has a grant in that tenant",
}];

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "grants")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    /// UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub identity_id: Uuid,
    pub role: GrantRole,
    /// Whether logins start in this tenant.
    pub is_default: bool,
    /// None if it does not expire.
    pub expires_at: Option<Stamp>,
    pub created_at: Stamp,
    /// Why it was given.
    pub reason: Option<String>,
    /// When the person chose the tenant last.
    pub chosen_at: Option<Stamp>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "super::tenants::Entity", from = "Column::TenantId", to = "super::tenants::Column::Id")]
    Tenant,
}

impl Related<tenants::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Tenant.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}

impl TenantTable for Entity {
    const TENANT: Column = Column::TenantId;
}

impl WithId for Entity {
    const ID: Column = Column::Id;
}

impl<'a, C> TenantRows<'a, C> {
    pub fn grants(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// Whether an identity has a grant in the tenant.
    pub async fn has(&self, identity: Uuid) -> Result<bool> {
        Ok(self.select().filter(Column::IdentityId.eq(identity)).fetch_one(self.conn).await?.is_some())
    }

    /// Inserts a grant. Fails with [`GrantExists`](Reason::GrantExists) if the identity has one.
    pub async fn insert(&self, grant: Model) -> Result<()> {
        self.add(grant).await
    }

    /// Deletes a grant. Returns whether it existed.
    pub async fn delete(&self, id: Uuid) -> Result<bool> {
        self.remove(id).await
    }
}

/// Grants, oldest first, optionally of one identity or in one tenant. For platform callers.
pub async fn list(cx: &Cx, store: &Store, identity: Option<Uuid>, tenant: Option<TenantId>) -> Result<Pages<Model>> {
    platform_only(&cx.access)?;
    let query = move |after, limit| query(identity, tenant, after).limit(limit).into_model::<Model>();
    Pages::read(cx, store, |row| row.id, query).await
}

/// The query for the grants after an id.
pub fn query(identity: Option<Uuid>, tenant: Option<TenantId>, after: Option<Uuid>) -> Select<Entity> {
    let wanted = Condition::all()
        .add_option(identity.map(|identity| Column::IdentityId.eq(identity)))
        .add_option(tenant.map(|tenant| Column::TenantId.eq(tenant)))
        .add_option(after.map(|after| Column::Id.gt(after)));
    let gone = tenants::is_deleted((Entity, Column::TenantId));
    Entity::find().filter(wanted).filter(gone.not()).order_by_asc(Column::Id)
}

/// The grant with an id, in any tenant. For platform callers.
pub async fn by_id(conn: &impl Db, access: &Access, id: Uuid) -> Result<Option<Model>> {
    platform_only(access)?;
    let gone = tenants::is_deleted((Entity, Column::TenantId));
    Ok(Entity::find().filter(Column::Id.eq(id)).filter(gone.not()).fetch_one(conn).await?)
}

/// The grants of an identity with their tenants, oldest first. The caller must make sure that the identity
/// belongs to its own account.
pub async fn of_identity(conn: &impl Db, identity: Uuid) -> Result<Vec<(Model, tenants::Model)>> {
    let found = Entity::find()
        .filter(Column::IdentityId.eq(identity))
        .filter(tenants::exists())
        .order_by_asc(Column::Id)
        .find_also_related(tenants::Entity)
        // As an `Option`, because SeaORM takes other joined rows that it cannot read for missing.
        .into_model::<Model, Option<tenants::Model>>()
        .fetch_all(conn)
        .await?;
    Ok(found.into_iter().filter_map(|(grant, tenant)| Some((grant, tenant.flatten()?))).collect())
}

/// Records that the person of an account chose the tenant of a grant. The caller must make sure that the grant is of the identity of its own
/// account.
pub async fn choose(conn: &impl Db, id: Uuid, now: Stamp) -> Result<()> {
    Entity::update_many().col_expr(Column::ChosenAt, Expr::value(now)).filter(Column::Id.eq(id)).run(conn).await?;
    Ok(())
}

/// Clears the default flag of all grants of an identity. For platform callers.
pub async fn clear_defaults(conn: &impl Db, access: &Access, identity: Uuid) -> Result<()> {
    platform_only(access)?;
    Entity::update_many()
        .col_expr(Column::IsDefault, Expr::value(false))
        .filter(Column::IdentityId.eq(identity))
        .filter(Column::IsDefault.eq(true))
        .run(conn)
        .await?;
    Ok(())
}

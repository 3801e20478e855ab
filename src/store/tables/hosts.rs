//! Hosts of a tenant, each with an agent.

use sea_orm::{ActiveValue::Unchanged, Condition, IntoActiveModel, QueryOrder, QuerySelect, entity::prelude::*};

use super::{
    rows::{Rows, TenantRows, TenantTable, WithId},
    tenants,
};
use crate::{
    base::{Cx, Result, TenantId, TenantScope, error::Reason},
    store::{
        Count, Db, Fetch, Kept, Pages, Store, UpdateRow,
        columns::{Json, Owner, Stamp},
        unique::Unique,
    },
};

/// The unique indexes whose violations callers see.
pub(super) const UNIQUE: &[Unique] = &[Unique {
    index: "hosts_fqdn_unique",
    columns: "hosts.tenant_id, hosts.fqdn",
    reason: Reason::HostExists,
    message: "another host of the tenant has that fqdn",
}];

#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "hosts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    /// UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// In lower case, without a full stop at its end.
    pub fqdn: String,
    pub hostname: String,
    pub ipv4: Option<String>,
    pub ipv6: Option<String>,
    /// Whether it says that it is in use.
    pub active: bool,
    pub script_execution_enabled: bool,
    pub is_privileged: bool,
    pub enabled_shells: Json<Vec<String>>,
    /// Empty if unknown.
    pub agent_version: String,
    /// What the agent can do, in its own words; null if unknown.
    pub agent_capabilities: Json<serde_json::Value>,
    /// SHA-256 of the token of the host, in hex.
    pub secret_hash: String,
    /// The enrollment token that it last registered with.
    pub token_id: Uuid,
    pub last_ip: Option<String>,
    pub last_registered_at: Stamp,
    /// Raised by every change of what it says, and by every new token.
    pub version: i64,
    pub created_at: Stamp,
    pub updated_at: Stamp,
}

impl std::fmt::Debug for Model {
    /// Omits the digest of the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("id", &self.id).field("fqdn", &self.fqdn).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TenantTable for Entity {
    const TENANT: Column = Column::TenantId;
}

impl WithId for Entity {
    const ID: Column = Column::Id;
}

impl<'a, C> TenantRows<'a, C> {
    pub fn hosts(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// The host with an fqdn, in its stored form.
    pub async fn named(&self, fqdn: &str) -> Result<Option<Model>> {
        Ok(self.select().filter(Column::Fqdn.eq(fqdn)).fetch_one(self.conn).await?)
    }

    /// How many hosts the tenant has.
    pub async fn count(&self) -> Result<u64> {
        Ok(self.select().fetch_count(self.conn).await?)
    }

    /// Inserts a host. Fails with [`HostExists`](Reason::HostExists) if the tenant has one with its fqdn.
    pub async fn insert(&self, host: Model) -> Result<()> {
        self.add(host).await
    }

    /// Updates a host. Fails with [`HostExists`](Reason::HostExists) if another one has its fqdn.
    pub async fn update(&self, host: &Model) -> Result<()> {
        let row = host.clone().into_active_model().reset_all();
        let row = ActiveModel { tenant_id: Unchanged(self.tenant), id: Unchanged(host.id), ..row };
        row.update_row(self.conn).await?;
        Ok(())
    }

    /// Deletes a host. Returns whether it existed.
    pub async fn delete(&self, id: Uuid) -> Result<bool> {
        self.remove(id).await
    }
}

impl Store {
    /// The host whose token has this digest, if its tenant admits. Takes no scope, because an agent has only the token.
    pub async fn host_by_digest(&self, digest: &str) -> Result<Option<Model>> {
        static TEXT: Kept = Kept::new();
        let query = || {
            let admitting = tenants::is_admitting((Entity, Column::TenantId));
            Entity::find().filter(Column::SecretHash.eq(digest)).filter(admitting).into_model::<Model>()
        };
        let values = std::iter::once(digest.into()).chain(tenants::admitting()).collect();
        Ok(TEXT.fetch_one(self.read(), values, query).await?)
    }

    /// The hosts of a tenant, oldest first.
    pub async fn hosts(&self, cx: &Cx, scope: TenantScope) -> Result<Pages<Model>> {
        let tenant = scope.tenant();
        let query = move |after, limit| query(tenant, after).limit(limit).into_model::<Model>();
        Pages::read(cx, self, |row| row.id, query).await
    }
}

/// The query for the hosts of a tenant after an id.
pub fn query(tenant: TenantId, after: Option<Uuid>) -> Select<Entity> {
    let after = after.map(|after| Column::Id.gt(after));
    let query = Entity::find().filter(Column::TenantId.eq(tenant));
    query.filter(Condition::all().add_option(after)).order_by_asc(Column::Id)
}

//! API keys: credentials of programs in a tenant.

use std::net::IpAddr;

use sea_orm::{
    Condition,
    entity::prelude::*,
    sea_query::{Expr, ExprTrait},
};

use super::{
    rows::{Rows, TenantRows, TenantTable, WithId},
    tenants,
};
use crate::{
    base::{PageRequest, Result, Role, TenantId},
    store::{
        Count, Db, Exec, Kept, Store,
        columns::{Json, Owner, Stamp, TenantStatus},
        page::page,
    },
};

#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    /// UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub name: String,
    pub role: Role,
    /// The public part of the key.
    pub prefix: String,
    /// SHA-256 of the whole key, in hex.
    pub secret_hash: String,
    /// Networks that the key may be used from; empty for any.
    pub allowed_cidrs: Json<Vec<String>>,
    /// Subject of the creator.
    pub created_by: String,
    pub created_at: Stamp,
    pub expires_at: Stamp,
    pub last_used_at: Option<Stamp>,
    pub last_used_ip: Option<String>,
    pub revoked_at: Option<Stamp>,
}

impl std::fmt::Debug for Model {
    /// Omits the digest of the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiKey").field("id", &self.id).field("prefix", &self.prefix).finish_non_exhaustive()
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
    pub fn api_keys(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// Inserts a key.
    pub async fn insert(&self, key: Model) -> Result<()> {
        self.add(key).await
    }

    /// How many count against the limit of API keys: those that are valid.
    pub async fn seats(&self, now: Stamp) -> Result<u64> {
        let valid = self.select().filter(Column::RevokedAt.is_null()).filter(Column::ExpiresAt.gt(now));
        Ok(valid.fetch_count(self.conn).await?)
    }

    /// Revokes a key, unless it is revoked already.
    pub async fn revoke(&self, id: Uuid, now: Stamp) -> Result<()> {
        self.update_many()
            .col_expr(Column::RevokedAt, Expr::value(now))
            .filter(Column::Id.eq(id))
            .filter(Column::RevokedAt.is_null())
            .run(self.conn)
            .await?;
        Ok(())
    }

    /// A page of the keys, oldest first, and the total number.
    pub async fn page(&self, request: PageRequest) -> Result<(Vec<Model>, u64)> {
        page(self.select(), Column::Id, request, self.conn).await
    }
}

impl Store {
    /// The key with this digest; none if its tenant was deleted for good. Takes no scope, because authentication needs it
    /// before there is one.
    pub async fn api_key_by_digest(&self, digest: &str) -> Result<Option<Model>> {
        static TEXT: Kept = Kept::new();
        let query = || {
            let gone = tenants::is_deleted((Entity, Column::TenantId));
            Entity::find().filter(Column::SecretHash.eq(digest)).filter(gone.not()).into_model::<Model>()
        };
        let values = vec![digest.into(), TenantStatus::Deleted.into()];
        Ok(TEXT.fetch_one(self.read(), values, query).await?)
    }
}

/// The last of several aggregated uses of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiKeyUse {
    pub tenant: TenantId,
    pub key: Uuid,
    pub at: Stamp,
    pub address: Option<IpAddr>,
}

/// Records the last use of a key. Takes no scope, because it belongs to no call.
///
/// Another server may have recorded a later use. A recorded use in the future is from a server whose clock is ahead.
pub(in crate::store) async fn note_use(conn: &impl Db, last: &ApiKeyUse, now: Stamp) -> Result<()> {
    let unknown = Condition::any().add(Column::LastUsedAt.is_null());
    let earlier = unknown.add(Column::LastUsedAt.lt(last.at)).add(Column::LastUsedAt.gt(now));
    Entity::update_many()
        .col_expr(Column::LastUsedAt, Expr::value(last.at))
        .col_expr(Column::LastUsedIp, Expr::value(last.address.map(|address| address.to_string())))
        .filter(Column::TenantId.eq(last.tenant))
        .filter(Column::Id.eq(last.key))
        .filter(earlier)
        .run(conn)
        .await?;
    Ok(())
}

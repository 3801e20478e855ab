//! API keys of tenants.

use std::net::IpAddr;

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, ExprTrait, IntoActiveModel, QueryFilter, sea_query::Expr,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::TenantRows;
use crate::{
    base::{PageRequest, Result, TenantId},
    store::{
        Stamp, Store, Tx,
        audit::AuditRecord,
        entities::{
            api_keys::{Column, Entity, Model},
            tenants,
        },
        json,
        page::page,
    },
};

/// An API key without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyRow {
    pub id: Uuid,
    pub name: String,
    pub role: String,
    /// The public part of the key.
    pub prefix: String,
    /// Networks that the key may be used from; empty for any.
    pub networks: Vec<String>,
    /// Subject of the creator.
    pub created_by: String,
    pub created_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
    pub last_used_at: Option<OffsetDateTime>,
    pub last_used_ip: Option<String>,
    pub revoked_at: Option<OffsetDateTime>,
}

/// The last of several aggregated uses of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiKeyUse {
    pub tenant: TenantId,
    pub key: Uuid,
    pub at: OffsetDateTime,
    pub address: Option<IpAddr>,
}

impl TryFrom<Model> for ApiKeyRow {
    type Error = crate::base::Error;

    fn try_from(row: Model) -> Result<Self> {
        Ok(Self {
            id: row.id,
            name: row.name,
            role: row.role,
            prefix: row.prefix,
            networks: json::from_text(&row.allowed_cidrs)?,
            created_by: row.created_by,
            created_at: row.created_at.time(),
            expires_at: row.expires_at.time(),
            last_used_at: row.last_used_at.map(Stamp::time),
            last_used_ip: row.last_used_ip,
            revoked_at: row.revoked_at.map(Stamp::time),
        })
    }
}

impl<C: ConnectionTrait> TenantRows<'_, C> {
    /// Inserts a key, which is looked up by the digest of its text.
    pub async fn insert_api_key(&self, key: &ApiKeyRow, digest: &str) -> Result<()> {
        let row = Model {
            tenant_id: self.uuid(),
            id: key.id,
            name: key.name.clone(),
            role: key.role.clone(),
            prefix: key.prefix.clone(),
            secret_hash: digest.to_owned(),
            allowed_cidrs: json::to_text(&key.networks)?,
            created_by: key.created_by.clone(),
            created_at: Stamp::from(key.created_at),
            expires_at: Stamp::from(key.expires_at),
            last_used_at: key.last_used_at.map(Stamp::from),
            last_used_ip: key.last_used_ip.clone(),
            revoked_at: key.revoked_at.map(Stamp::from),
        };
        Entity::insert(row.into_active_model()).exec_without_returning(self.conn).await?;
        Ok(())
    }

    pub async fn api_key(&self, id: Uuid) -> Result<Option<ApiKeyRow>> {
        Entity::find_by_id((self.uuid(), id)).one(self.conn).await?.map(ApiKeyRow::try_from).transpose()
    }

    /// Revokes a key, unless it is revoked already.
    pub async fn revoke_api_key(&self, id: Uuid, now: OffsetDateTime) -> Result<()> {
        Entity::update_many()
            .col_expr(Column::RevokedAt, Expr::value(Stamp::from(now)))
            .filter(Column::TenantId.eq(self.uuid()))
            .filter(Column::Id.eq(id))
            .filter(Column::RevokedAt.is_null())
            .exec(self.conn)
            .await?;
        Ok(())
    }

    /// A page of the keys, oldest first, and the total number.
    pub async fn api_keys(&self, request: PageRequest) -> Result<(Vec<ApiKeyRow>, u64)> {
        let query = Entity::find().filter(Column::TenantId.eq(self.uuid()));
        let (rows, total) = page(query, Column::Id, request, self.conn).await?;
        Ok((rows.into_iter().map(ApiKeyRow::try_from).collect::<Result<_>>()?, total))
    }
}

impl Store {
    /// The key with this digest, and its tenant; none if the tenant was deleted for good. Takes no scope, because
    /// authentication needs it before there is one.
    pub async fn api_key_by_digest(&self, digest: &str) -> Result<Option<(TenantId, ApiKeyRow)>> {
        let gone = tenants::is_deleted((Entity, Column::TenantId));
        let row = Entity::find().filter(Column::SecretHash.eq(digest)).filter(gone.not()).one(self.read()).await?;
        row.map(|row| Ok((TenantId::from_uuid(row.tenant_id), row.try_into()?))).transpose()
    }

    /// Writes audit events for uses of keys, and records the last use of each key. Does not belong to a call.
    pub async fn note_api_key_uses(&self, uses: Vec<ApiKeyUse>, events: Vec<AuditRecord>) -> Result<()> {
        self.maintain("apikey.use", (uses, events), note_uses).await
    }
}

async fn note_uses(tx: &Tx, (uses, events): &(Vec<ApiKeyUse>, Vec<AuditRecord>)) -> Result<()> {
    events.iter().cloned().for_each(|event| tx.record(event));
    for last in uses {
        note_use(tx, last).await?;
    }
    Ok(())
}

/// Another server may have recorded a later use. A recorded use in the future is from a server whose clock is ahead.
async fn note_use(tx: &Tx, last: &ApiKeyUse) -> Result<()> {
    let (at, now) = (Stamp::from(last.at), Stamp::from(tx.now()));
    let unknown = Condition::any().add(Column::LastUsedAt.is_null());
    let earlier = unknown.add(Column::LastUsedAt.lt(at)).add(Column::LastUsedAt.gt(now));
    Entity::update_many()
        .col_expr(Column::LastUsedAt, Expr::value(at))
        .col_expr(Column::LastUsedIp, Expr::value(last.address.map(|address| address.to_string())))
        .filter(Column::TenantId.eq(last.tenant.uuid()))
        .filter(Column::Id.eq(last.key))
        .filter(earlier)
        .exec(tx.conn())
        .await?;
    Ok(())
}

//! Credentials of devices and gateways.

use std::collections::HashMap;

use sea_orm::{
    QueryOrder, QuerySelect, QueryTrait,
    entity::prelude::*,
    sea_query::{Expr, ExprTrait, Order, Query, SelectStatement, SubQueryStatement},
};
use time::Duration;

use super::rows::{Rows, TenantRows, TenantTable, WithId};
use crate::{
    base::{EnrolledKind, Result},
    store::{
        Db, Exec, Fetch,
        columns::{Owner, Stamp},
    },
};

/// How long a credential can be used after another one replaced it, for a client that did not receive the new one.
pub const OVERLAP: Duration = Duration::hours(1);
/// Maximum number of devices or gateways in one statement.
const AT_ONCE: usize = 500;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "credentials")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    /// UUIDv7: the serial number of the certificate.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub kind: EnrolledKind,
    /// The device or gateway.
    pub subject_id: Uuid,
    /// The thumbprint of the key (RFC 7638), in base64url.
    pub thumbprint: String,
    /// SubjectPublicKeyInfo: DER, in base64.
    pub public_key: String,
    /// The id of the authority's key.
    pub issuer_key_id: String,
    /// The token that it was issued for; none if it renewed another one.
    pub token_id: Option<Uuid>,
    /// The address that it was issued to.
    pub ip: Option<String>,
    pub not_before: Stamp,
    /// The end of its validity; earlier than that of the certificate if a renewal replaced it.
    pub not_after: Stamp,
    pub created_at: Stamp,
    pub revoked_at: Option<Stamp>,
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
    pub fn credentials(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// Inserts a credential.
    pub async fn insert(&self, credential: Model) -> Result<()> {
        self.add(credential).await
    }

    /// A credential, if it can be used; see [`is_usable`].
    pub async fn usable(&self, id: Uuid, now: Stamp, grace: Duration) -> Result<Option<Model>> {
        let Some(found) = self.get(id).await? else { return Ok(None) };
        Ok(if is_usable(self.conn, &found, now, grace).await? { Some(found) } else { None })
    }

    /// The newest credential of a device or gateway.
    pub async fn latest(&self, subject: Uuid) -> Result<Option<Model>> {
        let query = self.select().filter(Column::SubjectId.eq(subject)).order_by_desc(Column::Id);
        Ok(query.fetch_one(self.conn).await?)
    }

    /// Whether a device or gateway has, or had, a credential for this key.
    pub async fn has_key(&self, subject: Uuid, thumbprint: &str) -> Result<bool> {
        let query = self.select().filter(Column::SubjectId.eq(subject)).filter(Column::Thumbprint.eq(thumbprint));
        Ok(query.fetch_one(self.conn).await?.is_some())
    }

    /// The newest credentials of devices or gateways, the rows of another table. Those without a credential are missing.
    pub(super) async fn newest_of<E: WithId>(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Model>> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        // Each may have had many; the index finds its newest.
        let newest = Query::select()
            .column(Column::Id.as_column_ref())
            .from(Entity)
            .and_where(Expr::col(Column::TenantId.as_column_ref()).equals(E::TENANT.as_column_ref()))
            .and_where(Expr::col(Column::SubjectId.as_column_ref()).equals(E::ID.as_column_ref()))
            .order_by(Column::Id.as_column_ref(), Order::Desc)
            .limit(1)
            .take();
        let newest = Expr::SubQuery(None, Box::new(SubQueryStatement::SelectStatement(newest)));
        let each = Query::select()
            .expr(newest)
            .from(E::default())
            .and_where(E::TENANT.eq(self.tenant))
            .and_where(E::ID.is_in(ids.iter().copied()))
            .take();
        let found = self.select().filter(Column::Id.in_subquery(each)).fetch_all(self.conn).await?;
        Ok(found.into_iter().map(|row| (row.subject_id, row)).collect())
    }

    /// The last uses of a token, at most `most`, newest first: the credentials that were issued for it.
    pub async fn uses_of(&self, token: Uuid, most: u64) -> Result<Vec<Model>> {
        let uses = self.select().filter(Column::TokenId.eq(token)).order_by_desc(Column::Id).limit(most);
        Ok(uses.fetch_all(self.conn).await?)
    }

    /// The devices and gateways that a token enrolled.
    pub(super) fn enrolled_by(&self, token: Uuid) -> SelectStatement {
        self.select().filter(Column::TokenId.eq(token)).select_only().column(Column::SubjectId).into_query()
    }

    /// Whether a device or gateway was enrolled with a token after this credential was issued.
    pub async fn enrolled_after(&self, credential: &Model) -> Result<bool> {
        let later = self.select().filter(Column::SubjectId.eq(credential.subject_id));
        let later = later.filter(Column::TokenId.is_not_null()).filter(Column::Id.gt(credential.id));
        Ok(later.fetch_one(self.conn).await?.is_some())
    }

    /// Ends the credentials of a device or gateway that are valid longer than until `end`.
    pub async fn shorten(&self, subject: Uuid, end: Stamp) -> Result<()> {
        self.update_many()
            .col_expr(Column::NotAfter, Expr::value(end))
            .filter(Column::SubjectId.eq(subject))
            .filter(Column::NotAfter.gt(end))
            .run(self.conn)
            .await?;
        Ok(())
    }

    /// Revokes the credentials of a device or gateway.
    pub async fn revoke(&self, subject: Uuid, now: Stamp) -> Result<()> {
        self.revoke_of(&[subject], now).await
    }

    /// Revokes the credentials of devices or gateways.
    pub async fn revoke_of(&self, subjects: &[Uuid], now: Stamp) -> Result<()> {
        for some in subjects.chunks(AT_ONCE) {
            self.revoke_some(some, now).await?;
        }
        Ok(())
    }

    async fn revoke_some(&self, subjects: &[Uuid], now: Stamp) -> Result<()> {
        self.update_many()
            .col_expr(Column::RevokedAt, Expr::value(now))
            .filter(Column::SubjectId.is_in(subjects.iter().copied()))
            .filter(Column::RevokedAt.is_null())
            .run(self.conn)
            .await?;
        Ok(())
    }
}

/// Whether a credential can be used: it was not revoked, and did not expire longer ago than `grace`. One that has expired can be used only
/// as long as no other one of its subject replaced it.
pub(in crate::store) async fn is_usable(
    conn: &impl Db,
    credential: &Model,
    now: Stamp,
    grace: Duration,
) -> Result<bool> {
    if credential.revoked_at.is_some() || credential.not_after <= Stamp::from(now.time() - grace) {
        return Ok(false);
    }
    if now < credential.not_after {
        return Ok(true);
    }
    let replacement = Entity::find()
        .filter(Column::TenantId.eq(credential.tenant_id))
        .filter(Column::SubjectId.eq(credential.subject_id))
        .filter(Column::Id.gt(credential.id))
        .filter(Column::CreatedAt.lte(Stamp::from(now.time() - OVERLAP)));
    Ok(replacement.fetch_one(conn).await?.is_none())
}

//! The signed artifacts of a tenant: the newest one of each kind and place.

use std::collections::HashMap;

use sea_orm::{
    IntoActiveModel, QueryOrder, QuerySelect,
    entity::prelude::*,
    sea_query::{ExprTrait, OnConflict},
};

use super::rows::{Rows, TenantRows, TenantTable};
use crate::{
    base::Result,
    store::{
        Db, Exec, Fetch,
        columns::{ArtifactKind, Owner, Stamp},
    },
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "artifacts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: ArtifactKind,
    /// Which of its kind it is, such as that of a gateway.
    #[sea_orm(primary_key, auto_increment = false)]
    pub place: String,
    /// Does not decrease.
    pub number: i64,
    /// SHA-256 of what it says, without number and times, in hex.
    pub content: String,
    /// The key that signed it.
    pub key_id: String,
    /// `sha256:` and the digest of the payload, in hex.
    pub digest: String,
    /// The signed envelope, in JSON.
    pub envelope: String,
    pub issued_at: Stamp,
    pub expires_at: Stamp,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TenantTable for Entity {
    const TENANT: Column = Column::TenantId;
}

impl<'a, C> TenantRows<'a, C> {
    pub fn artifacts(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// The artifact of a kind at a place.
    pub async fn of(&self, kind: ArtifactKind, place: &str) -> Result<Option<Model>> {
        let at = Column::Kind.eq(kind).and(Column::Place.eq(place));
        Ok(self.select().filter(at).fetch_one(self.conn).await?)
    }

    /// When the last artifact of a kind with a number was issued.
    pub async fn last_issued(&self, kind: ArtifactKind, number: i64) -> Result<Option<Stamp>> {
        let issued = self.select().filter(Column::Kind.eq(kind).and(Column::Number.eq(number)));
        let last = issued.order_by_desc(Column::IssuedAt).limit(1).select_only().column(Column::IssuedAt);
        Ok(last.into_tuple::<Stamp>().fetch_one(self.conn).await?)
    }

    /// The numbers of the artifacts of a kind, by their places.
    pub async fn numbers(&self, kind: ArtifactKind) -> Result<HashMap<String, i64>> {
        let all = self.select().filter(Column::Kind.eq(kind)).select_only();
        let numbers = all.columns([Column::Place, Column::Number]).into_tuple::<(String, i64)>();
        Ok(numbers.fetch_all(self.conn).await?.into_iter().collect())
    }

    /// Inserts or replaces an artifact.
    pub async fn put(&self, artifact: Model) -> Result<()> {
        let columns = [
            Column::Number,
            Column::Content,
            Column::KeyId,
            Column::Digest,
            Column::Envelope,
            Column::IssuedAt,
            Column::ExpiresAt,
        ];
        let place = [Column::TenantId, Column::Kind, Column::Place];
        let again = OnConflict::columns(place).update_columns(columns).to_owned();
        Entity::insert(artifact.into_active_model()).on_conflict(again).run(self.conn).await?;
        Ok(())
    }

    /// When the last artifact that a key signed expires, among those that have not expired.
    pub async fn signed_until(&self, key_id: &str, now: Stamp) -> Result<Option<Stamp>> {
        let signed = self.select().filter(Column::KeyId.eq(key_id)).filter(Column::ExpiresAt.gt(now));
        let last = signed.order_by_desc(Column::ExpiresAt).limit(1).select_only().column(Column::ExpiresAt);
        Ok(last.into_tuple::<Stamp>().fetch_one(self.conn).await?)
    }

    /// Deletes the artifacts of a kind that have expired.
    pub async fn delete_expired(&self, kind: ArtifactKind, now: Stamp) -> Result<()> {
        let expired = Column::Kind.eq(kind).and(Column::ExpiresAt.lte(now));
        self.delete_many().filter(expired).run(self.conn).await?;
        Ok(())
    }
}

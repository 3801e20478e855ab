//! The signed policies of the devices of a tenant: the newest one for each resolution.

use sea_orm::{
    IntoActiveModel, QueryOrder, QuerySelect,
    entity::prelude::*,
    sea_query::{Expr, ExprTrait, OnConflict, Query},
};

use super::{
    rows::{Rows, TenantRows, TenantTable},
    signers,
};
use crate::{
    base::Result,
    store::{
        Db, Exec, Fetch,
        columns::{KeyState, Owner, PolicyChannel, Stamp},
    },
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "policy_bundles")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    /// A digest of the policies that its sections come from.
    #[sea_orm(primary_key, auto_increment = false)]
    pub resolution: String,
    /// UUIDv7.
    pub bundle_id: Uuid,
    /// A number of the tenant, as that of a published policy.
    pub version: i64,
    /// The id of the key that signed it.
    pub key_id: String,
    pub channel: PolicyChannel,
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
    pub fn policy_bundles(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// The bundle of a resolution.
    pub async fn of(&self, resolution: &str) -> Result<Option<Model>> {
        Ok(self.select().filter(Column::Resolution.eq(resolution)).fetch_one(self.conn).await?)
    }

    /// The same, if the key that signed it is in use, or was replaced and is not retired yet.
    pub async fn signed(&self, resolution: &str) -> Result<Option<Model>> {
        let current = Query::select()
            .column(signers::Column::Id)
            .from(signers::Entity)
            .and_where(signers::Column::TenantId.eq(self.tenant))
            .and_where(Expr::col((signers::Entity, signers::Column::KeyId)).equals((Entity, Column::KeyId)))
            .and_where(signers::Column::State.is_in([KeyState::Active, KeyState::Retiring]))
            .and_where(signers::Column::RetiredAt.is_null())
            .take();
        let query = self.select().filter(Column::Resolution.eq(resolution)).filter(Expr::exists(current));
        Ok(query.fetch_one(self.conn).await?)
    }

    /// When the last bundle that a key signed expires, among those that have not expired.
    pub async fn signed_until(&self, key_id: &str, now: Stamp) -> Result<Option<Stamp>> {
        let signed = self.select().filter(Column::KeyId.eq(key_id)).filter(Column::ExpiresAt.gt(now));
        let last = signed.order_by_desc(Column::ExpiresAt).limit(1).select_only().column(Column::ExpiresAt);
        Ok(last.into_tuple::<Stamp>().fetch_one(self.conn).await?)
    }

    /// The version of the bundle of a resolution.
    pub async fn version_of(&self, resolution: &str) -> Result<Option<i64>> {
        let bundle = self.select().filter(Column::Resolution.eq(resolution)).select_only().column(Column::Version);
        Ok(bundle.into_tuple().fetch_one(self.conn).await?)
    }

    /// When the last bundle with a version was issued.
    pub async fn last_issued(&self, version: i64) -> Result<Option<Stamp>> {
        let issued = self.select().filter(Column::Version.eq(version)).order_by_desc(Column::IssuedAt).limit(1);
        Ok(issued.select_only().column(Column::IssuedAt).into_tuple::<Stamp>().fetch_one(self.conn).await?)
    }

    /// The highest version, 0 if there is none.
    pub async fn latest(&self) -> Result<i64> {
        let last = self.select().select_only().column(Column::Version).order_by_desc(Column::Version).limit(1);
        Ok(last.into_tuple::<i64>().fetch_one(self.conn).await?.unwrap_or_default())
    }

    /// Inserts or replaces the bundle of a resolution.
    pub async fn put(&self, bundle: Model) -> Result<()> {
        let columns = [
            Column::BundleId,
            Column::Version,
            Column::KeyId,
            Column::Channel,
            Column::Digest,
            Column::Envelope,
            Column::IssuedAt,
            Column::ExpiresAt,
        ];
        let again = OnConflict::columns([Column::TenantId, Column::Resolution]).update_columns(columns).to_owned();
        Entity::insert(bundle.into_active_model()).on_conflict(again).run(self.conn).await?;
        Ok(())
    }
}

impl<C: Db> TenantRows<'_, C> {
    /// The highest version of a policy or a bundle of the tenant; the next one has the next number.
    pub async fn latest_policy_version(&self) -> Result<i64> {
        let policies = self.policies();
        let latest = Ord::max(policies.latest().await?, policies.latest_end().await?);
        Ok(Ord::max(latest, self.policy_bundles().latest().await?))
    }
}

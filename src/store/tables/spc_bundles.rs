//! The signed list of all revoked security policy certificates of a tenant.

use sea_orm::{IntoActiveModel, entity::prelude::*, sea_query::OnConflict};

use super::rows::{Rows, TenantRows, TenantTable};
use crate::{
    base::Result,
    store::{
        Db, Exec, Fetch,
        columns::{Owner, Stamp},
    },
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "spc_bundles")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    /// That of the revocations in it, and the epoch then.
    pub sequence: i64,
    pub epoch: i64,
    /// The keys in it, in JSON.
    pub keys: String,
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
    pub fn spc_bundles(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// The bundle, if one was signed.
    pub async fn get(&self) -> Result<Option<Model>> {
        Ok(self.select().fetch_one(self.conn).await?)
    }

    /// Inserts or replaces the bundle.
    pub async fn put(&self, bundle: Model) -> Result<()> {
        let columns = [
            Column::Sequence,
            Column::Epoch,
            Column::Keys,
            Column::Digest,
            Column::Envelope,
            Column::IssuedAt,
            Column::ExpiresAt,
        ];
        let again = OnConflict::column(Column::TenantId).update_columns(columns).to_owned();
        Entity::insert(bundle.into_active_model()).on_conflict(again).run(self.conn).await?;
        Ok(())
    }
}

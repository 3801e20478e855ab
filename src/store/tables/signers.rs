//! Keys with which the artifacts of a tenant are signed.

use sea_orm::{ActiveValue::Unchanged, IntoActiveModel, QueryOrder, entity::prelude::*};

use super::rows::{Rows, TenantRows, TenantTable, WithId};
use crate::{
    base::{PageRequest, Result},
    store::{
        Db, Fetch, UpdateRow,
        columns::{KeyState, KeyUse, Owner, Stamp},
        insert_rows,
        page::page,
    },
};

#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "signers")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    /// UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub key_use: KeyUse,
    /// The first 16 bytes of the SHA-256 of the public key, in hex. Unique in the tenant.
    pub key_id: String,
    /// SubjectPublicKeyInfo: DER, in base64.
    pub public_key: String,
    /// None yet: no signer has a certificate.
    pub certificate: Option<String>,
    /// The private key, sealed.
    pub sealed_key: String,
    pub state: KeyState,
    pub not_before: Stamp,
    pub not_after: Stamp,
    pub created_at: Stamp,
    pub activated_at: Option<Stamp>,
    /// When what it signed was replaced; a key is trusted for some time after that.
    pub retired_at: Option<Stamp>,
}

impl std::fmt::Debug for Model {
    /// Omits the private key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("key_id", &self.key_id).finish_non_exhaustive()
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
    pub fn signers(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// Every signer, oldest first. A tenant has a few.
    pub async fn all(&self) -> Result<Vec<Model>> {
        Ok(self.select().order_by_asc(Column::Id).fetch_all(self.conn).await?)
    }

    /// A page of the signers, of one use if it is given, oldest first, and the total number.
    pub async fn page(&self, key_use: Option<KeyUse>, request: PageRequest) -> Result<(Vec<Model>, u64)> {
        let wanted = sea_orm::Condition::all().add_option(key_use.map(|key_use| Column::KeyUse.eq(key_use)));
        page(self.select().filter(wanted), Column::Id, request, self.conn).await
    }

    /// Updates a signer.
    pub async fn update(&self, signer: &Model) -> Result<()> {
        let row = signer.clone().into_active_model().reset_all();
        let row = ActiveModel { tenant_id: Unchanged(self.tenant), id: Unchanged(signer.id), ..row };
        row.update_row(self.conn).await?;
        Ok(())
    }

    /// Inserts signers.
    pub async fn insert(&self, signers: Vec<Model>) -> Result<()> {
        insert_rows::<Entity>(self.conn, signers).await?;
        Ok(())
    }
}

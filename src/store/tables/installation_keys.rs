//! Keys of the installation: certificate authorities, and the roots that sign anchor sets. They are platform rows.

use sea_orm::{ActiveValue::Unchanged, IntoActiveModel, QueryOrder, QuerySelect, entity::prelude::*};

use crate::{
    base::Result,
    store::{
        Db, Exec, Fetch, UpdateRow,
        columns::{KeyState, KeyUse, Stamp},
    },
};

#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "installation_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub key_use: KeyUse,
    /// The first 16 bytes of the SHA-256 of the public key, in hex.
    pub key_id: String,
    /// SubjectPublicKeyInfo: DER, in base64.
    pub public_key: String,
    /// The certificate of an authority: DER, in base64.
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
        f.debug_struct("InstallationKey").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Every key, oldest first. There are a few.
pub async fn all(conn: &impl Db) -> Result<Vec<Model>> {
    Ok(Entity::find().order_by_asc(Column::Id).fetch_all(conn).await?)
}

/// Locks the keys for a use, and returns them, oldest first.
pub async fn locked(conn: &impl Db, key_use: KeyUse) -> Result<Vec<Model>> {
    let of_use = Entity::find().filter(Column::KeyUse.eq(key_use)).order_by_asc(Column::Id);
    Ok(of_use.lock_exclusive().fetch_all(conn).await?)
}

/// Inserts a key.
pub async fn insert(conn: &impl Db, key: Model) -> Result<()> {
    Entity::insert(key.into_active_model()).run(conn).await?;
    Ok(())
}

/// Updates a key.
pub async fn update(conn: &impl Db, key: &Model) -> Result<()> {
    let row = key.clone().into_active_model().reset_all();
    ActiveModel { id: Unchanged(key.id), ..row }.update_row(conn).await?;
    Ok(())
}

/// Whether the key with this id is in use.
pub async fn is_active(conn: &impl Db, key_id: &str) -> Result<bool> {
    let active = Entity::find().filter(Column::KeyId.eq(key_id)).filter(Column::State.eq(KeyState::Active));
    Ok(active.fetch_one(conn).await?.is_some())
}

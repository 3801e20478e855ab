//! Rotations of keys: those of the signers of a tenant, and those of the keys of the installation, which have no tenant.

use sea_orm::{ActiveValue::Unchanged, IntoActiveModel, QueryOrder, QuerySelect, entity::prelude::*};

use crate::{
    base::{Result, TenantId},
    store::{
        Db, Exec, Fetch, UpdateRow,
        columns::{KeyUse, RotationOutcome, RotationPhase, Stamp},
    },
};

/// A row. Its times are those of the database's clock.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "rotations")]
pub struct Model {
    /// UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// None for a key of the installation.
    pub tenant_id: Option<TenantId>,
    pub key_use: KeyUse,
    /// The row of the key that is replaced, and the id of the key.
    pub old_key: Uuid,
    pub old_key_id: String,
    pub new_key: Uuid,
    pub new_key_id: String,
    /// The last phase that it has reached.
    pub phase: RotationPhase,
    pub outcome: RotationOutcome,
    /// Whether the old key was revoked at once.
    pub emergency: bool,
    /// Whether every tenant has an anchor set with the keys of the last phase.
    pub spread: bool,
    /// How long both keys are trusted, after the new one is used.
    pub overlap_seconds: i64,
    pub reason: Option<String>,
    /// Subject of the caller that started it.
    pub requested_by: String,
    pub published_at: Stamp,
    /// When the new key is used; none if a caller decides that.
    pub activate_at: Option<Stamp>,
    /// When what is current and signed with the old key is signed anew.
    pub retire_at: Option<Stamp>,
    /// When the old key is removed, as far as that is known.
    pub remove_at: Option<Stamp>,
    /// When there is something to do, unless it has ended or waits for a caller.
    pub due_at: Option<Stamp>,
    pub updated_at: Stamp,
    pub ended_at: Option<Stamp>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The rotations of a tenant, or of the installation.
pub fn of(tenant: Option<TenantId>) -> Select<Entity> {
    let tenant = match tenant {
        Some(tenant) => Column::TenantId.eq(tenant),
        None => Column::TenantId.is_null(),
    };
    Entity::find().filter(tenant)
}

/// The rotations of keys for a use that have not ended, oldest first.
pub async fn running(conn: &impl Db, tenant: Option<TenantId>, key_use: KeyUse) -> Result<Vec<Model>> {
    let running = of(tenant).filter(Column::KeyUse.eq(key_use)).filter(Column::EndedAt.is_null());
    Ok(running.order_by_asc(Column::Id).fetch_all(conn).await?)
}

/// When the next rotation of any tenant or of the installation is due.
pub async fn next_due(conn: &impl Db) -> Result<Option<Stamp>> {
    let next = Entity::find().filter(Column::DueAt.is_not_null()).order_by_asc(Column::DueAt).limit(1);
    Ok(next.fetch_one(conn).await?.and_then(|row| row.due_at))
}

/// Rotations that are due, at most `most`.
pub async fn due(conn: &impl Db, now: Stamp, most: u64) -> Result<Vec<Model>> {
    let due = Entity::find().filter(Column::DueAt.lte(now)).order_by_asc(Column::DueAt).limit(most);
    Ok(due.fetch_all(conn).await?)
}

/// Loads and locks a rotation.
pub async fn get_locked(conn: &impl Db, id: Uuid) -> Result<Option<Model>> {
    Ok(Entity::find_by_id(id).lock_exclusive().fetch_one(conn).await?)
}

/// Inserts a rotation.
pub async fn insert(conn: &impl Db, rotation: Model) -> Result<()> {
    Entity::insert(rotation.into_active_model()).run(conn).await?;
    Ok(())
}

/// Updates a rotation.
pub async fn update(conn: &impl Db, rotation: &Model) -> Result<()> {
    let row = rotation.clone().into_active_model().reset_all();
    ActiveModel { id: Unchanged(rotation.id), ..row }.update_row(conn).await?;
    Ok(())
}

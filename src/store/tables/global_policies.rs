//! Policies of the platform, for every tenant. They are platform rows: each tenant has a copy of the active ones, without the content, among
//! its own policies (`policies`), with a version of its own.

use sea_orm::{
    ActiveValue::{Set, Unchanged},
    Condition, DbBackend, IntoActiveModel, QueryOrder, QuerySelect, Statement,
    entity::prelude::*,
    sea_query::ExprTrait,
};

use super::{
    policies::{number, place},
    tenants,
};
use crate::{
    base::{PageRequest, Result, TenantId},
    store::{
        Count, Db, Exec, Fetch, TxConn, UpdateRow,
        columns::{PolicyChannel, PolicyState, Stamp},
        execute,
    },
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "global_policies")]
pub struct Model {
    /// UUIDv7. The copies have the same one.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Counts over both channels.
    pub version: i64,
    pub channel: PolicyChannel,
    /// There is at most one active version in a channel.
    pub state: PolicyState,
    /// SHA-256 of the content, in hex.
    pub digest: String,
    /// Its canonical JSON.
    pub document: String,
    /// The percentage of the devices that get a canary.
    pub percent: Option<i64>,
    pub notes: String,
    /// Subject of the publisher.
    pub published_by: String,
    /// The version whose content it has, if it was not sent.
    pub from_version: Option<i64>,
    pub published_at: Stamp,
    pub expires_at: Stamp,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// The state at a time. The end of a canary is recorded in its copies only.
    pub fn state_at(&self, now: Stamp) -> PolicyState {
        let is_over = self.channel == PolicyChannel::Canary && self.expires_at <= now;
        if is_over && self.state == PolicyState::Active { PolicyState::Expired } else { self.state }
    }
}

/// The advisory lock of publications: the letters `policies` as a number.
const LOCK: i64 = i64::from_be_bytes(*b"policies");
/// The column of tenants with the newest version that they have. It is in no row that is read, so that older servers insert tenants without it.
const APPLIED: &str = "global_policy";

/// Makes publications wait for each other until the write ends. SQLite has one writer.
pub async fn lock(conn: &TxConn) -> Result<()> {
    if conn.backend() == DbBackend::Postgres {
        let lock = Statement::from_sql_and_values(conn.backend(), "SELECT pg_advisory_xact_lock($1)", [LOCK.into()]);
        execute(conn, lock).await?;
    }
    Ok(())
}

/// The number of the latest version, 0 if there is none.
pub async fn latest(conn: &impl Db) -> Result<i64> {
    let last = Entity::find().select_only().column(Column::Version).order_by_desc(Column::Version).limit(1);
    Ok(last.into_tuple::<i64>().fetch_one(conn).await?.unwrap_or_default())
}

/// A version by its number.
pub async fn version(conn: &impl Db, version: i64) -> Result<Option<Model>> {
    Ok(Entity::find().filter(Column::Version.eq(version)).fetch_one(conn).await?)
}

/// The active versions after one, oldest first.
pub async fn active_after(conn: &impl Db, version: i64) -> Result<Vec<Model>> {
    let active = Entity::find().filter(Column::State.eq(PolicyState::Active)).filter(Column::Version.gt(version));
    Ok(active.order_by_asc(Column::Version).fetch_all(conn).await?)
}

/// A page of the versions, oldest first, and the total number. Its cursor contains the number of a version.
pub async fn page(conn: &impl Db, request: PageRequest) -> Result<(Vec<Model>, u64)> {
    let total = match request.total {
        Some(counted) => counted,
        None => Entity::find().fetch_count(conn).await?,
    };
    let after = request.after.map(|last| Column::Version.gt(number(last)));
    let rows = Entity::find().filter(Condition::all().add_option(after)).order_by_asc(Column::Version);
    Ok((rows.limit(request.rows()).fetch_all(conn).await?, total))
}

/// The position of a version in the list, for cursors.
pub fn place_of(row: &Model) -> Uuid {
    place(row.version)
}

/// The contents of these versions, with their ids. The ids come from the copies of a tenant.
pub(super) async fn contents(conn: &impl Db, ids: &[Uuid]) -> Result<Vec<(Uuid, String)>> {
    let found = Entity::find().filter(Column::Id.is_in(ids.iter().copied())).select_only();
    Ok(found.columns([Column::Id, Column::Document]).into_tuple().fetch_all(conn).await?)
}

/// Inserts a version.
pub async fn insert(conn: &impl Db, policy: Model) -> Result<()> {
    Entity::insert(policy.into_active_model()).run(conn).await?;
    Ok(())
}

/// Ends a version.
pub async fn end(conn: &impl Db, id: Uuid, state: PolicyState) -> Result<()> {
    let row = ActiveModel { id: Unchanged(id), state: Set(state), ..Default::default() };
    row.update_row(conn).await?;
    Ok(())
}

/// Tenants that do not have the version with this number, at most `most`. For the job that copies it.
pub async fn tenants_behind(conn: &impl Db, version: i64, most: u64) -> Result<Vec<TenantId>> {
    let behind = tenants::Entity::find()
        .select_only()
        .column(tenants::Column::Id)
        .filter(Expr::col(APPLIED).lt(version))
        .filter(tenants::exists())
        .limit(most);
    Ok(behind.into_tuple().fetch_all(conn).await?)
}

/// The newest version that a tenant has, 0 for none.
pub async fn applied(conn: &impl Db, tenant: TenantId) -> Result<i64> {
    let row = tenants::Entity::find_by_id(tenant).select_only().column_as(Expr::col(APPLIED), APPLIED);
    Ok(row.into_tuple::<i64>().fetch_one(conn).await?.unwrap_or_default())
}

/// Notes the newest version that a tenant has.
pub async fn set_applied(conn: &impl Db, tenant: TenantId, version: i64) -> Result<()> {
    let update =
        tenants::Entity::update_many().col_expr(APPLIED, Expr::value(version)).filter(tenants::Column::Id.eq(tenant));
    update.run(conn).await?;
    Ok(())
}

//! Sessions of the devices of a tenant at its gateways.

use sea_orm::{
    ActiveModelTrait, Condition, IntoActiveModel, Iterable, QueryOrder, QuerySelect, UpdateMany,
    entity::prelude::*,
    sea_query::{Expr, ExprTrait, IntoCondition, LockType, OnConflict, Query},
};
use time::Duration;

use super::{
    devices, gateways,
    rows::{Rows, TenantRows, TenantTable, WithId},
    signers, tenants,
};
use crate::{
    base::{Error, PageRequest, Result},
    store::{
        Count, Db, Exec, Fetch, FetchUpdated, TxConn,
        columns::{
            Counters, DeviceStatus, EndReason, Json, KeyState, KeyUse, Owner, SessionStatus, Stamp, TenantStatus,
        },
        delete_some, execute,
        page::page,
    },
};

/// How long a session counts before its gateway has reported it: the grant is valid for less.
const STARTING: Duration = Duration::seconds(150);
/// How long a session is in the list of those that its gateway has to end.
const KILLING: Duration = Duration::hours(1);
/// Maximum number of ids in one statement.
const AT_ONCE: usize = 500;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "access_sessions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    /// UUIDv7, unless the gateway chose it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub gateway_id: Uuid,
    pub pool_id: Uuid,
    pub device_id: Uuid,
    /// The user of the device.
    pub account_id: Option<Uuid>,
    /// The newest grant.
    pub grant_id: Uuid,
    /// The address of the device, as its gateway saw it.
    pub client_ip: Option<String>,
    /// A word of policies.
    pub auth_mode: String,
    /// The policy that it was admitted by.
    pub policy_version: i64,
    /// The time of the first grant, or of the start that its gateway reported.
    pub started_at: Stamp,
    /// The time of the newest grant; 1970 if it has none, or if an older program wrote it.
    pub granted_at: Stamp,
    /// It may not last longer.
    pub max_end: Stamp,
    /// It ends then, unless its gateway reports it before; never after `max_end`.
    pub expires_at: Stamp,
    /// When its gateway reported it last.
    pub reported_at: Option<Stamp>,
    pub last_activity_at: Stamp,
    /// Over all epochs of the counters.
    pub bytes_in: i64,
    pub bytes_out: i64,
    pub counters: Json<Counters>,
    pub status: SessionStatus,
    /// An [`EndReason`], or a word of its gateway.
    pub end_reason: Option<String>,
    pub ended_at: Option<Stamp>,
    /// Whether its gateway has reported the end.
    pub end_reported: bool,
    /// When it was added to the list of sessions that its gateway has to end.
    pub kill_requested_at: Option<Stamp>,
    /// Its address in the network of the pool. Unique among the active sessions of the pool.
    pub virtual_ip: Option<String>,
    /// Its gateway admitted it by a certificate while it was cut off.
    pub admitted_offline: bool,
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

/// Some sessions of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionsAt<'a> {
    Ids(&'a [Uuid]),
    Devices(&'a [Uuid]),
    Account(Uuid),
    Gateway(Uuid),
    /// All of them.
    Tenant,
}

/// A part of the sessions of a tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionFilter {
    /// Only those of an account; the inner `None` has no sessions.
    pub account: Option<Option<Uuid>>,
    pub device: Option<Uuid>,
    pub gateway: Option<Uuid>,
    pub pool: Option<Uuid>,
    /// The status at a time.
    pub status: Option<(SessionStatus, Stamp)>,
    pub since: Option<Stamp>,
}

impl Model {
    /// The status at a time: a session that its gateway did not report in time never started.
    pub fn status_at(&self, now: Stamp) -> SessionStatus {
        let is_running = self.reported_at.is_some() || starting_since(now) < Ord::max(self.started_at, self.granted_at);
        if is_running { self.status } else { SessionStatus::Ended }
    }
}

impl<'a, C> TenantRows<'a, C> {
    pub fn access_sessions(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// Inserts a session of a device that is active and has this version, in an active tenant whose key for grants has this id, so that a
    /// change of them meanwhile is not missed. Returns whether it was inserted: not if they changed, or if there is a session with the id
    /// or the address.
    pub async fn insert_for(&self, session: Model, device_version: i64, key: &str) -> Result<bool> {
        let device = session.device_id;
        let mut row = session.into_active_model();
        let values = Column::iter().filter_map(|column| row.take(column).into_value()).map(Expr::value);
        let of_tenant =
            Expr::col(devices::Column::TenantId.as_column_ref()).equals(tenants::Column::Id.as_column_ref());
        // Locked, so that the change either comes before, or ends the session; the tenant first, as in such changes.
        let select = Query::select()
            .exprs(values)
            .from(tenants::Entity)
            .inner_join(devices::Entity, of_tenant.into_condition())
            .and_where(tenants::Column::Id.eq(self.tenant))
            .and_where(tenants::Column::Status.is_in(TenantStatus::ALL.into_iter().filter(|status| status.admits())))
            .and_where(devices::Column::Id.eq(device))
            .and_where(devices::Column::Status.eq(DeviceStatus::Active))
            .and_where(devices::Column::Version.eq(device_version))
            .and_where(self.signs_grants(key))
            .lock_with_tables(LockType::Share, ["tenants", "devices"])
            .take();
        let mut insert = Query::insert();
        insert.into_table(Entity).columns(Column::iter()).select_from(select).map_err(Error::internal)?;
        insert.on_conflict(OnConflict::new().do_nothing().to_owned());
        Ok(execute(self.conn, self.conn.backend().build(&insert)).await? > 0)
    }

    /// Stores the new grant of an active session, in a tenant whose key for grants has this id. Returns whether that still is so.
    pub async fn grant_again(&self, session: &Model, key: &str) -> Result<bool> {
        let update = self
            .update_many()
            .col_expr(Column::GrantId, Expr::value(session.grant_id))
            .col_expr(Column::GrantedAt, Expr::value(session.granted_at))
            .col_expr(Column::MaxEnd, Expr::value(session.max_end))
            .col_expr(Column::ExpiresAt, Expr::value(session.expires_at))
            .filter(Column::Id.eq(session.id))
            .filter(Column::Status.eq(SessionStatus::Active))
            .filter(self.signs_grants(key));
        Ok(update.run(self.conn).await? > 0)
    }

    /// Whether a key of the tenant is the one that signs grants.
    fn signs_grants(&self, key: &str) -> Expr {
        let active = Query::select()
            .expr(Expr::value(1))
            .from(signers::Entity)
            .and_where(signers::Column::TenantId.eq(self.tenant))
            .and_where(signers::Column::KeyId.eq(key))
            .and_where(signers::Column::KeyUse.eq(KeyUse::AdmissionSigning))
            .and_where(signers::Column::State.eq(KeyState::Active))
            .take();
        Expr::exists(active)
    }

    /// Inserts sessions that gateways admitted while they were cut off, unless they exist.
    pub async fn insert_offline(&self, sessions: Vec<Model>) -> Result<()> {
        for some in sessions.chunks(AT_ONCE) {
            let rows = some.iter().map(|row| Model { tenant_id: self.tenant, ..row.clone() }.into_active_model());
            let again = OnConflict::columns([Column::TenantId, Column::Id]).do_nothing().to_owned();
            Entity::insert_many(rows).on_conflict(again).run(self.conn).await?;
        }
        Ok(())
    }

    /// How many sessions run, in a pool if it is given.
    pub async fn running(&self, pool: Option<Uuid>, now: Stamp) -> Result<u64> {
        let of_pool = Condition::all().add_option(pool.map(|pool| Column::PoolId.eq(pool)));
        Ok(self.select().filter(is_running(now)).filter(of_pool).fetch_count(self.conn).await?)
    }

    /// A page of the sessions, oldest first, and the total number.
    pub async fn page(&self, filter: &SessionFilter, request: PageRequest) -> Result<(Vec<Model>, u64)> {
        let status = |(status, now)| match status {
            SessionStatus::Active => is_running(now),
            SessionStatus::Ended => is_running(now).not(),
        };
        let wanted = Condition::all()
            .add_option(filter.account.map(|account| Column::AccountId.is_in(account)))
            .add_option(filter.device.map(|device| Column::DeviceId.eq(device)))
            .add_option(filter.gateway.map(|gateway| Column::GatewayId.eq(gateway)))
            .add_option(filter.pool.map(|pool| Column::PoolId.eq(pool)))
            .add_option(filter.status.map(status))
            .add_option(filter.since.map(|since| Column::StartedAt.gte(since)));
        page(self.select().filter(wanted), Column::Id, request, self.conn).await
    }

    /// Those of these sessions that exist.
    pub async fn existing(&self, ids: &[Uuid]) -> Result<Vec<Uuid>> {
        let found = self.select().filter(Column::Id.is_in(ids.iter().copied())).select_only().column(Column::Id);
        Ok(found.into_tuple().fetch_all(self.conn).await?)
    }

    /// Loads and locks those of these sessions that exist.
    pub async fn locked(&self, ids: &[Uuid]) -> Result<Vec<Model>> {
        let mut found = Vec::with_capacity(ids.len());
        for some in ids.chunks(AT_ONCE) {
            let rows = self.select().filter(Column::Id.is_in(some.iter().copied())).order_by_asc(Column::Id);
            found.extend(rows.lock_exclusive().fetch_all(self.conn).await?);
        }
        Ok(found)
    }

    /// Writes what reports change in sessions, which are locked.
    pub async fn put_reported(&self, sessions: Vec<Model>) -> Result<()> {
        let columns = [
            Column::StartedAt,
            Column::ExpiresAt,
            Column::ReportedAt,
            Column::LastActivityAt,
            Column::BytesIn,
            Column::BytesOut,
            Column::Counters,
            Column::Status,
            Column::EndReason,
            Column::EndedAt,
            Column::EndReported,
            Column::KillRequestedAt,
        ];
        let again = OnConflict::columns([Column::TenantId, Column::Id]).update_columns(columns).to_owned();
        for some in sessions.chunks(AT_ONCE) {
            let rows = some.iter().map(|row| Model { tenant_id: self.tenant, ..row.clone() }.into_active_model());
            Entity::insert_many(rows).on_conflict(again.clone()).run(self.conn).await?;
        }
        Ok(())
    }

    /// Ends active sessions, which their gateways have to end, too. Returns them.
    pub async fn end(&self, of: SessionsAt<'_>, reason: EndReason, now: Stamp) -> Result<Vec<Model>> {
        let each = |column: Column, ids: &[Uuid]| -> Vec<Condition> {
            ids.chunks(AT_ONCE).map(|some| column.is_in(some.iter().copied()).into_condition()).collect()
        };
        let parts = match of {
            SessionsAt::Ids(ids) => each(Column::Id, ids),
            SessionsAt::Devices(ids) => each(Column::DeviceId, ids),
            SessionsAt::Account(id) => vec![Column::AccountId.eq(id).into_condition()],
            SessionsAt::Gateway(id) => vec![Column::GatewayId.eq(id).into_condition()],
            SessionsAt::Tenant => vec![Condition::all()],
        };
        let mut ended = Vec::new();
        for part in parts {
            let update = ending(self.update_many().filter(part), reason, now);
            ended.extend(update.fetch_updated(self.conn).await?);
        }
        Ok(ended)
    }

    /// The sessions that a gateway has to end, by id.
    pub async fn kill_list(&self, gateway: Uuid, now: Stamp) -> Result<Vec<Uuid>> {
        let killed = self
            .select()
            .filter(Column::GatewayId.eq(gateway))
            .filter(Column::KillRequestedAt.gt(Stamp::from(now.time() - KILLING)))
            .order_by_asc(Column::Id)
            .select_only()
            .column(Column::Id);
        Ok(killed.into_tuple().fetch_all(self.conn).await?)
    }
}

/// The sessions of any tenant that have expired, at most `most`, locked. For the job that ends them.
pub(in crate::store) async fn expired(conn: &TxConn, now: Stamp, most: u64) -> Result<Vec<Model>> {
    let expired = Entity::find()
        .filter(Column::Status.eq(SessionStatus::Active))
        .filter(Column::ExpiresAt.lte(now))
        .order_by_asc(Column::ExpiresAt)
        .limit(most)
        .lock_exclusive();
    Ok(expired.fetch_all(conn).await?)
}

/// Whether sessions of any tenant have to be ended, because they have expired or their gateway has drained. For the job that ends them.
pub async fn are_due(conn: &impl Db, now: Stamp) -> Result<bool> {
    let expired = Entity::find().filter(Column::Status.eq(SessionStatus::Active)).filter(Column::ExpiresAt.lte(now));
    Ok(expired.fetch_one(conn).await?.is_some() || !gateways::drained(conn, now, 1).await?.is_empty())
}

/// Deletes sessions of any tenant that ended before a time, at most `most`. Returns their number. For the job that prunes them.
pub async fn prune(conn: &TxConn, before: Stamp, most: u64) -> Result<u64> {
    let old = || Column::EndedAt.lt(before);
    delete_some(conn, Entity::delete_many().filter(old()), Entity::find().filter(old()), most).await
}

/// Whether a session is in the list of those that its gateway has to end.
pub fn is_being_killed(session: &Model, now: Stamp) -> bool {
    session.kill_requested_at.is_some_and(|at| Stamp::from(now.time() - KILLING) < at)
}

/// Ends the active ones of these sessions.
fn ending(sessions: UpdateMany<Entity>, reason: EndReason, now: Stamp) -> UpdateMany<Entity> {
    sessions
        .col_expr(Column::Status, Expr::value(SessionStatus::Ended))
        .col_expr(Column::EndReason, Expr::value(reason.as_str()))
        .col_expr(Column::EndedAt, Expr::value(now))
        .col_expr(Column::KillRequestedAt, Expr::value(now))
        .filter(Column::Status.eq(SessionStatus::Active))
}

/// The same as [`Model::status_at`], in SQL.
fn is_running(now: Stamp) -> Condition {
    let reported = Column::ReportedAt.is_not_null();
    let since = starting_since(now);
    let known = Condition::any().add(reported).add(Column::StartedAt.gt(since)).add(Column::GrantedAt.gt(since));
    Condition::all().add(Column::Status.eq(SessionStatus::Active)).add(known)
}

pub(super) fn starting_since(now: Stamp) -> Stamp {
    Stamp::from(now.time() - STARTING)
}

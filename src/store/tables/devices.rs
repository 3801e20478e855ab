//! Devices of a tenant.

use std::collections::{BTreeMap, HashMap};

use sea_orm::{
    ActiveValue::Unchanged,
    Condition, IntoActiveModel, QueryOrder, QuerySelect, UpdateMany,
    entity::prelude::*,
    sea_query::{Expr, ExprTrait, IntoCondition},
};

use super::{
    credentials::Model as CredentialRow,
    rows::{Rows, TenantRows, TenantTable, WithId},
    seen::Seen,
    spcs::{SpcFilter, SpcRevocation},
};
use crate::{
    base::{PageRequest, Result, TenantId, text::fold},
    store::{
        Count, Db, Exec, Fetch, FetchUpdated, TxConn, UpdateRow,
        columns::{DeviceStatus, EnrolledVia, Json, Owner, Platform, Stamp},
        like::holding,
        page::page,
    },
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "devices")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    /// UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Its user.
    pub account_id: Option<Uuid>,
    pub name: String,
    /// The name in the form that is searched, which the queries here derive from the name.
    pub name_key: String,
    pub platform: Platform,
    pub os_version: String,
    pub client_version: String,
    /// What the device said about its hardware; not verified.
    pub hardware_id_hash: Option<String>,
    pub status: DeviceStatus,
    /// Whether it was suspended because its user was.
    pub suspended_with_user: bool,
    pub enrolled_via: EnrolledVia,
    /// The token that it enrolled with.
    pub token_id: Option<Uuid>,
    /// Groups that its token gave it, in addition to those of its user.
    pub group_ids: Json<Vec<Uuid>>,
    /// Whether it is deleted when it has not been seen for a day.
    pub ephemeral: bool,
    pub labels: Json<BTreeMap<String, String>>,
    pub last_seen_at: Option<Stamp>,
    pub last_ip: Option<String>,
    /// Its policy must have at least this version: a policy that it had may not be replaced by one with a lower version.
    pub policy_floor: i64,
    /// Raised by every change of what administrators see and decide.
    pub version: i64,
    pub created_at: Stamp,
    pub updated_at: Stamp,
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

/// A part of the devices of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceFilter {
    /// Only those of an account; the inner `None` has no devices.
    pub account: Option<Option<Uuid>>,
    pub status: Option<DeviceStatus>,
    pub platform: Option<Platform>,
    /// Only this one.
    pub device: Option<Uuid>,
    /// Only those in a group, by themselves or with their account.
    pub group: Option<Uuid>,
    /// A part of the name, compared case-insensitively.
    pub text: String,
    pub seen_before: Option<Stamp>,
    pub seen_after: Option<Stamp>,
}

/// A device, as far as its groups depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceMember {
    pub id: Uuid,
    pub account: Option<Uuid>,
    /// Groups that its token gave it.
    pub groups: Vec<Uuid>,
}

/// Devices that were deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedDevices {
    pub devices: Vec<Model>,
    /// Tenants whose policy certificates were revoked with them, with the sequences of the revocations.
    pub spcs: Vec<(TenantId, i64)>,
}

impl<'a, C> TenantRows<'a, C> {
    pub fn devices(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// Those of these devices that exist.
    pub async fn of(&self, ids: &[Uuid]) -> Result<Vec<Model>> {
        Ok(self.select().filter(Column::Id.is_in(ids.iter().copied())).fetch_all(self.conn).await?)
    }

    /// The devices of the users in a group.
    pub async fn of_members(&self, group: Uuid) -> Result<Vec<Uuid>> {
        let members = TenantRows { conn: self.conn, tenant: self.tenant }.group_members().accounts_in(group);
        let of_group = self.select().filter(Column::AccountId.in_subquery(members)).select_only().column(Column::Id);
        Ok(of_group.into_tuple().fetch_all(self.conn).await?)
    }

    /// Those of the devices that exist.
    pub async fn existing(&self, ids: &[Uuid]) -> Result<Vec<Uuid>> {
        let found = self.select().filter(Column::Id.is_in(ids.iter().copied())).select_only().column(Column::Id);
        Ok(found.into_tuple().fetch_all(self.conn).await?)
    }

    /// How many devices of the tenant, or of one of its users, are not revoked.
    pub async fn seats(&self, account: Option<Uuid>) -> Result<u64> {
        let query = self.select().filter(Column::Status.ne(DeviceStatus::Revoked));
        let query = match account {
            Some(account) => query.filter(Column::AccountId.eq(account)),
            None => query,
        };
        Ok(query.fetch_count(self.conn).await?)
    }

    /// A page of the devices, oldest first, and the total number.
    pub async fn page(&self, filter: &DeviceFilter, request: PageRequest) -> Result<(Vec<Model>, u64)> {
        page(self.filtered(filter), Column::Id, request, self.conn).await
    }

    /// The ids of devices, oldest first, at most `most`.
    pub async fn ids(&self, filter: &DeviceFilter, most: u64) -> Result<Vec<Uuid>> {
        let rows = self.filtered(filter).order_by_asc(Column::Id).limit(most);
        Ok(rows.select_only().column(Column::Id).into_tuple().fetch_all(self.conn).await?)
    }

    /// The devices that are not revoked, with what decides about their groups.
    pub async fn members(&self, filter: &DeviceFilter) -> Result<Vec<DeviceMember>> {
        let rows = self.filtered(filter).filter(Column::Status.ne(DeviceStatus::Revoked)).select_only();
        let rows = rows.columns([Column::Id, Column::AccountId, Column::GroupIds]);
        let found: Vec<(Uuid, Option<Uuid>, Json<Vec<Uuid>>)> = rows.into_tuple().fetch_all(self.conn).await?;
        Ok(found.into_iter().map(|(id, account, groups)| DeviceMember { id, account, groups: groups.0 }).collect())
    }

    fn filtered(&self, filter: &DeviceFilter) -> Select<Entity> {
        let rows = TenantRows { conn: self.conn, tenant: self.tenant };
        let in_group = |group: Uuid| {
            let members = rows.group_members().accounts_in(group);
            // A list of ids in JSON.
            let listed = Column::GroupIds.like(holding(&group.to_string()));
            Condition::any().add(listed).add(Column::AccountId.in_subquery(members))
        };
        let text = fold(&filter.text);
        let wanted = Condition::all()
            .add_option(filter.account.map(|account| Column::AccountId.is_in(account)))
            .add_option(filter.status.map(|status| Column::Status.eq(status)))
            .add_option(filter.platform.map(|platform| Column::Platform.eq(platform)))
            .add_option(filter.device.map(|device| Column::Id.eq(device)))
            .add_option(filter.group.map(in_group))
            .add_option((!text.is_empty()).then(|| Column::NameKey.like(holding(&text))))
            .add_option(filter.seen_before.map(|time| Column::LastSeenAt.lt(time)))
            .add_option(filter.seen_after.map(|time| Column::LastSeenAt.gt(time)));
        self.select().filter(wanted)
    }

    /// Suspends the active devices of an account, and returns them.
    pub async fn suspend_with(&self, account: Uuid, now: Stamp) -> Result<Vec<Model>> {
        let of = Column::AccountId.eq(account).and(Column::Status.eq(DeviceStatus::Active));
        let change = self.status_set(of.into_condition(), DeviceStatus::Suspended, now);
        Ok(change.col_expr(Column::SuspendedWithUser, Expr::value(true)).fetch_updated(self.conn).await?)
    }

    /// Reactivates the devices that were suspended with their account, and returns them.
    pub async fn reactivate_with(&self, account: Uuid, now: Stamp) -> Result<Vec<Model>> {
        let of = Condition::all()
            .add(Column::AccountId.eq(account))
            .add(Column::Status.eq(DeviceStatus::Suspended))
            .add(Column::SuspendedWithUser.eq(true));
        let change = self.status_set(of, DeviceStatus::Active, now);
        Ok(change.col_expr(Column::SuspendedWithUser, Expr::value(false)).fetch_updated(self.conn).await?)
    }

    /// Revokes the devices of an account, and returns those that were not revoked yet. Their credentials stay.
    pub async fn revoke_with(&self, account: Uuid, now: Stamp) -> Result<Vec<Model>> {
        self.revoke_if(Column::AccountId.eq(account).into_condition(), now).await
    }

    /// Revokes devices that a token enrolled, at most `most`, and returns those that were not revoked yet. Their credentials stay.
    pub async fn revoke_enrolled(&self, token: Uuid, most: u64, now: Stamp) -> Result<Vec<Model>> {
        let rows = TenantRows { conn: self.conn, tenant: self.tenant };
        let enrolled = Column::Id.in_subquery(rows.credentials().enrolled_by(token));
        let some = self.select().filter(enrolled).filter(Column::Status.ne(DeviceStatus::Revoked)).limit(most);
        let some: Vec<Uuid> = some.select_only().column(Column::Id).into_tuple().fetch_all(self.conn).await?;
        if some.is_empty() {
            return Ok(Vec::new());
        }
        self.revoke_if(Column::Id.is_in(some).into_condition(), now).await
    }

    async fn revoke_if(&self, condition: Condition, now: Stamp) -> Result<Vec<Model>> {
        let of = Condition::all().add(condition).add(Column::Status.ne(DeviceStatus::Revoked));
        let change = self.status_set(of, DeviceStatus::Revoked, now);
        Ok(change.col_expr(Column::SuspendedWithUser, Expr::value(false)).fetch_updated(self.conn).await?)
    }

    /// A change of the status of devices.
    fn status_set(&self, of: Condition, status: DeviceStatus, now: Stamp) -> UpdateMany<Entity> {
        self.update_many()
            .col_expr(Column::Status, Expr::value(status))
            .col_expr(Column::Version, Expr::col(Column::Version).add(1))
            .col_expr(Column::UpdatedAt, Expr::value(now))
            .filter(of)
    }

    /// The newest credentials of devices. Those without a credential are missing.
    pub async fn credentials(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, CredentialRow>> {
        TenantRows { conn: self.conn, tenant: self.tenant }.credentials().newest_of::<Entity>(ids).await
    }

    /// Makes the policies of the devices of these users, or of all devices, at least of this version.
    pub async fn raise_policy_floor(&self, users: Option<&[Uuid]>, version: i64) -> Result<()> {
        let update = self
            .update_many()
            .col_expr(Column::PolicyFloor, Expr::value(version))
            .filter(Column::PolicyFloor.lt(version))
            .filter(Condition::all().add_option(users.map(|users| Column::AccountId.is_in(users.iter().copied()))));
        update.run(self.conn).await?;
        Ok(())
    }

    /// Notes the version of the client of a device.
    pub async fn set_client_version(&self, id: Uuid, version: &str) -> Result<()> {
        let update = self.update_many().col_expr(Column::ClientVersion, Expr::value(version)).filter(Column::Id.eq(id));
        update.run(self.conn).await?;
        Ok(())
    }

    /// Inserts a device.
    pub async fn insert(&self, device: Model) -> Result<()> {
        self.add(with_key(&device)).await
    }

    /// Updates a device.
    pub async fn update(&self, device: &Model) -> Result<()> {
        let row = with_key(device).into_active_model().reset_all();
        let row = ActiveModel { tenant_id: Unchanged(self.tenant), id: Unchanged(device.id), ..row };
        row.update_row(self.conn).await?;
        Ok(())
    }
}

fn with_key(device: &Model) -> Model {
    Model { name_key: fold(&device.name), ..device.clone() }
}

/// The number of devices of all tenants. Revoked ones do not count. For publications for every tenant.
pub async fn count(conn: &impl Db) -> Result<u64> {
    Ok(Entity::find().filter(Column::Status.ne(DeviceStatus::Revoked)).fetch_count(conn).await?)
}

/// The ids of devices of all tenants after one, at most `most`, without revoked ones. For publications for every tenant.
pub async fn ids_after(conn: &impl Db, after: Option<Uuid>, most: u64) -> Result<Vec<Uuid>> {
    let devices = Entity::find().filter(Column::Status.ne(DeviceStatus::Revoked));
    let devices = devices.filter(Condition::all().add_option(after.map(|after| Column::Id.gt(after))));
    let ids = devices.order_by_asc(Column::Id).limit(most).select_only().column(Column::Id);
    Ok(ids.into_tuple().fetch_all(conn).await?)
}

/// Records the last call of a device, unless a later one is recorded. Takes no scope, because it belongs to no call.
pub(in crate::store) async fn note_seen(conn: &impl Db, seen: &Seen) -> Result<()> {
    Entity::update_many()
        .col_expr(Column::LastSeenAt, Expr::value(seen.at))
        .col_expr(Column::LastIp, Expr::value(seen.address.map(|address| address.to_string())))
        .filter(Column::TenantId.eq(seen.tenant))
        .filter(Column::Id.eq(seen.id))
        .filter(Condition::any().add(Column::LastSeenAt.is_null()).add(Column::LastSeenAt.lt(seen.at)))
        .run(conn)
        .await?;
    Ok(())
}

/// Deletes ephemeral devices of any tenant that were not seen since a time, at most `most`, with their credentials and policy
/// certificates revoked. For the job that prunes them.
pub async fn delete_unseen(
    conn: &TxConn,
    since: Stamp,
    revocation: SpcRevocation,
    most: u64,
) -> Result<DeletedDevices> {
    let never = Column::LastSeenAt.is_null().and(Column::CreatedAt.lt(since));
    let unseen = Entity::find()
        .filter(Column::Ephemeral.eq(true))
        .filter(Condition::any().add(Column::LastSeenAt.lt(since)).add(never))
        .limit(most)
        .lock_exclusive()
        .fetch_all(conn)
        .await?;
    for device in &unseen {
        let rows = TenantRows { conn, tenant: device.tenant_id };
        rows.credentials().revoke(device.id, revocation.at).await?;
        rows.enrollment_tokens().revoke_of_devices(&[device.id], revocation.at).await?;
        rows.devices().remove(device.id).await?;
    }
    let mut of_tenants: HashMap<Owner, Vec<Uuid>> = HashMap::new();
    unseen.iter().for_each(|device| of_tenants.entry(device.tenant_id).or_default().push(device.id));
    let mut spcs = Vec::new();
    for (tenant, devices) in of_tenants {
        let rows = TenantRows { conn, tenant };
        let revoked = rows.revoke_spcs(&SpcFilter::Devices(devices), revocation).await?;
        spcs.extend(revoked.is_new.then(|| (tenant.tenant(), revoked.sequence)));
    }
    Ok(DeletedDevices { devices: unseen, spcs })
}

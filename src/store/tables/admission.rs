//! What decides about the admission of a device at a gateway, in one query for each of the two: they are made for every session.

use sea_orm::{
    entity::prelude::*,
    sea_query::{Expr, ExprTrait, IntoCondition, Order, Query, SelectStatement},
};
use serde_json::{Map, Value};

use super::{accounts, credentials, devices, gateway_pools, gateways, rows::TenantRows, zerotrust_tenants};
use crate::{
    base::Result,
    store::{
        Db, Stamp,
        columns::{AccountStatus, DeviceStatus, Json},
        query::records,
    },
};

/// A device that asks for admission with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    pub device: Uuid,
    pub version: i64,
    pub status: DeviceStatus,
    /// Its user.
    pub account: Option<Uuid>,
    /// The status of its user; none if there is no such user.
    pub account_status: Option<AccountStatus>,
    /// The groups that its token gave it.
    pub groups: Vec<Uuid>,
    /// The newest credential for the key.
    pub credential: Option<Credential>,
}

/// The validity of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credential {
    pub not_after: Stamp,
    pub revoked: bool,
}

/// The gateway that asks, and its pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    pub pool: Uuid,
    /// When the remaining sessions end, if the gateway drains.
    pub gateway_drain: Option<Stamp>,
    /// The same of the pool.
    pub pool_drain: Option<Stamp>,
    /// The groups whose devices may use the pool; empty for all devices.
    pub allowed_groups: Vec<Uuid>,
    pub max_sessions: Option<i64>,
    /// The network from which sessions get their addresses.
    pub virtual_cidr: Option<String>,
    /// The limits of the tenant that override those of its plan.
    pub overrides: Option<Map<String, Value>>,
}

impl<C: Db> TenantRows<'_, C> {
    /// A device, and its newest credential for the key with this thumbprint.
    pub async fn admission_subject(&self, device: Uuid, thumbprint: &str) -> Result<Option<Subject>> {
        let (of_device, of_account) = (devices::Column::Id, accounts::Column::Id);
        let account = same(accounts::Column::TenantId, devices::Column::TenantId)
            .and(same(of_account, devices::Column::AccountId));
        let credential = same(credentials::Column::TenantId, devices::Column::TenantId)
            .and(same(credentials::Column::SubjectId, of_device))
            .and(credentials::Column::Thumbprint.eq(thumbprint));
        let query = Query::select()
            .columns([
                devices::Column::AccountId.as_column_ref(),
                devices::Column::Version.as_column_ref(),
                devices::Column::GroupIds.as_column_ref(),
            ])
            .expr_as(Expr::col(devices::Column::Status.as_column_ref()), "device_status")
            .expr_as(Expr::col(accounts::Column::Status.as_column_ref()), "account_status")
            .columns([credentials::Column::NotAfter.as_column_ref(), credentials::Column::RevokedAt.as_column_ref()])
            .from(devices::Entity)
            .left_join(accounts::Entity, account.into_condition())
            .left_join(credentials::Entity, credential.into_condition())
            .and_where(devices::Column::TenantId.eq(self.tenant))
            .and_where(of_device.eq(device))
            .order_by(credentials::Column::Id.as_column_ref(), Order::Desc)
            .limit(1)
            .take();
        let found = records(self.conn, &query).await?;
        let Some(row) = found.first() else { return Ok(None) };
        let not_after: Option<Stamp> = row.get("not_after")?;
        let revoked = row.get::<Option<Stamp>>("revoked_at")?.is_some();
        Ok(Some(Subject {
            device,
            version: row.get("version")?,
            status: row.get("device_status")?,
            account: row.get("account_id")?,
            account_status: row.get("account_status")?,
            groups: row.get::<Json<Vec<Uuid>>>("group_ids")?.0,
            credential: not_after.map(|not_after| Credential { not_after, revoked }),
        }))
    }

    /// A gateway and its pool.
    pub async fn admission_place(&self, gateway: Uuid) -> Result<Option<Place>> {
        let found = records(self.conn, &self.place_query(gateway)).await?;
        let Some(row) = found.first() else { return Ok(None) };
        Ok(Some(Place {
            pool: row.get("pool_id")?,
            gateway_drain: row.get("gateway_drain")?,
            pool_drain: row.get("pool_drain")?,
            allowed_groups: row.get::<Json<Vec<Uuid>>>("allowed_group_ids")?.0,
            max_sessions: row.get("max_sessions")?,
            virtual_cidr: row.get("virtual_cidr")?,
            overrides: row.get::<Option<Json<Map<String, Value>>>>("overrides")?.map(|overrides| overrides.0),
        }))
    }

    fn place_query(&self, gateway: Uuid) -> SelectStatement {
        let pool = same(gateway_pools::Column::TenantId, gateways::Column::TenantId)
            .and(same(gateway_pools::Column::Id, gateways::Column::PoolId));
        let settings = same(zerotrust_tenants::Column::TenantId, gateways::Column::TenantId);
        Query::select()
            .column(gateways::Column::PoolId.as_column_ref())
            .expr_as(Expr::col(gateways::Column::DrainDeadline.as_column_ref()), "gateway_drain")
            .expr_as(Expr::col(gateway_pools::Column::DrainDeadline.as_column_ref()), "pool_drain")
            .columns([
                gateway_pools::Column::AllowedGroupIds.as_column_ref(),
                gateway_pools::Column::MaxSessions.as_column_ref(),
                gateway_pools::Column::VirtualCidr.as_column_ref(),
            ])
            .column(zerotrust_tenants::Column::Overrides.as_column_ref())
            .from(gateways::Entity)
            .inner_join(gateway_pools::Entity, pool.into_condition())
            .left_join(zerotrust_tenants::Entity, settings.into_condition())
            .and_where(gateways::Column::TenantId.eq(self.tenant))
            .and_where(gateways::Column::Id.eq(gateway))
            .take()
    }
}

/// Whether columns of two tables are equal.
fn same(one: impl ColumnTrait, other: impl ColumnTrait) -> Expr {
    Expr::col(one.as_column_ref()).equals(other.as_column_ref())
}

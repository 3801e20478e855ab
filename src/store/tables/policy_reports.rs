//! What the devices of a tenant reported last: about their policies, and about their sessions.

use sea_orm::{IntoActiveModel, entity::prelude::*, sea_query::OnConflict};
use serde::{Deserialize, Serialize};

use super::rows::{Rows, TenantRows, TenantTable, WithId};
use crate::{
    base::Result,
    store::{
        Db, Exec, Fetch,
        columns::{CanaryVerdict, Json, Owner, PolicyChannel, Stamp},
    },
};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "policy_reports")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    #[sea_orm(primary_key, auto_increment = false)]
    pub device_id: Uuid,
    /// The policy that the device uses.
    pub applied_version: Option<i64>,
    /// `sha256:` and the digest of the payload of its bundle, in hex; missing if a newer bundle had replaced it.
    pub applied_digest: Option<String>,
    pub applied_channel: Option<PolicyChannel>,
    /// The policy that it refused since.
    pub refused_version: Option<i64>,
    pub refused_error: Option<String>,
    /// What it reported about the canaries that its policy comes from: each is counted once.
    pub canaries: Json<Vec<CanaryVerdict>>,
    pub session: Option<Json<SessionReport>>,
    pub reported_at: Stamp,
}

/// What a device reported last about its sessions. Nothing of it is verified.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionReport {
    pub session_id: Option<String>,
    pub event: String,
    pub at: i64,
    pub rtt_ms: Option<f64>,
    /// 0 to 1.
    pub loss: Option<f64>,
    pub path_changes: Option<i64>,
    pub bytes_in: Option<i64>,
    pub bytes_out: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TenantTable for Entity {
    const TENANT: Column = Column::TenantId;
}

impl WithId for Entity {
    const ID: Column = Column::DeviceId;
}

impl Model {
    /// That of a device that has reported nothing.
    pub fn none(tenant: Owner, device: Uuid, now: Stamp) -> Self {
        Self {
            tenant_id: tenant,
            device_id: device,
            applied_version: None,
            applied_digest: None,
            applied_channel: None,
            refused_version: None,
            refused_error: None,
            canaries: Json(Vec::new()),
            session: None,
            reported_at: now,
        }
    }
}

impl<'a, C> TenantRows<'a, C> {
    pub fn policy_reports(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// The reports of these devices. Those that have reported nothing are missing.
    pub async fn of(&self, devices: &[Uuid]) -> Result<Vec<Model>> {
        if devices.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.select().filter(Column::DeviceId.is_in(devices.iter().copied())).fetch_all(self.conn).await?)
    }

    /// Inserts or replaces the report of a device.
    pub async fn put(&self, report: Model) -> Result<()> {
        let columns = [
            Column::AppliedVersion,
            Column::AppliedDigest,
            Column::AppliedChannel,
            Column::RefusedVersion,
            Column::RefusedError,
            Column::Canaries,
            Column::Session,
            Column::ReportedAt,
        ];
        let again = OnConflict::columns([Column::TenantId, Column::DeviceId]).update_columns(columns).to_owned();
        Entity::insert(report.into_active_model()).on_conflict(again).run(self.conn).await?;
        Ok(())
    }
}

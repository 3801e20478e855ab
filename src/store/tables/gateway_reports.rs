//! The last report of each gateway of a tenant, and the version of the list of sessions that it has to end.

use std::collections::HashMap;

use sea_orm::{
    IntoActiveModel,
    entity::prelude::*,
    sea_query::{Expr, ExprTrait, OnConflict},
};

use super::rows::{Rows, TenantRows, TenantTable, WithId};
use crate::{
    base::Result,
    store::{
        Db, Exec, Fetch,
        columns::{Applied, Json, Owner, Stamp, Totals},
    },
};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "gateway_reports")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    #[sea_orm(primary_key, auto_increment = false)]
    pub gateway_id: Uuid,
    /// Raised whenever the list changes.
    pub kill_version: i64,
    /// The number of the last report; nothing below is known without one.
    pub sequence: Option<i64>,
    pub received_at: Option<Stamp>,
    /// How far its clock is ahead, in seconds.
    pub clock_skew: Option<i64>,
    pub totals: Option<Json<Totals>>,
    pub applied: Option<Json<Applied>>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TenantTable for Entity {
    const TENANT: Column = Column::TenantId;
}

impl WithId for Entity {
    const ID: Column = Column::GatewayId;
}

impl<'a, C> TenantRows<'a, C> {
    pub fn gateway_reports(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// The last reports of gateways, by gateway.
    pub async fn of(&self, gateways: &[Uuid]) -> Result<HashMap<Uuid, Model>> {
        let found =
            self.select().filter(Column::GatewayId.is_in(gateways.iter().copied())).fetch_all(self.conn).await?;
        Ok(found.into_iter().map(|row| (row.gateway_id, row)).collect())
    }

    /// Replaces the last report of a gateway, unless a later one is known. The version of the list stays.
    pub async fn put(&self, report: Model) -> Result<()> {
        let columns = [Column::Sequence, Column::ReceivedAt, Column::ClockSkew, Column::Totals, Column::Applied];
        let known = Expr::col((Entity, Column::Sequence));
        let later = known.clone().is_null().or(known.lt(report.sequence));
        let again = OnConflict::columns([Column::TenantId, Column::GatewayId])
            .update_columns(columns)
            .action_and_where(later)
            .to_owned();
        Entity::insert(report.into_active_model()).on_conflict(again).run(self.conn).await?;
        Ok(())
    }

    /// Deletes the report of a gateway.
    pub async fn delete(&self, gateway: Uuid) -> Result<bool> {
        self.remove(gateway).await
    }

    /// Raises the version of the list of a gateway.
    pub async fn raise_kill_version(&self, gateway: Uuid) -> Result<()> {
        let first = Model {
            tenant_id: self.tenant,
            gateway_id: gateway,
            kill_version: 1,
            sequence: None,
            received_at: None,
            clock_skew: None,
            totals: None,
            applied: None,
        };
        let next = Expr::col((Entity, Column::KillVersion)).add(1);
        let again =
            OnConflict::columns([Column::TenantId, Column::GatewayId]).value(Column::KillVersion, next).to_owned();
        Entity::insert(first.into_active_model()).on_conflict(again).run(self.conn).await?;
        Ok(())
    }
}

//! Reports of the gateways of a tenant about its sessions, without the sessions themselves.

use sea_orm::{Condition, IntoActiveModel, entity::prelude::*, sea_query::OnConflict};

use super::rows::{Rows, TenantRows, TenantTable};
use crate::{
    base::{PageRequest, Result},
    store::{
        Db, Exec, TxConn,
        columns::{Json, Owner, Stamp, Totals},
        delete_some,
        page::page,
    },
};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "metering_reports")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    #[sea_orm(primary_key, auto_increment = false)]
    pub gateway_id: Uuid,
    /// Its id at the gateway.
    #[sea_orm(primary_key, auto_increment = false)]
    pub report_id: String,
    /// UUIDv7, in the order of arrival.
    pub id: Uuid,
    /// Its number at the gateway.
    pub sequence: i64,
    pub window_start: Stamp,
    pub window_end: Stamp,
    pub received_at: Stamp,
    /// Number of sessions that were counted.
    pub accepted: i64,
    /// Number of sessions that were not.
    pub rejected: i64,
    /// What its sessions received since the report before.
    pub bytes_in: i64,
    /// What its sessions sent since the report before.
    pub bytes_out: i64,
    pub totals: Json<Totals>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TenantTable for Entity {
    const TENANT: Column = Column::TenantId;
}

/// A part of the reports of a tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportFilter {
    pub gateway: Option<Uuid>,
    /// Only those whose window ends after this time.
    pub from: Option<Stamp>,
    /// Only those whose window begins before this time.
    pub to: Option<Stamp>,
}

impl<'a, C> TenantRows<'a, C> {
    pub fn metering_reports(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// Inserts a report. Returns whether the gateway has not sent it before.
    pub async fn insert(&self, report: Model) -> Result<bool> {
        let known =
            OnConflict::columns([Column::TenantId, Column::GatewayId, Column::ReportId]).do_nothing().to_owned();
        Ok(Entity::insert(report.into_active_model()).on_conflict(known).run(self.conn).await? > 0)
    }

    /// Sets what was counted in a report.
    pub async fn set_counted(&self, report: &Model) -> Result<()> {
        self.update_many()
            .col_expr(Column::Accepted, Expr::value(report.accepted))
            .col_expr(Column::Rejected, Expr::value(report.rejected))
            .col_expr(Column::BytesIn, Expr::value(report.bytes_in))
            .col_expr(Column::BytesOut, Expr::value(report.bytes_out))
            .filter(Column::GatewayId.eq(report.gateway_id))
            .filter(Column::ReportId.eq(report.report_id.as_str()))
            .run(self.conn)
            .await?;
        Ok(())
    }

    /// A page of the reports, in the order of arrival, and the total number.
    pub async fn page(&self, filter: &ReportFilter, request: PageRequest) -> Result<(Vec<Model>, u64)> {
        let wanted = Condition::all()
            .add_option(filter.gateway.map(|gateway| Column::GatewayId.eq(gateway)))
            .add_option(filter.from.map(|from| Column::WindowEnd.gt(from)))
            .add_option(filter.to.map(|to| Column::WindowStart.lt(to)));
        page(self.select().filter(wanted), Column::Id, request, self.conn).await
    }
}

/// Deletes reports of any tenant that arrived before a time, at most `most`. Returns their number. For the job that prunes them.
pub async fn prune(conn: &TxConn, before: Stamp, most: u64) -> Result<u64> {
    let old = || Column::ReceivedAt.lt(before);
    delete_some(conn, Entity::delete_many().filter(old()), Entity::find().filter(old()), most).await
}

//! What gateways have applied and refused of the materials that they follow.

use std::collections::HashMap;

use sea_orm::{
    entity::prelude::*,
    sea_query::{ExprTrait, OnConflict},
};

use super::rows::{Rows, TenantRows, TenantTable};
use crate::{
    base::Result,
    store::{
        Db, Exec, Fetch,
        columns::{MaterialKind, Owner, Stamp},
    },
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "gateway_materials")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    #[sea_orm(primary_key, auto_increment = false)]
    pub gateway_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub material: MaterialKind,
    /// The number of the artifact that it has applied last; 0 for none.
    pub applied_number: i64,
    pub applied_at: Option<Stamp>,
    /// The number of the artifact that it has refused last; 0 for none.
    pub refused_number: i64,
    /// Why, in a word.
    pub refused_code: String,
    pub refused_detail: String,
    pub refused_at: Option<Stamp>,
}

impl Model {
    /// Whether the gateway has refused an artifact and applied none since. One of the same number may have been signed again.
    pub fn is_refusing(&self) -> bool {
        (self.refused_number, self.refused_at) > (self.applied_number, self.applied_at)
    }
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TenantTable for Entity {
    const TENANT: Column = Column::TenantId;
}

impl<'a, C> TenantRows<'a, C> {
    pub fn gateway_materials(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// What these gateways have of a kind. Those without a report are missing.
    pub async fn of(&self, kind: MaterialKind, gateways: &[Uuid]) -> Result<HashMap<Uuid, Model>> {
        let of_gateways = Column::GatewayId.is_in(gateways.iter().copied());
        let rows = self.select().filter(Column::Material.eq(kind).and(of_gateways)).fetch_all(self.conn).await?;
        Ok(rows.into_iter().map(|row| (row.gateway_id, row)).collect())
    }

    /// Inserts or replaces reports.
    pub async fn put(&self, reports: Vec<Model>) -> Result<()> {
        let place = [Column::TenantId, Column::GatewayId, Column::Material];
        let columns = [
            Column::AppliedNumber,
            Column::AppliedAt,
            Column::RefusedNumber,
            Column::RefusedCode,
            Column::RefusedDetail,
            Column::RefusedAt,
        ];
        let again = OnConflict::columns(place).update_columns(columns).to_owned();
        let reports = reports.into_iter().map(sea_orm::IntoActiveModel::into_active_model);
        Entity::insert_many(reports).on_conflict(again).run(self.conn).await?;
        Ok(())
    }
}

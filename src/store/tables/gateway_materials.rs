//! What gateways have applied and refused of the materials that they follow.

use std::collections::HashMap;

use sea_orm::{
    IntoActiveModel, QueryOrder, QuerySelect,
    entity::prelude::*,
    sea_query::{ExprTrait, OnConflict},
};

use super::rows::{Rows, TenantRows, TenantTable};
use crate::{
    base::Result,
    store::{
        Db, Exec, Fetch,
        columns::{CanaryVerdict, Json, MaterialKind, Owner, Stamp},
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
    /// What it has reported about the canaries in its policies: each is counted once.
    pub canaries: Json<Vec<CanaryVerdict>>,
}

impl Model {
    /// That of a gateway that has reported nothing.
    pub fn none(tenant: Owner, gateway: Uuid, material: MaterialKind) -> Self {
        Self {
            tenant_id: tenant,
            gateway_id: gateway,
            material,
            applied_number: 0,
            applied_at: None,
            refused_number: 0,
            refused_code: String::new(),
            refused_detail: String::new(),
            refused_at: None,
            canaries: Json(Vec::new()),
        }
    }

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

    /// The same, locked until the write ends. Those without a report get an empty one, so that two servers do not write the first one.
    pub async fn locked(&self, kind: MaterialKind, gateways: &[Uuid]) -> Result<HashMap<Uuid, Model>> {
        let found = self.lock(kind, gateways).await?;
        let missing: Vec<_> = gateways.iter().filter(|gateway| !found.contains_key(gateway)).collect();
        if missing.is_empty() {
            return Ok(found);
        }
        let empty = missing.into_iter().map(|gateway| Model::none(self.tenant, *gateway, kind).into_active_model());
        let known =
            OnConflict::columns([Column::TenantId, Column::GatewayId, Column::Material]).do_nothing().to_owned();
        Entity::insert_many(empty).on_conflict(known).run(self.conn).await?;
        self.lock(kind, gateways).await
    }

    async fn lock(&self, kind: MaterialKind, gateways: &[Uuid]) -> Result<HashMap<Uuid, Model>> {
        let of_gateways = Column::GatewayId.is_in(gateways.iter().copied());
        let rows = self.select().filter(Column::Material.eq(kind).and(of_gateways));
        let rows = rows.order_by_asc(Column::GatewayId).lock_exclusive().fetch_all(self.conn).await?;
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
            Column::Canaries,
        ];
        let again = OnConflict::columns(place).update_columns(columns).to_owned();
        let reports = reports.into_iter().map(IntoActiveModel::into_active_model);
        Entity::insert_many(reports).on_conflict(again).run(self.conn).await?;
        Ok(())
    }
}

//! Settings of a tenant on the zero-trust surface: its subscription.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, sea_query::OnConflict};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::TenantRows;
use crate::{
    base::{Result, TenantScope},
    store::{
        Store,
        entities::zerotrust_tenants::{Column, Entity, Model},
        json,
    },
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZeroTrustRow {
    pub plan: String,
    /// Limits that override those of the plan, by name.
    pub overrides: Map<String, Value>,
}

impl TryFrom<Model> for ZeroTrustRow {
    type Error = crate::base::Error;

    fn try_from(row: Model) -> Result<Self> {
        Ok(Self { plan: row.plan, overrides: json::from_text(&row.overrides)? })
    }
}

impl Store {
    /// The settings of these tenants; those created by another surface may have none.
    pub async fn zerotrust_of(&self, tenants: &[TenantScope]) -> Result<HashMap<Uuid, ZeroTrustRow>> {
        let ids = tenants.iter().map(|scope| scope.tenant().uuid());
        let rows = Entity::find().filter(Column::TenantId.is_in(ids)).all(self.read()).await?;
        rows.into_iter().map(|row| Ok((row.tenant_id, row.try_into()?))).collect()
    }
}

impl<C: ConnectionTrait> TenantRows<'_, C> {
    /// The settings, if the tenant has any.
    pub async fn zerotrust(&self) -> Result<Option<ZeroTrustRow>> {
        Entity::find_by_id(self.uuid()).one(self.conn).await?.map(ZeroTrustRow::try_from).transpose()
    }

    /// Inserts or replaces the settings.
    pub async fn put_zerotrust(&self, row: &ZeroTrustRow) -> Result<()> {
        let overrides = json::to_text(&row.overrides)?;
        let model = Model { tenant_id: self.uuid(), plan: row.plan.clone(), overrides };
        let again = OnConflict::column(Column::TenantId).update_columns([Column::Plan, Column::Overrides]).to_owned();
        Entity::insert(model.into_active_model()).on_conflict(again).exec_without_returning(self.conn).await?;
        Ok(())
    }
}
